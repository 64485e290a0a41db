//! What may be concluded from times, and what may not: prompt looks, derived dates,
//! publishes that follow one another, and a clock of ours that jumps.

use super::*;

impl Story {
    /// The looks from here on are dated so, by the vendor's clock.
    fn dated_looks(mut self, at: i64) -> Self {
        self.look_date = Some(theirs(at));
        self
    }

    fn took(mut self, seconds: u64) -> Self {
        self.evidence.took_ms = seconds * 1000;
        self
    }

    /// A look that takes from `at` to `ended`.
    fn slow_look(mut self, at: i64, ended: i64, list: &[Submission]) -> Self {
        let look = Look {
            at: ours(at),
            ended: ours(ended),
            date: self.look_date,
            submissions: Ok(list),
        };
        self.verdict = judge(self.case, &mut self.evidence, look, PATIENCE);
        self
    }

    #[track_caller]
    fn pins(self, id: Uuid) {
        assert_eq!(self.verdict, Verdict::KeepLooking);
        assert_eq!(self.evidence.pinned, Some(id));
    }
}

#[test]
fn at_once_is_told_by_the_end_of_the_look() {
    // By its own time it may have started after our answer.
    let young = [run(A, RunState::Running, 3)];
    Story::accepted().slow_look(0, 2, &young).pins(A);
    Story::accepted()
        .slow_look(0, 3, &young)
        .is(Outcome::Unknown);
    // Over before anybody could look: as strict.
    let ended = [run(A, RunState::Canceled, 1)];
    Story::accepted()
        .slow_look(0, 2, &ended)
        .is(Outcome::Canceled);
    Story::accepted()
        .slow_look(0, 3, &ended)
        .is(Outcome::Unknown);
}

#[test]
fn an_answer_that_was_long_on_its_way_is_not_noticed_at_once() {
    let young = [run(A, RunState::Running, -20)];
    // Lost after 90 s: the cancel may have met another, or nothing.
    Story::accepted()
        .lost()
        .took(90)
        .look(1, &young)
        .is(Outcome::Unknown);
    // Dated, the look's date tells whether the answer is fresh.
    let late = [run(A, RunState::Running, 50)];
    let slow = || Story::accepted().took(90);
    slow().dated_looks(2).look(1, &late).pins(A);
    slow().dated_looks(60).look(1, &late).is(Outcome::Unknown);
    slow().look(1, &late).is(Outcome::Unknown);
}

#[test]
fn the_date_of_a_look_tells_when_our_request_left() {
    // Lost after 90 s, looked at 10 s later: it left at -90 s by the vendor's clock.
    let story = || Story::accepted().lost().took(90).dated_looks(10);
    story()
        .look(10, &[run(A, RunState::Running, -91)])
        .look(60, &[run(A, RunState::Canceled, 50)])
        .is(Outcome::Canceled);
    story()
        .look(10, &[run(A, RunState::Running, -90)])
        .is(Outcome::Unknown);
    // Also after a crash, long after.
    Story::accepted()
        .lost()
        .took(0)
        .dated_looks(300)
        .look(300, &[running(A)])
        .pins(A);
    // What ended is not told by that.
    story()
        .look(10, &[run(A, RunState::Canceled, -50)])
        .is(Outcome::Unknown);
}

#[test]
fn one_publish_after_another_about_the_time_of_the_cancel() {
    let ended = |at| run(A, RunState::Canceled, at);
    let followed = |at| run(B, RunState::Running, at);
    // It ended after the answer: it was there, and the other one was not.
    Story::accepted()
        .look(2, &[followed(2), ended(2)])
        .is(Outcome::Canceled);
    // It ended before our request left, though not by much: nobody can say.
    Story::accepted()
        .look(1, &[followed(0), ended(-3)])
        .is(Outcome::Unknown);
    // Nor if it changed within the second that the answer is dated by.
    Story::accepted()
        .look(1, &[followed(1), ended(1)])
        .is(Outcome::Unknown);
    // What runs was there all along, whatever else ended.
    Story::accepted()
        .look(1, &[followed(-1), ended(-3)])
        .pins(B);
    Story::accepted()
        .naming(A)
        .look(1, &[followed(-1), ended(-3)])
        .pins(B);
    // And one that ended long ago is in nobody's way.
    Story::accepted()
        .look(1, &[followed(1), ended(-12)])
        .pins(B);
}

#[test]
fn without_a_date_the_times_of_two_publishes_are_compared() {
    let list = |ended| {
        [
            run(B, RunState::Running, -60),
            run(A, RunState::Completed, ended),
        ]
    };
    // From our request to the look's end 2 s passed.
    Story::accepted().undated().look(1, &list(-63)).pins(B);
    Story::accepted()
        .undated()
        .look(1, &list(-61))
        .is(Outcome::Unknown);
}

#[test]
fn several_that_ended_since_are_not_told_apart() {
    let two = |first, second| {
        [
            run(B, RunState::Completed, first),
            run(A, RunState::Canceled, second),
        ]
    };
    Story::accepted().look(1, &two(0, -5)).is(Outcome::Unknown);
    Story::accepted().look(2, &two(3, 2)).is(Outcome::Unknown);
    // Not even if only one of them surely ended after the answer: it may have started
    // after it as well.
    Story::accepted().look(2, &two(2, -5)).is(Outcome::Unknown);
    Story::accepted()
        .naming(A)
        .look(1, &two(0, -5))
        .is(Outcome::Canceled);
    // One without a time may be another, unless it is older than one that ended before.
    let mut list = two(0, 0).to_vec();
    list[1].changed = None;
    Story::accepted().look(1, &list).is(Outcome::Unknown);
    list[0].changed = Some(theirs(-60));
    Story::accepted()
        .look(1, &list)
        .look(31, &list)
        .is(Outcome::NothingToCancel);
}

#[test]
fn a_clock_that_goes_back_proves_nothing_and_is_not_waited_for() {
    // An hour back, right after the answer: what runs could have started since.
    Story::accepted()
        .look(-3600, &[run(A, RunState::Running, 300)])
        .is(Outcome::Unknown);
    Story::accepted()
        .undated()
        .dated_looks(-3600)
        .look(-3600, &[running(A)])
        .is(Outcome::Unknown);
    // By the vendor's clock alone it can still be told.
    let found = Story::accepted().look(-3600, &[running(A)]);
    assert_eq!(found.evidence.pinned, Some(A));
    // The waits begin anew.
    Story::accepted()
        .look(-3600, &[running(A)])
        .look(-3600 + 1799, &[running(A)])
        .goes_on();
    Story::accepted()
        .look(-3600, &[running(A)])
        .look(-3600 + 1800, &[running(A)])
        .is(Outcome::NotCanceled);
    Story::accepted()
        .look(1, &[])
        .look(-3600, &[])
        .look(-3580, &[])
        .goes_on();
    Story::accepted()
        .look(1, &[])
        .look(-3600, &[])
        .look(-3570, &[])
        .is(Outcome::NothingToCancel);
}

#[test]
fn what_starts_after_a_look_at_once_saw_nothing_never_counts() {
    let old = run(B, RunState::Completed, -9000);
    let at_once = || Story::accepted().look(1, &[old.clone()]);
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
            .look(6, &[later.clone(), old.clone()])
            .look(31, &[later, old.clone()])
            .is(Outcome::NothingToCancel);
    }
    // The list was late to show it, or the vendor's answer names it.
    let late = run(A, RunState::Running, -10);
    at_once().look(6, &[late, old.clone()]).pins(A);
    let named = run(A, RunState::Running, 2);
    let story = Story::accepted().naming(A).look(1, &[old.clone()]);
    story.look(6, &[named]).pins(A);
    // A look that was not at once proves nothing.
    let late = Story::accepted().look(3, &[old.clone()]);
    assert!(!late.evidence.nothing_at_once);
    late.look(6, &[run(A, RunState::Running, 2), old])
        .is(Outcome::Unknown);
}
