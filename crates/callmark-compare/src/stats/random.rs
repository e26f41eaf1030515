//! Random numbers that are a function of (seed, stream, counter): the same on every machine, in any order, on any
//! number of threads.
//!
//! SplitMix64's finaliser over mixed keys (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators").
//! Statistics, not secrets.

/// Odd constants that keep the three keys apart.
const SEED_STEP: u64 = 0x9E37_79B9_7F4A_7C15;
const STREAM_STEP: u64 = 0xD1B5_4A32_D192_ED03;

/// One stream of one seed: its bits are a function of the counter.
#[derive(Debug, Clone, Copy)]
pub struct Stream(u64);

impl Stream {
    /// The stream `stream` of `seed`.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(mix(seed.wrapping_mul(SEED_STEP) ^ mix(stream.wrapping_add(STREAM_STEP))))
    }

    /// 64 random bits.
    pub fn bits(self, counter: u64) -> u64 {
        mix(self.0.wrapping_add(counter.wrapping_mul(SEED_STEP)))
    }
}

/// 64 random bits for (seed, stream, counter).
pub fn random_bits(seed: u64, stream: u64, counter: u64) -> u64 {
    Stream::new(seed, stream).bits(counter)
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// P(X ≤ k) of a Poisson distribution of mean 1, k from 0, in units of 2⁻⁶⁴ (rounded down). Beyond the last entry
/// there is less than 10⁻¹⁵.
const POISSON_1: [u64; 16] = poisson_1_table();

const fn poisson_1_table() -> [u64; 16] {
    let mut table = [0u64; 16];
    let scale = 18_446_744_073_709_551_616.0_f64;
    // e⁻¹.
    let mut term = 0.367_879_441_171_442_33_f64;
    let mut total = 0.0;
    let mut k = 0;
    while k < 16 {
        total += term;
        table[k] = (total * scale) as u64;
        k += 1;
        term /= k as f64;
    }
    table
}

/// The leading bits that settle most draws at one look.
const LEADING_BITS: u32 = 12;
/// Marks leading bits within which the draw changes.
const UNSETTLED: u8 = u8::MAX;
/// The draw for each value of the leading bits.
static SETTLED: [u8; 1 << LEADING_BITS] = settled_table();

const fn settled_table() -> [u8; 1 << LEADING_BITS] {
    let mut table = [UNSETTLED; 1 << LEADING_BITS];
    let mut leading = 0;
    while leading < table.len() {
        let first = (leading as u64) << (64 - LEADING_BITS);
        let last = first | (u64::MAX >> LEADING_BITS);
        if poisson_by_thresholds(first) == poisson_by_thresholds(last) {
            table[leading] = poisson_by_thresholds(first);
        }
        leading += 1;
    }
    table
}

const fn poisson_by_thresholds(bits: u64) -> u8 {
    let mut draw = 0;
    while draw < POISSON_1.len() && bits >= POISSON_1[draw] {
        draw += 1;
    }
    draw as u8
}

/// A draw of Poisson(1) from 64 random bits: the weight of a cluster in one bootstrap replicate.
pub fn poisson_1(bits: u64) -> u8 {
    match SETTLED[(bits >> (64 - LEADING_BITS)) as usize] {
        UNSETTLED => poisson_by_thresholds(bits),
        draw => draw,
    }
}

/// A stream of draws with a counter of its own.
#[derive(Debug, Clone)]
pub struct Draws {
    seed: u64,
    stream: u64,
    counter: u64,
}

impl Draws {
    /// The stream `stream` of `seed`, from its start.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self { seed, stream, counter: 0 }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let bits = random_bits(self.seed, self.stream, self.counter);
        self.counter += 1;
        bits
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// A whole number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// An index drawn with probabilities proportional to `weights`.
    pub fn pick(&mut self, weights: &[f64]) -> usize {
        let mut left = self.uniform() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len().saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_its_keys_alone() {
        assert_eq!(random_bits(1, 2, 3), random_bits(1, 2, 3));
        assert_ne!(random_bits(1, 2, 3), random_bits(2, 1, 3));
        assert_ne!(random_bits(1, 2, 3), random_bits(1, 3, 2));
    }

    #[test]
    fn the_table_of_leading_bits_changes_no_draw() {
        let near = POISSON_1.iter().flat_map(|t| [t.saturating_sub(1), *t, t.saturating_add(1)]);
        for bits in near.chain((0..10_000).map(|i| random_bits(3, 3, i))).chain([0, u64::MAX]) {
            assert_eq!(poisson_1(bits), poisson_by_thresholds(bits), "{bits}");
        }
    }

    #[test]
    fn poisson_weights_have_mean_and_variance_one() {
        let draws: Vec<f64> = (0..200_000).map(|i| f64::from(poisson_1(random_bits(7, 1, i)))).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!((mean - 1.0).abs() < 0.01 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn normal_draws_have_the_moments_of_a_normal() {
        let mut draws = Draws::new(3, 4);
        let sample: Vec<f64> = (0..100_000).map(|_| draws.normal()).collect();
        let mean = sample.iter().sum::<f64>() / 1e5;
        let fourth = sample.iter().map(|x| x.powi(4)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.02 && (fourth - 3.0).abs() < 0.15, "{mean} {fourth}");
    }
}
