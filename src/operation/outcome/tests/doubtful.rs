//! Thin evidence: no dates, late observations, unknown states, no end.

use super::*;

#[test]
fn without_a_date_an_end_that_was_not_observed_proves_nothing() {
    for state in [RunState::Canceled, RunState::Failed, RunState::Completed] {
        Story::accepted()
            .undated()
            .observe(1, &[run(A, state, 0)])
            .ends(Outcome::Unknown);
        Story::accepted()
            .undated()
            .naming(A)
            .observe(1, &[run(A, state, 0)])
            .ends(Outcome::Unknown);
        Story::lost_with_list(&[run(A, state, 0)]).ends(Outcome::Unknown);
        let no_time = Submission {
            changed: None,
            ..run(A, state, 0)
        };
        Story::accepted()
            .observe(1, &[no_time.clone()])
            .ends(Outcome::Unknown);
        Story::accepted()
            .naming(A)
            .observe(1, &[run(B, state, -900), no_time])
            .ends(Outcome::Unknown);
    }
}

#[test]
fn a_late_first_observation_cannot_tell_which_publish_it_was() {
    // Running since before the answer, by the vendor's clock: it is the one.
    Story::accepted()
        .observe(300, &[running(A)])
        .observe(400, &[run(A, RunState::Canceled, 390)])
        .ends(Outcome::Canceled);
    Story::accepted()
        .observe(300, &[run(A, RunState::Running, 200)])
        .ends(Outcome::Unknown);
    Story::accepted()
        .observe(300, &[run(A, RunState::Canceled, 200)])
        .ends(Outcome::Unknown);
    Story::accepted()
        .undated()
        .observe(300, &[running(A)])
        .ends(Outcome::Unknown);
    // Named by the location: it is the one.
    Story::accepted()
        .naming(A)
        .observe(300, &[run(A, RunState::Running, 200)])
        .keeps_polling();
}

#[test]
fn still_running_at_the_end_is_not_canceled() {
    Story::accepted()
        .observe(1, &[running(A)])
        .observe(1799, &[running(A)])
        .keeps_polling();
    Story::accepted()
        .observe(1, &[running(A)])
        .observe(1800, &[running(A)])
        .ends(Outcome::NotCanceled);
    let Verdict::Ended(outcome, Some(fault)) = Story::accepted()
        .lost()
        .observe(1, &[running(A)])
        .observe(1800, &[running(A)])
        .verdict
    else {
        panic!("not over")
    };
    assert_eq!(outcome, Outcome::NotCanceled);
    assert!(fault.message.contains("may never have received"));
    // Answered, but with a 5xx, which confirms nothing.
    let mut failed = Story::accepted();
    failed.facts.accepted = false;
    let failed = failed
        .observe(1, &[running(A)])
        .observe(1800, &[running(A)]);
    let Verdict::Ended(_, Some(fault)) = failed.verdict else {
        panic!("not over")
    };
    assert!(fault.message.contains("did not confirm"));
}

#[test]
fn a_last_read_that_fails_is_retried_before_the_outcome_is_unknown() {
    let found = || Story::accepted().observe(1, &[running(A)]);
    found()
        .missing(1800, MissingReason::WillRetry)
        .missing(2000, MissingReason::WillRetry)
        .observe(2010, &[running(A)])
        .ends(Outcome::NotCanceled);
    let sentence = |why| match found().missing(1800, why).verdict {
        Verdict::Ended(Outcome::Unknown, Some(fault)) => fault.message,
        other => panic!("{other:?}"),
    };
    assert!(sentence(MissingReason::ReadFailed).contains("could not be read"));
    assert!(sentence(MissingReason::Throttled).contains("throttling (429)"));
    assert!(sentence(MissingReason::NoCapacity).contains("Too many other operations"));
    assert_eq!(DEADLINES.grace(), Duration::from_secs(300));
}

#[test]
fn an_unknown_state_is_not_an_end() {
    let strange = run(A, RunState::Unrecognized, -600);
    Story::accepted()
        .observe(1, &[strange.clone()])
        .keeps_polling();
    Story::accepted()
        .observe(1, &[strange.clone()])
        .observe(1800, &[strange.clone()])
        .ends(Outcome::Unknown);
    Story::accepted()
        .observe(1, &[strange])
        .observe(90, &[run(A, RunState::Canceled, 80)])
        .ends(Outcome::Canceled);
}

#[test]
fn a_publish_that_disappears_is_awaited_until_the_end() {
    Story::accepted()
        .observe(1, &[running(A)])
        .observe(90, &[])
        .keeps_polling();
    Story::accepted()
        .observe(1, &[running(A)])
        .observe(90, &[])
        .observe(1800, &[])
        .ends(Outcome::Unknown);
    Story::accepted()
        .observe(1, &[running(A)])
        .observe(90, &[])
        .observe(95, &[run(A, RunState::Canceled, 80)])
        .ends(Outcome::Canceled);
}

#[test]
fn every_failure_says_why() {
    for (story, code) in [
        (Story::accepted().unreachable(1800), "outcome-unknown"),
        (
            Story::accepted()
                .observe(1, &[running(A)])
                .observe(1800, &[running(A)]),
            "not-canceled",
        ),
        (
            Story::accepted().observe(1, &[run(A, RunState::Completed, 0)]),
            "already-completed",
        ),
    ] {
        let Verdict::Ended(_, Some(fault)) = story.verdict else {
            panic!("no fault for {code}")
        };
        assert_eq!(fault.code.as_str(), code);
        assert!(fault.message.ends_with('.'));
    }
}
