//! The calls into the shim, each behind a safe function that checks every length first.
#![allow(unsafe_code, reason = "the one module that calls foreign code")]

use crate::Ct2Error;
use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

/// Room for what went wrong, in words.
const ERROR_BYTES: usize = 1024;
/// Most tokens of a text with its prompt: what Whisper's decoder has positions for.
pub const MAX_TOKENS: usize = 448;

/// `callmark_ct2_sound` of the shim.
#[repr(C)]
#[derive(Clone, Copy)]
struct Sound {
    encoded: *const f32,
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
    fn callmark_ct2_search(
        replica: *mut c_void,
        threads: usize,
        sound: Sound,
        prompt: *const usize,
        prompt_tokens: usize,
        beam_size: usize,
        max_tokens: usize,
        tokens: *mut u32,
        count: *mut usize,
        error: *mut c_char,
        error_bytes: usize,
    ) -> c_int;
    fn callmark_ct2_decoder(
        model: *const c_void,
        heads: *const c_long,
        count: usize,
        decoder: *mut *mut c_void,
        error: *mut c_char,
        error_bytes: usize,
    ) -> c_int;
    fn callmark_ct2_drop_decoder(decoder: *mut c_void);
    fn callmark_ct2_begin(
        decoder: *mut c_void,
        rows: usize,
        positions: usize,
        writing: *mut *mut c_void,
        error: *mut c_char,
        error_bytes: usize,
    ) -> c_int;
    fn callmark_ct2_enter(
        writing: *mut c_void,
        threads: usize,
        sound: Sound,
        ids: *const i32,
        count: usize,
        logits: c_int,
        taker: *mut c_void,
        take: extern "C" fn(*mut c_void, c_int, *const f32, usize),
        error: *mut c_char,
        error_bytes: usize,
    ) -> c_int;
    fn callmark_ct2_end(writing: *mut c_void);
    fn callmark_ct2_step(
        writing: *mut c_void,
        threads: usize,
        ids: *const i32,
        each: usize,
        logits: c_int,
        taker: *mut c_void,
        take: extern "C" fn(*mut c_void, c_int, *const f32, usize),
        error: *mut c_char,
        error_bytes: usize,
    ) -> c_int;
    fn callmark_ct2_leave(writing: *mut c_void, row: usize, error: *mut c_char, error_bytes: usize) -> c_int;
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

/// Keeps what a step of the decoder hands over: 0 for what may follow, 1 for what was attended to.
extern "C" fn take_step(taker: *mut c_void, what: c_int, values: *const f32, count: usize) {
    // SAFETY: `taker` is the caller's step, which nothing else touches meanwhile; the shim hands `count` floats.
    let (into, values) = unsafe { (&mut *taker.cast::<Step>(), std::slice::from_raw_parts(values, count)) };
    let into = if what == 0 { &mut into.logits } else { &mut into.attention };
    into.extend_from_slice(values);
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
    /// `heads` are the decoder's heads whose attention follows the sound, at least one, each with its layer, in the layers'
    /// order, as the model's own description has them; `vocabulary` is the number of its tokens.
    pub fn replica(
        &self,
        threads: usize,
        heads: &[(u16, u16)],
        vocabulary: usize,
    ) -> Result<Replica, Ct2Error> {
        if heads.is_empty() {
            return Err(Ct2Error::Compute("no head's attention follows the sound".to_owned()));
        }
        let (mut replica, mut decoder) = (std::ptr::null_mut(), std::ptr::null_mut());
        let pairs: Vec<c_long> =
            heads.iter().flat_map(|&(layer, head)| [c_long::from(layer), c_long::from(head)]).collect();
        let model = self.0.0.as_ptr();
        // SAFETY: the model lives, `replica` is written on success, `error` has the room that is said.
        checked(|error, room| unsafe { callmark_ct2_replica(model, &raw mut replica, error, room) })
            .map_err(Ct2Error::Compute)?;
        let pointer = NonNull::new(replica).ok_or_else(|| Ct2Error::Compute("no replica".to_owned()))?;
        // From here on dropping it gives back what there is.
        let mut found = Replica {
            pointer,
            decoder: None,
            threads: threads.max(1),
            heads: heads.len(),
            vocabulary,
            width: 0,
            _model: self.clone(),
        };
        // SAFETY: as above; `pairs` has two entries a head.
        checked(|error, room| unsafe {
            callmark_ct2_decoder(model, pairs.as_ptr(), heads.len(), &raw mut decoder, error, room)
        })
        .map_err(Ct2Error::Compute)?;
        found.decoder = NonNull::new(decoder);
        Ok(found)
    }
}

/// What the encoder made of a pack.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Encoded {
    /// A row for each position.
    values: Vec<f32>,
    /// Positions in time, 20 ms long.
    positions: usize,
}

impl Encoded {
    /// Positions in time, 20 ms long.
    pub fn positions(&self) -> usize {
        self.positions
    }

    fn sound(&self) -> Result<Sound, Ct2Error> {
        let Self { values, positions } = self;
        if values.is_empty() || *positions == 0 || !values.len().is_multiple_of(*positions) {
            let count = values.len();
            return Err(Ct2Error::Compute(format!("{count} values are no sound of {positions} positions")));
        }
        let width = values.len() / positions;
        Ok(Sound { encoded: values.as_ptr(), positions: *positions, width })
    }
}

/// What a step of [`Writing`] yields; kept from step to step, so that its memory is used again.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    /// Row by row, token by token.
    logits: Vec<f32>,
    /// Row by row, head by head, token by token.
    attention: Vec<f32>,
    rows: usize,
    heads: usize,
    tokens: usize,
}

impl Step {
    fn clear(&mut self, rows: usize, heads: usize, tokens: usize) {
        self.logits.clear();
        self.attention.clear();
        (self.rows, self.heads, self.tokens) = (rows, heads, tokens);
    }

    fn check(&self, positions: usize) -> Result<(), Ct2Error> {
        let (found, attended) = (self.attention.len(), self.rows * self.heads * self.tokens * positions);
        if found == attended {
            return Ok(());
        }
        Err(Ct2Error::Compute(format!("{found} values of attention are not {attended}")))
    }

    /// How many tokens were shown to each row.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Heads whose attention is known.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// The logit of every token of the vocabulary to follow token number `token` of `row`; empty where not asked for.
    pub fn logits(&self, row: usize, token: usize) -> &[f32] {
        let size = self.logits.len() / (self.rows * self.tokens).max(1);
        &self.logits[(row * self.tokens + token) * size..][..size]
    }

    /// How much `head` attended to each position of the sound at token number `token` of `row`; it sums to 1.
    pub fn attention(&self, row: usize, head: usize, token: usize) -> &[f32] {
        let size = self.attention.len() / (self.rows * self.heads * self.tokens).max(1);
        &self.attention[((row * self.heads + head) * self.tokens + token) * size..][..size]
    }
}

/// Computes with a model's weights. Used by one thread at a time.
#[derive(Debug)]
pub struct Replica {
    pointer: NonNull<c_void>,
    decoder: Option<NonNull<c_void>>,
    threads: usize,
    heads: usize,
    vocabulary: usize,
    /// Width of what it encodes, once it has.
    width: usize,
    _model: Model,
}

// SAFETY: a replica may move between threads; every call that computes takes it mutably.
unsafe impl Send for Replica {}

impl Drop for Replica {
    fn drop(&mut self) {
        // SAFETY: the pointers came from `callmark_ct2_replica` and `callmark_ct2_decoder`, are given back once, and no
        // `Writing` outlives the replica, which it borrows.
        unsafe {
            if let Some(decoder) = self.decoder {
                callmark_ct2_drop_decoder(decoder.as_ptr());
            }
            callmark_ct2_drop_replica(self.pointer.as_ptr());
        }
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
        let encoded = Encoded { values, positions: frames / 2 };
        self.width = encoded.sound()?.width;
        Ok(encoded)
    }

    /// Searches the likeliest text of `sound` after `prompt`, among `beam_size` hypotheses: at most
    /// `max_tokens` ids, without those of the prompt and the end. The prompt may begin with `<|startofprev|>` and up to 223
    /// tokens of text. The model's own list of tokens that are no speech are never written.
    pub fn search(
        &mut self,
        sound: &Encoded,
        prompt: &[u32],
        beam_size: usize,
        max_tokens: usize,
    ) -> Result<Vec<u32>, Ct2Error> {
        let pointers = sound.sound()?;
        let max_tokens = max_tokens.min(MAX_TOKENS.saturating_sub(prompt.len())).clamp(1, MAX_TOKENS / 2);
        let prompt: Vec<usize> = prompt.iter().map(|&id| id as usize).collect();
        let mut tokens = vec![0_u32; max_tokens];
        let mut count = 0_usize;
        // SAFETY: `tokens` has `max_tokens` entries; `sound` and `prompt` outlive the call; `error` has the room that is
        // said.
        checked(|error, room| unsafe {
            callmark_ct2_search(
                self.pointer.as_ptr(),
                self.threads,
                pointers,
                prompt.as_ptr(),
                prompt.len(),
                beam_size.max(1),
                max_tokens,
                tokens.as_mut_ptr(),
                &raw mut count,
                error,
                room,
            )
        })
        .map_err(Ct2Error::Compute)?;
        tokens.truncate(count);
        Ok(tokens)
    }

    /// Begins to write at most `rows` texts side by side, of sounds of at most `positions`.
    pub fn begin(&mut self, rows: usize, positions: usize) -> Result<Writing<'_>, Ct2Error> {
        let decoder = self.decoder.ok_or_else(|| Ct2Error::Compute("no decoder".to_owned()))?;
        let mut writing = std::ptr::null_mut();
        // SAFETY: the decoder lives as long as the replica, which the answer borrows; `writing` is written on success;
        // `error` has the room that is said.
        checked(|error, room| unsafe {
            callmark_ct2_begin(decoder.as_ptr(), rows, positions, &raw mut writing, error, room)
        })
        .map_err(Ct2Error::Compute)?;
        let pointer = NonNull::new(writing).ok_or_else(|| Ct2Error::Compute("no text".to_owned()))?;
        let Self { threads, heads, width, vocabulary, .. } = *self;
        Ok(Writing {
            pointer,
            most: rows,
            rows: 0,
            positions,
            shown: 0,
            begun: false,
            failed: false,
            width,
            vocabulary,
            threads,
            heads,
            _replica: PhantomData,
        })
    }
}

/// Texts that are written side by side, a token or more at a time: each row sees its own sound and what it has written.
#[derive(Debug)]
pub struct Writing<'a> {
    pointer: NonNull<c_void>,
    most: usize,
    rows: usize,
    positions: usize,
    shown: usize,
    /// Whether the rows are all there.
    begun: bool,
    /// Whether a call failed and left the rows at odds: nothing more is done with them.
    failed: bool,
    width: usize,
    vocabulary: usize,
    threads: usize,
    heads: usize,
    _replica: PhantomData<&'a mut Replica>,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `callmark_ct2_begin` and is given back once.
        unsafe { callmark_ct2_end(self.pointer.as_ptr()) }
    }
}

impl Writing<'_> {
    /// How many texts are still written.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a row, the text of `sound`, begun with the tokens `ids`: as many for every row, all of which are added before
    /// the first [`Writing::step`]. Writes what comes of it into `step`, as of that one row, with the sound's own positions;
    /// `logits` asks for what may follow the tokens.
    pub fn enter(
        &mut self,
        sound: &Encoded,
        ids: &[u32],
        logits: bool,
        step: &mut Step,
    ) -> Result<(), Ct2Error> {
        let pointers = sound.sound()?;
        let like_others = self.rows == 0 || self.shown == ids.len();
        let fits = self.rows < self.most && sound.positions <= self.positions;
        let own = pointers.width == self.width && self.known(ids);
        if self.begun
            || self.failed
            || !own
            || !like_others
            || !fits
            || ids.is_empty()
            || ids.len() > MAX_TOKENS
        {
            let (count, rows, most) = (ids.len(), self.rows, self.most);
            return Err(Ct2Error::Compute(format!(
                "no row for {count} tokens and {} positions beside {rows} of {most}",
                sound.positions
            )));
        }
        let ids: Vec<i32> = ids.iter().map(|&id| id.cast_signed()).collect();
        step.clear(1, self.heads, ids.len());
        self.failed = true;
        // SAFETY: `sound` and `ids` outlive the call, `take_step` fits `step`, `error` has the room that is said.
        checked(|error, room| unsafe {
            callmark_ct2_enter(
                self.pointer.as_ptr(),
                self.threads,
                pointers,
                ids.as_ptr(),
                ids.len(),
                c_int::from(logits),
                std::ptr::from_mut(step).cast(),
                take_step,
                error,
                room,
            )
        })
        .map_err(Ct2Error::Compute)?;
        step.check(sound.positions)?;
        self.rows += 1;
        self.shown = ids.len();
        self.failed = false;
        Ok(())
    }

    /// Shows the next tokens of every row, equally many of each, row by row, and writes what comes of it into `step`;
    /// `logits` asks for what may follow them. A text has room for [`MAX_TOKENS`].
    pub fn step(&mut self, ids: &[u32], logits: bool, step: &mut Step) -> Result<(), Ct2Error> {
        let each = ids.len() / self.rows.max(1);
        let fits = each > 0 && each * self.rows == ids.len() && self.shown + each <= MAX_TOKENS;
        if self.failed || !fits || !self.known(ids) {
            let (count, rows, shown) = (ids.len(), self.rows, self.shown);
            return Err(Ct2Error::Compute(format!("{count} tokens for {rows} texts after {shown}")));
        }
        let ids: Vec<i32> = ids.iter().map(|&id| id.cast_signed()).collect();
        step.clear(self.rows, self.heads, each);
        (self.begun, self.failed) = (true, true);
        // SAFETY: `ids` has `rows * each` entries, `take_step` fits `step`, `error` has the room that is said.
        checked(|error, room| unsafe {
            callmark_ct2_step(
                self.pointer.as_ptr(),
                self.threads,
                ids.as_ptr(),
                each,
                c_int::from(logits),
                std::ptr::from_mut(step).cast(),
                take_step,
                error,
                room,
            )
        })
        .map_err(Ct2Error::Compute)?;
        step.check(self.positions)?;
        self.shown += each;
        self.failed = false;
        Ok(())
    }

    fn known(&self, ids: &[u32]) -> bool {
        ids.iter().all(|&id| (id as usize) < self.vocabulary)
    }

    /// Ends the text of `row`, whose place the last row takes; one row at least stays.
    pub fn leave(&mut self, row: usize) -> Result<(), Ct2Error> {
        if self.failed || row >= self.rows || self.rows < 2 || self.shown == 0 {
            return Err(Ct2Error::Compute(format!("row {row} of {} cannot leave", self.rows)));
        }
        (self.begun, self.failed) = (true, true);
        // SAFETY: there is such a row and another; `error` has the room that is said.
        checked(|error, room| unsafe { callmark_ct2_leave(self.pointer.as_ptr(), row, error, room) })
            .map_err(Ct2Error::Compute)?;
        self.rows -= 1;
        self.failed = false;
        Ok(())
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
    fn values_that_are_no_sound_are_refused() {
        assert!(Encoded { values: vec![0.0; 7], positions: 2 }.sound().is_err());
        assert!(Encoded::default().sound().is_err());
        assert!(Encoded { values: vec![0.0; 8], positions: 2 }.sound().is_ok_and(|sound| sound.width == 4));
    }
}
