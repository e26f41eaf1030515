//! The inner loops of the speech network: matrix products over [`LANES`] columns at once, and the logistic function.
//!
//! Every lane adds in the same order whatever the width of the processor's vectors, and nothing fuses a product with
//! a sum, so that results do not depend on the machine. All functions are inlined into a caller that runs under
//! [`pulp::Arch::dispatch`], which is what lets them use wide vectors.

#![expect(
    clippy::inline_always,
    reason = "what is not inlined into the dispatched caller is compiled for narrow vectors"
)]

/// Columns worked on together: one 512-bit vector of `f32`, four 128-bit ones.
pub(crate) const LANES: usize = 16;

/// One row of [`LANES`] columns.
pub(crate) type Lanes = [f32; LANES];

/// Rows whose sums are kept in registers together.
const ROWS_TOGETHER: usize = 4;

/// Adds `weights` (row by row, `input.len()` columns) times `input` to `output`. The number of output rows is a
/// multiple of four, as every layer of the network has it.
#[inline(always)]
pub(crate) fn multiply_add(weights: &[f32], input: &[Lanes], output: &mut [Lanes]) {
    let columns = input.len();
    for (rows, sums) in
        weights.chunks_exact(ROWS_TOGETHER * columns).zip(output.chunks_exact_mut(ROWS_TOGETHER))
    {
        let (first, rest) = rows.split_at(columns);
        let (second, rest) = rest.split_at(columns);
        let (third, fourth) = rest.split_at(columns);
        let [mut a, mut b, mut c, mut d] = [sums[0], sums[1], sums[2], sums[3]];
        for ((((x, wa), wb), wc), wd) in input.iter().zip(first).zip(second).zip(third).zip(fourth) {
            for lane in 0..LANES {
                a[lane] += wa * x[lane];
                b[lane] += wb * x[lane];
                c[lane] += wc * x[lane];
                d[lane] += wd * x[lane];
            }
        }
        sums.copy_from_slice(&[a, b, c, d]);
    }
}

/// Sets what is below zero to zero.
#[inline(always)]
pub(crate) fn rectify(rows: &mut [Lanes]) {
    for row in rows {
        for value in row {
            *value = value.max(0.0);
        }
    }
}

/// Sums kept in registers together by [`accumulate_rows`].
const SUMS_TOGETHER: usize = 64;

/// Adds to `sums` the rows of `matrix` (each `sums.len()` long, a multiple of 64), each times its factor.
#[inline(always)]
pub(crate) fn accumulate_rows(matrix: &[f32], factors: &[f32], sums: &mut [f32]) {
    let width = sums.len();
    for (block, out) in sums.chunks_exact_mut(SUMS_TOGETHER).enumerate() {
        let mut total = [0.0_f32; SUMS_TOGETHER];
        total.copy_from_slice(out);
        let first = block * SUMS_TOGETHER;
        for (row, factor) in matrix.chunks_exact(width).zip(factors) {
            let part = &row[first..first + SUMS_TOGETHER];
            for (sum, weight) in total.iter_mut().zip(part) {
                *sum += factor * weight;
            }
        }
        out.copy_from_slice(&total);
    }
}

/// e to the power of `x`, to some seven digits, for |x| up to 87.
#[inline(always)]
fn exponential(x: f32) -> f32 {
    // Adding and taking away 1.5 * 2^23 rounds to a whole number and leaves that number in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let doublings = x.clamp(-87.0, 87.0) * std::f32::consts::LOG2_E;
    let shifted = doublings + ROUND;
    let rest = (doublings - (shifted - ROUND)) * std::f32::consts::LN_2;
    let series = 1.0
        + rest
            * (1.0
                + rest
                    * (0.5 + rest * (1.0 / 6.0 + rest * (1.0 / 24.0 + rest * (1.0 / 120.0 + rest / 720.0)))));
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    series * f32::from_bits(exponent)
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub(crate) fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + exponential(-x))
}

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) fn hyperbolic_tangent(x: f32) -> f32 {
    2.0 * logistic(2.0 * x) - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_logistic_function_agrees_with_the_exact_one(x in -60.0_f32..60.0) {
            let exact = 1.0 / (1.0 + f64::from(-x).exp());
            prop_assert!((f64::from(logistic(x)) - exact).abs() < 1e-6);
            prop_assert!((f64::from(hyperbolic_tangent(x)) - f64::from(x).tanh()).abs() < 2e-6);
        }

        #[test]
        fn a_product_agrees_with_the_plain_sum(values in proptest::collection::vec(-1.0_f32..1.0, 8 * 5 + 5 * LANES)) {
            let (weights, input) = values.split_at(8 * 5);
            let input: Vec<Lanes> = input.chunks_exact(LANES).map(|c| std::array::from_fn(|i| c[i])).collect();
            let mut output = vec![[1.0; LANES]; 8];
            multiply_add(weights, &input, &mut output);
            for (row, out) in output.iter().enumerate() {
                for lane in 0..LANES {
                    let plain: f32 = (0..5).map(|k| weights[row * 5 + k] * input[k][lane]).sum();
                    prop_assert!((out[lane] - 1.0 - plain).abs() < 1e-5);
                }
            }
        }
    }
}
