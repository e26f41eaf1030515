//! Orders of messages, without a broker and without a recogniser.

use super::*;
use crate::kafka::partition::Dead;
use callmark_asr::{EngineConfig, Script, TranscribeOptions, WorkerPool};
use callmark_live::Alert;

const CHUNK_MS: i64 = 200;

fn settings(sends_alerts: bool) -> Arc<LiveSettings> {
    Arc::new(LiveSettings {
        topic: "audio".to_owned(),
        events_topic: "events".to_owned(),
        rules: Arc::new(Ruleset::built_in()),
        options: LiveOptions { max_sessions: 2, ..LiveOptions::default() },
        sends_alerts,
    })
}

/// A partition with a recogniser that hears one request for a person in whatever is said.
struct World {
    partition: LivePartition,
    workers: WorkerPool,
    now: Instant,
    speech: Vec<i16>,
    offsets: [i64; 2],
    alerts: Vec<Alert>,
    scored: Vec<(CallId, SourcePosition)>,
}

impl World {
    fn new(opened: Opened) -> Self {
        let now = Instant::now();
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/demo/fixtures/speech.wav");
        let decoded = callmark_audio::decode_file(&path, &callmark_audio::DecodeOptions::default()).unwrap();
        let script = Script::saying("I want to speak to a human agent please");
        Self {
            offsets: [opened.next.unwrap_or(0), opened.events_next.unwrap_or(0)],
            partition: LivePartition::new(3, 7, opened, settings(true), now),
            workers: WorkerPool::start(EngineConfig::Scripted(script), 1).unwrap(),
            now,
            // A pause at the end, by which an utterance is known to be over.
            speech: [&decoded.channels[0].samples[..], &vec![0; 32_000]].concat(),
            alerts: Vec::new(),
            scored: Vec::new(),
        }
    }

    fn send(
        &mut self,
        lane: Lane,
        timestamp_ms: i64,
        call: &str,
        headers: &[(&str, String)],
        value: Vec<u8>,
    ) {
        let offset = self.offsets[lane as usize];
        self.offsets[lane as usize] += 1;
        let message = Incoming {
            lane,
            partition: 3,
            offset,
            timestamp_ms: Some(timestamp_ms),
            key: Some(call.as_bytes().to_vec()),
            headers: headers.iter().map(|(n, v)| ((*n).to_owned(), v.clone().into_bytes())).collect(),
            value: Some(value),
            load: None,
        };
        self.partition.take_in(Box::new(message), None, self.now).unwrap();
        self.run(Vec::new());
    }

    /// The chunks of a call that begins at `at_ms`: what is said in the fixture, on one channel.
    fn say(&mut self, call: &str, at_ms: i64) {
        let chunk = CHUNK_MS as usize * 16;
        let chunks: Vec<Vec<u8>> =
            self.speech.chunks(chunk).map(|c| c.iter().flat_map(|s| s.to_le_bytes()).collect()).collect();
        for (seq, bytes) in chunks.into_iter().enumerate() {
            let ts_ms = at_ms + seq as i64 * CHUNK_MS;
            let headers = [
                ("codec", "pcm_s16le".to_owned()),
                ("rate", "16000".to_owned()),
                ("channel", "0".to_owned()),
                ("seq", seq.to_string()),
                ("ts-ms", ts_ms.to_string()),
            ];
            self.send(Lane::Main, ts_ms + CHUNK_MS, call, &headers, bytes);
        }
    }

    fn said_ms(&self) -> i64 {
        self.speech.len() as i64 / 16
    }

    fn tell(&mut self, call: &str, at_ms: i64, json: &str) {
        self.send(Lane::Events, at_ms, call, &[], json.as_bytes().to_vec());
    }

    fn caught_up(&mut self) {
        for lane in [Lane::Main, Lane::Events] {
            let mut actions = Vec::new();
            self.partition.caught_up(lane, self.now, &mut actions);
            self.run(actions);
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now += Duration::from_millis(100);
            let mut actions = Vec::new();
            self.partition.tick(self.now, true, &mut actions);
            self.run(actions);
        }
    }

    /// Does what is asked for, at once.
    fn run(&mut self, mut actions: Vec<Action>) {
        self.partition.work_off(self.now, &mut actions);
        while let Some(action) = actions.pop() {
            let job = match action {
                Action::Alert { alert, .. } => {
                    self.alerts.push(*alert);
                    self.partition.done(LiveDone::AlertsSent(1), self.now, &mut actions);
                    continue;
                }
                Action::Live { job, .. } => job,
                _ => panic!("{action:?}"),
            };
            let done = match job {
                LiveJob::Transcribe(job) => {
                    let transcribed = job.run(&self.workers, &TranscribeOptions::default());
                    LiveDone::Transcribed(Box::new(transcribed))
                }
                LiveJob::Score(call, source) => {
                    let call_id = call.call_id().clone();
                    self.scored.push((call_id.clone(), source.clone()));
                    let error = StageError::new("score", "none");
                    let letter = dead(source, Some(call_id.clone()), error, 1, Original::default());
                    LiveDone::Scored(call_id, Box::new(Finished::Dead(Box::new(letter))))
                }
            };
            self.partition.done(done, self.now, &mut actions);
        }
    }

    fn commit(&mut self) -> Option<BatchToCommit> {
        let limits = BatchLimits { calls: 100, bytes: 1 << 30, age: Duration::from_secs(5) };
        let batch = self.partition.batch_due(limits, self.now, true);
        if batch.is_some() {
            self.partition.committed();
        }
        batch
    }
}

const STARTED: &str =
    r#"{"type":"started","channel_0_role":"customer","first_handler":"ai","language":"en"}"#;
const ENDED: &str = r#"{"type":"ended"}"#;

#[test]
fn an_end_that_is_read_before_the_sound_ends_nothing_early() {
    let mut world = World::new(Opened::default());
    let end_ms = 10_000 + world.said_ms();
    world.tell("a", 10_000, STARTED);
    world.tell("a", end_ms, ENDED);
    world.pass(Duration::from_secs(5));
    assert!(world.scored.is_empty(), "the sound may still come");
    world.say("a", 10_000);
    world.caught_up();
    world.pass(Duration::from_secs(5));
    let [(call, source)] = &world.scored[..] else { panic!("{:?}", world.scored) };
    assert_eq!((call.as_str(), source.offset, source.partition), ("a", Some(0), Some(3)));
    assert_eq!(world.alerts.iter().filter(|a| a.kind == callmark_live::AlertKind::HumanRequest).count(), 1);
    let batch = world.commit().unwrap();
    assert_eq!((batch.last, batch.events_next, batch.results.len()), (world.offsets[0] - 1, Some(2), 1));
    assert!(world.partition.is_idle());
}

#[test]
fn a_call_that_goes_on_holds_the_commit_back_and_a_finished_one_goes_before_it() {
    let mut world = World::new(Opened::default());
    world.caught_up();
    world.tell("open", 1_000, STARTED);
    world.caught_up();
    world.say("open", 1_000);
    let first_of_b = world.offsets[0];
    world.tell("b", 60_000, STARTED);
    world.say("b", 60_000);
    world.tell("b", 60_000 + world.said_ms(), ENDED);
    world.caught_up();
    world.pass(Duration::from_secs(4));
    assert_eq!(world.scored.len(), 1);
    let batch = world.commit().unwrap();
    assert_eq!(
        (batch.last, batch.events_next, batch.results.len()),
        (-1, Some(0), 1),
        "call `open` needs all"
    );
    assert!(world.commit().is_none(), "nothing is new");

    // The next owner hears `open` again, and passes over what is in the dataset and what was sent.
    let alerted: HashSet<String> = world.alerts.iter().map(|alert| alert.alert_id.clone()).collect();
    assert_eq!(alerted.len(), 2);
    let committed = HashSet::from([CallId::new("b").unwrap()]);
    let mut next = World::new(Opened { events_next: Some(0), committed, alerted, ..Opened::default() });
    next.tell("open", 1_000, STARTED);
    next.tell("b", 60_000, STARTED);
    next.tell("b", 60_000 + next.said_ms(), ENDED);
    next.say("open", 1_000);
    assert_eq!(next.offsets[0], first_of_b);
    next.say("b", 60_000);
    next.caught_up();
    next.tell("open", 90_000, ENDED);
    next.caught_up();
    next.pass(Duration::from_secs(4));
    assert_eq!(next.scored.len(), 1, "{:?}", next.scored);
    assert!(next.alerts.is_empty(), "{:?}", next.alerts);
    assert_eq!(next.commit().unwrap().last, next.offsets[0] - 1);
}

#[test]
fn an_erased_call_that_is_sent_again_is_not_heard_again() {
    let erased = std::iter::once(&CallId::new("b").unwrap()).collect();
    let mut world = World::new(Opened { erased, ..Opened::default() });
    world.tell("b", 60_000, STARTED);
    world.say("b", 60_000);
    world.tell("b", 60_000 + world.said_ms(), ENDED);
    world.caught_up();
    world.pass(Duration::from_secs(4));
    assert!(world.scored.is_empty() && world.alerts.is_empty());
    assert!(world.commit().is_none_or(|batch| batch.results.is_empty()));
}

#[test]
fn what_cannot_be_read_is_a_dead_letter_and_holds_nothing_up() {
    let mut world = World::new(Opened { next: Some(40), events_next: Some(9), ..Opened::default() });
    let g729 = [("codec", "g729".to_owned()), ("rate", "8000".to_owned())];
    world.send(Lane::Main, 1, "a", &g729, vec![1, 2, 3]);
    world.tell("a", 2, r#"{"type":"sneezed"}"#);
    world.caught_up();
    let batch = world.commit().unwrap();
    assert_eq!((batch.last, batch.events_next), (40, Some(10)));
    let letters: Vec<&Dead> = batch
        .results
        .iter()
        .map(|result| match result {
            Finished::Dead(dead) => &**dead,
            Finished::Scored { .. } => panic!("{result:?}"),
        })
        .collect();
    assert_eq!((letters[0].letter.stage.as_str(), letters[0].letter.source.offset), ("chunk", Some(40)));
    assert_eq!(letters[0].original.value.as_deref(), Some(&[1, 2, 3][..]));
    assert_eq!((letters[1].letter.stage.as_str(), letters[1].letter.source.offset), ("event", Some(9)));
}

#[test]
fn a_call_beyond_the_limit_is_a_dead_letter_and_keeps_no_other_from_its_end() {
    let mut world = World::new(Opened::default());
    world.caught_up();
    for (number, call) in ["a", "b", "c"].into_iter().enumerate() {
        world.tell(call, number as i64, STARTED);
    }
    world.caught_up();
    assert_eq!(world.partition.open_sessions(), 2);
    let batch = world.commit().unwrap();
    let [Finished::Dead(dead)] = &batch.results[..] else { panic!("{:?}", batch.results) };
    assert!(dead.letter.reason.contains("live.max_sessions"), "{}", dead.letter.reason);
    world.say("a", 10_000);
    world.tell("a", 10_000 + world.said_ms(), ENDED);
    world.caught_up();
    world.pass(Duration::from_secs(4));
    assert_eq!((world.scored.len(), world.partition.open_sessions()), (1, 1));
}

#[test]
fn time_without_a_broker_ends_no_call() {
    let mut world = World::new(Opened::default());
    world.caught_up();
    world.tell("a", 1_000, STARTED);
    world.say("a", 1_000);
    world.caught_up();
    for _ in 0..100 {
        world.now += Duration::from_mins(1);
        let mut actions = Vec::new();
        world.partition.tick(world.now, false, &mut actions);
        world.run(actions);
    }
    assert_eq!(world.partition.open_sessions(), 1);
    world.pass(Duration::from_secs(400));
    assert_eq!(world.scored.len(), 1, "then it counts as over");
}

#[test]
fn a_call_of_which_only_events_come_is_scored_and_settles_no_sound() {
    let mut world = World::new(Opened::default());
    world.caught_up();
    world.tell("a", 1_000, STARTED);
    world.tell("a", 46_000, ENDED);
    world.caught_up();
    world.pass(Duration::from_secs(4));
    assert_eq!((world.scored.len(), world.partition.open_sessions()), (1, 0));
    let batch = world.commit().unwrap();
    assert_eq!((batch.results.len(), batch.last, batch.events_next), (1, -1, Some(2)));
}
