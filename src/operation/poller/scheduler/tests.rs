//! The scheduler without a vendor, on tokio's paused clock.

use std::num::NonZeroU32;

use futures_util::FutureExt;
use jiff::SignedDuration;
use tokio::task::unconstrained;
use uuid::Uuid;

use super::super::options::MAX_POLLS;
use super::*;
use crate::domain::{Action, CallerName, Delivered, Outcome, RequestId};
use crate::operation::authorized_portal::{ReadFailure, SubmissionsSnapshot};
use crate::operation::outcome::Deadlines;
use crate::portal::{ReadError, RunState, Submission, Submissions};

mod holds;
mod jump;
mod paced;
mod scale;
mod shared;
mod steps;

const POLL: Duration = Duration::from_secs(5);
const DEADLINES: Deadlines = Deadlines {
    settle: Duration::from_secs(30),
    give_up: Duration::from_secs(1800),
};

const OPTIONS: PollerOptions = PollerOptions {
    poll: POLL,
    // More than these tests need: `paced` has those of the pace.
    max_polls_per_second: NonZeroU32::new(100_000).unwrap(),
    max_polls: MAX_POLLS,
    deadlines: DEADLINES,
};

/// A scheduler, and a clock for evidence beside tokio's.
struct Bench {
    scheduler: Scheduler,
    started: Now,
    /// How long the vendor wants no requests for status texts.
    texts_retry_after: Option<Duration>,
}

impl Bench {
    fn new() -> Self {
        Self {
            scheduler: Scheduler::new(OPTIONS, PollTimes::default()),
            started: Now::read(),
            texts_retry_after: None,
        }
    }

    fn now(&self) -> Now {
        let instant = Instant::now();
        let at = self.started.at + (instant - self.started.instant);
        Now {
            instant,
            at,
            wall_ahead: 0,
        }
    }

    fn answered(&self, publisher: &str, offer: &str) -> Operation {
        let mut operation = Operation::intent(
            Action::Cancel,
            Target::sample(publisher, offer),
            CallerName::parse("pipeline").unwrap(),
            RequestId::generate(),
        );
        let now = self.now().at;
        operation.evidence.answered_at = Some(now);
        operation.evidence.vendor_date = Some(now);
        operation.follow(Delivered::Yes);
        operation
    }

    fn add(&mut self, publisher: &str, offer: &str) -> OperationId {
        let operation = Arc::new(self.answered(publisher, offer));
        let id = operation.id;
        self.scheduler.add(operation, self.now());
        id
    }

    /// Advances to the next moment at which something is due, and handles it.
    async fn wake(&mut self) -> Vec<Arc<Operation>> {
        let target = self.scheduler.next_due().await.expect("nothing is due");
        let mut ended = self.scheduler.wake(&target, self.now());
        while let Some(Some(target)) = unconstrained(self.scheduler.next_due()).now_or_never() {
            ended.extend(self.scheduler.wake(&target, self.now()));
        }
        ended
    }

    fn tasks(&mut self) -> Vec<PollTask> {
        let now = self.now();
        std::iter::from_fn(|| self.scheduler.next_poll(now)).collect()
    }

    fn task(&mut self) -> PollTask {
        let mut tasks = self.tasks();
        assert_eq!(tasks.len(), 1, "{tasks:?}");
        tasks.remove(0)
    }

    fn finish(
        &mut self,
        task: &PollTask,
        found: Result<Vec<Submission>, ReadFailure>,
    ) -> Vec<Arc<Operation>> {
        let now = self.now();
        let snapshot = SubmissionsSnapshot {
            started: now.at,
            ended: now.at,
            submissions: found.map(|list| Submissions {
                list,
                date: Some(now.at),
            }),
        };
        let result = PollResult::new(snapshot, &task.locations, self.texts_retry_after);
        self.scheduler.poll_finished(task, &result, now)
    }

    fn running(&self) -> Vec<Submission> {
        vec![Submission {
            id: Uuid::from_u128(1),
            state: RunState::Running,
            changed: Some(self.now().at - SignedDuration::from_hours(1)),
        }]
    }

    fn members(&self, task: &PollTask) -> usize {
        let phase = Phase::Polling(task.number);
        let all = self.scheduler.operations.values();
        all.filter(|tracked| tracked.phase == phase).count()
    }
}

fn throttled(seconds: u64) -> ReadFailure {
    ReadFailure::Portal(ReadError::Status(429, Some(Duration::from_secs(seconds))))
}

#[tokio::test(start_paused = true)]
async fn operations_that_arrive_together_share_a_first_poll_and_later_ones_get_their_own() {
    let mut bench = Bench::new();
    bench.add("contoso", "one");
    bench.add("contoso", "one");
    bench.add("contoso", "two");
    let tasks = bench.tasks();
    let members: Vec<usize> = tasks.iter().map(|task| bench.members(task)).collect();
    assert_eq!(members, [2, 1]);
    // That poll is in flight: a new operation does not wait for it, and its own poll
    // leaves out those that are being polled.
    bench.add("contoso", "one");
    let own = bench.task();
    assert_eq!(bench.members(&own), 1);
    // Waiting ones share the poll.
    let running = bench.running();
    assert_eq!(bench.finish(&tasks[0], Ok(running)).len(), 2);
    bench.add("contoso", "one");
    let shared = bench.task();
    assert_eq!(bench.members(&shared), 3);
    // The same operation twice is one.
    let known = Arc::clone(
        &bench
            .scheduler
            .operations
            .values()
            .next()
            .unwrap()
            .operation,
    );
    bench.scheduler.add(known, bench.now());
    assert_eq!(bench.scheduler.operations.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_offer_has_one_further_poll_at_a_time() {
    let mut bench = Bench::new();
    bench.add("contoso", "one");
    let first = bench.task();
    let running = bench.running();
    bench.finish(&first, Ok(running));
    bench.wake().await;
    let further = bench.task();
    assert_eq!(further.kind, PollKind::Further);
    // It hangs while a new operation has its first poll.
    bench.add("contoso", "one");
    let first = bench.task();
    assert_eq!(first.kind, PollKind::First);
    let running = bench.running();
    bench.finish(&first, Ok(running.clone()));
    assert!(bench.scheduler.timers.is_empty());
    bench.finish(&further, Ok(running));
    bench.wake().await;
    let shared = bench.task();
    assert_eq!(bench.members(&shared), 2);
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_has_ended_is_no_longer_tracked() {
    let mut bench = Bench::new();
    let id = bench.add("contoso", "one");
    let first = bench.task();
    let mut list = bench.running();
    bench.finish(&first, Ok(list.clone()));
    bench.wake().await;
    let further = bench.task();
    list[0].state = RunState::Canceled;
    let changed = bench.finish(&further, Ok(list));
    assert_eq!(changed[0].id, id);
    assert_eq!(changed[0].outcome, Some(Outcome::Canceled));
    assert!(bench.scheduler.operations.is_empty() && bench.scheduler.offers.is_empty());
    assert!(bench.scheduler.timers.is_empty());
}

fn message(operation: &Operation) -> &str {
    &operation.error.as_ref().unwrap().message
}

#[tokio::test(start_paused = true)]
async fn a_last_poll_that_fails_is_retried_for_the_grace_period() {
    for recovers in [true, false] {
        let mut bench = Bench::new();
        bench.add("contoso", "one");
        let (running, started) = (bench.running(), Instant::now());
        let mut task = bench.task();
        let mut fails = 0;
        let over = loop {
            let is_end = started.elapsed() >= DEADLINES.give_up;
            let found = if is_end && !(recovers && fails == 5) {
                fails += 1;
                Err(ReadFailure::Portal(ReadError::Status(500, None)))
            } else {
                Ok(running.clone())
            };
            let mut changed = bench.finish(&task, found);
            if let Some(over) = changed.pop().filter(|one| one.status.is_final()) {
                break over;
            }
            assert!(bench.wake().await.is_empty());
            task = bench.task();
        };
        let late = started.elapsed() - DEADLINES.give_up;
        if recovers {
            assert_eq!(over.outcome, Some(Outcome::NotCanceled));
            assert!(late < 6 * POLL, "{late:?}");
        } else {
            assert!(message(&over).contains("could not be read at the deadline"));
            let grace = DEADLINES.grace();
            assert!(late >= grace && late < grace + POLL, "{late:?}");
            assert!(fails >= 50, "{fails}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_without_a_slot_until_long_after_its_deadline_ends() {
    let mut bench = Bench::new();
    let [first_polls, _] = OPTIONS.slots();
    for n in 0..first_polls {
        bench.add("contoso", &format!("hangs-{n}"));
    }
    let hang = bench.tasks();
    assert_eq!(hang.len(), first_polls / 2);
    let over = bench.wake().await;
    assert_eq!(over.len(), first_polls / 2);
    assert!(over.iter().all(|one| one.outcome == Some(Outcome::Unknown)));
    assert!(message(&over[0]).contains("Too many other"));
    // Those that are being polled end with their poll.
    assert_eq!(bench.scheduler.operations.len(), hang.len());
    // The ended ones are not polled when a slot is free again.
    let running = bench.running();
    bench.finish(&hang[0], Ok(running));
    assert!(bench.tasks().is_empty());
}
