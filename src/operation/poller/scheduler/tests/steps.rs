//! Random sequences of events: every operation is polled and ends in time, within the
//! limits on polls.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tokio::time::sleep_until;

use super::super::super::offer::MAX_POLLS_OF_ONE;
use super::*;

/// The longest that a poll takes here.
const SLOWEST: Duration = Duration::from_secs(90);
/// An operation that was queued at its very end has as long again, and timers round up.
const LAST_POLL: Duration = Duration::from_secs(301);
/// Timers have millisecond resolution.
const RESOLUTION: Duration = Duration::from_millis(2);

#[derive(Debug, Clone)]
enum Found {
    Nothing,
    Running,
    Ended,
    Failed,
    Throttled(u64),
}

#[derive(Debug, Clone)]
enum Step {
    /// A cancel of this offer, found at a start if it was answered so long ago.
    Add(usize, Option<u64>),
    /// One of the polls in flight finishes.
    Finish(usize, Found, Option<u64>),
    /// Time passes.
    Pass(u64),
    /// An operation ended otherwise.
    Remove(usize),
}

fn found() -> impl Strategy<Value = Found> {
    let wait = prop_oneof![0..100_u64, Just(u64::from(u32::MAX))];
    prop_oneof![
        2 => Just(Found::Nothing),
        5 => Just(Found::Running),
        1 => Just(Found::Ended),
        2 => Just(Found::Failed),
        2 => wait.prop_map(Found::Throttled),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let ago = prop::option::weighted(0.3, prop_oneof![0..1800_u64, 1700..4000_u64]);
    let no_texts = prop::option::weighted(0.1, 0..100_u64);
    prop_oneof![
        9 => (0..3_usize, ago).prop_map(|(offer, ago)| Step::Add(offer, ago)),
        6 => (any::<usize>(), found(), no_texts).prop_map(|(n, found, wait)| Step::Finish(n, found, wait)),
        6 => prop_oneof![0..5_000_u64, 0..90_000_u64].prop_map(Step::Pass),
        2 => any::<usize>().prop_map(Step::Remove),
    ]
}

/// The scheduler, the polls in flight with when they started, and by when each operation
/// has to end.
struct Stage {
    bench: Bench,
    polls: Vec<(PollTask, Instant)>,
    deadlines: BTreeMap<OperationId, Instant>,
}

impl Stage {
    fn new(slots: usize, per_second: u32) -> Self {
        let mut bench = Bench::new();
        bench.scheduler.pace = Pace::new(NonZeroU32::new(per_second).unwrap());
        bench.scheduler.queues = [slots, slots].map(FairQueue::new);
        Self {
            bench,
            polls: Vec::new(),
            deadlines: BTreeMap::new(),
        }
    }

    async fn go(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Add(offer, ago) => self.add(*offer, *ago),
            Step::Finish(which, found, texts_retry_after) => {
                if !self.polls.is_empty() {
                    let which = which % self.polls.len();
                    self.bench.texts_retry_after = texts_retry_after.map(Duration::from_secs);
                    self.finish(which, found)?;
                }
            }
            Step::Pass(ms) => self.pass(Duration::from_millis(*ms)).await?,
            Step::Remove(which) => {
                let count = self.deadlines.len().max(1);
                let id = self.deadlines.keys().nth(which % count).copied();
                if let Some(id) = id {
                    self.bench.scheduler.remove(id);
                    self.deadlines.remove(&id);
                }
            }
        }
        self.start_polls()
    }

    fn add(&mut self, offer: usize, ago: Option<u64>) {
        let publisher = if offer.is_multiple_of(2) {
            "contoso"
        } else {
            "fabrikam"
        };
        let mut operation = self.bench.answered(publisher, &format!("vm-{offer}"));
        let location = Location::Operation(Uuid::from_u128(self.deadlines.len() as u128));
        operation.portal.location = Some(location.path(&operation.target));
        let now = self.bench.now();
        let mut since = now.instant;
        if let Some(ago) = ago {
            let ago = Duration::from_secs(ago);
            let answered = now.at - SignedDuration::try_from(ago).unwrap();
            operation.evidence.answered_at = Some(answered);
            operation.evidence.first_look_at = ago.as_secs().is_multiple_of(2).then_some(answered);
            // An operation whose deadline has passed is still polled once.
            since = now.instant + DEADLINES.give_up.saturating_sub(ago);
            since -= DEADLINES.give_up;
        }
        // Its last poll may have to wait for one of the offer that is in flight.
        let end = since + DEADLINES.give_up + DEADLINES.grace() + 2 * SLOWEST + LAST_POLL;
        self.deadlines.insert(operation.id, end);
        self.bench.scheduler.add(Arc::new(operation), now);
    }

    fn finish(&mut self, which: usize, found: &Found) -> Result<(), TestCaseError> {
        let (task, _) = self.polls.swap_remove(which);
        let mut list = self.bench.running();
        let found = match found {
            Found::Nothing => Ok(Vec::new()),
            Found::Running => Ok(list),
            Found::Ended => {
                list[0].state = RunState::Canceled;
                Ok(list)
            }
            Found::Failed => Err(ReadFailure::Portal(ReadError::Status(500, None))),
            Found::Throttled(wait) => Err(throttled(*wait)),
        };
        let changed = self.bench.finish(&task, found);
        self.note_ended(changed)
    }

    /// Time passes, and with it what becomes due; slow polls fail.
    async fn pass(&mut self, time: Duration) -> Result<(), TestCaseError> {
        let until = Instant::now() + time;
        loop {
            let now = Instant::now();
            let is_slow = |(_, started): &(PollTask, Instant)| *started + SLOWEST <= now;
            while let Some(which) = self.polls.iter().position(is_slow) {
                self.finish(which, &Found::Failed)?;
                self.start_polls()?;
            }
            if now >= until {
                return Ok(());
            }
            let slowest = self.polls.iter().map(|(_, started)| *started + SLOWEST);
            let ready_at = self.bench.scheduler.ready_at(now);
            let next = slowest.chain(ready_at).min().unwrap_or(until).min(until);
            tokio::select! {
                biased;
                Some(target) = self.bench.scheduler.next_due() => {
                    let now = self.bench.now();
                    let ended = self.bench.scheduler.wake(&target, now);
                    self.note_ended(ended)?;
                    self.start_polls()?;
                }
                () = sleep_until(next) => {
                    self.start_polls()?;
                    let mut offers = self.bench.scheduler.offers.values();
                    let now = Instant::now();
                    let is_overdue = |(at, _)| at + RESOLUTION <= now;
                    prop_assert!(!offers.any(|offer| offer.timer.is_some_and(is_overdue)));
                }
            }
        }
    }

    fn start_polls(&mut self) -> Result<(), TestCaseError> {
        let now = Instant::now();
        for task in self.bench.tasks() {
            let phase = Phase::Polling(task.number);
            let mut members = self.bench.scheduler.operations.values();
            let is_due = |one: &TrackedOperation| one.phase == phase && one.due <= now;
            let is_first = task.kind == PollKind::First;
            prop_assert!(is_first || members.any(is_due), "no operation was due");
            self.polls.push((task, now));
        }
        self.check()
    }

    fn note_ended(&mut self, changed: Vec<Arc<Operation>>) -> Result<(), TestCaseError> {
        for operation in changed.iter().filter(|one| one.status.is_final()) {
            let deadline = self.deadlines.remove(&operation.id);
            prop_assert!(deadline.is_some(), "ended twice");
            prop_assert!(!self.bench.scheduler.tracks(operation.id));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let (scheduler, now) = (&self.bench.scheduler, Instant::now());
        prop_assert_eq!(scheduler.operations.len(), self.deadlines.len());
        let mut of_offer: HashMap<&Target, [usize; 2]> = HashMap::new();
        for (task, _) in &self.polls {
            let (polls, kind) = (
                of_offer.entry(&task.target).or_default(),
                task.kind as usize,
            );
            polls[kind] += 1;
            prop_assert!(polls[kind] <= MAX_POLLS_OF_ONE[kind]);
        }
        let timers = scheduler.offers.values().filter_map(|offer| offer.timer);
        prop_assert_eq!(scheduler.timers.len(), timers.count());
        for (id, tracked) in &scheduler.operations {
            prop_assert!(now <= self.deadlines[id], "it should have ended");
            let offer = &scheduler.offers[&tracked.target];
            let polls = of_offer.get(&*tracked.target).copied();
            let [first, further] = polls.unwrap_or_default();
            let is_timed = offer.timer.is_some_and(|(at, _)| {
                let wakes_at = offer.wakes_for(tracked);
                wakes_at.is_some_and(|wakes_at| at <= wakes_at)
            });
            let is_cared_for = match tracked.phase {
                Phase::Polling(number) => {
                    let is_its = |poll: &&(PollTask, Instant)| poll.0.number == number;
                    self.polls.iter().filter(is_its).count() == 1
                }
                Phase::Queued => is_timed && (offer.is_queued[0] || first == MAX_POLLS_OF_ONE[0]),
                Phase::Waiting => is_timed || further == 1,
            };
            prop_assert!(is_cared_for, "{:?} is forgotten", tracked.phase);
        }
        Ok(())
    }
}

/// More than usual: rare sequences are what this is for.
fn many() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: usual.cases.max(1_000),
        ..usual
    }
}

async fn run(slots: usize, per_second: u32, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut stage = Stage::new(slots, per_second);
    for step in steps {
        stage.go(step).await?;
    }
    // Longer than any operation can last.
    stage.pass(Duration::from_secs(2 * 3600)).await?;
    let scheduler = &stage.bench.scheduler;
    prop_assert!(scheduler.operations.is_empty() && scheduler.offers.is_empty());
    prop_assert!(scheduler.timers.is_empty());
    prop_assert!(scheduler.queues.iter().all(FairQueue::is_empty));
    Ok(())
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn no_operation_is_forgotten_and_everything_ends_in_time(
        slots in 1_usize..14,
        per_second in prop_oneof![1 => 1_u32..20, 4 => Just(100_000)],
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(unconstrained(run(slots, per_second, &steps)))?;
    }
}
