//! What the tests of this crate share: the corpus, the table of what its files become, files made on the spot.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

pub(crate) mod made;
pub(crate) mod zoo_table;

use std::path::PathBuf;

/// The folder `codec_zoo/audio` of the corpus, or `None`, said on stderr, where there is no corpus.
pub(crate) fn zoo() -> Option<PathBuf> {
    corpus("codec_zoo/audio")
}

/// A folder of the corpus.
pub(crate) fn corpus(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("CALLMARK_CORPUS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"),
        PathBuf::from,
    );
    let found = root.join(folder);
    if !found.is_dir() {
        eprintln!("skipped: corpus absent at {}", found.display());
        return None;
    }
    Some(found)
}

/// Signal-to-noise ratio in dB of `decoded` against `reference`, which it follows by `delay` samples.
pub(crate) fn snr_db(decoded: &[i16], reference: &[i16], delay: usize) -> f64 {
    let pairs = decoded[delay..].iter().zip(reference).map(|(&d, &r)| (f64::from(d), f64::from(r)));
    let (signal, noise) = pairs.fold((0.0, 0.0), |(s, n), (d, r)| (s + r * r, n + (d - r).powi(2)));
    10.0 * (signal / noise.max(1e-9)).log10()
}
