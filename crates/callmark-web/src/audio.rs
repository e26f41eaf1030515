//! The sound of a call, as a browser plays it: WAV with every channel, whatever it was recorded as.
//!
//! A recording is read only where it lies below a folder that the server was told of, links followed first. It is decoded
//! once and kept beside the reviews, together with its waveform, until newer ones need the room. Where personal data
//! is said there is silence, unless the original is asked for by somebody who may hear it.

use callmark_audio::{DecodeOptions, decode_bytes, silent_frames, write_wav};
use callmark_types::{EventKind, ScoredCall};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use tokio::sync::Semaphore;
use url::Url;

/// Decoded recordings that are kept, in bytes: about 18 hours of two channels.
const MOST_KEPT_BYTES: u64 = 4 << 30;
/// Folder of decoded recordings, beside the reviews.
pub(crate) const KEPT: &str = "audio";
/// Recordings that are decoded at the same time; each is in memory as a whole.
const DECODED_AT_ONCE: usize = 2;
/// Steps of a waveform.
pub(crate) const STEPS: usize = 1_000;

/// Why there is no sound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AudioError {
    #[error("this call has no recording: it was written")]
    Written,
    #[error("the recording came in a message and was not kept")]
    InMessage,
    #[error("recordings are not served: start the server with --audio DIR, the folder in which they are")]
    NoFolder,
    #[error("the recording does not lie in a folder that this server may read (--audio DIR)")]
    Outside,
    #[error("the recording is not where it was when the call was scored")]
    Gone,
    #[error("another recording lies where the one that was scored was")]
    Another,
    #[error("the recording cannot be read: {0}")]
    Unreadable(String),
}

/// The recordings of a dataset.
#[derive(Debug)]
pub(crate) struct Recordings {
    roots: Vec<PathBuf>,
    kept: PathBuf,
    turns: Semaphore,
}

/// A recording that can be played.
#[derive(Debug, Clone)]
pub(crate) struct Playable {
    /// A WAV file.
    pub(crate) wav: PathBuf,
    /// Its waveform: for each channel, [`STEPS`] levels of 0 to 255.
    pub(crate) peaks: Vec<Vec<u8>>,
}

impl Recordings {
    /// Recordings below `roots`, kept decoded in `folder`.
    ///
    /// # Errors
    /// Where a root is no folder.
    pub(crate) fn new(roots: &[PathBuf], folder: &Path) -> Result<Self, String> {
        let real = |root: &PathBuf| match root.canonicalize() {
            Ok(real) if real.is_dir() => Ok(real),
            Ok(_) => Err(format!("--audio {} is no folder", root.display())),
            Err(e) => Err(format!("--audio {}: {e}", root.display())),
        };
        let roots = roots.iter().map(real).collect::<Result<_, _>>()?;
        Ok(Self { roots, kept: folder.join(KEPT), turns: Semaphore::new(DECODED_AT_ONCE) })
    }

    /// The recording of a call; `original` leaves personal data in it.
    pub(crate) async fn playable(&self, call: &ScoredCall, original: bool) -> Result<Playable, AudioError> {
        let source = self.locate(call)?;
        let silent = if original { Vec::new() } else { personal(call) };
        let stem = self.kept.join(name(call, &silent));
        if let Some(playable) = read_kept(&stem) {
            return Ok(playable);
        }
        // It is never closed.
        let _turn = self.turns.acquire().await.ok();
        if let Some(playable) = read_kept(&stem) {
            return Ok(playable);
        }
        let (folder, scored) = (self.kept.clone(), call.record.source.sha256.clone());
        let made = tokio::task::spawn_blocking(move || {
            let playable = make(&source, scored.as_deref(), &silent, &stem)?;
            make_room(&folder, &stem);
            Ok(playable)
        });
        made.await.map_err(|_| AudioError::Unreadable("an internal error".to_owned()))?
    }

    /// Deletes all that is kept: it is made again where it is asked for.
    pub(crate) fn forget(&self) -> std::io::Result<()> {
        match fs::remove_dir_all(&self.kept) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    fn locate(&self, call: &ScoredCall) -> Result<PathBuf, AudioError> {
        if call.record.audio.channels.is_none() {
            return Err(AudioError::Written);
        }
        let uri = call.record.source.uri.as_deref().ok_or(AudioError::InMessage)?;
        if self.roots.is_empty() {
            return Err(AudioError::NoFolder);
        }
        let path = match uri.split_once("://") {
            Some(("file", _)) => {
                Url::parse(uri).ok().and_then(|url| url.to_file_path().ok()).ok_or(AudioError::Outside)?
            }
            Some(_) => return Err(AudioError::Outside),
            None => PathBuf::from(uri),
        };
        let found = if path.is_absolute() {
            path.canonicalize().ok()
        } else {
            self.roots.iter().find_map(|root| root.join(&path).canonicalize().ok())
        };
        // A recording that was moved with its dataset is looked for by its name.
        let found = found.filter(|real| self.roots.iter().any(|root| real.starts_with(root))).or_else(|| {
            let name = path.file_name()?;
            self.roots.iter().find_map(|root| root.join(name).canonicalize().ok())
        });
        let Some(real) = found else {
            return Err(if path.exists() { AudioError::Outside } else { AudioError::Gone });
        };
        if !self.roots.iter().any(|root| real.starts_with(root)) {
            return Err(AudioError::Outside);
        }
        if real.is_file() { Ok(real) } else { Err(AudioError::Gone) }
    }
}

/// Where personal data is said.
fn personal(call: &ScoredCall) -> Vec<Range<usize>> {
    let found = call.events.iter().filter(|event| event.kind == EventKind::Pii);
    silent_frames(found.filter_map(|event| event.span))
}

/// What a decoded recording is kept as: another name where anything of it is another.
fn name(call: &ScoredCall, silent: &[Range<usize>]) -> String {
    let mut digest = Sha256::new();
    digest.update(call.record.call_id.as_str());
    digest.update([0]);
    digest.update(call.record.source.sha256.as_deref().unwrap_or_default());
    for frames in silent {
        digest.update(frames.start.to_le_bytes());
        digest.update(frames.end.to_le_bytes());
    }
    crate::text::hex(&digest.finalize()[..16])
}

fn read_kept(stem: &Path) -> Option<Playable> {
    let wav = stem.with_extension("wav");
    let levels = fs::read(stem.with_extension("peaks")).ok()?;
    let peaks: Vec<Vec<u8>> = levels.chunks(STEPS).map(<[u8]>::to_vec).collect();
    if !wav.is_file() || peaks.iter().any(|channel| channel.len() != STEPS) {
        return None;
    }
    // Those that are heard are kept longest. A clock that cannot be set only lets it go sooner.
    let _ = fs::File::open(&wav).and_then(|file| file.set_modified(std::time::SystemTime::now()));
    Some(Playable { wav, peaks })
}

fn make(
    source: &Path,
    scored: Option<&str>,
    silent: &[Range<usize>],
    stem: &Path,
) -> Result<Playable, AudioError> {
    let unreadable = |reason: String| AudioError::Unreadable(reason);
    let io = |e: std::io::Error| unreadable(e.kind().to_string());
    let bytes = fs::read(source).map_err(io)?;
    if scored.is_some_and(|scored| crate::text::hex(&Sha256::digest(&bytes)) != scored) {
        return Err(AudioError::Another);
    }
    // The extension of its name tells a codec without a header; the error would name the file.
    let decoded = decode_bytes(&source.to_string_lossy(), None, bytes, &DecodeOptions::default())
        .map_err(|e| unreadable(format!("it is not as it was ({})", e.kind())))?;
    fs::create_dir_all(stem.parent().unwrap_or(stem)).map_err(io)?;
    let part = stem.with_extension("wav.part");
    write_wav(&part, &decoded.channels, silent)
        .map_err(|e| unreadable(format!("its copy cannot be written ({e})")))?;
    let peaks: Vec<Vec<u8>> = decoded.channels.iter().map(|pcm| waveform(&pcm.samples, silent)).collect();
    fs::write(stem.with_extension("peaks"), peaks.concat()).map_err(io)?;
    let wav = stem.with_extension("wav");
    fs::rename(part, &wav).map_err(io)?;
    Ok(Playable { wav, peaks })
}

/// The loudest sample of each of [`STEPS`] steps, 0 to 255.
fn waveform(samples: &[i16], silent: &[Range<usize>]) -> Vec<u8> {
    let mut levels = vec![0; STEPS];
    let mut next = 0;
    for (at, sample) in samples.iter().enumerate() {
        while silent.get(next).is_some_and(|range| range.end <= at) {
            next += 1;
        }
        if !silent.get(next).is_some_and(|range| range.contains(&at)) {
            let level = &mut levels[at * STEPS / samples.len()];
            *level = (*level).max((sample.unsigned_abs() >> 7).min(255) as u8);
        }
    }
    levels
}

/// Deletes what was heard longest ago, until the rest fits. What cannot be deleted is tried again with the next.
fn make_room(folder: &Path, newest: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut kept: Vec<(std::time::SystemTime, u64, PathBuf)> = entries
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "wav"))
        .filter_map(|entry| {
            let about = entry.metadata().ok()?;
            Some((about.modified().ok()?, about.len(), entry.path()))
        })
        .collect();
    kept.sort();
    let mut bytes: u64 = kept.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, size, path) in kept {
        if bytes <= MOST_KEPT_BYTES || path.with_extension("") == newest {
            break;
        }
        let _ = fs::remove_file(path.with_extension("peaks"));
        let _ = fs::remove_file(&path);
        bytes -= size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use callmark_types::{Event, PIPELINE_SAMPLE_RATE_HZ, SourcePosition, Span};

    fn wav(path: &Path, value: i16) {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: PIPELINE_SAMPLE_RATE_HZ,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(path, spec).unwrap();
        (0..32_000).for_each(|_| writer.write_sample(value).unwrap());
        writer.finalize().unwrap();
    }

    fn recorded(uri: &str) -> ScoredCall {
        let mut call = crate::tests::call("c");
        call.record.audio.channels = Some(1);
        call.record.source = SourcePosition { uri: Some(uri.to_owned()), ..SourcePosition::default() };
        call
    }

    fn recordings(folder: &Path) -> Recordings {
        fs::create_dir(folder.join("allowed")).unwrap();
        wav(&folder.join("allowed/a.wav"), 1_000);
        wav(&folder.join("secret.wav"), 2_000);
        std::os::unix::fs::symlink(folder.join("secret.wav"), folder.join("allowed/link.wav")).unwrap();
        Recordings::new(&[folder.join("allowed")], &folder.join("state")).unwrap()
    }

    #[tokio::test]
    async fn only_what_lies_in_an_allowed_folder_is_played() {
        let folder = tempfile::tempdir().unwrap();
        let recordings = recordings(folder.path());
        let root = folder.path().display().to_string();
        for own in [
            format!("{root}/allowed/a.wav"),
            format!("file://{root}/allowed/a.wav"),
            format!("file://{root}/%61llowed/a.wav"),
            "a.wav".into(),
            "/moved/a.wav".into(),
        ] {
            let playable = recordings.playable(&recorded(&own), false).await.unwrap();
            assert_eq!(playable.peaks.len(), 1, "{own}");
        }
        for other in [
            format!("{root}/secret.wav"),
            format!("{root}/allowed/../secret.wav"),
            "../secret.wav".into(),
            "link.wav".into(),
            format!("file://{root}/allowed/%2e%2e/secret.wav"),
            "file:///etc/passwd".into(),
            format!("file://elsewhere{root}/allowed/a.wav"),
            format!("file://{root}/allowed/a.wav%00"),
            "/etc/passwd".into(),
            "s3://bucket/a.wav".into(),
            "http://127.0.0.1/a.wav".into(),
        ] {
            let refused = recordings.playable(&recorded(&other), true).await.unwrap_err();
            assert!(matches!(refused, AudioError::Outside | AudioError::Gone), "{other}: {refused:?}");
        }
        let mut replaced = recorded("a.wav");
        replaced.record.source.sha256 = Some("0".repeat(64));
        assert_eq!(recordings.playable(&replaced, false).await.unwrap_err(), AudioError::Another);
        let nowhere = Recordings::new(&[], folder.path()).unwrap();
        assert_eq!(nowhere.playable(&recorded("a.wav"), false).await.unwrap_err(), AudioError::NoFolder);
        assert_eq!(
            recordings.playable(&crate::tests::call("c"), false).await.unwrap_err(),
            AudioError::Written
        );
    }

    #[tokio::test]
    async fn personal_data_is_silent_unless_the_original_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let recordings = recordings(folder.path());
        let mut call = recorded("a.wav");
        call.events.push(Event::lasting(EventKind::Pii, Span::of_ms(500, 1_000)));
        let samples = |playable: Playable| -> Vec<i16> {
            hound::WavReader::open(playable.wav).unwrap().samples::<i16>().map(Result::unwrap).collect()
        };
        let silenced = samples(recordings.playable(&call, false).await.unwrap());
        let quiet: Vec<usize> = (0..silenced.len()).filter(|at| silenced[*at] == 0).collect();
        assert_eq!((quiet.first(), quiet.last()), (Some(&(440 * 16)), Some(&(1_060 * 16 - 1))));
        assert!(
            samples(recordings.playable(&call, true).await.unwrap()).iter().all(|sample| *sample == 1_000)
        );
        recordings.forget().unwrap();
        assert!(!folder.path().join("state/audio").exists());
    }
}
