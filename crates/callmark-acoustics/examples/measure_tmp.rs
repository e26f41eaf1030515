//! Prints the spans found in WAV files (16 kHz, 16 bit), one JSON object a line: what the comparison scripts read.

use callmark_acoustics::{AcousticOptions, VoiceOptions, analyse, tell_voices_apart};
use callmark_types::Pcm;

fn main() {
    let (mut seconds, mut spent) = (0.0, 0.0);
    for file in std::env::args().skip(1) {
        let mut reader = hound::WavReader::open(&file).expect("a WAV file");
        let count = usize::from(reader.spec().channels);
        let samples: Vec<i16> = reader.samples::<i16>().map(|s| s.expect("a sample")).collect();
        let channels: Vec<Pcm> = (0..count)
            .map(|c| Pcm { samples: samples.iter().skip(c).step_by(count).copied().collect() })
            .collect();
        let started = std::time::Instant::now();
        let facts = analyse(&channels, &AcousticOptions::default());
        spent += started.elapsed().as_secs_f64();
        seconds += channels[0].duration().seconds();
        let voices = if count == 1 {
            tell_voices_apart(&channels[0], &facts[0].speech, &VoiceOptions::default())
        } else {
            Vec::new()
        };
        println!("{}", serde_json::json!({ "file": file, "channels": facts, "voices": voices }));
    }
    eprintln!("{:.2} s per hour of recording", spent / seconds * 3600.0);
}
