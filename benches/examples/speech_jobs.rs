//! Recordings to jobs for `transcribe_spans`: each channel as a 16 kHz WAV file, with the spans in which somebody speaks.
//!
//! `speech_jobs OUT_DIR RECORDING…` writes the files and prints one job a line. What packing, guards and engines are
//! tuned with, apart from decoding and speech detection.

use callmark_acoustics::{AcousticOptions, analyse};
use callmark_audio::{DecodeOptions, decode_file};
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let out = arguments.next().ok_or("usage: speech_jobs OUT_DIR RECORDING…")?;
    std::fs::create_dir_all(&out)?;
    let mut lines = BufWriter::new(std::io::stdout().lock());
    for recording in arguments {
        let audio = decode_file(&recording, &DecodeOptions::default())?;
        let name = recording.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for (facts, pcm) in analyse(&audio.channels, &AcousticOptions::default()).iter().zip(&audio.channels)
        {
            let id = format!("{name}/{}", facts.channel);
            let wav = out.join(format!("{name}-{}.wav", facts.channel));
            write_wav(&wav, &pcm.samples)?;
            let spans: Vec<String> =
                facts.speech.iter().map(|span| format!("[{},{}]", span.start.0, span.end.0)).collect();
            let seconds = audio.channels[0].duration().seconds();
            writeln!(
                lines,
                "{{\"id\":{id:?},\"wav\":{:?},\"seconds\":{seconds},\"speech\":[{}]}}",
                wav.display().to_string(),
                spans.join(",")
            )?;
        }
    }
    Ok(lines.flush()?)
}

fn write_wav(path: &Path, samples: &[i16]) -> std::io::Result<()> {
    const RATE: u32 = 16_000;
    let bytes = samples.len() as u32 * 2;
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(b"RIFF")?;
    file.write_all(&(bytes + 36).to_le_bytes())?;
    file.write_all(b"WAVEfmt \x10\0\0\0\x01\0\x01\0")?;
    file.write_all(&RATE.to_le_bytes())?;
    file.write_all(&(RATE * 2).to_le_bytes())?;
    file.write_all(b"\x02\0\x10\0data")?;
    file.write_all(&bytes.to_le_bytes())?;
    for sample in samples {
        file.write_all(&sample.to_le_bytes())?;
    }
    file.flush()
}
