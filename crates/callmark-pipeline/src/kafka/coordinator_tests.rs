//! Orders of events, without a broker.

use super::*;
use crate::kafka::partition::{BatchToCommit, Dead, Finished, Original};
use callmark_store::DeadLetter;
use callmark_types::SourcePosition;
use proptest::prelude::*;

fn coordinator(calls: usize) -> Coordinator {
    Coordinator::new(Settings {
        topic: "t".to_owned(),
        live: None,
        limits: BatchLimits { calls, bytes: 1 << 30, age: Duration::from_secs(5) },
        shutdown: Duration::from_secs(10),
        stop_when_idle: None,
        give_up: Duration::from_hours(1),
    })
}

fn incoming(partition: i32, offset: i64) -> Incoming {
    Incoming { partition, offset, ..Incoming::default() }
}

fn opened_at(partition: i32, epoch: Epoch, next: Option<i64>) -> Event {
    Event::Opened { partition, epoch, opened: Box::new(Opened { next, ..Opened::default() }) }
}

fn start(epoch: Epoch, next: Option<i64>) -> Start {
    Start { epoch, next, events_next: None }
}

fn message(partition: i32, epoch: Epoch, offset: i64) -> Event {
    Event::Message { epoch, slot: None, message: Box::new(incoming(partition, offset)) }
}

fn finished(partition: i32, epoch: Epoch, sequence: u64) -> Event {
    let letter = DeadLetter {
        source: SourcePosition::default(),
        call_id: None,
        stage: "parse".to_owned(),
        reason: "none".to_owned(),
        attempts: 1,
        first_seen: None,
        metadata_uri: None,
        payload: None,
        envelope: None,
    };
    let finished = Box::new(Finished::Dead(Box::new(Dead { letter, original: Original::default() })));
    Event::Finished { partition, epoch, sequence, finished, load: None }
}

/// Assigns `partitions` and opens each at `next`; their epochs.
fn opened(
    coordinator: &mut Coordinator,
    partitions: &[i32],
    next: Option<i64>,
    now: Instant,
) -> BTreeMap<i32, Epoch> {
    let actions = coordinator.on(Event::Assigned(partitions.to_vec()), now);
    let epochs: BTreeMap<i32, Epoch> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Open { partition, epoch } => Some((*partition, *epoch)),
            _ => None,
        })
        .collect();
    for (partition, epoch) in &epochs {
        coordinator.on(opened_at(*partition, *epoch, next), now);
    }
    epochs
}

fn commits(actions: &[Action]) -> Vec<(i32, i64, usize)> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Commit { partition, batch, .. } => Some((*partition, batch.last, batch.results.len())),
            _ => None,
        })
        .collect()
}

#[test]
fn the_group_is_answered_when_all_partitions_are_open_with_where_each_goes_on() {
    let now = Instant::now();
    let mut coordinator = coordinator(10);
    let actions = coordinator.on(Event::Assigned(vec![0, 1]), now);
    let [Action::Open { partition: 0, epoch: a }, Action::Open { partition: 1, epoch: b }] = actions[..]
    else {
        panic!("{actions:?}")
    };
    let first = coordinator.on(opened_at(1, b, None), now);
    assert_eq!(first, []);
    assert!(!coordinator.is_ready(now));
    let actions = coordinator.on(opened_at(0, a, Some(7)), now);
    let offsets = BTreeMap::from([(0, start(a, Some(7))), (1, start(b, None))]);
    assert_eq!(
        actions,
        [
            Action::Command(Command::CommitOffset { partition: 0, next: 7, events_next: None }),
            Action::Command(Command::Assign(offsets))
        ]
    );
    assert!(coordinator.is_ready(now));
}

#[test]
fn an_assignment_of_nothing_is_answered_too() {
    let actions = coordinator(10).on(Event::Assigned(Vec::new()), Instant::now());
    assert_eq!(actions, [Action::Command(Command::Assign(BTreeMap::new()))]);
}

#[test]
fn a_batch_is_due_by_calls_or_by_age_and_one_at_a_time() {
    let start = Instant::now();
    let mut coordinator = coordinator(2);
    let epoch = opened(&mut coordinator, &[0], None, start)[&0];
    for offset in 0..5 {
        coordinator.on(message(0, epoch, offset), start);
    }
    // Out of order: nothing may leave before offset 0 is finished.
    assert_eq!(commits(&coordinator.on(finished(0, epoch, 1), start)), []);
    assert_eq!(commits(&coordinator.on(finished(0, epoch, 0), start)), [(0, 1, 2)]);
    coordinator.on(finished(0, epoch, 2), start);
    assert_eq!(commits(&coordinator.on(finished(0, epoch, 3), start)), [], "one is on its way");
    let actions = coordinator.on(Event::Committed { partition: 0, epoch, next: 2, events_next: None }, start);
    assert_eq!(commits(&actions), [(0, 3, 2)]);
    assert!(actions.contains(&Action::Command(Command::CommitOffset {
        partition: 0,
        next: 2,
        events_next: None
    })));
    coordinator.on(Event::Committed { partition: 0, epoch, next: 4, events_next: None }, start);
    coordinator.on(finished(0, epoch, 4), start);
    assert_eq!(commits(&coordinator.tick(start + Duration::from_secs(4))), []);
    assert_eq!(commits(&coordinator.tick(start + Duration::from_secs(5))), [(0, 4, 1)]);
}

#[test]
fn a_partition_is_given_back_when_what_is_finished_is_committed() {
    let now = Instant::now();
    let mut coordinator = coordinator(100);
    let epoch = opened(&mut coordinator, &[0], None, now)[&0];
    for offset in 0..3 {
        coordinator.on(message(0, epoch, offset), now);
    }
    coordinator.on(finished(0, epoch, 0), now);
    let actions = coordinator.on(Event::Revoked(vec![0]), now);
    assert_eq!(commits(&actions), [(0, 0, 1)], "what is ready goes");
    assert!(!actions.contains(&Action::Command(Command::Unassign(vec![0]))));
    let actions = coordinator.on(Event::Committed { partition: 0, epoch, next: 1, events_next: None }, now);
    assert!(actions.contains(&Action::Command(Command::Unassign(vec![0]))), "{actions:?}");
    assert!(actions.contains(&Action::Close { partition: 0, epoch }));
    assert_eq!(coordinator.on(finished(0, epoch, 1), now), [], "what comes late is dropped");
}

#[test]
fn the_group_does_not_wait_for_ever() {
    let now = Instant::now();
    let mut coordinator = coordinator(100);
    let epoch = opened(&mut coordinator, &[0], None, now)[&0];
    coordinator.on(message(0, epoch, 0), now);
    coordinator.on(finished(0, epoch, 0), now);
    coordinator.on(Event::Revoked(vec![0]), now);
    assert_eq!(coordinator.tick(now + GIVE_BACK_LIMIT / 2), []);
    let actions = coordinator.tick(now + GIVE_BACK_LIMIT);
    assert!(actions.contains(&Action::Command(Command::Unassign(vec![0]))));
}

#[test]
fn a_lost_partition_is_forgotten_at_once() {
    let now = Instant::now();
    let mut coordinator = coordinator(1);
    let epoch = opened(&mut coordinator, &[0], None, now)[&0];
    coordinator.on(message(0, epoch, 0), now);
    let actions = coordinator.on(Event::Lost(vec![0]), now);
    assert_eq!(actions, [Action::Close { partition: 0, epoch }, Action::Command(Command::Unassign(vec![0]))]);
    assert_eq!(coordinator.on(finished(0, epoch, 0), now), []);
}

#[test]
fn who_lost_a_race_looks_where_the_winner_is_and_goes_on_behind_it() {
    let now = Instant::now();
    let mut coordinator = coordinator(1);
    let epoch = opened(&mut coordinator, &[0], Some(3), now)[&0];
    coordinator.on(message(0, epoch, 3), now);
    coordinator.on(finished(0, epoch, 0), now);
    let actions = coordinator.on(Event::LostRace { partition: 0, epoch }, now);
    let Action::Open { partition: 0, epoch: again } = actions[1] else { panic!("{actions:?}") };
    assert_ne!(again, epoch);
    let actions = coordinator.on(opened_at(0, again, Some(9)), now);
    let restart = Command::Restart { partition: 0, start: start(again, Some(9)) };
    assert!(actions.contains(&Action::Command(restart)), "{actions:?}");
    assert_eq!(coordinator.on(message(0, epoch, 4), now), [], "of the old epoch");
    let actions = coordinator.on(message(0, again, 9), now);
    assert_eq!(actions, [Action::Process { epoch: again, sequence: 0, message: Box::new(incoming(0, 9)) }]);
}

#[test]
fn a_message_that_the_dataset_covers_already_stops_the_worker() {
    let now = Instant::now();
    let mut coordinator = coordinator(1);
    let epoch = opened(&mut coordinator, &[0], Some(100), now)[&0];
    let actions = coordinator.on(message(0, epoch, 0), now);
    let [Action::Fail(error)] = &actions[..] else { panic!("{actions:?}") };
    assert!(error.to_string().contains("offset 0") && error.to_string().contains("before 100"), "{error}");
}

#[test]
fn a_worker_told_to_stop_commits_what_it_can_and_gives_up_the_rest_in_time() {
    let now = Instant::now();
    let mut coordinator = coordinator(100);
    let epoch = opened(&mut coordinator, &[0], None, now)[&0];
    coordinator.on(message(0, epoch, 0), now);
    coordinator.on(message(0, epoch, 1), now);
    coordinator.on(finished(0, epoch, 0), now);
    let actions = coordinator.on(Event::Stop, now);
    assert!(actions.contains(&Action::Command(Command::Pause)));
    assert_eq!(commits(&actions), [(0, 0, 1)]);
    assert_eq!(
        coordinator.on(Event::Committed { partition: 0, epoch, next: 1, events_next: None }, now).len(),
        1
    );
    assert_eq!(coordinator.tick(now + Duration::from_secs(9)), [], "one call is still under way");
    assert_eq!(coordinator.tick(now + Duration::from_secs(10)), [Action::Finish]);
}

#[test]
fn a_worker_with_nothing_in_hand_stops_at_once_and_once() {
    let now = Instant::now();
    let mut coordinator = coordinator(1);
    opened(&mut coordinator, &[0, 1], None, now);
    assert_eq!(coordinator.on(Event::Stop, now), [Action::Command(Command::Pause), Action::Finish]);
    assert_eq!(coordinator.tick(now), []);
}

#[test]
fn a_worker_that_is_idle_for_long_enough_stops_where_that_is_asked_for() {
    let now = Instant::now();
    let mut coordinator = coordinator(1);
    coordinator.settings.stop_when_idle = Some(Duration::from_secs(3));
    let epoch = opened(&mut coordinator, &[0], None, now)[&0];
    coordinator.on(message(0, epoch, 0), now + Duration::from_secs(2));
    coordinator.on(finished(0, epoch, 0), now + Duration::from_secs(2));
    assert_eq!(coordinator.tick(now + Duration::from_secs(6)), [], "a commit is on its way");
    coordinator.on(
        Event::Committed { partition: 0, epoch, next: 1, events_next: None },
        now + Duration::from_secs(6),
    );
    assert!(coordinator.tick(now + Duration::from_secs(6)).contains(&Action::Finish));
}

#[test]
fn a_worker_that_hears_nothing_of_the_broker_is_not_ready_and_gives_up_in_time() {
    let now = Instant::now();
    let mut coordinator = coordinator(1);
    coordinator.settings.give_up = Duration::from_mins(1);
    opened(&mut coordinator, &[0], None, now);
    coordinator.on(Event::BrokerAnswered, now);
    assert!(coordinator.is_ready(now + Duration::from_secs(10)));
    assert!(!coordinator.is_ready(now + Duration::from_secs(20)));
    assert_eq!(coordinator.tick(now + Duration::from_secs(59)), []);
    let actions = coordinator.tick(now + Duration::from_mins(1));
    assert!(
        matches!(&actions[..], [Action::Fail(error)] if error.to_string().contains("not answered for 60 s")),
        "{actions:?}"
    );
}

/// One thing that happens to a worker that holds one partition, over and over.
#[derive(Debug, Clone)]
enum Step {
    Message,
    Finish(usize),
    CommitArrives,
    RaceIsLost,
    LoseAndRegain,
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Message),
        6 => (0..4usize).prop_map(Step::Finish),
        3 => Just(Step::CommitArrives),
        1 => Just(Step::RaceIsLost),
        1 => Just(Step::LoseAndRegain),
        2 => (1..8u64).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 1..200)
}

/// A partition as the broker and the dataset see it.
struct World {
    coordinator: Coordinator,
    epoch: Epoch,
    /// Where the consumer is.
    position: i64,
    /// What the dataset has: everything below.
    committed: i64,
    under_way: Vec<u64>,
    on_its_way: Option<BatchToCommit>,
    settled: Vec<usize>,
    now: Instant,
}

impl World {
    fn take(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Process { epoch, sequence, .. } if epoch == self.epoch => {
                    self.under_way.push(sequence);
                }
                Action::Commit { epoch, batch, .. } if epoch == self.epoch => {
                    assert!(self.on_its_way.is_none(), "two commits at once");
                    self.on_its_way = Some(batch);
                }
                Action::Open { epoch, .. } => {
                    self.epoch = epoch;
                    self.under_way.clear();
                    self.on_its_way = None;
                    let next = (self.committed > 0).then_some(self.committed);
                    self.position = self.committed;
                    let actions = self.coordinator.on(opened_at(0, epoch, next), self.now);
                    self.take(actions);
                }
                Action::Fail(error) => panic!("{error}"),
                _ => {}
            }
        }
    }

    fn step(&mut self, step: &Step) {
        let event = match step {
            Step::Message => {
                self.position += 1;
                message(0, self.epoch, self.position - 1)
            }
            Step::Finish(_) if self.under_way.is_empty() => return,
            Step::Finish(which) => {
                let sequence = self.under_way.remove(which % self.under_way.len());
                finished(0, self.epoch, sequence)
            }
            Step::CommitArrives => {
                let Some(batch) = self.on_its_way.take() else { return };
                assert_eq!(batch.last + 1 - self.committed, batch.results.len() as i64, "a gap or a repeat");
                self.committed = batch.last + 1;
                self.settled.push(batch.results.len());
                Event::Committed { partition: 0, epoch: self.epoch, next: self.committed, events_next: None }
            }
            Step::RaceIsLost => {
                let Some(batch) = self.on_its_way.take() else { return };
                self.settled.push(batch.results.len());
                self.committed = batch.last + 1;
                Event::LostRace { partition: 0, epoch: self.epoch }
            }
            Step::LoseAndRegain => {
                let actions = self.coordinator.on(Event::Lost(vec![0]), self.now);
                self.take(actions);
                Event::Assigned(vec![0])
            }
            Step::Pass(seconds) => {
                self.now += Duration::from_secs(*seconds);
                let actions = self.coordinator.tick(self.now);
                return self.take(actions);
            }
        };
        let actions = self.coordinator.on(event, self.now);
        self.take(actions);
    }
}

proptest! {
    #[test]
    fn whatever_happens_every_offset_is_committed_once_and_in_order(steps in steps()) {
        let mut world = World {
            coordinator: coordinator(5),
            epoch: 0,
            position: 0,
            committed: 0,
            under_way: Vec::new(),
            on_its_way: None,
            settled: Vec::new(),
            now: Instant::now(),
        };
        let actions = world.coordinator.on(Event::Assigned(vec![0]), world.now);
        world.take(actions);
        for step in &steps {
            world.step(step);
        }
        // Then everything that came is worked off.
        for _ in 0..2 * steps.len() + 10 {
            world.step(&Step::Finish(0));
            world.step(&Step::Pass(6));
            world.step(&Step::CommitArrives);
        }
        prop_assert_eq!(world.committed, world.position);
        prop_assert_eq!(world.settled.iter().sum::<usize>() as i64, world.position);
    }
}
