//! The real weights against the figures of reference implementations: `tokenizers` 0.23 with `candle-core` 0.11
//! computing the same file. Skipped, and said so, where the weights are not here (`callmark models pull minilm`).

#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

use callmark_embed::SentenceModel;
use callmark_types::SentenceEncoder;
use std::path::PathBuf;

/// A sentence and the first numbers of its vector.
const REFERENCE: &[(&str, [f32; 6])] = &[
    (
        "can i talk to a human",
        [-0.026_158_776, -0.033_369_366, -0.011_086_941, -0.039_230_76, -0.078_023_96, -0.075_685_19],
    ),
    (
        "i don't want a robot, I want a REPRESENTATIVE!",
        [-0.040_032_934, -0.084_429_92, 0.033_958_156, -0.059_977_848, 0.029_236_007, -0.038_317_73],
    ),
    (
        "über Café naïve",
        [0.060_084_08, 0.028_859_26, -0.007_017_549_6, -0.007_294_060_7, 0.001_947_426_4, 0.040_831_52],
    ),
    (
        "unbelievableness of xyzzyq",
        [-0.095_019_616, -0.000_435_538_8, -0.029_925_745, -0.013_813_62, -0.094_071_97, -0.008_769_306],
    ),
    (
        "my bag still is not here  \t and it's 7:45 p.m. (again)",
        [0.032_411_84, -0.017_794_732, 0.035_297_17, 0.065_417_19, 0.139_423_33, -0.074_858_025],
    ),
];

fn weights() -> Option<PathBuf> {
    let folder = std::env::var_os("CALLMARK_MODELS").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".cache/callmark/models"))
    })?;
    let file = folder.join("minilm-l6-v2.safetensors");
    if !file.is_file() {
        eprintln!("skipped: {} is not here; `callmark models pull minilm` fetches it", file.display());
        return None;
    }
    Some(file)
}

#[test]
fn vectors_are_those_of_the_reference() {
    let Some(file) = weights() else { return };
    let model = SentenceModel::load(&file, "digest").expect("the weights load");
    let long = "no ".repeat(500);
    let texts: Vec<&str> = REFERENCE.iter().map(|(text, _)| *text).chain([long.as_str(), ""]).collect();
    let together = model.encode(&texts);
    for ((text, numbers), vector) in REFERENCE.iter().zip(&together) {
        for (got, want) in vector.0.iter().zip(numbers) {
            assert!((got - want).abs() < 2e-6, "{text}: {got} instead of {want}");
        }
    }
    for (text, vector) in texts.iter().zip(&together) {
        assert_eq!(vector.0.len(), 384);
        assert!((vector.nearness(vector) - 1.0).abs() < 1e-5, "a vector of length 1");
        let alone = model.encode(&[text]);
        assert!((alone[0].nearness(vector) - 1.0).abs() < 1e-5, "the same beside others as alone");
    }
}

#[test]
fn other_files_are_refused_with_what_to_do() {
    let folder = std::env::temp_dir();
    let missing = SentenceModel::load(&folder.join("callmark-no-such-weights"), "").expect_err("no file");
    assert!(missing.to_string().contains("models pull"), "{missing}");
    let file = folder.join(format!("callmark-embed-{}.safetensors", std::process::id()));
    std::fs::write(&file, b"no weights").expect("a file");
    let refused = SentenceModel::load(&file, "").expect_err("no weights");
    std::fs::remove_file(&file).expect("removed");
    assert!(refused.to_string().contains("cannot be used"), "{refused}");
}
