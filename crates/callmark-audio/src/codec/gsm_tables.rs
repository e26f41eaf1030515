//! Constants of GSM 06.10 (ETSI EN 300 961), in the standard's fixed-point notation.

/// Table 4.1: for each log area ratio, offset B (times two), smallest code, and the inverse of A.
pub(super) const LAR_DECODING: [(i16, i16, i16); 8] = [
    (0, -32, 13_107),
    (0, -32, 13_107),
    (4_096, -16, 13_107),
    (-5_120, -16, 13_107),
    (188, -8, 19_223),
    (-3_584, -8, 17_476),
    (-682, -4, 31_454),
    (-2_288, -4, 29_708),
];

/// Bits of each log area ratio's code.
pub(super) const LAR_BITS: [u32; 8] = [6, 6, 5, 5, 4, 4, 3, 3];

/// Table 4.3b: gain of the long-term predictor.
pub(super) const LONG_TERM_GAIN: [i16; 4] = [3_277, 11_469, 21_299, 32_767];

/// Table 4.6: normalised direct mantissa of the block amplitude.
pub(super) const BLOCK_MANTISSA: [i16; 8] = [18_431, 20_479, 22_527, 24_575, 26_623, 28_671, 30_719, 32_767];
