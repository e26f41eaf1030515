//! The calls into the shim, each behind a safe function that checks every length first.
#![allow(unsafe_code, reason = "the one module that calls foreign code")]

use crate::Ct2Error;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

/// Room for what went wrong, in words.
const ERROR_BYTES: usize = 1024;
/// Most tokens of one answer: what Whisper's decoder has positions for.
const MAX_TOKENS: usize = 448;

/// `callmark_ct2_sound` of the shim.
#[repr(C)]
#[derive(Clone, Copy)]
struct Sound {
    encoded: *const f32,
    batch: usize,
    positions: usize,
    width: usize,
}

// SAFETY: the declarations are those of native/shim.cc.
unsafe extern "C" {
    fn callmark_ct2_open(path: *const c_char, error: *mut c_char, error_bytes: usize) -> c_int;
    fn callmark_ct2_load(
        folder: *const c_char,
        kind: *const c_char,
        model: *mut *mut c_void,
        error: *mut c_char,
        error_bytes: usize,
    ) -> c_int;
    fn callmark_ct2_unload(model: *mut c_void);
    fn callmark_ct2_replica(
        model: *const c_void,
        replica: *mut *mut c_void,
        error: *mut c_char,
        error_bytes: usize,
    ) -> c_int;
    fn callmark_ct2_drop_replica(replica: *mut c_void);
    fn callmark_ct2_encode(
        replica: *mut c_void,
        threads: usize,
        mel: *const f32,
        mels: usize,
        frames: usize,
        taker: *mut c_void,
        take: extern "C" fn(*mut c_void, *const f32, usize),
        error: *mut c_char,
        error_bytes: usize,
    ) -> c_int;
    fn callmark_ct2_generate(
        replica: *mut c_void,
        threads: usize,
        sound: Sound,
        prompts: *const usize,
        prompt_tokens: usize,
        beam_size: usize,
        max_tokens: usize,
        suppressed: *const c_int,
        suppressed_count: usize,
        tokens: *mut u32,
        counts: *mut usize,
        no_speech: *mut f32,
        error: *mut c_char,
        error_bytes: usize,
    ) -> c_int;
    fn callmark_ct2_align(
        replica: *mut c_void,
        threads: usize,
        sound: Sound,
        prompt: *const usize,
        prompt_tokens: usize,
        text: *const u32,
        counts: *const usize,
        stride: usize,
        frames: *const usize,
        starts: *mut i32,
        probabilities: *mut f32,
        error: *mut c_char,
        error_bytes: usize,
    ) -> c_int;
    fn callmark_ct2_languages(
        replica: *mut c_void,
        threads: usize,
        sound: Sound,
        taker: *mut c_void,
        take: extern "C" fn(*mut c_void, *const c_char, f32),
        error: *mut c_char,
        error_bytes: usize,
    ) -> c_int;
}

/// Runs `call` with room for an error's text, which is the error where the call does not yield 0.
fn checked(call: impl FnOnce(*mut c_char, usize) -> c_int) -> Result<(), String> {
    let mut text = [0_u8; ERROR_BYTES];
    if call(text.as_mut_ptr().cast(), ERROR_BYTES) == 0 {
        return Ok(());
    }
    let text = CStr::from_bytes_until_nul(&text).unwrap_or_default();
    Err(text.to_string_lossy().into_owned())
}

/// Appends what the shim hands over to a vector of floats.
extern "C" fn take_floats(taker: *mut c_void, values: *const f32, count: usize) {
    // SAFETY: `taker` is the caller's vector, which nothing else touches meanwhile; the shim hands `count` floats.
    let (into, values) =
        unsafe { (&mut *taker.cast::<Vec<f32>>(), std::slice::from_raw_parts(values, count)) };
    into.extend_from_slice(values);
}

/// Appends a language and its probability to a vector of both.
extern "C" fn take_language(taker: *mut c_void, text: *const c_char, probability: f32) {
    // SAFETY: `taker` is the caller's vector, which nothing else touches meanwhile; `text` ends in zero.
    let (into, text) = unsafe { (&mut *taker.cast::<Vec<(String, f32)>>(), CStr::from_ptr(text)) };
    into.push((text.to_string_lossy().into_owned(), probability));
}

fn c_path(path: &Path) -> Result<CString, String> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| "the path has a zero byte in it".to_owned())
}

/// The opened shared library.
#[derive(Debug, Clone)]
pub struct Library(());

impl Library {
    /// Opens the shared library of CTranslate2 4.8.5 at `path`, once a process; what it needs beside the system's own
    /// libraries (`libgomp`) lies in the same folder. The caller answers for its digest.
    pub fn open(path: &Path) -> Result<Self, Ct2Error> {
        static OPENED: Mutex<Option<std::path::PathBuf>> = Mutex::new(None);
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.is_some() {
            return Ok(Self(()));
        }
        let failed = |reason| Ct2Error::Library { path: path.to_owned(), reason };
        let name = c_path(path).map_err(failed)?;
        // SAFETY: `name` ends in zero and `error` has the room that is said. The lock keeps other callers out while the
        // shim's table of functions is written; nobody reads it before, since only a `Library` leads to the other calls.
        checked(|error, room| unsafe { callmark_ct2_open(name.as_ptr(), error, room) }).map_err(failed)?;
        *opened = Some(path.to_owned());
        Ok(Self(()))
    }

    /// Loads the model in `folder` (`model.bin`, `config.json`, `vocabulary.txt`) on the processor. `kind` is how it
    /// computes: `int8`, `float32`, …
    pub fn load(&self, folder: &Path, kind: &str) -> Result<Model, Ct2Error> {
        let failed = |reason| Ct2Error::Model { path: folder.to_owned(), reason };
        let name = c_path(folder).map_err(failed)?;
        let kind = CString::new(kind).map_err(|e| failed(e.to_string()))?;
        let mut model = std::ptr::null_mut();
        // SAFETY: both strings end in zero, `model` is written on success, `error` has the room that is said.
        checked(|error, room| unsafe {
            callmark_ct2_load(name.as_ptr(), kind.as_ptr(), &raw mut model, error, room)
        })
        .map_err(failed)?;
        NonNull::new(model)
            .map(|model| Model(Arc::new(OwnedModel(model))))
            .ok_or_else(|| failed("no model".into()))
    }
}

#[derive(Debug)]
struct OwnedModel(NonNull<c_void>);

// SAFETY: it points to a shared pointer to a constant model, which is only copied (atomically counted) after loading.
unsafe impl Send for OwnedModel {}
// SAFETY: as above.
unsafe impl Sync for OwnedModel {}

impl Drop for OwnedModel {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `callmark_ct2_load` and is given back once.
        unsafe { callmark_ct2_unload(self.0.as_ptr()) }
    }
}

/// Weights in memory, shared by all replicas.
#[derive(Debug, Clone)]
pub struct Model(Arc<OwnedModel>);

impl Model {
    /// What computes with the weights: one for each thread of the caller's, each with `threads` threads of its own.
    pub fn replica(&self, threads: usize) -> Result<Replica, Ct2Error> {
        let mut replica = std::ptr::null_mut();
        // SAFETY: the model lives, `replica` is written on success, `error` has the room that is said.
        checked(|error, room| unsafe {
            callmark_ct2_replica(self.0.0.as_ptr(), &raw mut replica, error, room)
        })
        .map_err(Ct2Error::Compute)?;
        let pointer = NonNull::new(replica).ok_or_else(|| Ct2Error::Compute("no replica".to_owned()))?;
        Ok(Replica { pointer, threads: threads.max(1), _model: self.clone() })
    }
}

/// What the encoder made of some packs of one length.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Encoded {
    /// `batch` × `positions` × `width` floats, pack by pack.
    pub values: Vec<f32>,
    /// How many packs.
    pub batch: usize,
    /// Positions in time of each, 20 ms long.
    pub positions: usize,
}

impl Encoded {
    /// The packs of all of `parts`, which must have the same number of positions.
    pub fn joined(parts: &[&Encoded]) -> Self {
        let mut all = Self { positions: parts.first().map_or(0, |part| part.positions), ..Self::default() };
        for part in parts {
            assert_eq!(part.positions, all.positions, "packs of one length are joined");
            all.values.extend_from_slice(&part.values);
            all.batch += part.batch;
        }
        all
    }

    /// The packs at `indices`, each of which must be there.
    #[must_use]
    pub fn of(&self, indices: &[usize]) -> Self {
        let size = self.values.len() / self.batch.max(1);
        let values = indices.iter().flat_map(|&i| &self.values[i * size..(i + 1) * size]).copied().collect();
        Self { values, batch: indices.len(), positions: self.positions }
    }

    fn sound(&self) -> Result<Sound, Ct2Error> {
        let rows = self.batch * self.positions;
        if rows == 0 || self.values.is_empty() || !self.values.len().is_multiple_of(rows) {
            let (values, batch, positions) = (self.values.len(), self.batch, self.positions);
            return Err(Ct2Error::Compute(format!(
                "{values} values are not {batch} packs of {positions} positions"
            )));
        }
        let width = self.values.len() / rows;
        Ok(Sound { encoded: self.values.as_ptr(), batch: self.batch, positions: self.positions, width })
    }
}

/// What the decoder wrote of one pack.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Generated {
    /// Token ids, without those of the prompt and the end.
    pub tokens: Vec<u32>,
    /// Probability of the no-speech token after the start token, 0 to 1.
    pub no_speech_probability: f32,
}

/// When the tokens of one pack are said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Aligned {
    /// For each token, and for the end of text after them, the position of the encoder in which it starts; `None` where
    /// the alignment passes over it.
    pub starts: Vec<Option<u32>>,
    /// For each token its probability given those before it, 0 to 1.
    pub probabilities: Vec<f32>,
}

/// Computes with a model's weights. Used by one thread at a time.
#[derive(Debug)]
pub struct Replica {
    pointer: NonNull<c_void>,
    threads: usize,
    _model: Model,
}

// SAFETY: a replica may move between threads; every call that computes takes it mutably.
unsafe impl Send for Replica {}

impl Drop for Replica {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `callmark_ct2_replica` and is given back once.
        unsafe { callmark_ct2_drop_replica(self.pointer.as_ptr()) }
    }
}

impl Replica {
    /// Encodes one pack: `mel` is `mels` rows of an even number of frames, 10 ms each.
    pub fn encode(&mut self, mel: &[f32], mels: usize) -> Result<Encoded, Ct2Error> {
        let frames = mel.len() / mels.max(1);
        if mels == 0 || frames == 0 || frames * mels != mel.len() || !frames.is_multiple_of(2) {
            return Err(Ct2Error::Compute(format!(
                "{} values are not {mels} rows of an even length",
                mel.len()
            )));
        }
        let mut values: Vec<f32> = Vec::new();
        // SAFETY: `mel` has `mels * frames` values, `take_floats` fits `values`, `error` has the room that is said.
        checked(|error, room| unsafe {
            callmark_ct2_encode(
                self.pointer.as_ptr(),
                self.threads,
                mel.as_ptr(),
                mels,
                frames,
                (&raw mut values).cast(),
                take_floats,
                error,
                room,
            )
        })
        .map_err(Ct2Error::Compute)?;
        Ok(Encoded { values, batch: 1, positions: frames / 2 })
    }

    /// Writes what is said in each pack of `sound`, after its prompt, at most `max_tokens` tokens of each. `prompts` are as
    /// many as packs and of one length; they may begin with `<|startofprev|>` and up to 223 tokens of text. A `beam_size`
    /// of 1 takes the likeliest token at each step. The model's own list of tokens that are no speech, and those in
    /// `suppressed`, are never written.
    pub fn generate(
        &mut self,
        sound: &Encoded,
        prompts: &[&[u32]],
        beam_size: usize,
        max_tokens: usize,
        suppressed: &[i32],
    ) -> Result<Vec<Generated>, Ct2Error> {
        let pointers = sound.sound()?;
        let length = prompts.first().map_or(0, |prompt| prompt.len());
        if prompts.len() != sound.batch || prompts.iter().any(|prompt| prompt.len() != length) {
            return Err(Ct2Error::Compute(format!("{} prompts for {} packs", prompts.len(), sound.batch)));
        }
        let max_tokens = max_tokens.min(MAX_TOKENS.saturating_sub(length)).clamp(1, MAX_TOKENS / 2);
        let prompts: Vec<usize> = prompts.iter().copied().flatten().map(|&id| id as usize).collect();
        let mut tokens = vec![0_u32; sound.batch * max_tokens];
        let mut counts = vec![0_usize; sound.batch];
        let mut no_speech = vec![0_f32; sound.batch];
        // SAFETY: `prompts` has `batch * length` entries, `tokens` `batch * max_tokens`, `counts` and `no_speech`
        // one each; `sound` outlives the call; `error` has the room that is said.
        checked(|error, room| unsafe {
            callmark_ct2_generate(
                self.pointer.as_ptr(),
                self.threads,
                pointers,
                prompts.as_ptr(),
                length,
                beam_size.max(1),
                max_tokens,
                suppressed.as_ptr(),
                suppressed.len(),
                tokens.as_mut_ptr(),
                counts.as_mut_ptr(),
                no_speech.as_mut_ptr(),
                error,
                room,
            )
        })
        .map_err(Ct2Error::Compute)?;
        let answers = tokens.chunks(max_tokens).zip(counts).zip(no_speech);
        Ok(answers
            .map(|((tokens, count), no_speech_probability)| Generated {
                tokens: tokens[..count.min(max_tokens)].to_vec(),
                no_speech_probability,
            })
            .collect())
    }

    /// When the tokens of `texts`, one text a pack of `sound`, are said. `prompt` is one of [`Replica::generate`], for all,
    /// without its last token (no timestamps); `frames` says of each pack how much of it is sound, in 10 ms.
    pub fn align(
        &mut self,
        sound: &Encoded,
        prompt: &[u32],
        texts: &[&[u32]],
        frames: &[usize],
    ) -> Result<Vec<Aligned>, Ct2Error> {
        let pointers = sound.sound()?;
        if texts.len() != sound.batch || frames.len() != sound.batch {
            return Err(Ct2Error::Compute(format!("{} texts for {} packs", texts.len(), sound.batch)));
        }
        let prompt: Vec<usize> = prompt.iter().map(|&id| id as usize).collect();
        let stride = texts.iter().map(|text| text.len()).max().unwrap_or(0).max(1);
        let counts: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        let mut text = vec![0_u32; sound.batch * stride];
        for (row, tokens) in text.chunks_mut(stride).zip(texts) {
            row[..tokens.len()].copy_from_slice(tokens);
        }
        let frames: Vec<usize> = frames.iter().map(|&count| count.min(sound.positions * 2)).collect();
        let mut starts = vec![-1_i32; sound.batch * (stride + 1)];
        let mut probabilities = vec![0_f32; sound.batch * stride];
        // SAFETY: `text` and `probabilities` have `batch * stride` entries, `starts` `batch * (stride + 1)`, `counts` and
        // `frames` one each, no count above `stride`; `sound` outlives the call; `error` has the room that is said.
        checked(|error, room| unsafe {
            callmark_ct2_align(
                self.pointer.as_ptr(),
                self.threads,
                pointers,
                prompt.as_ptr(),
                prompt.len(),
                text.as_ptr(),
                counts.as_ptr(),
                stride,
                frames.as_ptr(),
                starts.as_mut_ptr(),
                probabilities.as_mut_ptr(),
                error,
                room,
            )
        })
        .map_err(Ct2Error::Compute)?;
        let rows = starts.chunks(stride + 1).zip(probabilities.chunks(stride)).zip(counts);
        Ok(rows
            .map(|((starts, probabilities), count)| Aligned {
                starts: starts[..=count].iter().map(|&start| u32::try_from(start).ok()).collect(),
                probabilities: probabilities[..count].to_vec(),
            })
            .collect())
    }

    /// Language tokens' texts (`<|en|>`) and their probabilities, which sum to 1, for the one pack of `sound`.
    pub fn languages(&mut self, sound: &Encoded) -> Result<Vec<(String, f32)>, Ct2Error> {
        let pointers = sound.sound()?;
        let mut found: Vec<(String, f32)> = Vec::new();
        // SAFETY: `take_language` fits `found`; `sound` outlives the call; `error` has the room that is said.
        checked(|error, room| unsafe {
            callmark_ct2_languages(
                self.pointer.as_ptr(),
                self.threads,
                pointers,
                (&raw mut found).cast(),
                take_language,
                error,
                room,
            )
        })
        .map_err(Ct2Error::Compute)?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_there_or_is_another_one_is_named() {
        let missing = Library::open(Path::new("/nowhere/libctranslate2.so")).expect_err("no library");
        assert!(missing.to_string().contains("/nowhere/libctranslate2.so"), "{missing}");
        let other = std::env::current_exe().expect("this test");
        assert!(Library::open(&other).is_err());
        let zero = Library::open(Path::new("lib\0.so")).expect_err("no name");
        assert!(zero.to_string().contains("zero byte"), "{zero}");
    }

    #[test]
    fn values_that_are_no_packs_are_refused() {
        assert!(Encoded { values: vec![0.0; 7], batch: 2, positions: 2 }.sound().is_err());
        assert!(Encoded::default().sound().is_err());
        let one = Encoded { values: vec![0.0; 8], batch: 1, positions: 2 };
        assert_eq!(Encoded::joined(&[&one, &one]).sound().map(|s| (s.batch, s.width)), Ok((2, 4)));
    }
}
