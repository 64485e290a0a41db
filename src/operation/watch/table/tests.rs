//! Whose turn it is, without a vendor and without waiting: time is an argument.

use jiff::SignedDuration;
use uuid::Uuid;

use super::*;
use crate::domain::{Action, CallerName, Delivered, OfferId, Outcome, RequestId};
use crate::operation::vendor::{Listing, Unread};
use crate::portal::{ReadError, RunState, Submission, Submissions};

const POLL: Duration = Duration::from_secs(5);
const PATIENCE: Patience = Patience {
    settle: Duration::from_secs(30),
    give_up: Duration::from_secs(1800),
};

/// A table, and a clock that is set by hand.
struct Bench {
    table: Table,
    now: Moment,
}

impl Bench {
    fn new() -> Self {
        Self {
            table: Table::new(POLL, PATIENCE),
            now: Moment::now(),
        }
    }

    fn answered(&self, publisher: &str, offer: &str) -> Operation {
        let mut operation = Operation::intent(
            Action::Cancel,
            PublisherId::parse(publisher).unwrap(),
            OfferId::parse(offer).unwrap(),
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
        found: Result<Vec<Submission>, Unread>,
    ) -> Vec<Arc<Operation>> {
        let retry_after = found.as_ref().err().and_then(Unread::retry_after);
        let listing = Listing {
            begun: self.now.at,
            ended: self.now.at,
            submissions: found.map(|list| Submissions {
                list,
                date: Some(self.now.at),
            }),
        };
        let seen = Seen::of(listing, retry_after);
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

fn throttled(seconds: u64) -> Unread {
    Unread::Read(ReadError::Throttled(Some(Duration::from_secs(seconds))))
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

#[test]
fn a_hold_is_for_the_offer_and_for_further_looks_of_the_publisher() {
    let mut bench = Bench::new();
    bench.add("contoso", "calm");
    let calm = bench.errand();
    let running = bench.running();
    bench.seen(&calm, Ok(running));
    bench.add("contoso", "busy");
    let busy = bench.errand();
    let begun = bench.now.instant;
    bench.seen(&busy, Err(throttled(60)));
    // A first look at another offer goes at once, at the same one it waits.
    bench.add("contoso", "new");
    bench.add("contoso", "busy");
    assert_eq!(&*bench.errand().target.offer.to_string(), "new");
    loop {
        assert!(bench.wake().is_empty());
        let errands = bench.errands();
        let waited = bench.now.instant - begun;
        if let Some(errand) = errands.first() {
            assert!(
                waited >= Duration::from_secs(60),
                "{errand:?} after {waited:?}"
            );
            assert!(waited <= Duration::from_secs(61) + POLL);
            break;
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
    assert!(bench.errands().is_empty());
    assert!(bench.table.offers.is_empty());
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
    assert_eq!(&*bench.errand().target.offer.to_string(), "fresh");
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
