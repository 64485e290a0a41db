//! What times prove and what they do not: immediate observations, derived dates,
//! publishes that follow one another, and a gateway clock that jumps.

use super::*;

impl Story {
    /// The observations from here on are dated so, by the vendor's clock.
    fn dated_observations(mut self, at: i64) -> Self {
        self.observation_date = Some(theirs(at));
        self
    }

    fn took(mut self, seconds: u64) -> Self {
        self.evidence.took_ms = seconds * 1000;
        self
    }

    /// An observation that takes from `at` to `ended`.
    fn observe_slowly(mut self, at: i64, ended: i64, list: &[Submission]) -> Self {
        let observation = Observation {
            at: ours(at),
            ended: ours(ended),
            date: self.observation_date,
            submissions: Ok(list),
        };
        self.verdict = judge(self.facts, &mut self.evidence, observation, DEADLINES);
        self
    }

    #[track_caller]
    fn pins(self, id: Uuid) {
        assert_eq!(self.verdict, Verdict::KeepPolling);
        assert_eq!(self.evidence.pinned, Some(id));
    }
}

#[test]
fn immediate_means_the_end_of_the_observation() {
    // By its own time it may have started after the answer.
    let young = [run(A, RunState::Running, 3)];
    Story::accepted().observe_slowly(0, 2, &young).pins(A);
    Story::accepted()
        .observe_slowly(0, 3, &young)
        .ends(Outcome::Unknown);
    // Ended before it could be observed: as strict.
    let ended = [run(A, RunState::Canceled, 1)];
    Story::accepted()
        .observe_slowly(0, 2, &ended)
        .ends(Outcome::Canceled);
    Story::accepted()
        .observe_slowly(0, 3, &ended)
        .ends(Outcome::Unknown);
}

#[test]
fn an_answer_that_was_long_on_its_way_is_not_noticed_at_once() {
    let young = [run(A, RunState::Running, -20)];
    // Lost after 90 s: the cancel may have met another, or nothing.
    Story::accepted()
        .lost()
        .took(90)
        .observe(1, &young)
        .ends(Outcome::Unknown);
    // Dated, the observation's date tells whether the answer is fresh.
    let late = [run(A, RunState::Running, 50)];
    let slow = || Story::accepted().took(90);
    slow().dated_observations(2).observe(1, &late).pins(A);
    slow()
        .dated_observations(60)
        .observe(1, &late)
        .ends(Outcome::Unknown);
    slow().observe(1, &late).ends(Outcome::Unknown);
}

#[test]
fn the_date_of_an_observation_tells_when_our_request_was_sent() {
    // Lost after 90 s, observed 10 s later: it was sent at -90 s by the vendor's clock.
    let story = || Story::accepted().lost().took(90).dated_observations(10);
    story()
        .observe(10, &[run(A, RunState::Running, -91)])
        .observe(60, &[run(A, RunState::Canceled, 50)])
        .ends(Outcome::Canceled);
    story()
        .observe(10, &[run(A, RunState::Running, -90)])
        .ends(Outcome::Unknown);
    // Also after a crash, long after.
    Story::accepted()
        .lost()
        .took(0)
        .dated_observations(300)
        .observe(300, &[running(A)])
        .pins(A);
    // This does not show what ended.
    story()
        .observe(10, &[run(A, RunState::Canceled, -50)])
        .ends(Outcome::Unknown);
}

#[test]
fn one_publish_after_another_about_the_time_of_the_cancel() {
    let ended = |at| run(A, RunState::Canceled, at);
    let next = |at| run(B, RunState::Running, at);
    // It ended after the answer: it was there, and the other one was not.
    Story::accepted()
        .observe(2, &[next(2), ended(2)])
        .ends(Outcome::Canceled);
    // It ended shortly before the request was sent: undecided.
    Story::accepted()
        .observe(1, &[next(0), ended(-3)])
        .ends(Outcome::Unknown);
    // Nor if it changed within the second that the answer is dated by.
    Story::accepted()
        .observe(1, &[next(1), ended(1)])
        .ends(Outcome::Unknown);
    // What runs was there all along, whatever else ended.
    Story::accepted().observe(1, &[next(-1), ended(-3)]).pins(B);
    Story::accepted()
        .naming(A)
        .observe(1, &[next(-1), ended(-3)])
        .pins(B);
    // One that ended long ago does not matter.
    Story::accepted().observe(1, &[next(1), ended(-12)]).pins(B);
}

#[test]
fn without_a_date_the_times_of_two_publishes_are_compared() {
    let list = |ended| {
        [
            run(B, RunState::Running, -60),
            run(A, RunState::Completed, ended),
        ]
    };
    // From the request to the end of the observation 2 s passed.
    Story::accepted().undated().observe(1, &list(-63)).pins(B);
    Story::accepted()
        .undated()
        .observe(1, &list(-61))
        .ends(Outcome::Unknown);
}

#[test]
fn several_that_ended_since_are_ambiguous() {
    let two = |first, second| {
        [
            run(B, RunState::Completed, first),
            run(A, RunState::Canceled, second),
        ]
    };
    Story::accepted()
        .observe(1, &two(0, -5))
        .ends(Outcome::Unknown);
    Story::accepted()
        .observe(2, &two(3, 2))
        .ends(Outcome::Unknown);
    // Not even if only one of them surely ended after the answer: it may have started
    // after it as well.
    Story::accepted()
        .observe(2, &two(2, -5))
        .ends(Outcome::Unknown);
    Story::accepted()
        .naming(A)
        .observe(1, &two(0, -5))
        .ends(Outcome::Canceled);
    // One without a time may be another, unless it is older than one that ended before.
    let mut list = two(0, 0).to_vec();
    list[1].changed = None;
    Story::accepted().observe(1, &list).ends(Outcome::Unknown);
    list[0].changed = Some(theirs(-60));
    Story::accepted()
        .observe(1, &list)
        .observe(31, &list)
        .ends(Outcome::NothingToCancel);
}

#[test]
fn a_clock_that_goes_back_proves_nothing_and_is_not_waited_for() {
    // An hour back, right after the answer: what runs could have started since.
    Story::accepted()
        .observe(-3600, &[run(A, RunState::Running, 300)])
        .ends(Outcome::Unknown);
    Story::accepted()
        .undated()
        .dated_observations(-3600)
        .observe(-3600, &[running(A)])
        .ends(Outcome::Unknown);
    // The vendor's clock alone still decides.
    let found = Story::accepted().observe(-3600, &[running(A)]);
    assert_eq!(found.evidence.pinned, Some(A));
    // The waits begin anew.
    Story::accepted()
        .observe(-3600, &[running(A)])
        .observe(-3600 + 1799, &[running(A)])
        .keeps_polling();
    Story::accepted()
        .observe(-3600, &[running(A)])
        .observe(-3600 + 1800, &[running(A)])
        .ends(Outcome::NotCanceled);
    Story::accepted()
        .observe(1, &[])
        .observe(-3600, &[])
        .observe(-3580, &[])
        .keeps_polling();
    Story::accepted()
        .observe(1, &[])
        .observe(-3600, &[])
        .observe(-3570, &[])
        .ends(Outcome::NothingToCancel);
}

#[test]
fn what_starts_after_an_immediate_observation_of_nothing_never_counts() {
    let old = run(B, RunState::Completed, -9000);
    let at_once = || Story::accepted().observe(1, &[old.clone()]);
    assert!(at_once().evidence.nothing_at_once);
    for later in [
        run(A, RunState::Running, 2),
        run(A, RunState::Canceled, 4),
        run(A, RunState::Completed, -9),
        Submission {
            changed: None,
            ..running(A)
        },
    ] {
        at_once()
            .observe(6, &[later.clone(), old.clone()])
            .observe(31, &[later, old.clone()])
            .ends(Outcome::NothingToCancel);
    }
    // The list was late to show it, or the vendor's answer names it.
    let late = run(A, RunState::Running, -10);
    at_once().observe(6, &[late, old.clone()]).pins(A);
    let named = run(A, RunState::Running, 2);
    let story = Story::accepted().naming(A).observe(1, &[old.clone()]);
    story.observe(6, &[named]).pins(A);
    // An observation that was not immediate proves nothing.
    let late = Story::accepted().observe(3, &[old.clone()]);
    assert!(!late.evidence.nothing_at_once);
    late.observe(6, &[run(A, RunState::Running, 2), old])
        .ends(Outcome::Unknown);
}
