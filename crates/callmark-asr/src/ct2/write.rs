//! The texts of some packs, written side by side: the likeliest token at each step.
//!
//! One pass yields everything that is asked of it: the language (from what may follow the start token), whether anybody
//! speaks, the tokens with their probabilities, and when they are said (from what the decoder attended to, see `align`).
//! A step reads all weights of the decoder once for all rows, and for each row the keys and values of its pack, so a row
//! leaves as soon as its text is at its end or goes round in circles.

use super::align::Attention;
use super::vocabulary::Vocabulary;
use callmark_ct2::{Ct2Error, Encoded, Replica, Step};

/// How often a text that grows is looked at for a loop, in tokens.
const LOOK_EVERY: usize = 16;
/// Logits so far below the largest weigh nothing: the whole vocabulary of them adds less than 0.001 to the sum.
const NEGLIGIBLE: f32 = 18.0;

/// What is to be written of one pack.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// Positions of the encoder that are sound, not filling.
    pub(super) sounding: usize,
    /// Tokens after which the text is cut off.
    pub(super) most: usize,
}

/// What was written of one pack.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    /// Text tokens.
    pub(super) tokens: Vec<u32>,
    /// Probability of each among the text tokens, given those before it, 0 to 1.
    pub(super) probabilities: Vec<f32>,
    /// The position of the encoder in which each token starts, and where the end was reached that of the end.
    pub(super) starts: Vec<u32>,
    /// Probability of the no-speech token after the start token, 0 to 1.
    pub(super) no_speech_probability: f32,
    /// Code and probability of the language where it was not told.
    pub(super) language: Option<(String, f64)>,
}

/// A text being written.
struct Row {
    pack: usize,
    written: Written,
    /// The logit of each token to follow.
    following: Vec<f32>,
    attention: Attention,
    /// Rows of `attention` before that of the first token.
    before: usize,
}

/// How texts are written.
pub(super) struct Writer<'a> {
    pub(super) vocabulary: &'a Vocabulary,
    /// Words to expect, with the mark before them, shown before every text; may be empty.
    pub(super) expected: &'a [u32],
}

impl Writer<'_> {
    /// The text of each of `sounds`, as `orders` has it, after `prompt`. Where `pick` is given that is the start token
    /// alone, and `pick` chooses the language of each text from those that the model knows with their probabilities.
    /// `repeats` says whether a text goes round in circles.
    pub(super) fn write(
        &self,
        replica: &mut Replica,
        sounds: &[Encoded],
        orders: &[Order],
        prompt: &[u32],
        pick: Option<&Pick<'_>>,
        repeats: &Repeats<'_>,
    ) -> Result<Vec<Written>, Ct2Error> {
        let longest = sounds.iter().map(Encoded::positions).max().unwrap_or(0);
        let mut writing = replica.begin(sounds.len(), longest)?;
        let mut step = Step::default();
        let mut rows: Vec<Row> =
            orders.iter().enumerate().map(|(pack, order)| Row::new(pack, order)).collect();
        // Words to expect are the same for all; what follows them is shown to all at once.
        let alone = if self.expected.is_empty() { prompt } else { self.expected };
        for (row, sound) in rows.iter_mut().zip(sounds) {
            writing.enter(sound, alone, self.expected.is_empty(), &mut step)?;
            if self.expected.is_empty() {
                self.begin(row, &step, 0);
            }
        }
        if !self.expected.is_empty() {
            writing.step(&prompt.repeat(rows.len()), true, &mut step)?;
            rows.iter_mut().enumerate().for_each(|(index, row)| self.begin(row, &step, index));
        }
        if let Some(pick) = pick {
            let rest: Vec<u32> = rows.iter_mut().flat_map(|row| self.language(row, pick)).collect();
            writing.step(&rest, true, &mut step)?;
            rows.iter_mut().enumerate().for_each(|(index, row)| row.see(&step, index));
        }
        for row in &mut rows {
            row.before = row.attention.rows() - 1;
        }
        let mut done: Vec<Written> = vec![Written::default(); orders.len()];
        loop {
            let ended: Vec<bool> = rows.iter_mut().map(|row| self.add(row, orders, repeats)).collect();
            for index in (0..rows.len()).rev().filter(|&index| ended[index]) {
                if writing.rows() > 1 {
                    writing.leave(index)?;
                }
                let row = rows.swap_remove(index);
                let place = row.pack;
                done[place] = row.close();
            }
            if rows.is_empty() {
                return Ok(done);
            }
            let next: Vec<u32> =
                rows.iter().map(|row| row.written.tokens.last().copied().unwrap_or_default()).collect();
            writing.step(&next, true, &mut step)?;
            rows.iter_mut().enumerate().for_each(|(index, row)| row.see(&step, index));
        }
    }

    /// The likeliest text among `beam` hypotheses, of the one pack of `sound`, after `prompt`.
    pub(super) fn search(
        &self,
        replica: &mut Replica,
        sound: &Encoded,
        order: &Order,
        prompt: &[u32],
        beam: usize,
    ) -> Result<Written, Ct2Error> {
        let shown = [self.expected, prompt].concat();
        let mut tokens = replica.search(sound, &shown, beam, order.most)?;
        tokens.retain(|&token| token < self.vocabulary.end_of_text());
        // The text is shown to the decoder once more, for its probabilities and times.
        let mut writing = replica.begin(1, sound.positions())?;
        let mut step = Step::default();
        let shown = [prompt, &tokens].concat();
        if self.expected.is_empty() {
            writing.enter(sound, &shown, true, &mut step)?;
        } else {
            writing.enter(sound, self.expected, false, &mut step)?;
            writing.step(&shown, true, &mut step)?;
        }
        let mut row = Row::new(0, order);
        self.begin(&mut row, &step, 0);
        row.before = prompt.len() - 1;
        row.written.probabilities = tokens
            .iter()
            .enumerate()
            .map(|(i, &token)| self.probability(step.logits(0, row.before + i), token))
            .collect();
        row.written.tokens = tokens;
        Ok(row.close())
    }

    /// Adds the likeliest token to a text, or says that it is at its end.
    fn add(&self, row: &mut Row, orders: &[Order], repeats: &Repeats<'_>) -> bool {
        let Row { written, following: logits, .. } = row;
        if written.tokens.len() >= orders[row.pack].most {
            return true;
        }
        let token = self.likeliest(logits, written.tokens.is_empty());
        if token == self.vocabulary.end_of_text() {
            return true;
        }
        written.tokens.push(token);
        written.probabilities.push(self.probability(logits, token));
        written.tokens.len().is_multiple_of(LOOK_EVERY) && repeats(&written.tokens)
    }

    /// The likeliest token of the text, or its end.
    fn likeliest(&self, logits: &[f32], beginning: bool) -> u32 {
        let end = self.vocabulary.end_of_text();
        let mut allowed = logits[..=end as usize].to_vec();
        for id in self.vocabulary.suppressed(beginning) {
            if let Some(logit) = allowed.get_mut(id as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
        let highest = largest(&allowed);
        if !highest.is_finite() {
            return end;
        }
        allowed.iter().position(|&logit| logit >= highest).map_or(end, |id| id as u32)
    }

    /// The probability of `token` among the text tokens.
    fn probability(&self, logits: &[f32], token: u32) -> f32 {
        probability(&logits[..self.vocabulary.end_of_text() as usize], token)
    }

    /// Sees the first step of a text, and notes how likely nobody speaks: from what may follow the start token, which is the
    /// first shown.
    fn begin(&self, row: &mut Row, step: &Step, index: usize) {
        row.see(step, index);
        if let Some(no_speech) = self.vocabulary.no_speech() {
            row.written.no_speech_probability = probability(step.logits(index, 0), no_speech);
        }
    }

    /// Notes the language of a text of which the start token is shown, and yields the tokens that tell the decoder.
    fn language(&self, row: &mut Row, pick: &Pick<'_>) -> Vec<u32> {
        let known = self.vocabulary.languages();
        let own: Vec<f32> = known.iter().map(|(_, id)| row.following[*id as usize]).collect();
        let likely = |i: usize| f64::from(probability(&own, i as u32));
        let found: Vec<(&str, f64)> =
            known.iter().enumerate().map(|(i, (code, _))| (code.as_str(), likely(i))).collect();
        let (language, probability) = pick(&found);
        // A language that the model does not know was refused before.
        let rest = self.vocabulary.prompt(&language).iter().flatten().skip(1).copied().collect();
        row.written.language = Some((language, probability));
        rest
    }
}

/// Chooses among codes of languages with their probabilities: code and probability.
pub(super) type Pick<'a> = dyn Fn(&[(&str, f64)]) -> (String, f64) + 'a;

/// Whether a text says something over and over.
pub(super) type Repeats<'a> = dyn Fn(&[u32]) -> bool + 'a;

impl Row {
    fn new(pack: usize, order: &Order) -> Self {
        let attention = Attention::new(order.sounding);
        Self { pack, written: Written::default(), following: Vec::new(), attention, before: 0 }
    }

    /// Keeps what was attended to at each token that was shown to row number `index`, and what may follow the last.
    fn see(&mut self, step: &Step, index: usize) {
        for token in 0..step.tokens() {
            self.attention.push((0..step.heads()).map(|head| step.attention(index, head, token)));
        }
        self.following.clear();
        self.following.extend_from_slice(step.logits(index, step.tokens() - 1));
    }

    fn close(self) -> Written {
        Written { starts: self.attention.starts(self.before), ..self.written }
    }
}

/// The share of `logits[index]` in the sum of all, each raised to a power of e.
fn probability(logits: &[f32], index: u32) -> f32 {
    let highest = largest(logits);
    let counted = logits.iter().filter(|&&logit| logit > highest - NEGLIGIBLE);
    let sum: f32 = counted.map(|&logit| (logit - highest).exp()).sum();
    (logits[index as usize] - highest).exp() / sum
}

/// The largest of many values, kept in lanes side by side so that the processor compares several at once.
fn largest(values: &[f32]) -> f32 {
    const LANES: usize = 32;
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (whole, rest) = values.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in whole {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, value);
        }
    }
    lanes.into_iter().chain(rest.iter().copied()).fold(f32::NEG_INFINITY, larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one() {
        let logits = [1.0_f32, 3.5, -40.0, 2.0];
        let sum: f32 = (0..4).map(|index| probability(&logits, index)).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        assert!(probability(&logits, 1) > 0.7);
    }

    #[test]
    fn the_largest_is_found_wherever_it_is() {
        for at in [0, 31, 32, 70, 99] {
            let values: Vec<f32> = (0..100).map(|i| if i == at { 2.0 } else { -(i as f32) }).collect();
            assert!((largest(&values) - 2.0).abs() < f32::EPSILON);
        }
        assert_eq!(largest(&[]), f32::NEG_INFINITY);
    }
}
