//! The worker pool: recognisers on operating-system threads of their own, fed through one bounded queue.
//!
//! Recognition takes whole cores for seconds, so it never runs on an async runtime's threads. Each worker owns one
//! recogniser for its whole life; callers on any number of threads hand in packs and wait. A caller builds no more packs
//! at once than the queue holds, so memory is bounded by callers and queue. Packs that an engine can recognise together
//! are given to it together, whichever calls they come from. Speech that an engine passed over is heard again by itself.

use crate::assemble::Assembly;
#[cfg(feature = "ct2")]
use crate::ct2::{Ct2Config, Ct2Engine};
use crate::error::AsrError;
use crate::packing::{PackLimits, PackPlan, clean_spans, plan_packs, plan_stretches};
use crate::queue::Queue;
use crate::scripted::{Script, ScriptedTranscriber};
use crate::transcriber::{ModelInfo, Pack, PackTranscript, TranscribeOptions, Transcriber};
#[cfg(feature = "whisper")]
use crate::whisper::{WhisperConfig, WhisperEngine};
use callmark_types::{Millis, Pcm, Span, Utterance};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

/// Packs looked at for the one with the most speech, to detect the language on.
const LANGUAGE_CANDIDATE_PACKS: usize = 3;
/// Batches that wait for each worker at most: one so that it never idles between two, and one so that packs meet others of
/// their options.
const BATCHES_WAITING: usize = 2;
/// Memory of one whisper worker of the base model beside the shared weights: 118 MiB measured, and room for growth.
const WORKER_BYTES_OF_BASE_MODEL: u64 = 160 << 20;

/// What recognises the speech.
#[derive(Debug, Clone)]
pub enum EngineConfig {
    /// Whisper through whisper.cpp.
    #[cfg(feature = "whisper")]
    Whisper(WhisperConfig),
    /// Whisper through CTranslate2.
    #[cfg(feature = "ct2")]
    Ct2(Ct2Config),
    /// A script, for tests.
    Scripted(Script),
}

/// What was heard on one channel.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChannelTranscript {
    /// What was said, in order; texts taken for inventions have their reason set.
    pub utterances: Vec<Utterance>,
    /// ISO 639-1 code of the language; `None` when nothing was recognised.
    pub language: Option<String>,
    /// How sure the detection was; `None` when the language was told.
    pub language_probability: Option<f64>,
}

/// A number of workers that suits the machine: one a core, as many as `memory_bytes` hold beside the model, at least
/// one. `memory_bytes` is what recognition may use altogether and `model_bytes` the size of the model's file.
pub fn recommended_workers(cores: usize, memory_bytes: u64, model_bytes: u64) -> usize {
    let for_workers = memory_bytes.saturating_sub(model_bytes);
    let fit = usize::try_from(for_workers / WORKER_BYTES_OF_BASE_MODEL).unwrap_or(usize::MAX);
    cores.min(fit).max(1)
}

type Factory = dyn Fn(usize) -> Result<Box<dyn Transcriber>, AsrError> + Send + Sync;

struct Job {
    index: usize,
    pack: Pack,
    options: Arc<TranscribeOptions>,
    reply: Sender<(usize, Result<PackTranscript, AsrError>)>,
}

impl Job {
    fn fits(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.options, &other.options) || self.options == other.options
    }
}

/// Recognisers on threads of their own. Shared by reference between as many callers as one likes; dropping it lets
/// the workers finish what is queued and waits for them.
pub struct WorkerPool {
    jobs: Arc<Queue<Job>>,
    workers: Vec<JoinHandle<()>>,
    model: ModelInfo,
    longest_pack: Millis,
    longest_batch: usize,
    passes_over_speech: bool,
    description: String,
}

impl std::fmt::Debug for WorkerPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerPool").field("description", &self.description).finish_non_exhaustive()
    }
}

impl WorkerPool {
    /// Loads the model once and starts `workers` workers on it (at least one).
    pub fn start(engine: EngineConfig, workers: usize) -> Result<Self, AsrError> {
        let workers = workers.max(1);
        match engine {
            #[cfg(feature = "whisper")]
            EngineConfig::Whisper(config) => {
                let engine = WhisperEngine::load(&config)?;
                let description = engine.description(workers);
                let new_worker = move |worker| -> Result<Box<dyn Transcriber>, AsrError> {
                    Ok(Box::new(engine.transcriber(worker)?))
                };
                Self::start_with(new_worker, workers, description)
            }
            #[cfg(feature = "ct2")]
            EngineConfig::Ct2(config) => {
                let engine = Ct2Engine::load(&config)?;
                let description = engine.description(workers);
                let new_worker = move |worker| -> Result<Box<dyn Transcriber>, AsrError> {
                    Ok(Box::new(engine.transcriber(worker)?))
                };
                Self::start_with(new_worker, workers, description)
            }
            EngineConfig::Scripted(script) => {
                let new_worker = move |_| -> Result<Box<dyn Transcriber>, AsrError> {
                    Ok(Box::new(ScriptedTranscriber::new(script.clone())))
                };
                Self::start_with(new_worker, workers, format!("scripted: {workers} workers"))
            }
        }
    }

    /// Starts `workers` workers, each with a recogniser from `factory`, which is given the worker's index.
    pub fn start_with(
        factory: impl Fn(usize) -> Result<Box<dyn Transcriber>, AsrError> + Send + Sync + 'static,
        workers: usize,
        description: String,
    ) -> Result<Self, AsrError> {
        let factory: Arc<Factory> = Arc::new(factory);
        let workers = workers.max(1);
        let mut transcribers = Vec::with_capacity(workers);
        for worker in 0..workers {
            transcribers.push(factory(worker)?);
        }
        let model = transcribers[0].model();
        let longest_pack = transcribers[0].longest_pack();
        let longest_batch = transcribers[0].longest_batch();
        let passes_over_speech = transcribers[0].passes_over_speech();
        let jobs = Arc::new(Queue::new(workers * longest_batch * BATCHES_WAITING));
        let mut threads = Vec::with_capacity(workers);
        for (worker, transcriber) in transcribers.into_iter().enumerate() {
            let (queue, factory) = (Arc::clone(&jobs), Arc::clone(&factory));
            let thread = std::thread::Builder::new()
                .name(format!("asr-{worker}"))
                .spawn(move || {
                    Worker { index: worker, workers, transcriber: Some(transcriber) }.work(&queue, &*factory);
                })
                .map_err(|error| AsrError::WorkerStart { worker, reason: error.to_string() })?;
            threads.push(thread);
        }
        Ok(Self {
            jobs,
            workers: threads,
            model,
            longest_pack,
            longest_batch,
            passes_over_speech,
            description,
        })
    }

    /// What runs, in a line for people: device, workers, threads, kernels, model.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// What is known of the model.
    pub fn model(&self) -> &ModelInfo {
        &self.model
    }

    /// How many workers there are.
    pub fn worker_count(&self) -> usize {
        self.workers.len()
    }

    /// Packs that a worker recognises at once: with more than one it pays to have more callers than workers.
    pub fn longest_batch(&self) -> usize {
        self.longest_batch
    }

    /// Transcribes the speech of one channel of one call; blocks until it is done.
    ///
    /// `speech` are the spans in which somebody speaks, on the recording's clock. Nothing outside them is heard, and
    /// every utterance is one of them (cut to the recording; overlapping ones merged). A span without words yields
    /// nothing. The first failed pack fails the channel.
    pub fn transcribe_channel(
        &self,
        channel: u16,
        pcm: &Pcm,
        speech: &[Span],
        options: &TranscribeOptions,
    ) -> Result<ChannelTranscript, AsrError> {
        let mut options = options.clone();
        let limits = self.limits(&options);
        let spans = clean_spans(pcm, speech, &limits);
        let plans = plan_packs(pcm, speech, &limits);
        let Some(detection_index) = language_pack(&plans) else {
            return Ok(ChannelTranscript::default());
        };
        let mut transcripts: Vec<Option<PackTranscript>> = vec![None; plans.len()];
        let mut detected_probability = None;
        if options.language.is_none() {
            let options_shared = Arc::new(options.clone());
            let heard = self.transcribe_packs(pcm, &plans, &[detection_index], &options_shared)?;
            for (index, transcript) in heard {
                options.language.clone_from(&transcript.language);
                detected_probability = transcript.language_probability;
                transcripts[index] = Some(transcript);
            }
        }
        let language = options.language.clone();
        let rest: Vec<usize> = (0..plans.len()).filter(|&i| transcripts[i].is_none()).collect();
        let options = Arc::new(options);
        for (index, transcript) in self.transcribe_packs(pcm, &plans, &rest, &options)? {
            transcripts[index] = Some(transcript);
        }
        let packs: Vec<(PackPlan, PackTranscript)> =
            plans.into_iter().zip(transcripts.into_iter().map(Option::unwrap_or_default)).collect();
        let mut assembly = Assembly::new(pcm, &spans, &options, &packs);
        if self.passes_over_speech {
            let again = plan_stretches(pcm, &spans, &assembly.unheard(), &limits);
            assembly.add(&self.transcribe_plans(pcm, again, &options)?);
        }
        let utterances = assembly.utterances(channel);
        let has_words = !utterances.is_empty();
        Ok(ChannelTranscript {
            utterances,
            language: language.filter(|_| has_words),
            language_probability: detected_probability.filter(|_| has_words),
        })
    }

    /// How speech is packed for these workers.
    pub(crate) fn limits(&self, options: &TranscribeOptions) -> PackLimits {
        let longest_pack = options.pack_limits.longest_pack.min(self.longest_pack);
        PackLimits { longest_pack, ..options.pack_limits }
    }

    /// What is heard in each of `plans`, in their order.
    pub(crate) fn transcribe_plans(
        &self,
        pcm: &Pcm,
        plans: Vec<PackPlan>,
        options: &Arc<TranscribeOptions>,
    ) -> Result<Vec<(PackPlan, PackTranscript)>, AsrError> {
        let all: Vec<usize> = (0..plans.len()).collect();
        let mut heard = self.transcribe_packs(pcm, &plans, &all, options)?;
        heard.sort_by_key(|(index, _)| *index);
        Ok(plans.into_iter().zip(heard.into_iter().map(|(_, transcript)| transcript)).collect())
    }

    /// Hands the plans in `wanted` to the workers and collects what they heard, in no order.
    fn transcribe_packs(
        &self,
        pcm: &Pcm,
        plans: &[PackPlan],
        wanted: &[usize],
        options: &Arc<TranscribeOptions>,
    ) -> Result<Vec<(usize, PackTranscript)>, AsrError> {
        let (reply, replies) = channel();
        for together in wanted.chunks(self.jobs.capacity()) {
            let job = |&index: &usize| Job {
                index,
                pack: plans[index].build(pcm),
                options: Arc::clone(options),
                reply: reply.clone(),
            };
            self.jobs.push_all(together.iter().map(job).collect()).map_err(|_| AsrError::PoolClosed)?;
        }
        drop(reply);
        let mut heard = Vec::with_capacity(wanted.len());
        for (index, result) in replies {
            heard.push((index, result?));
        }
        if heard.len() == wanted.len() { Ok(heard) } else { Err(AsrError::PoolClosed) }
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.jobs.close();
        for worker in self.workers.drain(..) {
            // A worker catches its panics; one that dies anyway must not take the caller down too.
            let _ = worker.join();
        }
    }
}

/// The pack among the first few with the most speech: the one whose language is detected.
fn language_pack(plans: &[PackPlan]) -> Option<usize> {
    let candidates = plans.iter().enumerate().take(LANGUAGE_CANDIDATE_PACKS);
    candidates
        .max_by_key(|(index, plan)| (plan.speech_duration(), usize::MAX - index))
        .map(|(index, _)| index)
}

/// One of the pool's threads.
struct Worker {
    index: usize,
    workers: usize,
    /// `None` after a panic, until the next packs come.
    transcriber: Option<Box<dyn Transcriber>>,
}

impl Worker {
    fn work(mut self, queue: &Queue<Job>, factory: &Factory) {
        while let Some(jobs) = self.take(queue) {
            let results = self.recognise(&jobs, factory);
            queue.done(jobs.len());
            for (job, result) in jobs.into_iter().zip(results) {
                // The caller may have given up after another pack's error.
                let _ = job.reply.send((job.index, result));
            }
        }
    }

    fn take(&self, queue: &Queue<Job>) -> Option<Vec<Job>> {
        let limit = self.transcriber.as_ref().map_or(1, |transcriber| transcriber.longest_batch());
        queue.take(limit, self.workers, Job::fits)
    }

    /// What is heard in each of `jobs`, which have one way of decoding.
    fn recognise(&mut self, jobs: &[Job], factory: &Factory) -> Vec<Result<PackTranscript, AsrError>> {
        let of_all = |error: AsrError| jobs.iter().map(|_| Err(error.clone())).collect();
        let mut transcriber = match self.transcriber.take().map_or_else(|| factory(self.index), Ok) {
            Ok(transcriber) => transcriber,
            Err(error) => return of_all(error),
        };
        let packs: Vec<&Pack> = jobs.iter().map(|job| &job.pack).collect();
        let heard = catch_unwind(AssertUnwindSafe(|| transcriber.transcribe_batch(&packs, &jobs[0].options)));
        match heard {
            Ok(results) => {
                self.transcriber = Some(transcriber);
                results
            }
            // The packs may be of several calls: only the one that does it again fails.
            Err(_) if jobs.len() > 1 => jobs.chunks(1).flat_map(|job| self.recognise(job, factory)).collect(),
            Err(panic) => of_all(AsrError::WorkerPanicked(panic_text(panic.as_ref()))),
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
