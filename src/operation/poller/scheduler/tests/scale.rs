//! Many operations, and times far away.

use super::super::super::offer::MAX_SLEEP;
use super::*;

#[tokio::test(start_paused = true)]
async fn a_start_with_many_operations_spreads_their_polls_but_not_the_first_ones() {
    let mut bench = Bench::new();
    bench.add("contoso", "fresh");
    for n in 0..1000 {
        let mut operation = bench.answered("contoso", &format!("old-{n}"));
        let answered = bench.now().at - SignedDuration::from_secs(600);
        operation.evidence.answered_at = Some(answered);
        operation.evidence.first_look_at = Some(answered);
        bench.scheduler.add(Arc::new(operation), bench.now());
    }
    assert_eq!(&*bench.task().target.offer().to_string(), "fresh");
    // Ten minutes old, they are polled once a minute.
    let mut by_tenth = [0; 10];
    let operations = bench.scheduler.operations.values();
    for tracked in operations.filter(|one| one.phase == Phase::Waiting) {
        let wait = tracked.due - Instant::now();
        by_tenth[usize::try_from(wait.as_secs() / 6).unwrap()] += 1;
    }
    assert_eq!(by_tenth.iter().sum::<i32>(), 1000);
    assert!(
        by_tenth.iter().all(|count| (50..150).contains(count)),
        "{by_tenth:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_is_years_away_is_set_again_and_again() {
    let year = Duration::from_secs(365 * 24 * 3600);
    let mut bench = Bench::new();
    bench.scheduler.rules.interval = PollInterval::new(100 * year);
    bench.scheduler.rules.deadlines.give_up = 200 * year;
    let id = bench.add("contoso", "one");
    let (task, running) = (bench.task(), bench.running());
    bench.finish(&task, Ok(running));
    let started = Instant::now();
    for _ in 0..3 {
        assert!(bench.wake().await.is_empty() && bench.tasks().is_empty());
    }
    assert!(started.elapsed() >= 3 * MAX_SLEEP);
    bench.scheduler.remove(id);
    assert!(bench.scheduler.timers.is_empty());
}

#[test]
fn an_idle_operation_is_small() {
    // Beside the operation itself: its entry, its offer's, and a timer.
    let entry = size_of::<(OperationId, TrackedOperation)>();
    let offer = size_of::<(Rc<Target>, TrackedOffer)>() + size_of::<Target>();
    let timer = size_of::<Rc<Target>>() + 64;
    let all = size_of::<Operation>() + 2 * (entry + offer) + timer;
    assert!(all < 2048, "{all} bytes");
}
