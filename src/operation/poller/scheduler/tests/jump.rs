//! The wall clock is set forward or back while operations are polled.

use super::*;
use crate::domain::clock::tests::jump;
use crate::domain::{Evidence, clock};
use crate::operation::authorized_portal::Exchange;
use crate::operation::{answer, outcome};
use crate::policy::Cancel;
use crate::portal::{Answer, Meaning};

/// An operation whose cancel was answered just now.
fn answered() -> Arc<Operation> {
    let mut operation = Arc::new(Operation::sample());
    let accepted = Answer {
        http_status: 202,
        meaning: Meaning::Accepted,
        location: None,
        date: Some(clock::steady_now()),
        correlation_id: None,
        said: crate::domain::PortalError::default(),
    };
    let exchange = Exchange {
        answer: Ok(accepted),
        took: Duration::from_millis(10),
        refused_once: false,
    };
    assert!(answer::apply::<Cancel>(&mut operation, exchange).is_none());
    operation
}

/// Polls until something has changed; the list is found as it is.
async fn poll(scheduler: &mut Scheduler, list: &[Submission]) -> Vec<Arc<Operation>> {
    loop {
        if let Some(task) = scheduler.next_poll(Now::read()) {
            let now = Now::read();
            let snapshot = SubmissionsSnapshot {
                started: now.at,
                ended: now.at,
                submissions: Ok(Submissions {
                    list: list.to_vec(),
                    date: Some(now.at),
                }),
            };
            let result = PollResult::new(snapshot, &task.locations, None);
            return scheduler.poll_finished(&task, &result, Now::read());
        }
        let target = scheduler.next_due().await.expect("nothing is due");
        assert!(scheduler.wake(&target, Now::read()).is_empty());
    }
}

fn publish(state: RunState) -> Vec<Submission> {
    vec![Submission {
        id: Uuid::from_u128(1),
        state,
        changed: Some(clock::steady_now() - SignedDuration::from_hours(1)),
    }]
}

#[test]
fn a_jump_in_either_direction_changes_no_outcome() {
    for hours in [2, -2, 24 * 365, -24] {
        // Each with a clock of its own, which runs ahead of the one that is not paused.
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(assert_outcome_after(hours));
    }
}

async fn assert_outcome_after(hours: i64) {
    jump(SignedDuration::ZERO);
    let mut scheduler = Scheduler::new(OPTIONS, PollTimes::default());
    let (running, canceled) = (publish(RunState::Running), publish(RunState::Canceled));
    let started = Instant::now();
    scheduler.add(answered(), Now::read());
    poll(&mut scheduler, &running).await;

    jump(SignedDuration::from_hours(hours));
    // An operation that begins after the jump is on the same clock.
    scheduler.add(answered(), Now::read());
    let mut ended = Vec::new();
    while ended.is_empty() {
        let list = match started.elapsed() < Duration::from_secs(600) {
            true => &running,
            false => &canceled,
        };
        let changed = poll(&mut scheduler, list).await;
        ended.extend(changed.into_iter().filter(|one| one.status.is_final()));
    }
    assert_eq!(ended.len(), 2, "{hours}: {ended:?}");
    for operation in ended {
        assert_eq!(operation.outcome, Some(Outcome::Canceled), "{hours}");
    }
    assert!(started.elapsed() >= Duration::from_secs(600));
    jump(SignedDuration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_jump_is_recorded_so_that_a_restart_keeps_the_deadline() {
    for hours in [2, -2] {
        jump(SignedDuration::ZERO);
        let mut scheduler = Scheduler::new(OPTIONS, PollTimes::default());
        let running = publish(RunState::Running);
        scheduler.add(answered(), Now::read());
        poll(&mut scheduler, &running).await;
        let jumped = SignedDuration::from_hours(hours);
        jump(jumped);
        let mut recorded = poll(&mut scheduler, &running).await.remove(0);
        let gives_up_at = outcome::gives_up_at(&recorded, DEADLINES);
        // The next process's clock begins as the wall clock.
        outcome::adopt(&mut recorded, 0);
        let moved = outcome::gives_up_at(&recorded, DEADLINES).duration_since(gives_up_at);
        let off = (moved - jumped).abs();
        assert!(off <= SignedDuration::from_secs(1), "{hours}: {moved}");
    }
    jump(SignedDuration::ZERO);
}

#[test]
fn an_intent_without_a_result_begins_when_it_was_made() {
    for hours in [0, 2, -2] {
        jump(SignedDuration::from_hours(hours));
        let mut intent = Arc::new(Operation::sample());
        intent = Arc::new(Operation {
            evidence: Evidence::default(),
            ..Operation::clone(&intent)
        });
        let before = clock::steady_now();
        assert!(outcome::assume_sent(&mut intent, clock::wall_ahead()));
        let off = intent.evidence.answered_at.unwrap().duration_since(before);
        assert!(off.abs() <= SignedDuration::from_secs(2), "{hours}: {off}");
    }
    jump(SignedDuration::ZERO);
}
