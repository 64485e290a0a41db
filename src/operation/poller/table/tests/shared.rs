//! Many operations of one offer: what they share, and what is bounded.

use super::super::super::offer::MAX_FIRST_LOOKS_AT_ONE;
use super::*;

impl Bench {
    /// An operation whose word is to be asked for at a place of its own.
    fn add_at(&mut self, offer: &str, guid: u128) -> OperationId {
        let mut operation = self.answered("contoso", offer);
        let location = Location::Operation(Uuid::from_u128(guid));
        let target = operation.target.clone();
        operation.portal.location = Some(location.path(&target));
        let id = operation.id;
        self.table.add(Arc::new(operation), self.now);
        id
    }

    fn canceled(&self) -> Vec<Submission> {
        let mut list = self.running();
        list[0].state = RunState::Canceled;
        list[0].changed = Some(self.now.at);
        list
    }
}

#[test]
fn first_looks_at_one_offer_are_few_however_many_come() {
    let mut bench = Bench::new();
    let mut hang = Vec::new();
    for _ in 0..100 {
        bench.add("contoso", "one");
        hang.extend(bench.errands());
    }
    assert_eq!(hang.len(), MAX_FIRST_LOOKS_AT_ONE);
    // When one of them is over, all the others go together.
    let running = bench.running();
    bench.seen(&hang[0], Ok(running));
    let all = bench.errand();
    assert_eq!(bench.members(&all), 100 - (MAX_FIRST_LOOKS_AT_ONE - 1));
    let running = bench.running();
    bench.seen(&all, Ok(running));
    assert!(bench.errands().is_empty());
}

#[test]
fn a_few_words_a_look_and_everybody_has_a_turn() {
    const COUNT: u128 = 30;
    let mut bench = Bench::new();
    for guid in 0..COUNT {
        bench.add_at("one", guid);
    }
    let mut errand = bench.errand();
    let mut asked: Vec<Location> = Vec::new();
    for _ in 0..4 {
        assert!(errand.locations.len() <= 8, "{errand:?}");
        asked.extend(&errand.locations);
        let running = bench.running();
        bench.seen(&errand, Ok(running));
        bench.wake();
        errand = bench.errand();
    }
    let once: HashSet<Location> = asked[..30].iter().copied().collect();
    assert_eq!(once.len(), 30, "{asked:?}");
    // A vendor that does not want to be asked for them is asked for the list only.
    bench.no_words_for = Some(Duration::from_secs(40));
    let running = bench.running();
    bench.seen(&errand, Ok(running));
    bench.no_words_for = None;
    let begun = bench.now.instant;
    let mut looks = 0;
    loop {
        bench.wake();
        let errand = bench.errand();
        if !errand.locations.is_empty() {
            break;
        }
        looks += 1;
        let running = bench.running();
        bench.seen(&errand, Ok(running));
    }
    assert!(looks >= 2, "{looks}");
    assert!(bench.now.instant - begun >= Duration::from_secs(40));
}

#[test]
fn what_a_first_look_took_along_is_not_looked_at_again_at_once() {
    let mut bench = Bench::new();
    bench.add("contoso", "one");
    let first = bench.errand();
    let running = bench.running();
    bench.seen(&first, Ok(running.clone()));
    // It is put in the lane of further looks, and a new one comes at that moment.
    bench.wake();
    bench.add("contoso", "one");
    let shared = bench.errand();
    assert!(shared.is_first);
    assert_eq!(bench.members(&shared), 2);
    bench.seen(&shared, Ok(running));
    assert!(bench.errands().is_empty());
    let begun = bench.now.instant;
    bench.wake();
    assert!(bench.now.instant - begun >= POLL);
}

#[test]
fn what_is_handed_in_finished_is_forgotten_and_its_offer_when_its_look_is_over() {
    let mut bench = Bench::new();
    let id = bench.add("contoso", "one");
    let first = bench.errand();
    let running = bench.running();
    bench.seen(&first, Ok(running.clone()));
    bench.wake();
    let further = bench.errand();
    bench.table.drop_finished(id);
    assert!(!bench.table.follows(id));
    assert_eq!(bench.table.wakes_at(), None);
    // Somebody else comes, and has had the first look before that one is over.
    bench.add("contoso", "one");
    let first = bench.errand();
    bench.seen(&first, Ok(running.clone()));
    assert_eq!(
        bench.table.wakes_at(),
        None,
        "a second look beside the first"
    );
    assert!(bench.seen(&further, Ok(running)).is_empty());
    bench.wake();
    let further = bench.errand();
    let canceled = bench.canceled();
    assert_eq!(bench.seen(&further, Ok(canceled)).len(), 1);
    assert!(bench.table.offers.is_empty());
}
