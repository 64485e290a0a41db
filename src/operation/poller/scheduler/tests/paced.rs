//! The most requests in a second.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A scheduler with this many requests in a second.
fn paced(per_second: u32) -> Bench {
    let mut bench = Bench::new();
    bench.scheduler.pace = Pace::new(NonZeroU32::new(per_second).unwrap());
    bench
}

/// Runs for this long; polls find the publish running after 50 ms. When each poll started,
/// its kind and its requests.
async fn run(bench: &mut Bench, time: Duration) -> Vec<(Instant, PollKind, usize)> {
    let until = Instant::now() + time;
    let mut started = Vec::new();
    let mut in_flight = std::collections::VecDeque::new();
    loop {
        for task in bench.tasks() {
            let now = Instant::now();
            started.push((now, task.kind, 1 + task.locations.len()));
            in_flight.push_back((now + Duration::from_millis(50), task));
        }
        let ready_at = bench.scheduler.ready_at(Instant::now());
        let done_at = in_flight.front().map(|(at, _)| *at);
        let next = [ready_at, done_at, Some(until)].into_iter().flatten().min();
        tokio::select! {
            biased;
            Some(target) = bench.scheduler.next_due() => {
                let now = bench.now();
                assert!(bench.scheduler.wake(&target, now).is_empty());
            }
            () = tokio::time::sleep_until(next.unwrap()) => {}
        }
        let now = Instant::now();
        while in_flight.front().is_some_and(|(at, _)| *at <= now) {
            let (_, task) = in_flight.pop_front().unwrap();
            let running = bench.running();
            bench.finish(&task, Ok(running));
        }
        if now >= until {
            return started;
        }
    }
}

/// The most requests in any second.
fn most(started: &[(Instant, PollKind, usize)]) -> usize {
    let from = |at: Instant| {
        let rest = started.iter().filter(move |(other, ..)| *other >= at);
        let second = rest.take_while(move |(other, ..)| *other < at + SECOND);
        second.map(|(.., requests)| requests).sum()
    };
    let times = started.iter().map(|(at, ..)| *at);
    times.map(from).max().unwrap_or(0)
}

fn recorded(bench: &Bench, offer: &str, seconds: i64, was_polled: bool) -> Arc<Operation> {
    let mut operation = bench.answered("contoso", offer);
    let guid = Location::Operation(Uuid::from_u128(7));
    operation.portal.location = Some(guid.path(&operation.target));
    let answered = bench.now().at - SignedDuration::from_secs(seconds);
    operation.evidence.answered_at = Some(answered);
    operation.evidence.first_look_at = was_polled.then_some(answered);
    Arc::new(operation)
}

#[tokio::test(start_paused = true)]
async fn a_start_with_20_000_operations_stays_below_the_pace_and_first_polls_come_first() {
    let mut bench = paced(100);
    for number in 0..20_000_u32 {
        // Some were never polled, and some have been due for hours.
        let (age, was_polled) = match number % 10 {
            0 => (600, false),
            1 => (7200, true),
            _ => (600, true),
        };
        let operation = recorded(&bench, &format!("old-{number}"), age, was_polled);
        bench.scheduler.add(operation, bench.now());
    }
    let mut started = run(&mut bench, 10 * SECOND).await;
    // New actions are polled within the second although thousands wait.
    for batch in 0..5 {
        for number in 0..20 {
            bench.add("contoso", &format!("new-{batch}-{number}"));
        }
        let second = run(&mut bench, SECOND).await;
        let is_first = |(_, kind, _): &&(Instant, PollKind, usize)| *kind == PollKind::First;
        assert_eq!(second.iter().filter(is_first).count(), 20, "{batch}");
        started.extend(second);
    }
    assert!(most(&started) <= 100, "{}", most(&started));
    let all: usize = started.iter().map(|(.., requests)| requests).sum();
    assert!((1300..=1500).contains(&all), "{all}");
    // Those of hours ago end by their polls, and another publisher does not wait.
    assert!(bench.scheduler.operations.len() >= 20_100 - 2_000);
    bench.add("fabrikam", "one");
    let is_its = |task: &PollTask| task.target.publisher().as_str() == "fabrikam";
    assert!(bench.tasks().iter().any(is_its));
}

#[tokio::test(start_paused = true)]
async fn an_overdue_operation_waits_for_its_last_poll_instead_of_ending_without() {
    let mut bench = paced(100);
    for number in 0..5_000 {
        let operation = recorded(&bench, &format!("old-{number}"), 7200, true);
        bench.scheduler.add(operation, bench.now());
    }
    // None ends without a poll; each ends by one.
    let started = run(&mut bench, 60 * SECOND).await;
    assert_eq!(started.len(), 5_000);
    assert!(bench.scheduler.operations.is_empty());
}

#[tokio::test(start_paused = true)]
async fn further_polls_get_a_tenth_while_first_ones_never_cease() {
    let mut bench = paced(50);
    for number in 0..500 {
        let operation = recorded(&bench, &format!("old-{number}"), 7200, true);
        bench.scheduler.add(operation, bench.now());
    }
    for number in 0..2_000 {
        bench.add("contoso", &format!("new-{number}"));
    }
    let started = run(&mut bench, 20 * SECOND).await;
    let is_further = |(_, kind, _): &&(Instant, PollKind, usize)| *kind == PollKind::Further;
    let further = started.iter().filter(is_further).count();
    let all = started.len();
    assert!(
        further >= all / 12 && further <= all / 8,
        "{further} of {all}"
    );
}

#[tokio::test(start_paused = true)]
async fn status_texts_count_and_are_read_only_while_nothing_waits() {
    let mut bench = paced(20);
    let add = |bench: &mut Bench, number: usize| {
        let operation = recorded(bench, &format!("vm-{number}"), 0, false);
        bench.scheduler.add(operation, bench.now());
    };
    add(&mut bench, 0);
    let calm = run(&mut bench, SECOND).await;
    assert_eq!(calm.iter().map(|(.., requests)| requests).sum::<usize>(), 2);
    (1..40).for_each(|number| add(&mut bench, number));
    let busy = run(&mut bench, SECOND).await;
    assert!(busy.iter().all(|(.., requests)| *requests == 1), "{busy:?}");
    assert!(most(&busy) <= 20);
}
