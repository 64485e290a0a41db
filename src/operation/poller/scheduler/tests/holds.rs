//! Pauses that the vendor demands.

use super::*;

/// The next poll of this offer, and how long it takes until then.
async fn next_poll_of(bench: &mut Bench, offer: &str) -> (PollTask, Duration) {
    let started = Instant::now();
    loop {
        assert!(bench.wake().await.is_empty());
        let mut found = None;
        for task in bench.tasks() {
            if task.target.offer().as_str() == offer {
                found = Some(task);
            } else {
                let running = bench.running();
                bench.finish(&task, Ok(running));
            }
        }
        if let Some(task) = found {
            return (task, started.elapsed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_first_poll_holds_only_its_own_offer() {
    let mut bench = Bench::new();
    bench.add("contoso", "calm");
    let calm = bench.task();
    let running = bench.running();
    bench.finish(&calm, Ok(running.clone()));
    bench.add("contoso", "busy");
    let busy = bench.task();
    bench.finish(&busy, Err(throttled(50)));
    // A first poll of another offer starts at once, one of the same offer waits.
    bench.add("contoso", "new");
    bench.add("contoso", "busy");
    let new = bench.task();
    assert_eq!(new.target.offer().as_str(), "new");
    let (calm, soon) = next_poll_of(&mut bench, "calm").await;
    assert!(soon <= 2 * POLL, "{soon:?}");
    bench.finish(&calm, Ok(running));
    let late = soon + next_poll_of(&mut bench, "busy").await.1;
    let asked = Duration::from_secs(50);
    assert!(late >= asked && late <= asked + 2 * POLL, "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_further_poll_holds_only_its_own_offer() {
    for (asked, own) in [(20, 20), (u64::from(u32::MAX), 3600)] {
        let mut bench = Bench::new();
        bench.scheduler.rules.deadlines.give_up = Duration::from_secs(7200);
        bench.add("contoso", "calm");
        bench.add("contoso", "busy");
        let running = bench.running();
        for task in bench.tasks() {
            bench.finish(&task, Ok(running.clone()));
        }
        let (busy, _) = next_poll_of(&mut bench, "busy").await;
        bench.finish(&busy, Err(throttled(asked)));
        let own = Duration::from_secs(own);
        let (calm, soon) = next_poll_of(&mut bench, "calm").await;
        assert!(soon <= 3 * POLL, "{asked}: {soon:?}");
        bench.finish(&calm, Ok(running));
        let late = soon + next_poll_of(&mut bench, "busy").await.1;
        assert!(late >= own && late <= own + 2 * POLL, "{late:?}");
    }
}

/// Every 20 seconds another offer is throttled for an hour, at its first poll or its second.
#[tokio::test(start_paused = true)]
async fn ever_new_throttled_offers_do_not_hold_the_others() {
    for throttles_first in [true, false] {
        let mut bench = Bench::new();
        bench.scheduler.rules.deadlines.give_up = Duration::from_secs(7200);
        let running = bench.running();
        bench.add("contoso", "calm");
        let calm = bench.task();
        bench.finish(&calm, Ok(running.clone()));
        let mut last_poll = Instant::now();
        let (mut longest, mut number) = (Duration::ZERO, 0);
        let started = Instant::now();
        let mut next_offer = started;
        while started.elapsed() < Duration::from_secs(600) {
            if Instant::now() >= next_offer {
                next_offer += Duration::from_secs(20);
                number += 1;
                bench.add("contoso", &format!("busy-{number}"));
            }
            let is_first = |task: &PollTask| task.kind == PollKind::First;
            for task in bench.tasks() {
                let is_calm = task.target.offer().as_str() == "calm";
                let refuses = !is_calm && (throttles_first || !is_first(&task));
                let found = match refuses {
                    true => Err(throttled(3600)),
                    false => Ok(running.clone()),
                };
                if is_calm {
                    longest = longest.max(last_poll.elapsed());
                    last_poll = Instant::now();
                }
                bench.finish(&task, found);
            }
            tokio::select! {
                biased;
                ended = bench.wake() => assert!(ended.is_empty()),
                () = tokio::time::sleep_until(next_offer) => {}
            }
        }
        // Its own longest pause, and no hold.
        assert!(longest <= Duration::from_secs(67), "{longest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hold_does_not_outlast_the_operation() {
    let mut bench = Bench::new();
    let id = bench.add("contoso", "busy");
    let task = bench.task();
    bench.finish(&task, Err(throttled(u64::from(u32::MAX))));
    let started = Instant::now();
    let over = bench.wake().await;
    assert!(started.elapsed() <= DEADLINES.give_up + Duration::from_secs(1));
    assert_eq!((over[0].id, over[0].outcome), (id, Some(Outcome::Unknown)));
    assert!(message(&over[0]).contains("throttling"));
    assert!(bench.tasks().is_empty());
    assert!(bench.scheduler.offers.is_empty());
    // The hold outlives the operation: the next one of the offer waits for the rest.
    let next = Instant::now();
    bench.add("contoso", "busy");
    assert!(bench.tasks().is_empty());
    bench.wake().await;
    assert!(next.elapsed() >= Duration::from_secs(1790));
}

/// Three offers of a publisher in a row hold the others, for as long as the vendor asks and a
/// minute at most; without a token each offer waits for itself.
#[tokio::test(start_paused = true)]
async fn several_throttled_offers_in_a_row_hold_the_publisher() {
    let no_token = || {
        ReadFailure::NoToken(crate::credential::Unavailable {
            retry_after: Duration::from_secs(300),
            failure: None,
        })
    };
    for (has_token, least, most) in [(true, 60, 70), (false, 0, 20)] {
        let mut bench = Bench::new();
        bench.scheduler.rules.deadlines.give_up = Duration::from_secs(7200);
        let running = bench.running();
        for offer in ["busy-1", "busy-2", "busy-3", "calm"] {
            bench.add("contoso", offer);
        }
        for task in bench.tasks() {
            bench.finish(&task, Ok(running.clone()));
        }
        // The calm one is polled last, whatever order chance has given them.
        let mut tasks = Vec::new();
        while tasks.len() < 4 {
            bench.wake().await;
            tasks.extend(bench.tasks());
        }
        let is_calm = |task: &&PollTask| task.target.offer().as_str() == "calm";
        let calm = tasks.iter().find(is_calm).unwrap();
        bench.finish(calm, Ok(running.clone()));
        for busy in tasks.iter().filter(|task| !is_calm(task)) {
            let failure = if has_token {
                throttled(300)
            } else {
                no_token()
            };
            bench.finish(busy, Err(failure));
        }
        let (_, soon) = next_poll_of(&mut bench, "calm").await;
        let bounds = Duration::from_secs(least)..=Duration::from_secs(most);
        assert!(bounds.contains(&soon), "{has_token}: {soon:?}");
    }
}
