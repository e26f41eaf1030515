//! The speech network: Silero VAD version 6 (MIT), as a forward pass over the weights bundled with this crate.
//!
//! Per chunk of 512 samples: four overlapping 256-point spectra, four convolutions over time, one LSTM cell, one
//! logistic unit. All but the LSTM look at one chunk alone, so [`LANES`] chunks go through them together. The file is
//! `silero_vad_16k.safetensors` of the PyPI package `silero-vad` 6.2.3 (sha256 `c59271c2…319ea1`), unchanged; its
//! short-time transform is a plain Fourier transform under a Hann window, computed as one here.

#![expect(
    clippy::inline_always,
    reason = "what is not inlined into the dispatched caller is compiled for narrow vectors"
)]

use crate::kernel::{LANES, Lanes, accumulate_rows, hyperbolic_tangent, logistic, multiply_add, rectify};
use pulp::{Arch, Simd, WithSimd};
use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};
use std::sync::Arc;

/// Samples that the network judges at a time: 32 ms.
pub(crate) const CHUNK_SAMPLES: usize = 512;

const WEIGHTS: &[u8] = include_bytes!("../weights/silero_vad_16k.safetensors");
/// Samples of the previous chunk that the network sees before a chunk.
const CONTEXT_SAMPLES: usize = 64;
const FFT_SAMPLES: usize = 256;
const FFT_STEP: usize = 128;
const FFT_BINS: usize = FFT_SAMPLES / 2 + 1;
/// Spectra in a chunk.
const POSITIONS: usize = 4;
/// Context, chunk, and as much mirrored at the end as the context is long.
const PADDED_SAMPLES: usize = CONTEXT_SAMPLES + CHUNK_SAMPLES + CONTEXT_SAMPLES;
/// Outputs of the first convolution.
const WIDE: usize = 128;
const HIDDEN: usize = 128;
const GATES: usize = 4 * HIDDEN;

/// A convolution over three neighbours in time, its weights by neighbour, then output, then input.
struct Convolution {
    taps: [Vec<f32>; 3],
    bias: Vec<f32>,
}

/// The network with its weights. Holds no state between calls.
pub(crate) struct SpeechNetwork {
    convolutions: [Convolution; 4],
    gate_input: Vec<f32>,
    /// By hidden unit, then gate.
    gate_recurrent: Vec<f32>,
    gate_bias: Vec<f32>,
    output: Vec<f32>,
    output_bias: f32,
    fft: Arc<dyn RealToComplex<f32>>,
    window: [f32; FFT_SAMPLES],
    arch: Arch,
}

/// What the LSTM cell remembers from chunk to chunk.
pub(crate) struct Memory {
    hidden: [f32; HIDDEN],
    cell: [f32; HIDDEN],
}

impl Memory {
    /// Nothing heard yet.
    pub(crate) fn new() -> Self {
        Self { hidden: [0.0; HIDDEN], cell: [0.0; HIDDEN] }
    }
}

/// Working memory of one batch: row by row, [`LANES`] chunks wide.
struct Layers {
    /// By position in the chunk, then bin.
    spectra: Vec<Lanes>,
    /// By position, then output of the first convolution.
    wide: Vec<Lanes>,
    gates: Vec<Lanes>,
}

/// One batch of chunks on its way through the network: a value, so that all of it is compiled for wide vectors.
struct Judgement<'a> {
    network: &'a SpeechNetwork,
    layers: &'a mut Layers,
    memory: &'a mut Memory,
    probabilities: &'a mut [f32],
}

impl WithSimd for Judgement<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.network.judge(self.layers, self.memory, self.probabilities);
    }
}

/// Reads the tensors of the weights file one after another, in the order in which they lie there.
struct Tensors {
    bytes: &'static [u8],
}

impl Tensors {
    fn open() -> Self {
        let (length, rest) =
            WEIGHTS.split_first_chunk::<8>().expect("the bundled weights begin with a length");
        let header = u64::from_le_bytes(*length) as usize;
        Self { bytes: &rest[header..] }
    }

    fn next(&mut self, values: usize) -> Vec<f32> {
        let (tensor, rest) = self.bytes.split_at(values * 4);
        self.bytes = rest;
        tensor.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    /// A convolution stored by output, input, tap.
    fn convolution(&mut self, outputs: usize, inputs: usize) -> Convolution {
        let stored = self.next(outputs * inputs * 3);
        let taps = std::array::from_fn(|tap| stored.iter().skip(tap).step_by(3).copied().collect());
        Convolution { taps, bias: self.next(outputs) }
    }
}

impl SpeechNetwork {
    /// The network with the bundled weights.
    pub(crate) fn new() -> Self {
        let mut tensors = Tensors::open();
        tensors.next(2 * FFT_BINS * FFT_SAMPLES);
        let convolutions = [
            tensors.convolution(WIDE, FFT_BINS),
            tensors.convolution(64, WIDE),
            tensors.convolution(64, 64),
            tensors.convolution(HIDDEN, 64),
        ];
        let gate_input = tensors.next(GATES * HIDDEN);
        let recurrent = tensors.next(GATES * HIDDEN);
        let gate_recurrent = (0..HIDDEN)
            .flat_map(|unit| (0..GATES).map(move |gate| (gate, unit)))
            .map(|(g, u)| recurrent[g * HIDDEN + u])
            .collect();
        let gate_bias = tensors.next(GATES).iter().zip(tensors.next(GATES)).map(|(a, b)| a + b).collect();
        let output = tensors.next(HIDDEN);
        let output_bias = tensors.next(1)[0];
        Self {
            convolutions,
            gate_input,
            gate_recurrent,
            gate_bias,
            output,
            output_bias,
            fft: RealFftPlanner::new().plan_fft_forward(FFT_SAMPLES),
            window: std::array::from_fn(|i| {
                0.5 - 0.5 * (std::f32::consts::TAU * i as f32 / FFT_SAMPLES as f32).cos()
            }),
            arch: Arch::new(),
        }
    }

    /// How likely each of `probabilities.len()` chunks of `samples` is speech, 0 to 1, from chunk `first_chunk` on,
    /// starting without memory. A last chunk that `samples` fill only in part is filled up with silence.
    pub(crate) fn run(&self, samples: &[i16], first_chunk: usize, probabilities: &mut [f32]) {
        self.go_on(&mut Memory::new(), samples, first_chunk, probabilities);
    }

    /// As [`run`](Self::run), going on from what `memory` holds of the chunks before `first_chunk`.
    pub(crate) fn go_on(
        &self,
        memory: &mut Memory,
        samples: &[i16],
        first_chunk: usize,
        probabilities: &mut [f32],
    ) {
        let mut layers = Layers {
            spectra: vec![[0.0; LANES]; POSITIONS * FFT_BINS],
            wide: vec![[0.0; LANES]; POSITIONS * WIDE],
            gates: vec![[0.0; LANES]; GATES],
        };
        for (batch, probabilities) in probabilities.chunks_mut(LANES).enumerate() {
            let first = first_chunk + batch * LANES;
            self.fill_spectra(samples, first, probabilities.len(), &mut layers.spectra);
            self.arch.dispatch(Judgement { network: self, layers: &mut layers, memory, probabilities });
        }
    }

    /// Writes the magnitudes of `lanes` chunks: by position in the chunk, bin, lane.
    fn fill_spectra(&self, samples: &[i16], first_chunk: usize, lanes: usize, spectra: &mut [Lanes]) {
        let mut padded = [0.0_f32; PADDED_SAMPLES];
        let mut frame = [0.0_f32; FFT_SAMPLES];
        let mut bins = [Complex::new(0.0_f32, 0.0); FFT_BINS];
        let mut scratch = self.fft.make_scratch_vec();
        for lane in 0..lanes {
            pad_chunk(samples, first_chunk + lane, &mut padded);
            for position in 0..POSITIONS {
                let part = &padded[position * FFT_STEP..][..FFT_SAMPLES];
                for ((out, x), w) in frame.iter_mut().zip(part).zip(&self.window) {
                    *out = x * w;
                }
                self.fft
                    .process_with_scratch(&mut frame, &mut bins, &mut scratch)
                    .expect("all buffers have the lengths of the plan");
                for (row, bin) in spectra[position * FFT_BINS..].iter_mut().zip(&bins) {
                    row[lane] = bin.norm_sqr().sqrt();
                }
            }
        }
    }

    /// Everything behind the spectra.
    #[inline(always)]
    fn judge(&self, layers: &mut Layers, memory: &mut Memory, probabilities: &mut [f32]) {
        let [first, second, third, fourth] = &self.convolutions;
        let Layers { spectra, wide, gates } = layers;
        let spectra: [&[Lanes]; POSITIONS] = std::array::from_fn(|p| &spectra[p * FFT_BINS..][..FFT_BINS]);
        for (position, out) in wide.chunks_exact_mut(WIDE).enumerate() {
            first.apply(&spectra, position, out);
        }
        let wide: [&[Lanes]; POSITIONS] = std::array::from_fn(|p| &wide[p * WIDE..][..WIDE]);
        let mut halved = [[[0.0; LANES]; 64]; 2];
        for (position, out) in halved.iter_mut().enumerate() {
            second.apply(&wide, 2 * position, out);
        }
        let mut single = [[0.0; LANES]; 64];
        third.apply(&[&halved[0][..], &halved[1][..]], 0, &mut single);
        let mut features = [[0.0; LANES]; HIDDEN];
        fourth.apply(&[&single[..]], 0, &mut features);
        for (row, bias) in gates.iter_mut().zip(&self.gate_bias) {
            *row = [*bias; LANES];
        }
        multiply_add(&self.gate_input, &features, gates);
        for (lane, probability) in probabilities.iter_mut().enumerate() {
            *probability = self.remember(gates, lane, memory);
        }
    }

    /// One step of the LSTM cell and the output unit.
    #[inline(always)]
    fn remember(&self, gates: &[Lanes], lane: usize, memory: &mut Memory) -> f32 {
        let mut sums = [0.0_f32; GATES];
        for (sum, row) in sums.iter_mut().zip(gates) {
            *sum = row[lane];
        }
        accumulate_rows(&self.gate_recurrent, &memory.hidden, &mut sums);
        for unit in 0..HIDDEN {
            let admit = logistic(sums[unit]);
            let keep = logistic(sums[HIDDEN + unit]);
            let candidate = hyperbolic_tangent(sums[2 * HIDDEN + unit]);
            let show = logistic(sums[3 * HIDDEN + unit]);
            memory.cell[unit] = keep * memory.cell[unit] + admit * candidate;
            memory.hidden[unit] = show * hyperbolic_tangent(memory.cell[unit]);
        }
        let total: f32 = memory.hidden.iter().zip(&self.output).map(|(h, w)| h.max(0.0) * w).sum();
        logistic(total + self.output_bias)
    }
}

impl Convolution {
    /// The output at `position`, from the neighbours before, at and behind it; outside `input` there is nothing.
    #[inline(always)]
    fn apply(&self, input: &[&[Lanes]], position: usize, output: &mut [Lanes]) {
        for (row, bias) in output.iter_mut().zip(&self.bias) {
            *row = [*bias; LANES];
        }
        for (tap, weights) in self.taps.iter().enumerate() {
            if let Some(column) = (position + tap).checked_sub(1).and_then(|p| input.get(p)) {
                multiply_add(weights, column, output);
            }
        }
        rectify(output);
    }
}

/// Chunk `chunk` as -1 to 1, with what came before it, and mirrored at its end.
fn pad_chunk(samples: &[i16], chunk: usize, padded: &mut [f32; PADDED_SAMPLES]) {
    let start = chunk * CHUNK_SAMPLES;
    for (offset, out) in padded[..CONTEXT_SAMPLES + CHUNK_SAMPLES].iter_mut().enumerate() {
        let sample = (start + offset).checked_sub(CONTEXT_SAMPLES).and_then(|i| samples.get(i));
        *out = sample.map_or(0.0, |s| f32::from(*s) / 32768.0);
    }
    let end = CONTEXT_SAMPLES + CHUNK_SAMPLES;
    for offset in 0..CONTEXT_SAMPLES {
        padded[end + offset] = padded[end - 2 - offset];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twenty harmonics of 130 Hz that swell three times a second.
    fn swelling_hum(chunks: usize) -> Vec<i16> {
        (0..chunks * CHUNK_SAMPLES)
            .map(|i| {
                let t = i as f64 / 16_000.0;
                let tau = std::f64::consts::TAU;
                let hum: f64 = (1..=20).map(|k| (tau * f64::from(k) * 130.0 * t).sin() / f64::from(k)).sum();
                (hum * (1.0 + (tau * 3.0 * t).sin()) / 2.0 * 6000.0) as i16
            })
            .collect()
    }

    #[test]
    fn the_forward_pass_agrees_with_an_independent_one_over_the_same_weights() {
        // From a transcription of the package's `tinygrad_model.py` into plain numpy.
        let expected = [
            0.15174, 0.07861, 0.02709, 0.00718, 0.00248, 0.00228, 0.00632, 0.00891, 0.07200, 0.07164,
            0.01739, 0.00741, 0.00486, 0.00189, 0.00104, 0.00084, 0.00197, 0.00715, 0.01392, 0.03886,
            0.00885, 0.00438, 0.00264, 0.00143,
        ];
        let mut found = [0.0; 24];
        SpeechNetwork::new().run(&swelling_hum(24), 0, &mut found);
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 2e-4, "{found} {expected}");
        }
    }

    #[test]
    fn the_size_of_a_batch_does_not_matter() {
        let samples = swelling_hum(40);
        let network = SpeechNetwork::new();
        let mut all = [0.0; 40];
        network.run(&samples, 0, &mut all);
        let mut some = [0.0; 21];
        network.run(&samples, 0, &mut some);
        assert_eq!(all[..21], some);
    }

    #[test]
    fn the_weights_are_used_up_exactly() {
        let mut tensors = Tensors::open();
        assert_eq!(tensors.bytes.len(), 4 * 309_633);
        tensors.next(309_633);
        assert!(tensors.bytes.is_empty());
    }
}
