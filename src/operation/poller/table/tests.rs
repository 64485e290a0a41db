//! Whose turn it is, without a vendor and without waiting: time is an argument.

use jiff::SignedDuration;
use uuid::Uuid;

use super::*;
use crate::domain::{Action, CallerName, Delivered, Outcome, RequestId, Target};
use crate::operation::authorized_portal::{ReadFailure, SubmissionsSnapshot};
use crate::portal::{ReadError, RunState, Submission, Submissions};

mod shared;
mod steps;

const POLL: Duration = Duration::from_secs(5);
const PATIENCE: Patience = Patience {
    settle: Duration::from_secs(30),
    give_up: Duration::from_secs(1800),
};

/// A table, and a clock that is set by hand.
struct Bench {
    table: Table,
    now: Moment,
    /// How long the vendor does not want to be asked for words.
    no_words_for: Option<Duration>,
}

impl Bench {
    fn new() -> Self {
        Self {
            table: Table::new(POLL, PATIENCE),
            now: Moment::now(),
            no_words_for: None,
        }
    }

    fn answered(&self, publisher: &str, offer: &str) -> Operation {
        let mut operation = Operation::intent(
            Action::Cancel,
            Target::sample(publisher, offer),
            CallerName::parse("pipeline").unwrap(),
            RequestId::generate(),
        );
        operation.evidence.answered_at = Some(self.now.at);
        operation.evidence.vendor_date = Some(self.now.at);
        operation.follow(Delivered::Yes);
        operation
    }

    fn add(&mut self, publisher: &str, offer: &str) -> OperationId {
        let operation = Arc::new(self.answered(publisher, offer));
        let id = operation.id;
        self.table.add(operation, self.now);
        id
    }

    fn pass(&mut self, time: Duration) {
        self.now.instant += time;
        self.now.at += time;
    }

    /// Goes on to the next moment at which something is due.
    fn wake(&mut self) -> Vec<Arc<Operation>> {
        let at = self.table.wakes_at().expect("nothing is due");
        self.pass(at.saturating_duration_since(self.now.instant));
        self.table.wake(self.now)
    }

    fn errands(&mut self) -> Vec<Errand> {
        std::iter::from_fn(|| self.table.next_look(self.now)).collect()
    }

    fn errand(&mut self) -> Errand {
        let mut errands = self.errands();
        assert_eq!(errands.len(), 1, "{errands:?}");
        errands.remove(0)
    }

    fn seen(
        &mut self,
        errand: &Errand,
        found: Result<Vec<Submission>, ReadFailure>,
    ) -> Vec<Arc<Operation>> {
        let listing = SubmissionsSnapshot {
            begun: self.now.at,
            ended: self.now.at,
            submissions: found.map(|list| Submissions {
                list,
                date: Some(self.now.at),
            }),
        };
        let seen = Seen::of(listing, &errand.locations, self.no_words_for);
        self.table.seen(errand, &seen, self.now)
    }

    fn running(&self) -> Vec<Submission> {
        vec![Submission {
            id: Uuid::from_u128(1),
            state: RunState::Running,
            changed: Some(self.now.at - SignedDuration::from_hours(1)),
        }]
    }

    fn members(&self, errand: &Errand) -> usize {
        let place = Place::Looking(errand.number);
        let all = self.table.operations.values();
        all.filter(|followed| followed.place == place).count()
    }
}

fn throttled(seconds: u64) -> ReadFailure {
    ReadFailure::Portal(ReadError::Status(429, Some(Duration::from_secs(seconds))))
}

#[test]
fn arrivals_of_one_moment_share_a_first_look_and_later_ones_have_their_own() {
    let mut bench = Bench::new();
    bench.add("contoso", "one");
    bench.add("contoso", "one");
    bench.add("contoso", "two");
    let errands = bench.errands();
    let members: Vec<usize> = errands.iter().map(|errand| bench.members(errand)).collect();
    assert_eq!(members, [2, 1]);
    // That look is still under way: this one does not wait for it, nor does it take
    // those along that are looked at already.
    bench.add("contoso", "one");
    let own = bench.errand();
    assert_eq!(bench.members(&own), 1);
    // Idle ones ride along.
    let running = bench.running();
    assert_eq!(bench.seen(&errands[0], Ok(running)).len(), 2);
    bench.add("contoso", "one");
    let shared = bench.errand();
    assert_eq!(bench.members(&shared), 3);
    // The same operation twice is one.
    let known = Arc::clone(&bench.table.operations.values().next().unwrap().operation);
    bench.table.add(known, bench.now);
    assert_eq!(bench.table.operations.len(), 5);
}

#[test]
fn one_further_look_at_an_offer_at_a_time() {
    let mut bench = Bench::new();
    bench.add("contoso", "one");
    let first = bench.errand();
    let running = bench.running();
    bench.seen(&first, Ok(running));
    bench.wake();
    let further = bench.errand();
    assert!(!further.is_first);
    // It hangs, while a new operation has its first look.
    bench.add("contoso", "one");
    let first = bench.errand();
    assert!(first.is_first);
    let running = bench.running();
    bench.seen(&first, Ok(running.clone()));
    assert_eq!(bench.table.wakes_at(), None);
    bench.seen(&further, Ok(running));
    bench.wake();
    let shared = bench.errand();
    assert_eq!(bench.members(&shared), 2);
}

#[test]
fn what_is_over_is_followed_no_longer() {
    let mut bench = Bench::new();
    let id = bench.add("contoso", "one");
    let first = bench.errand();
    let mut list = bench.running();
    bench.seen(&first, Ok(list.clone()));
    bench.wake();
    let further = bench.errand();
    list[0].state = RunState::Canceled;
    let changed = bench.seen(&further, Ok(list));
    assert_eq!(changed[0].id, id);
    assert_eq!(changed[0].outcome, Some(Outcome::Canceled));
    assert!(bench.table.operations.is_empty() && bench.table.offers.is_empty());
    assert_eq!(bench.table.wakes_at(), None);
}

/// The next look at this offer, and how long it takes until then.
fn next_look(bench: &mut Bench, offer: &str) -> (Errand, Duration) {
    let begun = bench.now.instant;
    loop {
        assert!(bench.wake().is_empty());
        let mut found = None;
        for errand in bench.errands() {
            if errand.target.offer().as_str() == offer {
                found = Some(errand);
            } else {
                let running = bench.running();
                bench.seen(&errand, Ok(running));
            }
        }
        if let Some(errand) = found {
            return (errand, bench.now.instant - begun);
        }
    }
}

#[test]
fn what_a_first_look_is_told_is_about_its_offer_only() {
    let mut bench = Bench::new();
    bench.add("contoso", "calm");
    let calm = bench.errand();
    let running = bench.running();
    bench.seen(&calm, Ok(running.clone()));
    bench.add("contoso", "busy");
    let busy = bench.errand();
    bench.seen(&busy, Err(throttled(50)));
    // A first look at another offer goes at once, at the same one it waits.
    bench.add("contoso", "new");
    bench.add("contoso", "busy");
    let new = bench.errand();
    assert_eq!(new.target.offer().as_str(), "new");
    let (calm, soon) = next_look(&mut bench, "calm");
    assert!(soon <= 2 * POLL, "{soon:?}");
    bench.seen(&calm, Ok(running));
    let late = soon + next_look(&mut bench, "busy").1;
    let asked = Duration::from_secs(50);
    assert!(late >= asked && late <= asked + 2 * POLL, "{late:?}");
}

#[test]
fn what_a_further_look_is_told_holds_the_publisher_back_for_a_minute_at_most() {
    for (asked, others, own) in [(20, 20, 20), (u64::from(u32::MAX), 60, 3600)] {
        let mut bench = Bench::new();
        bench.table.patience.give_up = Duration::from_secs(7200);
        bench.add("contoso", "calm");
        bench.add("contoso", "busy");
        let running = bench.running();
        for errand in bench.errands() {
            bench.seen(&errand, Ok(running.clone()));
        }
        let (busy, _) = next_look(&mut bench, "busy");
        bench.seen(&busy, Err(throttled(asked)));
        let (others, own) = (Duration::from_secs(others), Duration::from_secs(own));
        let (calm, soon) = next_look(&mut bench, "calm");
        assert!(
            soon >= others && soon <= others + 2 * POLL,
            "{asked}: {soon:?}"
        );
        bench.seen(&calm, Ok(running));
        // Where both wait as long, either can come first.
        if own > others {
            let late = soon + next_look(&mut bench, "busy").1;
            assert!(late >= own && late <= own + 2 * POLL, "{late:?}");
        }
    }
}

#[test]
fn a_hold_does_not_outlast_the_operation() {
    let mut bench = Bench::new();
    let id = bench.add("contoso", "busy");
    let errand = bench.errand();
    bench.seen(&errand, Err(throttled(u64::from(u32::MAX))));
    let begun = bench.now.instant;
    let over = bench.wake();
    assert!(bench.now.instant - begun <= PATIENCE.give_up + Duration::from_secs(1));
    assert_eq!((over[0].id, over[0].outcome), (id, Some(Outcome::Unknown)));
    assert!(message(&over[0]).contains("asked to be left alone"));
    assert!(bench.errands().is_empty());
    assert!(bench.table.offers.is_empty());
    // The hold outlives it: the next one at the same offer waits for what is left.
    let next = bench.now.instant;
    bench.add("contoso", "busy");
    assert!(bench.errands().is_empty());
    bench.wake();
    assert!(bench.now.instant - next >= Duration::from_secs(1790));
}

fn message(operation: &Operation) -> &str {
    &operation.error.as_ref().unwrap().message
}

#[test]
fn a_last_look_that_fails_is_repeated_for_a_while() {
    for recovers in [true, false] {
        let mut bench = Bench::new();
        bench.add("contoso", "one");
        let (running, begun) = (bench.running(), bench.now.instant);
        let mut errand = bench.errand();
        let mut fails = 0;
        let over = loop {
            let is_end = bench.now.instant - begun >= PATIENCE.give_up;
            let found = if is_end && !(recovers && fails == 5) {
                fails += 1;
                Err(ReadFailure::Portal(ReadError::Status(500, None)))
            } else {
                Ok(running.clone())
            };
            let mut changed = bench.seen(&errand, found);
            if let Some(over) = changed.pop().filter(|one| one.status.is_final()) {
                break over;
            }
            assert!(bench.wake().is_empty());
            errand = bench.errand();
        };
        let late = bench.now.instant - begun - PATIENCE.give_up;
        if recovers {
            assert_eq!(over.outcome, Some(Outcome::NotCanceled));
            assert!(late < 6 * POLL, "{late:?}");
        } else {
            assert!(message(&over).contains("could not be read"));
            let grace = PATIENCE.grace();
            assert!(late >= grace && late < grace + POLL, "{late:?}");
            assert!(fails >= 50, "{fails}");
        }
    }
}

#[test]
fn whoever_finds_no_place_until_long_after_its_end_is_over() {
    let mut bench = Bench::new();
    for n in 0..MAX_FIRST_LOOKS {
        bench.add("contoso", &format!("hangs-{n}"));
    }
    let hang = bench.errands();
    assert_eq!(hang.len(), MAX_FIRST_LOOKS / 2);
    let over = bench.wake();
    assert_eq!(over.len(), MAX_FIRST_LOOKS / 2);
    assert!(over.iter().all(|one| one.outcome == Some(Outcome::Unknown)));
    assert!(message(&over[0]).contains("too many other"));
    // Those in a look are left to its end.
    assert_eq!(bench.table.operations.len(), hang.len());
    // And what is over is not looked at when there is a place again.
    let running = bench.running();
    bench.seen(&hang[0], Ok(running));
    assert!(bench.errands().is_empty());
}

#[test]
fn a_start_with_many_is_no_rush_but_first_looks_are_taken() {
    let mut bench = Bench::new();
    bench.add("contoso", "fresh");
    for n in 0..1000 {
        let mut operation = bench.answered("contoso", &format!("old-{n}"));
        let answered = bench.now.at - SignedDuration::from_secs(600);
        operation.evidence.answered_at = Some(answered);
        operation.evidence.first_look_at = Some(answered);
        bench.table.add(Arc::new(operation), bench.now);
    }
    assert_eq!(&*bench.errand().target.offer().to_string(), "fresh");
    // Ten minutes old, they are looked at once a minute.
    let mut by_tenth = [0; 10];
    for followed in bench
        .table
        .operations
        .values()
        .filter(|one| one.place == Place::Idle)
    {
        let wait = followed.due - bench.now.instant;
        by_tenth[usize::try_from(wait.as_secs() / 6).unwrap()] += 1;
    }
    assert_eq!(by_tenth.iter().sum::<i32>(), 1000);
    assert!(
        by_tenth.iter().all(|count| (50..150).contains(count)),
        "{by_tenth:?}"
    );
}

#[test]
fn an_idle_operation_is_small() {
    // Beside the operation itself: its entry, its offer's, and a timer.
    let entry = size_of::<(OperationId, Followed)>() + size_of::<(Rc<Target>, Offer)>();
    let offer = size_of::<Target>() + size_of::<(Instant, Rc<Target>)>();
    let all = size_of::<Operation>() + 2 * (entry + offer);
    assert!(all < 2048, "{all} bytes");
}
