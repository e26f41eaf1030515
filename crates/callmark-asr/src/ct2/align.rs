//! When tokens are said, from what the decoder attended to while it wrote them.
//!
//! The arithmetic is that of OpenAI's `whisper/timing.py` (`find_alignment`): the attention of the heads that follow the
//! sound is brought to one scale over the tokens, smoothed by a median in time, averaged over heads, and the best
//! monotonic path through it, found by dynamic time warping, tells where each token starts. It differs in one thing: the
//! row of the end token is not there, since the text is not shown to the decoder a second time.

/// Width of the median in time, in positions of the encoder; as OpenAI has it.
const MEDIAN_WIDTH: usize = 7;

/// What the decoder attended to before each token of one text: `rows` × `heads` × `positions`, row by row.
#[derive(Debug, Clone, Default)]
pub(super) struct Attention {
    values: Vec<f32>,
    heads: usize,
    positions: usize,
}

impl Attention {
    /// Of a text of which nothing is written, for a sound of `positions` positions.
    pub(super) fn new(positions: usize) -> Self {
        Self { values: Vec::new(), heads: 0, positions: positions.max(1) }
    }

    /// Adds what `heads`, equally many each time, attended to before a token: of each at least as many values as there are
    /// positions of sound.
    pub(super) fn push<'a>(&mut self, heads: impl Iterator<Item = &'a [f32]>) {
        self.heads = 0;
        for head in heads {
            self.values.extend_from_slice(&head[..self.positions]);
            self.heads += 1;
        }
    }

    /// How many tokens were added.
    pub(super) fn rows(&self) -> usize {
        self.values.len() / (self.heads * self.positions).max(1)
    }

    /// The position in which each token starts, for the rows from `first` on.
    pub(super) fn starts(mut self, first: usize) -> Vec<u32> {
        let rows = self.rows();
        if first >= rows {
            return Vec::new();
        }
        for head in self.values.chunks_mut(self.positions) {
            sum_to_one(head);
        }
        let row = self.heads * self.positions;
        standardise(&mut self.values, row);
        let mut likely = vec![0.0_f32; (rows - first) * self.positions];
        let mut smooth = vec![0.0_f32; self.positions];
        for (sum, heads) in likely.chunks_mut(self.positions).zip(self.values[first * row..].chunks(row)) {
            for head in heads.chunks(self.positions) {
                median(head, &mut smooth);
                for (sum, &value) in sum.iter_mut().zip(&smooth) {
                    *sum += value / self.heads as f32;
                }
            }
        }
        path_starts(&likely, self.positions)
    }
}

fn sum_to_one(values: &mut [f32]) {
    let sum: f32 = values.iter().sum();
    if sum > 0.0 {
        for value in values {
            *value /= sum;
        }
    }
}

/// Brings each column of a matrix with rows of `width` to mean 0 and deviation 1.
fn standardise(values: &mut [f32], width: usize) {
    let count = (values.len() / width) as f32;
    let mut mean = vec![0.0_f32; width];
    for row in values.chunks(width) {
        for (mean, &value) in mean.iter_mut().zip(row) {
            *mean += value / count;
        }
    }
    let mut scale = vec![0.0_f32; width];
    for row in values.chunks(width) {
        for ((scale, &value), &mean) in scale.iter_mut().zip(row).zip(&mean) {
            *scale += (value - mean) * (value - mean) / count;
        }
    }
    for scale in &mut scale {
        *scale = if *scale > 0.0 { scale.sqrt().recip() } else { 0.0 };
    }
    for row in values.chunks_mut(width) {
        for ((value, &mean), &scale) in row.iter_mut().zip(&mean).zip(&scale) {
            *value = (*value - mean) * scale;
        }
    }
}

/// The median of each value and its neighbours, with the row mirrored at its ends.
fn median(values: &[f32], smooth: &mut [f32]) {
    const SIDE: usize = MEDIAN_WIDTH / 2;
    let count = values.len();
    if count <= SIDE {
        smooth.copy_from_slice(values);
        return;
    }
    let mirrored: Vec<f32> = (1..=SIDE)
        .rev()
        .chain(0..count)
        .chain((1..=SIDE).map(|i| count - 1 - i))
        .map(|index| values[index])
        .collect();
    for (smooth, around) in smooth.iter_mut().zip(mirrored.windows(MEDIAN_WIDTH)) {
        let mut sorted = [0.0; MEDIAN_WIDTH];
        sorted.copy_from_slice(around);
        *smooth = middle(sorted);
    }
}

/// The middle one of seven, by a network of comparisons that finds it without sorting the others.
fn middle(mut v: [f32; MEDIAN_WIDTH]) -> f32 {
    const NETWORK: [(usize, usize); 13] = [
        (0, 5),
        (0, 3),
        (1, 6),
        (2, 4),
        (0, 1),
        (3, 5),
        (2, 6),
        (2, 3),
        (3, 6),
        (4, 5),
        (1, 4),
        (1, 3),
        (3, 4),
    ];
    for (low, high) in NETWORK {
        let (a, b) = (v[low], v[high]);
        v[low] = if b < a { b } else { a };
        v[high] = if b < a { a } else { b };
    }
    v[MEDIAN_WIDTH / 2]
}

/// A step of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Both,
    Row,
    Column,
}

/// The column in which the likeliest monotonic path through the matrix enters each of its rows, of `width` columns.
fn path_starts(likely: &[f32], width: usize) -> Vec<u32> {
    let rows = likely.len() / width;
    let mut moves = vec![Move::Column; likely.len()];
    // Costs of the paths to each cell of the row before, with one cell more in front that no path has been to but the
    // first.
    let mut above = vec![f32::INFINITY; width + 1];
    above[0] = 0.0;
    for (row, (values, moves)) in likely.chunks(width).zip(moves.chunks_mut(width)).enumerate() {
        let mut current = vec![f32::INFINITY; width + 1];
        for column in 0..width {
            let (both, down, right) = (above[column], above[column + 1], current[column]);
            let (cost, taken) = if both < down && both < right {
                (both, Move::Both)
            } else if down < both && down < right {
                (down, Move::Row)
            } else {
                (right, Move::Column)
            };
            current[column + 1] = cost - values[column];
            moves[column] = if row == 0 { Move::Column } else { taken };
        }
        above = current;
    }
    let mut starts = vec![0; rows];
    let (mut row, mut column) = (rows - 1, width - 1);
    loop {
        starts[row] = column as u32;
        match moves[row * width + column] {
            Move::Both if column > 0 => (row, column) = (row - 1, column - 1),
            Move::Row | Move::Both => row -= 1,
            Move::Column if column == 0 => break,
            Move::Column => column -= 1,
        }
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_start_where_the_heads_turn_to_them() {
        // Three tokens after one of the prompt, two heads: the first looks at 10 positions each, the second everywhere.
        let positions = 30;
        let mut attention = Attention::new(positions);
        for token in 0..4_usize {
            let place = token.saturating_sub(1);
            let near = |position: usize| if position / 10 == place { 1.0 } else { 0.01 };
            let following: Vec<f32> = (0..positions + 5).map(near).collect();
            let everywhere = vec![0.5; positions + 5];
            attention.push([following.as_slice(), &everywhere].into_iter());
        }
        assert_eq!(attention.starts(1), [0, 10, 20]);
    }

    #[test]
    fn a_text_of_nothing_and_a_sound_of_one_position_have_their_starts() {
        assert_eq!(Attention::new(5).starts(0), [0_u32; 0]);
        let mut attention = Attention::new(1);
        attention.push([[1.0].as_slice()].into_iter());
        attention.push([[1.0].as_slice()].into_iter());
        assert_eq!(attention.starts(0), [0, 0]);
    }

    proptest! {
        #[test]
        fn the_middle_of_seven_is_what_sorting_finds(values in proptest::array::uniform7(-1e3_f32..1e3)) {
            let mut sorted = values;
            sorted.sort_by(f32::total_cmp);
            prop_assert_eq!(middle(values), sorted[3]);
        }

        #[test]
        fn starts_never_go_back_and_the_first_is_the_beginning(
            rows in 1_usize..8,
            width in 1_usize..40,
            seed in proptest::collection::vec(-5.0_f32..5.0, 8 * 40),
        ) {
            let starts = path_starts(&seed[..rows * width], width);
            prop_assert_eq!(starts.len(), rows);
            prop_assert_eq!(starts[0], 0);
            prop_assert!(starts.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert!(starts[rows - 1] < width as u32);
        }
    }
}
