//! Many operations of one offer: what they share, and what is bounded.

use std::collections::HashSet;

use super::super::super::offer::MAX_POLLS_OF_ONE;
use super::*;

impl Bench {
    /// An operation with a location of its own.
    fn add_at(&mut self, offer: &str, guid: u128) -> OperationId {
        let mut operation = self.answered("contoso", offer);
        let location = Location::Operation(Uuid::from_u128(guid));
        operation.portal.location = Some(location.path(&operation.target));
        let id = operation.id;
        self.scheduler.add(Arc::new(operation), self.now());
        id
    }

    fn canceled(&self) -> Vec<Submission> {
        let mut list = self.running();
        list[0].state = RunState::Canceled;
        list[0].changed = Some(self.now().at);
        list
    }
}

#[tokio::test(start_paused = true)]
async fn first_polls_of_one_offer_are_few_however_many_operations_arrive() {
    let mut bench = Bench::new();
    let mut hang = Vec::new();
    for _ in 0..100 {
        bench.add("contoso", "one");
        hang.extend(bench.tasks());
    }
    assert_eq!(hang.len(), MAX_POLLS_OF_ONE[0]);
    // When one of them has finished, all the others share the next.
    let running = bench.running();
    bench.finish(&hang[0], Ok(running));
    let all = bench.task();
    assert_eq!(bench.members(&all), 100 - (MAX_POLLS_OF_ONE[0] - 1));
    let running = bench.running();
    bench.finish(&all, Ok(running));
    assert!(bench.tasks().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_poll_reads_a_few_status_texts_and_every_location_has_its_turn() {
    const COUNT: u128 = 30;
    let mut bench = Bench::new();
    for guid in 0..COUNT {
        bench.add_at("one", guid);
    }
    let mut task = bench.task();
    let mut asked: Vec<Location> = Vec::new();
    for _ in 0..4 {
        assert!(task.locations.len() <= 8, "{task:?}");
        asked.extend(&task.locations);
        let running = bench.running();
        bench.finish(&task, Ok(running));
        bench.wake().await;
        task = bench.task();
    }
    let once: HashSet<Location> = asked[..30].iter().copied().collect();
    assert_eq!(once.len(), 30, "{asked:?}");
    // While the vendor wants no requests for them, only the list is read.
    bench.texts_retry_after = Some(Duration::from_secs(40));
    let running = bench.running();
    bench.finish(&task, Ok(running));
    bench.texts_retry_after = None;
    let started = Instant::now();
    let mut polls = 0;
    loop {
        bench.wake().await;
        let task = bench.task();
        if !task.locations.is_empty() {
            break;
        }
        polls += 1;
        let running = bench.running();
        bench.finish(&task, Ok(running));
    }
    assert!(polls >= 2, "{polls}");
    assert!(started.elapsed() >= Duration::from_secs(40));
}

#[tokio::test(start_paused = true)]
async fn operations_that_shared_a_first_poll_are_not_polled_again_at_once() {
    let mut bench = Bench::new();
    bench.add("contoso", "one");
    let first = bench.task();
    let running = bench.running();
    bench.finish(&first, Ok(running.clone()));
    // It is queued for a further poll, and a new one arrives at that moment.
    bench.wake().await;
    bench.add("contoso", "one");
    let shared = bench.task();
    assert_eq!(shared.kind, PollKind::First);
    assert_eq!(bench.members(&shared), 2);
    bench.finish(&shared, Ok(running));
    assert!(bench.tasks().is_empty());
    let started = Instant::now();
    bench.wake().await;
    assert!(started.elapsed() >= POLL);
}

#[tokio::test(start_paused = true)]
async fn a_removed_operation_is_forgotten_and_its_offer_when_its_poll_has_finished() {
    let mut bench = Bench::new();
    let id = bench.add("contoso", "one");
    let first = bench.task();
    let running = bench.running();
    bench.finish(&first, Ok(running.clone()));
    bench.wake().await;
    let further = bench.task();
    bench.scheduler.remove(id);
    assert!(!bench.scheduler.tracks(id));
    assert!(bench.scheduler.timers.is_empty());
    // Another operation arrives, and its first poll finishes before that one.
    bench.add("contoso", "one");
    let first = bench.task();
    bench.finish(&first, Ok(running.clone()));
    assert!(
        bench.scheduler.timers.is_empty(),
        "a second poll beside the first"
    );
    assert!(bench.finish(&further, Ok(running)).is_empty());
    bench.wake().await;
    let further = bench.task();
    let canceled = bench.canceled();
    assert_eq!(bench.finish(&further, Ok(canceled)).len(), 1);
    assert!(bench.scheduler.offers.is_empty());
}
