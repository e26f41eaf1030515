//! BERT's encoder (Devlin et al. 2018) in the one shape that is used here.
//!
//! Written out on `ndarray`: the general tensor libraries that run it take minutes to compile, and compute padding;
//! here the sentences of a batch lie under each other and only attention looks at them one by one.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use pulp::Arch;
use safetensors::{Dtype, SafeTensors};

const LAYERS: usize = 6;
/// Numbers in an embedding.
const WIDTH: usize = 384;
const WIDE: usize = 4 * WIDTH;
const HEADS: usize = 12;
const HEAD_WIDTH: usize = WIDTH / HEADS;
const EPSILON: f32 = 1e-12;
/// Columns of a matrix that are multiplied together.
const COLUMNS_TOGETHER: usize = 384;

/// A matrix (in x out) and what is added.
struct Linear {
    weight: Array2<f32>,
    bias: Array1<f32>,
}

impl Linear {
    /// Into `out`, whatever it held.
    fn forward(&self, rows: &Array2<f32>, out: &mut Array2<f32>) {
        out.fill(0.0);
        self.add(rows, out);
    }

    /// On top of what `out` holds. Some columns at a time: a product packs its matrices into a block of memory of its
    /// own, and one of a mebibyte or more would be asked of the system, page by page, every time.
    fn add(&self, rows: &Array2<f32>, out: &mut Array2<f32>) {
        *out += &self.bias;
        let weights = self.weight.axis_chunks_iter(Axis(1), COLUMNS_TOGETHER);
        for (weight, mut columns) in weights.zip(out.axis_chunks_iter_mut(Axis(1), COLUMNS_TOGETHER)) {
            general_mat_mul(1.0, rows, &weight, 1.0, &mut columns);
        }
    }
}

/// Layer normalisation (Ba et al. 2016).
struct Norm {
    gain: Array1<f32>,
    bias: Array1<f32>,
}

impl Norm {
    fn apply(&self, rows: &mut Array2<f32>) {
        for mut row in rows.rows_mut() {
            let mean = row.sum() / WIDTH as f32;
            row -= mean;
            let variance = row.dot(&row) / WIDTH as f32;
            row *= 1.0 / (variance + EPSILON).sqrt();
            row *= &self.gain;
            row += &self.bias;
        }
    }
}

struct Layer {
    /// Query, key and value side by side; the query divided by the square root of a head's width.
    attention: Linear,
    attended: Linear,
    attention_norm: Norm,
    widen: Linear,
    narrow: Linear,
    output_norm: Norm,
}

/// The encoder with its embeddings.
pub(crate) struct Bert {
    words: Array2<f32>,
    /// Positions with the embedding of the only segment added.
    positions: Array2<f32>,
    norm: Norm,
    layers: Vec<Layer>,
    arch: Arch,
}

struct Weights<'a>(SafeTensors<'a>);

impl Weights<'_> {
    /// The numbers of a tensor; `None` stands for any length.
    fn numbers(&self, name: &str, shape: &[Option<usize>]) -> Result<(Vec<f32>, Vec<usize>), String> {
        let tensor = self.0.tensor(name).map_err(|e| e.to_string())?;
        let found = tensor.shape();
        let fits = found.len() == shape.len()
            && found.iter().zip(shape).all(|(n, want)| want.is_none_or(|w| w == *n));
        if tensor.dtype() != Dtype::F32 || !fits {
            return Err(format!(
                "{name} is {:?} of shape {found:?}: not the layout of MiniLM-L6",
                tensor.dtype()
            ));
        }
        let numbers = tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Ok((numbers.collect(), found.to_vec()))
    }

    fn vector(&self, name: &str, length: usize) -> Result<Array1<f32>, String> {
        Ok(Array1::from_vec(self.numbers(name, &[Some(length)])?.0))
    }

    fn table(&self, name: &str) -> Result<Array2<f32>, String> {
        let (numbers, shape) = self.numbers(name, &[None, Some(WIDTH)])?;
        Array2::from_shape_vec((shape[0], shape[1]), numbers).map_err(|e| e.to_string())
    }

    /// Stored as out x in.
    fn linear(&self, name: &str, from: usize, to: usize) -> Result<Linear, String> {
        let (numbers, _) = self.numbers(&format!("{name}.weight"), &[Some(to), Some(from)])?;
        let stored = ArrayView2::from_shape((to, from), &numbers).map_err(|e| e.to_string())?;
        let weight = stored.t().as_standard_layout().into_owned();
        Ok(Linear { weight, bias: self.vector(&format!("{name}.bias"), to)? })
    }

    fn norm(&self, name: &str) -> Result<Norm, String> {
        let get = |part: &str| self.vector(&format!("{name}.{part}"), WIDTH);
        Ok(Norm { gain: get("weight")?, bias: get("bias")? })
    }

    fn layer(&self, index: usize) -> Result<Layer, String> {
        let at = |part: &str| format!("encoder.layer.{index}.{part}");
        let mut attention =
            Linear { weight: Array2::zeros((WIDTH, 3 * WIDTH)), bias: Array1::zeros(3 * WIDTH) };
        for (place, part) in ["query", "key", "value"].iter().enumerate() {
            let mut one = self.linear(&at(&format!("attention.self.{part}")), WIDTH, WIDTH)?;
            if *part == "query" {
                let scale = 1.0 / (HEAD_WIDTH as f32).sqrt();
                one.weight *= scale;
                one.bias *= scale;
            }
            let columns = place * WIDTH..(place + 1) * WIDTH;
            attention.weight.slice_mut(s![.., columns.clone()]).assign(&one.weight);
            attention.bias.slice_mut(s![columns]).assign(&one.bias);
        }
        Ok(Layer {
            attention,
            attended: self.linear(&at("attention.output.dense"), WIDTH, WIDTH)?,
            attention_norm: self.norm(&at("attention.output.LayerNorm"))?,
            widen: self.linear(&at("intermediate.dense"), WIDTH, WIDE)?,
            narrow: self.linear(&at("output.dense"), WIDE, WIDTH)?,
            output_norm: self.norm(&at("output.LayerNorm"))?,
        })
    }
}

impl Bert {
    /// Reads the bytes of a `model.safetensors`.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let weights = Weights(SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?);
        let segments = weights.table("embeddings.token_type_embeddings.weight")?;
        let segment: ArrayView1<'_, f32> =
            segments.rows().into_iter().next().ok_or("it has no segment embedding")?;
        Ok(Self {
            words: weights.table("embeddings.word_embeddings.weight")?,
            positions: weights.table("embeddings.position_embeddings.weight")? + segment,
            norm: weights.norm("embeddings.LayerNorm")?,
            layers: (0..LAYERS).map(|index| weights.layer(index)).collect::<Result<_, _>>()?,
            arch: Arch::new(),
        })
    }

    /// Word pieces that have an embedding.
    pub(crate) fn vocabulary(&self) -> usize {
        self.words.nrows()
    }

    /// Pieces that a sentence may have.
    pub(crate) fn longest(&self) -> usize {
        self.positions.nrows()
    }

    /// Word pieces of some sentences to one vector of length 1 each: the mean over its pieces. Pieces are within the
    /// vocabulary, sentences neither empty nor longer than [`Self::longest`].
    pub(crate) fn forward(&self, sentences: &[&[usize]]) -> Vec<Vec<f32>> {
        let mut ends = Vec::with_capacity(sentences.len());
        let mut count = 0;
        for sentence in sentences {
            count += sentence.len();
            ends.push(count);
        }
        let spans = || ends.iter().zip(sentences).map(|(end, sentence)| end - sentence.len()..*end);
        let mut rows = Array2::zeros((count, WIDTH));
        for (span, sentence) in spans().zip(sentences) {
            for ((at, piece), position) in span.zip(*sentence).zip(self.positions.rows()) {
                let mut row = rows.row_mut(at);
                row += &self.words.row(*piece);
                row += &position;
            }
        }
        self.norm.apply(&mut rows);
        // Made once for all layers.
        let mut all = Array2::zeros((count, 3 * WIDTH));
        let mut attended = Array2::zeros((count, WIDTH));
        let mut widened = Array2::zeros((count, WIDE));
        for layer in &self.layers {
            layer.attention.forward(&rows, &mut all);
            for span in spans() {
                self.attend(&all.slice(s![span.clone(), ..]), attended.slice_mut(s![span, ..]));
            }
            layer.attended.add(&attended, &mut rows);
            layer.attention_norm.apply(&mut rows);
            layer.widen.forward(&rows, &mut widened);
            if let Some(values) = widened.as_slice_mut() {
                self.arch.dispatch(|| values.iter_mut().for_each(|x| *x = gelu(*x)));
            }
            layer.narrow.add(&widened, &mut rows);
            layer.output_norm.apply(&mut rows);
        }
        let mean = |span: std::ops::Range<usize>| {
            let sum: Array1<f32> = rows.slice(s![span, ..]).sum_axis(Axis(0));
            let length = sum.dot(&sum).sqrt();
            (sum / length).to_vec()
        };
        spans().map(mean).collect()
    }

    /// One sentence's attention (Vaswani et al. 2017), from query, key and value side by side.
    fn attend(&self, all: &ArrayView2<'_, f32>, mut out: ndarray::ArrayViewMut2<'_, f32>) {
        for head in 0..HEADS {
            let part = |place: usize| {
                let from = place * WIDTH + head * HEAD_WIDTH;
                all.slice(s![.., from..from + HEAD_WIDTH])
            };
            let mut weights = part(0).dot(&part(1).t());
            for mut row in weights.rows_mut() {
                let most = row.fold(f32::NEG_INFINITY, |a, b| a.max(*b));
                if let Some(values) = row.as_slice_mut() {
                    self.arch.dispatch(|| values.iter_mut().for_each(|x| *x = exp(*x - most)));
                }
                row *= 1.0 / row.sum();
            }
            let columns = head * HEAD_WIDTH..(head + 1) * HEAD_WIDTH;
            out.slice_mut(s![.., columns]).assign(&weights.dot(&part(2)));
        }
    }
}

/// `x` times the share of a normal distribution below it; the share by Abramowitz and Stegun 7.1.26 (error under
/// 1.5e-7), since the exact function does not run on wide vectors.
#[expect(
    clippy::inline_always,
    reason = "what is not inlined into the dispatched caller is compiled for narrow vectors"
)]
#[inline(always)]
fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let series =
        t * (0.254_829_6 + t * (-0.284_496_74 + t * (1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4))));
    let erf = 1.0 - series * exp(-z * z);
    0.5 * x * (1.0 + erf.copysign(x))
}

/// The exponential function for arguments up to 0, to about 1e-7 of its value: a power of two times a polynomial
/// (Cephes `expf`).
#[expect(
    clippy::inline_always,
    reason = "what is not inlined into the dispatched caller is compiled for narrow vectors"
)]
#[inline(always)]
fn exp(x: f32) -> f32 {
    let x = x.max(-87.0);
    let whole = (x * std::f32::consts::LOG2_E).round();
    let rest = x - whole * 0.693_359_4 + whole * 2.121_944_4e-4;
    let series = 0.5
        + rest
            * (0.166_666_65
                + rest
                    * (0.041_665_796 + rest * (8.333_452e-3 + rest * (1.398_2e-3 + rest * 1.987_569_2e-4))));
    let power = f32::from_bits(((whole as i32 + 127) as u32) << 23);
    (1.0 + rest + rest * rest * series) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn approximations_hold() {
        for step in -2000..=2000 {
            let x = step as f32 / 200.0;
            if x <= 0.0 {
                assert!((exp(x) - x.exp()).abs() <= 3e-7 * x.exp(), "exp({x})");
            }
        }
        // Values of x * Phi(x).
        for (x, y) in
            [(0.0, 0.0), (1.0, 0.841_344_7), (-1.0, -0.158_655_26), (3.0, 2.995_950_3), (-5.0, -1.433e-6)]
        {
            assert!((gelu(x) - y).abs() < 2e-6, "gelu({x}) = {}", gelu(x));
        }
    }
}
