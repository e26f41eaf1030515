//! Starts the threads of a stream, carries events to the coordinator and its actions to them, and ends them.

use super::admin::{Readiness, serve};
use super::alert_log::{AlertLog, Sent};
use super::config::{KafkaPipeline, StreamKind};
use super::consumer::ConsumerThread;
use super::coordinator::{Coordinator, Settings};
use super::event::{Action, Command, Epoch, Event, Incoming, PartitionNumber};
use super::failure::StreamError;
use super::flow::Gauge;
use super::live_partition::{LiveDone, LiveJob, LiveSettings};
use super::metrics::Metrics;
use super::outputs::Outputs;
use super::partition::BatchLimits;
use super::startup;
use super::store_thread::{LiveStore, StoreJob, StoreSettings, StoreThread};
use super::uri::UriGate;
use super::workshop::Workshop;
use crate::config::invalid;
use crate::recogniser::Recogniser;
use crate::run::{RunError, ear_of};
use crate::scoring::OpenedScoring;
use callmark_live::Alert;
use callmark_types::{Lineage, Timestamp};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Store threads: one commits while another one opens or waits for the disk.
const STORE_THREADS: usize = 2;
/// Call threads beyond the transcription workers: one decodes and measures the next call meanwhile.
const CALLS_AHEAD_OF_WORKERS: usize = 1;
/// How often the coordinator looks at the clock.
const TICK: Duration = Duration::from_millis(20);
/// How long leaving the group may take.
const LEAVE_LIMIT: Duration = Duration::from_secs(20);
/// How often the length of the partitions is asked for.
const LAG_EVERY: Duration = Duration::from_secs(5);
/// By how much a call may be open beyond its longest duration: pauses, and the wait for its last message.
const IDLE_SLACK: Duration = Duration::from_hours(1);
/// Most commits that are remembered for calls that are heard again.
const MAX_REMEMBERED: usize = 100_000;
/// Alerts of one partition in one transaction.
const MAX_ALERTS_AT_ONCE: usize = 500;
/// How long the broker may take to say it.
const LAG_LIMIT: Duration = Duration::from_secs(2);

/// What a stream did until it was stopped.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StreamReport {
    /// Calls scored and committed.
    pub calls: u64,
    /// Messages about calls that were in the tables already.
    pub repeats: u64,
    /// Messages that became dead letters.
    pub dead_letters: u64,
    /// Length of the calls, in seconds.
    pub audio_seconds: f64,
    /// Wall-clock time.
    pub elapsed: Duration,
}

/// Reads from Kafka until `stop` is set, nothing came for as long as the pipeline says, or something does not mend
/// itself. What is in flight when it ends is not lost: it is read again.
pub fn run_stream(pipeline: &KafkaPipeline, stop: &AtomicBool) -> Result<StreamReport, StreamError> {
    let started = Instant::now();
    let metrics = Arc::new(Metrics::new());
    let readiness = Arc::new(Readiness::default());
    if let Some(address) = pipeline.admin {
        serve(address, Arc::clone(&metrics), Arc::clone(&readiness))?;
    }
    let workshop = Arc::new(workshop_of(pipeline)?);
    let outputs = Arc::new(Outputs::new(pipeline)?);
    startup::check(pipeline, &outputs.publisher)?;
    let mut threads = Threads::start(pipeline, &workshop, &outputs, &metrics)?;
    let result = threads.coordinate(pipeline, stop, &readiness);
    readiness.ready.store(false, Ordering::Relaxed);
    threads.leave();
    result?;
    let totals = metrics.totals();
    Ok(StreamReport {
        calls: totals.calls,
        repeats: totals.repeats,
        dead_letters: totals.dead_letters,
        audio_seconds: totals.audio_seconds,
        elapsed: started.elapsed(),
    })
}

fn workshop_of(pipeline: &KafkaPipeline) -> Result<Workshop, StreamError> {
    let gate = UriGate::new(&pipeline.allowed_uri_prefixes)
        .map_err(|reason| invalid("source.allowed_uri_prefixes", reason))?;
    let recogniser = Recogniser::open(&pipeline.hearing)?;
    let OpenedScoring { rules, note, .. } = pipeline.hearing.scoring.open().map_err(RunError::Scoring)?;
    if let Some(note) = note {
        tracing::warn!("{note}");
    }
    let rules = Arc::new(rules);
    let lineage = Lineage {
        pipeline_version: env!("CARGO_PKG_VERSION").to_owned(),
        rules_sha256: rules.sha256().to_owned(),
        text_model_sha256: rules.text_model_sha256().map(str::to_owned),
        asr_model: Some(recogniser.model),
        asr_model_sha256: Some(recogniser.model_sha256),
    };
    Ok(Workshop {
        topic: pipeline.topic.clone(),
        ear: ear_of(&pipeline.hearing, recogniser.workers, recogniser.second)?,
        rules,
        lineage,
        gate,
        channels: pipeline.hearing.channels.clone(),
        max_bytes: pipeline.hearing.max_bytes,
    })
}

/// What a call thread works off.
enum CallJob {
    Message { epoch: Epoch, sequence: u64, message: Box<Incoming> },
    Live { partition: PartitionNumber, epoch: Epoch, job: LiveJob },
}

/// An alert on its way to the thread that sends it.
struct AlertJob {
    partition: PartitionNumber,
    epoch: Epoch,
    alert: Box<Alert>,
}

/// The threads of a stream, by the ends of the queues that lead to them. The queues hold at most what may be in
/// flight.
struct Threads {
    events: Receiver<Event>,
    commands: Option<Sender<Command>>,
    jobs: Sender<CallJob>,
    alerts: Sender<AlertJob>,
    live: Option<Arc<LiveSettings>>,
    stores: Vec<Sender<StoreJob>>,
    consumer: Option<JoinHandle<()>>,
    gauge: Arc<Gauge>,
    metrics: Arc<Metrics>,
}

impl Threads {
    fn start(
        pipeline: &KafkaPipeline,
        workshop: &Arc<Workshop>,
        outputs: &Arc<Outputs>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, StreamError> {
        let (event_sender, events) = channel();
        let (jobs, job_receiver) = channel();
        let job_receiver = Arc::new(Mutex::new(job_receiver));
        let call_threads = crate::run::callers(&workshop.ear.workers) + CALLS_AHEAD_OF_WORKERS;
        for number in 0..call_threads {
            let (workshop, jobs) = (Arc::clone(workshop), Arc::clone(&job_receiver));
            let (events, metrics) = (event_sender.clone(), Arc::clone(metrics));
            spawn("a call thread", format!("call-{number}"), move || {
                call_thread(&workshop, &jobs, &events, &metrics);
            })?;
        }
        let (alerts, alert_jobs) = channel();
        let live = live_of(pipeline, workshop);
        let log = live.as_ref().and_then(|_| AlertLog::of(pipeline)).map(Arc::new);
        if let Some(log) = log.clone() {
            let (events, metrics) = (event_sender.clone(), Arc::clone(metrics));
            spawn("the alert thread", "alerts".to_owned(), move || {
                alert_thread(&log, &alert_jobs, &events, &metrics);
            })?;
        }
        let settings = StoreSettings {
            live: live.as_ref().map(|live| LiveStore {
                events_topic: live.events_topic.clone(),
                alerts: log,
                remembered_commits: commits_of_a_call(pipeline),
            }),
            out: pipeline.out.clone(),
            name: pipeline.name.clone(),
            topic: pipeline.topic.clone(),
            start: pipeline.start,
            give_up_after: pipeline.give_up_after,
            outputs: Arc::clone(outputs),
            metrics: Arc::clone(metrics),
        };
        let mut stores = Vec::with_capacity(STORE_THREADS);
        for number in 0..STORE_THREADS {
            let (sender, receiver) = channel();
            let store = StoreThread::new(settings.clone(), event_sender.clone());
            spawn("a store thread", format!("store-{number}"), move || store.run(&receiver))?;
            stores.push(sender);
        }
        let (lag_outputs, lag_metrics) = (Arc::clone(outputs), Arc::clone(metrics));
        let (topic, lag_events) = (pipeline.topic.clone(), event_sender.clone());
        spawn("the lag thread", "lag".to_owned(), move || {
            watch_lag(&topic, &lag_outputs, &lag_metrics, &lag_events);
        })?;
        let gauge = Arc::new(Gauge::default());
        let (commands, command_receiver) = channel();
        let consumer =
            ConsumerThread::subscribe(pipeline, event_sender, command_receiver, Arc::clone(&gauge))?;
        let consumer = spawn("the consumer thread", "consumer".to_owned(), move || consumer.run())?;
        Ok(Self {
            events,
            commands: Some(commands),
            jobs,
            alerts,
            live,
            stores,
            consumer: Some(consumer),
            gauge,
            metrics: Arc::clone(metrics),
        })
    }

    fn coordinate(
        &mut self,
        pipeline: &KafkaPipeline,
        stop: &AtomicBool,
        readiness: &Readiness,
    ) -> Result<(), StreamError> {
        let limits = BatchLimits {
            calls: pipeline.batch_calls,
            bytes: pipeline.in_flight_bytes,
            age: pipeline.batch_age,
        };
        let mut coordinator = Coordinator::new(Settings {
            topic: pipeline.topic.clone(),
            live: self.live.clone(),
            limits,
            shutdown: pipeline.shutdown_timeout,
            give_up: pipeline.give_up_after,
            stop_when_idle: pipeline.stop_when_idle,
        });
        let mut stopping = false;
        let mut next_tick = Instant::now();
        loop {
            let mut actions = Vec::new();
            match self.events.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
                Ok(event) => {
                    if let Event::Message { message, .. } = &event {
                        self.metrics.messages.inc();
                        self.metrics.message_bytes.inc_by(message.value.as_ref().map_or(0, Vec::len) as u64);
                    }
                    actions.extend(coordinator.on(event, Instant::now()));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(died("the consumer thread")),
            }
            let now = Instant::now();
            if now >= next_tick {
                next_tick = now + TICK;
                if !stopping && stop.load(Ordering::Relaxed) {
                    stopping = true;
                    actions.extend(coordinator.on(Event::Stop, now));
                }
                actions.extend(coordinator.tick(now));
                self.show(&coordinator, readiness);
                if self.consumer.as_ref().is_some_and(JoinHandle::is_finished) {
                    return Err(died("the consumer thread"));
                }
            }
            for action in actions {
                if self.act(action)? {
                    return Ok(());
                }
            }
        }
    }

    fn show(&self, coordinator: &Coordinator, readiness: &Readiness) {
        let open = coordinator.open_partitions();
        self.metrics.partitions.set(open as i64);
        self.metrics.in_flight_calls.set(self.gauge.calls() as i64);
        self.metrics.in_flight_bytes.set(self.gauge.bytes() as i64);
        self.metrics.broker_silence.set(coordinator.broker_silence(Instant::now()).as_secs() as i64);
        self.metrics.live_sessions.set(coordinator.live_sessions() as i64);
        readiness.ready.store(coordinator.is_ready(Instant::now()), Ordering::Relaxed);
    }

    /// Carries out an action; whether it was the last one.
    fn act(&self, action: Action) -> Result<bool, StreamError> {
        match action {
            Action::Command(command) => {
                match &command {
                    Command::CommitOffset { partition, next, .. } => self.metrics.at(*partition, Some(*next)),
                    Command::Assign(starts) => {
                        for (partition, start) in starts {
                            self.metrics.at(*partition, Some(start.next.unwrap_or(0)));
                        }
                    }
                    _ => {}
                }
                let sent = self.commands.as_ref().is_some_and(|commands| commands.send(command).is_ok());
                if !sent {
                    return Err(died("the consumer thread"));
                }
            }
            Action::Open { partition, epoch } => {
                self.store(partition, StoreJob::Open { partition, epoch })?;
            }
            Action::Close { partition, epoch } => {
                self.metrics.at(partition, None);
                self.store(partition, StoreJob::Close { partition, epoch })?;
            }
            Action::Commit { partition, epoch, batch } => {
                self.store(partition, StoreJob::Commit { partition, epoch, batch })?;
            }
            Action::Process { epoch, sequence, message } => {
                self.call(CallJob::Message { epoch, sequence, message })?;
            }
            Action::Alert { partition, epoch, alert } => {
                let job = AlertJob { partition, epoch, alert };
                self.alerts.send(job).map_err(|_| died("the alert thread"))?;
            }
            Action::Live { partition, epoch, job } => self.call(CallJob::Live { partition, epoch, job })?,
            Action::Finish => return Ok(true),
            Action::Fail(error) => return Err(error),
        }
        Ok(false)
    }

    fn call(&self, job: CallJob) -> Result<(), StreamError> {
        self.jobs.send(job).map_err(|_| died("the call threads"))
    }

    /// A partition's jobs go to one thread, in order.
    fn store(&self, partition: PartitionNumber, job: StoreJob) -> Result<(), StreamError> {
        let thread = partition.unsigned_abs() as usize % self.stores.len();
        self.stores[thread].send(job).map_err(|_| died("a store thread"))
    }

    /// Lets the consumer tell its last offsets and leave the group. Other threads end with the process: what they
    /// still have in hand is read again.
    fn leave(&mut self) {
        self.commands = None;
        let Some(consumer) = self.consumer.take() else { return };
        let deadline = Instant::now() + LEAVE_LIMIT;
        while !consumer.is_finished() {
            if Instant::now() >= deadline {
                tracing::warn!("the group does not answer: leaving without its word");
                return;
            }
            // Events that come now are nobody's concern.
            let _ = self.events.recv_timeout(TICK);
        }
        let _ = consumer.join();
    }
}

fn spawn(
    what: &'static str,
    name: String,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, StreamError> {
    std::thread::Builder::new()
        .name(name)
        .spawn(work)
        .map_err(|e| StreamError::Thread { what, reason: e.to_string() })
}

fn died(what: &'static str) -> StreamError {
    StreamError::Thread { what, reason: "it ended: please report this with the log".to_owned() }
}

fn call_thread(
    workshop: &Workshop,
    jobs: &Mutex<Receiver<CallJob>>,
    events: &Sender<Event>,
    metrics: &Metrics,
) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        let begun = Instant::now();
        let event = match job {
            CallJob::Message { epoch, sequence, mut message } => {
                let (partition, load) = (message.partition, message.load.take());
                let finished = Box::new(workshop.process(*message));
                Event::Finished { partition, epoch, sequence, finished, load }
            }
            CallJob::Live { partition, epoch, job } => {
                Event::Live { partition, epoch, done: live_done(workshop, job) }
            }
        };
        metrics.heard(begun.elapsed().as_secs_f64());
        if events.send(event).is_err() {
            return;
        }
    }
}

fn live_done(workshop: &Workshop, job: LiveJob) -> LiveDone {
    match job {
        LiveJob::Transcribe(job) => LiveDone::Transcribed(Box::new(workshop.transcribe(*job))),
        LiveJob::Score(call, source) => {
            let call_id = call.call_id().clone();
            LiveDone::Scored(call_id, Box::new(workshop.score_live(*call, source)))
        }
    }
}

/// Sends alerts, all that wait of one partition together.
fn alert_thread(log: &AlertLog, jobs: &Receiver<AlertJob>, events: &Sender<Event>, metrics: &Metrics) {
    let mut next = None;
    loop {
        let Some(AlertJob { partition, epoch, alert }) = next.take().or_else(|| jobs.recv().ok()) else {
            return;
        };
        let mut alerts = vec![*alert];
        while alerts.len() < MAX_ALERTS_AT_ONCE {
            match jobs.try_recv() {
                Ok(job) if (job.partition, job.epoch) == (partition, epoch) => alerts.push(*job.alert),
                Ok(job) => {
                    next = Some(job);
                    break;
                }
                Err(_) => break,
            }
        }
        let event = match log.send(partition, epoch, &alerts) {
            Ok(Sent::Sent) => {
                let now = Timestamp::now().epoch_millis();
                let known = alerts.iter().filter_map(|alert| alert.at).map(Timestamp::epoch_millis);
                metrics.alerts_sent(alerts.len(), known.map(|at| (now - at) as f64 / 1000.0));
                Event::Live { partition, epoch, done: LiveDone::AlertsSent(alerts.len()) }
            }
            Ok(Sent::Fenced) => Event::LostRace { partition, epoch },
            Err(trouble) => Event::StoreFailed(StreamError::Broker(trouble.said)),
        };
        if events.send(event).is_err() {
            return;
        }
    }
}

/// How live calls are heard, where the stream carries some.
fn live_of(pipeline: &KafkaPipeline, workshop: &Workshop) -> Option<Arc<LiveSettings>> {
    (pipeline.kind == StreamKind::Live).then(|| {
        Arc::new(LiveSettings {
            topic: pipeline.topic.clone(),
            events_topic: pipeline.events_topic.clone(),
            rules: Arc::clone(&workshop.rules),
            options: pipeline.live.clone(),
            sends_alerts: pipeline.alerts_topic.is_some(),
        })
    })
}

/// The most commits that there may be while one call is open.
fn commits_of_a_call(pipeline: &KafkaPipeline) -> usize {
    let call_ms = pipeline.live.max_duration.0.max(0) as u128 + IDLE_SLACK.as_millis();
    let age_ms = pipeline.batch_age.as_millis().max(1);
    usize::try_from(call_ms.div_ceil(age_ms)).unwrap_or(MAX_REMEMBERED).min(MAX_REMEMBERED)
}

/// Asks the broker now and then how long the partitions are, or whether it is there at all. Ends with the process.
fn watch_lag(topic: &str, outputs: &Outputs, metrics: &Metrics, events: &Sender<Event>) {
    loop {
        let positions = metrics.positions();
        if positions.is_empty()
            && outputs.publisher.client().fetch_metadata(Some(topic), LAG_LIMIT).is_ok()
            && events.send(Event::BrokerAnswered).is_err()
        {
            return;
        }
        for (partition, _) in positions {
            if let Ok((low, high)) = outputs.publisher.client().fetch_watermarks(topic, partition, LAG_LIMIT)
            {
                metrics.goes_to(partition, low, high);
                if events.send(Event::BrokerAnswered).is_err() {
                    return;
                }
            }
        }
        std::thread::sleep(LAG_EVERY);
    }
}
