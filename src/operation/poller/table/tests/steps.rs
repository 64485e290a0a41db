//! Whatever happens in whatever order: nobody is forgotten, no look is one too many, and
//! everything ends in time.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::super::offer::MAX_FIRST_LOOKS_AT_ONE;
use super::*;

/// The longest that a look takes here.
const LOOK: Duration = Duration::from_secs(90);
/// What is put in line at the very end has a little longer, and timers round up.
const LAST_TURN: Duration = Duration::from_secs(6);

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
    /// One of the looks under way comes back.
    Back(usize, Found, Option<u64>),
    /// Time passes, at most until something is due.
    Pass(u64),
    /// Somebody else found out that an operation is over.
    Finished(usize),
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
    let no_words = prop::option::weighted(0.1, 0..100_u64);
    prop_oneof![
        9 => (0..3_usize, ago).prop_map(|(offer, ago)| Step::Add(offer, ago)),
        6 => (any::<usize>(), found(), no_words).prop_map(|(n, found, wait)| Step::Back(n, found, wait)),
        6 => prop_oneof![0..5_000_u64, 0..90_000_u64].prop_map(Step::Pass),
        2 => any::<usize>().prop_map(Step::Finished),
    ]
}

/// The table, the looks under way with when they began, and by when each operation is
/// to be over.
struct Stage {
    bench: Bench,
    looks: Vec<(Errand, Instant)>,
    deadlines: BTreeMap<OperationId, Instant>,
}

impl Stage {
    fn new(places: usize) -> Self {
        let mut bench = Bench::new();
        bench.table.first_looks = Lane::new(places);
        bench.table.looks = Lane::new(places);
        Self {
            bench,
            looks: Vec::new(),
            deadlines: BTreeMap::new(),
        }
    }

    fn go(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Add(offer, ago) => self.add(*offer, *ago),
            Step::Back(which, found, no_words_for) => {
                if !self.looks.is_empty() {
                    let which = which % self.looks.len();
                    self.bench.no_words_for = no_words_for.map(Duration::from_secs);
                    self.back(which, found)?;
                }
            }
            Step::Pass(ms) => self.pass(Duration::from_millis(*ms))?,
            Step::Finished(which) => {
                let id = self
                    .deadlines
                    .keys()
                    .nth(which % self.deadlines.len().max(1));
                if let Some(id) = id.copied() {
                    self.bench.table.drop_finished(id);
                    self.deadlines.remove(&id);
                }
            }
        }
        self.begin()
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
        let now = self.bench.now;
        let mut since = now.instant;
        if let Some(ago) = ago {
            let ago = Duration::from_secs(ago);
            let answered = now.at - SignedDuration::try_from(ago).unwrap();
            operation.evidence.answered_at = Some(answered);
            operation.evidence.first_look_at = ago.as_secs().is_multiple_of(2).then_some(answered);
            // One that was to be over by now still has its look.
            since = now.instant + PATIENCE.give_up.saturating_sub(ago);
            since -= PATIENCE.give_up;
        }
        // Its last look may have to wait for one that is under way at the offer.
        let over = since + PATIENCE.give_up + PATIENCE.grace() + 2 * LOOK + LAST_TURN;
        self.deadlines.insert(operation.id, over);
        self.bench.table.add(Arc::new(operation), now);
    }

    fn back(&mut self, which: usize, found: &Found) -> Result<(), TestCaseError> {
        let (errand, _) = self.looks.swap_remove(which);
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
        let changed = self.bench.seen(&errand, found);
        self.over(changed)
    }

    /// Time passes, and with it what becomes due; looks come back when they are slow.
    fn pass(&mut self, time: Duration) -> Result<(), TestCaseError> {
        let until = self.bench.now.instant + time;
        loop {
            let slow = self.looks.iter().map(|(_, begun)| *begun + LOOK).min();
            let due = self.bench.table.wakes_at();
            let next = slow.into_iter().chain(due).min().filter(|at| *at <= until);
            let at = next.unwrap_or(until);
            let wait = at.saturating_duration_since(self.bench.now.instant);
            self.bench.pass(wait);
            let now = self.bench.now;
            let over = self.bench.table.wake(now);
            self.over(over)?;
            self.begin()?;
            let wakes_at = self.bench.table.wakes_at();
            prop_assert!(
                wakes_at.is_none_or(|at| at > now.instant),
                "a timer in the past"
            );
            let is_slow = |(_, begun): &(Errand, Instant)| *begun + LOOK <= now.instant;
            while let Some(which) = self.looks.iter().position(is_slow) {
                self.back(which, &Found::Failed)?;
                self.begin()?;
            }
            if next.is_none() {
                return Ok(());
            }
        }
    }

    fn begin(&mut self) -> Result<(), TestCaseError> {
        let now = self.bench.now.instant;
        for errand in self.bench.errands() {
            let place = Place::Looking(errand.number);
            let mut members = self.bench.table.operations.values();
            let is_due = |one: &Followed| one.place == place && one.due <= now;
            prop_assert!(errand.is_first || members.any(is_due), "nobody was due");
            self.looks.push((errand, now));
        }
        self.check()
    }

    fn over(&mut self, changed: Vec<Arc<Operation>>) -> Result<(), TestCaseError> {
        for operation in changed.iter().filter(|one| one.status.is_final()) {
            let deadline = self.deadlines.remove(&operation.id);
            prop_assert!(deadline.is_some(), "over twice");
            prop_assert!(!self.bench.table.follows(operation.id));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let table = &self.bench.table;
        prop_assert_eq!(table.operations.len(), self.deadlines.len());
        let mut of_offer: HashMap<&Target, (usize, usize)> = HashMap::new();
        for (errand, _) in &self.looks {
            let (first, further) = of_offer.entry(&errand.target).or_default();
            *first += usize::from(errand.is_first);
            *further += usize::from(!errand.is_first);
            prop_assert!(*first <= MAX_FIRST_LOOKS_AT_ONE && *further <= 1);
        }
        for (id, followed) in &table.operations {
            let now = self.bench.now.instant;
            prop_assert!(now <= self.deadlines[id], "it should be over");
            let offer = &table.offers[&followed.target];
            let (first, further) = of_offer.get(&*followed.target).copied().unwrap_or_default();
            let is_timed = offer.timer.is_some_and(|at| {
                table.timers.contains(&(at, Rc::clone(&followed.target)))
                    && offer.wakes_for(followed).is_some_and(|wakes| at <= wakes)
            });
            let is_cared_for = match followed.place {
                Place::Looking(number) => {
                    let is_its = |look: &&(Errand, Instant)| look.0.number == number;
                    self.looks.iter().filter(is_its).count() == 1
                }
                Place::Fresh => is_timed && (offer.waits_first || first == MAX_FIRST_LOOKS_AT_ONE),
                Place::Idle => is_timed || further == 1,
            };
            prop_assert!(is_cared_for, "{:?} is forgotten", followed.place);
        }
        Ok(())
    }
}

/// More than usual: it is quick, and what is rare is what this is for.
fn many() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: usual.cases.max(1_000),
        ..usual
    }
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn nobody_is_forgotten_and_everything_ends_in_time(
        places in 1_usize..14,
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut stage = Stage::new(places);
        for step in &steps {
            stage.go(step)?;
        }
        // Longer than any operation and any hold can last.
        stage.pass(Duration::from_secs(2 * 3600))?;
        let table = &mut stage.bench.table;
        prop_assert!(table.operations.is_empty() && table.offers.is_empty());
        prop_assert!(table.timers.is_empty() && table.quiet.is_empty());
        let (looks, first_looks) = (&mut table.looks, &mut table.first_looks);
        prop_assert!(looks.is_empty() && first_looks.is_empty());
    }
}
