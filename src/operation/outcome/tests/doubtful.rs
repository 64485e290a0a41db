//! Where the evidence is thin: no dates, late looks, strange words, no end.

use super::*;

#[test]
fn without_a_date_an_end_that_was_not_seen_says_nothing() {
    for state in [RunState::Canceled, RunState::Failed, RunState::Completed] {
        Story::accepted()
            .undated()
            .look(1, &[run(A, state, 0)])
            .is(Outcome::Unknown);
        Story::accepted()
            .undated()
            .naming(A)
            .look(1, &[run(A, state, 0)])
            .is(Outcome::Unknown);
        Story::lost_with_list(&[run(A, state, 0)]).is(Outcome::Unknown);
        let no_time = Submission {
            changed: None,
            ..run(A, state, 0)
        };
        Story::accepted()
            .look(1, &[no_time.clone()])
            .is(Outcome::Unknown);
        Story::accepted()
            .naming(A)
            .look(1, &[run(B, state, -900), no_time])
            .is(Outcome::Unknown);
    }
}

#[test]
fn a_late_first_look_cannot_tell_which_publish_it_was() {
    // Running since before the answer, by the vendor's clock: it is the one.
    Story::accepted()
        .look(300, &[running(A)])
        .look(400, &[run(A, RunState::Canceled, 390)])
        .is(Outcome::Canceled);
    Story::accepted()
        .look(300, &[run(A, RunState::Running, 200)])
        .is(Outcome::Unknown);
    Story::accepted()
        .look(300, &[run(A, RunState::Canceled, 200)])
        .is(Outcome::Unknown);
    Story::accepted()
        .undated()
        .look(300, &[running(A)])
        .is(Outcome::Unknown);
    // Named by the location: it is the one.
    Story::accepted()
        .naming(A)
        .look(300, &[run(A, RunState::Running, 200)])
        .goes_on();
}

#[test]
fn still_running_at_the_end_is_not_canceled() {
    Story::accepted()
        .look(1, &[running(A)])
        .look(1799, &[running(A)])
        .goes_on();
    Story::accepted()
        .look(1, &[running(A)])
        .look(1800, &[running(A)])
        .is(Outcome::NotCanceled);
    let Verdict::Ended(outcome, Some(fault)) = Story::accepted()
        .lost()
        .look(1, &[running(A)])
        .look(1800, &[running(A)])
        .verdict
    else {
        panic!("not over")
    };
    assert_eq!(outcome, Outcome::NotCanceled);
    assert!(fault.message.contains("may never have received"));
    // Answered, but with a 5xx: it did not say that it accepted anything.
    let mut failed = Story::accepted();
    failed.case.accepted = false;
    let failed = failed.look(1, &[running(A)]).look(1800, &[running(A)]);
    let Verdict::Ended(_, Some(fault)) = failed.verdict else {
        panic!("not over")
    };
    assert!(fault.message.contains("did not say that it accepted it"));
}

#[test]
fn a_last_look_that_fails_is_repeated_before_it_says_that_nobody_knows() {
    let found = || Story::accepted().look(1, &[running(A)]);
    found()
        .unseen(1800, Unseen::ForNow)
        .unseen(2000, Unseen::ForNow)
        .look(2010, &[running(A)])
        .is(Outcome::NotCanceled);
    let sentence = |why| match found().unseen(1800, why).verdict {
        Verdict::Ended(Outcome::Unknown, Some(fault)) => fault.message,
        other => panic!("{other:?}"),
    };
    assert!(sentence(Unseen::Unread).contains("could not be read"));
    assert!(sentence(Unseen::LeftAlone).contains("asked to be left alone"));
    assert!(sentence(Unseen::NoTurn).contains("too many other operations"));
    assert_eq!(PATIENCE.grace(), Duration::from_secs(300));
}

#[test]
fn a_word_never_seen_before_is_not_an_end() {
    let strange = run(A, RunState::Unrecognized, -600);
    Story::accepted().look(1, &[strange.clone()]).goes_on();
    Story::accepted()
        .look(1, &[strange.clone()])
        .look(1800, &[strange.clone()])
        .is(Outcome::Unknown);
    Story::accepted()
        .look(1, &[strange])
        .look(90, &[run(A, RunState::Canceled, 80)])
        .is(Outcome::Canceled);
}

#[test]
fn a_publish_that_vanishes_is_looked_for_until_the_end() {
    Story::accepted()
        .look(1, &[running(A)])
        .look(90, &[])
        .goes_on();
    Story::accepted()
        .look(1, &[running(A)])
        .look(90, &[])
        .look(1800, &[])
        .is(Outcome::Unknown);
    Story::accepted()
        .look(1, &[running(A)])
        .look(90, &[])
        .look(95, &[run(A, RunState::Canceled, 80)])
        .is(Outcome::Canceled);
}

#[test]
fn every_end_that_is_no_success_says_why() {
    for (story, code) in [
        (Story::accepted().unreachable(1800), "outcome-unknown"),
        (
            Story::accepted()
                .look(1, &[running(A)])
                .look(1800, &[running(A)]),
            "not-canceled",
        ),
        (
            Story::accepted().look(1, &[run(A, RunState::Completed, 0)]),
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
