//! Where tests find a model and real speech.
#![allow(dead_code, reason = "each test file uses its part")]

use callmark_types::Pcm;
use std::io::Write;
use std::path::PathBuf;

fn models() -> Option<PathBuf> {
    std::env::var_os("CALLMARK_MODELS").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".cache/callmark/models"))
    })
}

/// The multilingual base model, or a line on stderr saying that it is absent.
pub(crate) fn model() -> Option<PathBuf> {
    present(models()?.join("ggml-base.bin"), "model")
}

/// CTranslate2's library and its multilingual base model, or a line on stderr saying that one is absent.
#[cfg(feature = "ct2")]
pub(crate) fn ct2_model() -> Option<callmark_asr::Ct2Config> {
    let folder = present(models()?.join("base-ct2"), "model")?;
    let library =
        present(models()?.join("ctranslate2-4.8.5").join("libctranslate2-a7a60d30.so.4.8.5"), "library")?;
    Some(callmark_asr::Ct2Config::new(library, folder, "base"))
}

/// Six seconds of real telephone speech, brought to 16 kHz by repeating samples.
pub(crate) fn telephone_speech() -> Option<Pcm> {
    let corpus = std::env::var_os("CALLMARK_CORPUS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"),
        PathBuf::from,
    );
    let path = present(corpus.join("wuw_telephone/audio/WUWII00001_007.ulaw"), "corpus")?;
    let bytes = std::fs::read(path).ok()?;
    let samples = bytes.into_iter().map(mu_law).flat_map(|sample| [sample, sample]).collect();
    Some(Pcm { samples })
}

fn present(path: PathBuf, what: &str) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    // The test harness keeps a passing test's output; this line is for those who ask for it.
    let _ = writeln!(std::io::stderr(), "skipped: {what} absent at {}", path.display());
    None
}

/// One G.711 mu-law byte (ITU-T G.711, table 2a).
fn mu_law(byte: u8) -> i16 {
    let inverted = !byte;
    let exponent = (inverted >> 4) & 0x07;
    let magnitude = (((i16::from(inverted & 0x0f) << 3) + 0x84) << exponent) - 0x84;
    if inverted & 0x80 == 0 { magnitude } else { -magnitude }
}
