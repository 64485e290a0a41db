//! The table "What became of a cancel", row by row.

#![allow(clippy::cloned_ref_to_slice_refs)] // a list of one reads like the others

use super::*;

mod doubtful;
mod times;

const A: Uuid = Uuid::from_u128(0xa);
const B: Uuid = Uuid::from_u128(0xb);
const PATIENCE: Patience = Patience {
    settle: Duration::from_secs(30),
    give_up: Duration::from_secs(1800),
};

/// A moment, in seconds after the vendor's answer, on both clocks. The vendor's
/// is an hour ahead, so that mixing them up shows.
fn ours(seconds: i64) -> Timestamp {
    Timestamp::new(1_700_000_000 + seconds, 0).unwrap()
}

fn theirs(seconds: i64) -> Timestamp {
    ours(seconds + 3600)
}

fn run(id: Uuid, state: RunState, changed: i64) -> Submission {
    Submission {
        id,
        state,
        changed: Some(theirs(changed)),
    }
}

fn running(id: Uuid) -> Submission {
    run(id, RunState::Running, -600)
}

struct Story {
    case: Case,
    evidence: Evidence,
    verdict: Verdict,
    /// The date of the looks from here on.
    look_date: Option<Timestamp>,
}

impl Story {
    /// A 202 that names no operation, dated by the vendor.
    fn accepted() -> Self {
        Self {
            case: Case {
                named: None,
                delivered: Delivered::Yes,
                accepted: true,
            },
            evidence: Evidence {
                answered_at: Some(ours(0)),
                vendor_date: Some(theirs(0)),
                took_ms: 1000,
                ..Evidence::default()
            },
            verdict: Verdict::KeepLooking,
            look_date: None,
        }
    }

    fn naming(mut self, id: Uuid) -> Self {
        self.case.named = Some(id);
        self
    }

    fn undated(mut self) -> Self {
        self.evidence.vendor_date = None;
        self
    }

    fn lost(mut self) -> Self {
        self.case.delivered = Delivered::Unknown;
        self.case.accepted = false;
        self.undated()
    }

    fn look(self, at: i64, list: &[Submission]) -> Self {
        self.take(at, Ok(list))
    }

    fn unreachable(self, at: i64) -> Self {
        self.unseen(at, Unseen::Unread)
    }

    fn unseen(self, at: i64, why: Unseen) -> Self {
        self.take(at, Err(why))
    }

    fn take(mut self, at: i64, submissions: Result<&[Submission], Unseen>) -> Self {
        assert_eq!(self.verdict, Verdict::KeepLooking, "already over at {at}");
        // Evidence goes through its stored form between looks, as over a restart.
        let stored = serde_json::to_string(&self.evidence).unwrap();
        self.evidence = serde_json::from_str(&stored).unwrap();
        let look = Look {
            at: ours(at),
            ended: ours(at),
            date: self.look_date,
            submissions,
        };
        self.verdict = judge(self.case, &mut self.evidence, look, PATIENCE);
        self
    }

    #[track_caller]
    fn is(self, expected: Outcome) {
        match self.verdict {
            Verdict::Ended(outcome, _) => assert_eq!(outcome, expected),
            Verdict::KeepLooking => panic!("not over; expected {expected:?}"),
        }
    }

    #[track_caller]
    fn goes_on(self) {
        assert_eq!(self.verdict, Verdict::KeepLooking);
    }
}

#[test]
fn seen_running_and_ended_since_its_state_decides() {
    for (state, outcome) in [
        (RunState::Canceled, Outcome::Canceled),
        (RunState::Failed, Outcome::AlreadyFailed),
        (RunState::Completed, Outcome::AlreadyCompleted),
    ] {
        Story::accepted()
            .look(1, &[running(A)])
            .look(90, &[run(A, state, 80)])
            .is(outcome);
        Story::accepted()
            .naming(A)
            .look(1, &[running(A)])
            .look(90, &[run(A, state, 80)])
            .is(outcome);
        Story::accepted()
            .undated()
            .look(1, &[running(A)])
            .look(90, &[run(A, state, 80)])
            .is(outcome);
        Story::accepted()
            .lost()
            .look(1, &[running(A)])
            .look(90, &[run(A, state, 80)])
            .is(outcome);
        let no_time = Submission {
            changed: None,
            ..run(A, state, 0)
        };
        Story::accepted()
            .look(1, &[running(A)])
            .look(90, &[no_time])
            .is(outcome);
    }
}

impl Story {
    fn lost_with_list(list: &[Submission]) -> Self {
        Self::accepted().lost().look(1, list)
    }
}

#[test]
fn ended_since_the_answer_though_never_seen_running() {
    for (state, outcome) in [
        (RunState::Canceled, Outcome::Canceled),
        (RunState::Failed, Outcome::AlreadyFailed),
        (RunState::Completed, Outcome::AlreadyCompleted),
    ] {
        Story::accepted().look(1, &[run(A, state, 0)]).is(outcome);
        Story::accepted()
            .naming(A)
            .look(1, &[run(A, state, 0)])
            .is(outcome);
        // 10 s of slack, and the second that the request took.
        Story::accepted().look(1, &[run(A, state, -11)]).is(outcome);
        // The location's GUID says which publish it was, however late we look.
        Story::accepted()
            .naming(A)
            .look(400, &[run(A, state, 90)])
            .is(outcome);
    }
}

#[test]
fn ended_before_the_answer_means_that_nothing_was_running() {
    for state in [RunState::Canceled, RunState::Failed, RunState::Completed] {
        let list = [run(A, state, -12)];
        Story::accepted().look(1, &list).goes_on();
        Story::accepted().look(1, &list).look(30, &list).goes_on();
        Story::accepted()
            .look(1, &list)
            .look(31, &list)
            .is(Outcome::NothingToCancel);
        Story::accepted()
            .naming(A)
            .look(1, &list)
            .look(31, &list)
            .is(Outcome::NothingToCancel);
        // Also when the first look is late.
        Story::accepted()
            .look(300, &list)
            .look(330, &list)
            .is(Outcome::NothingToCancel);
    }
}

#[test]
fn an_empty_list_needs_two_looks() {
    Story::accepted().look(1, &[]).look(30, &[]).goes_on();
    Story::accepted()
        .look(1, &[])
        .look(31, &[])
        .is(Outcome::NothingToCancel);
    Story::accepted()
        .undated()
        .look(1, &[])
        .look(31, &[])
        .is(Outcome::NothingToCancel);
    Story::accepted()
        .naming(A)
        .look(1, &[])
        .look(31, &[])
        .is(Outcome::NothingToCancel);
}

#[test]
fn a_list_that_could_not_be_read_says_nothing() {
    Story::accepted().unreachable(1).goes_on();
    Story::accepted().unreachable(1).unreachable(1799).goes_on();
    Story::accepted()
        .unreachable(1)
        .unreachable(1800)
        .is(Outcome::Unknown);
    // It is no second look either.
    Story::accepted()
        .look(1, &[])
        .unreachable(31)
        .look(36, &[])
        .is(Outcome::NothingToCancel);
    // Evidence from before the outage counts.
    Story::accepted()
        .look(1, &[running(A)])
        .unreachable(60)
        .look(70, &[run(A, RunState::Canceled, 60)])
        .is(Outcome::Canceled);
    Story::accepted()
        .look(1, &[running(A)])
        .unreachable(1800)
        .is(Outcome::Unknown);
}

#[test]
fn an_older_publish_does_not_count() {
    let old = run(B, RunState::Completed, -9000);
    Story::accepted()
        .look(1, &[running(A), old.clone()])
        .look(90, &[run(A, RunState::Canceled, 80), old])
        .is(Outcome::Canceled);
    // Not even when the location names it while another is running.
    let named = run(B, RunState::Completed, -9000);
    Story::accepted()
        .naming(B)
        .look(1, &[running(A), named.clone()])
        .look(90, &[run(A, RunState::Canceled, 80), named])
        .is(Outcome::Canceled);
}

#[test]
fn a_publish_that_starts_later_never_counts() {
    let later = run(B, RunState::Running, 100);
    Story::accepted()
        .look(1, &[running(A)])
        .look(110, &[later.clone(), run(A, RunState::Canceled, 80)])
        .is(Outcome::Canceled);
    Story::accepted()
        .naming(A)
        .look(1, &[running(A)])
        .look(110, &[later.clone(), running(A)])
        .goes_on();
    let idle = run(A, RunState::Completed, -9000);
    let soon = run(B, RunState::Running, 20);
    Story::accepted()
        .look(1, &[idle.clone()])
        .look(31, &[soon.clone(), idle])
        .is(Outcome::NothingToCancel);
    Story::accepted()
        .look(1, &[])
        .look(31, &[soon])
        .is(Outcome::NothingToCancel);
    // The pinned one is what is waited for, not the later one's end.
    let done = run(B, RunState::Completed, 200);
    Story::accepted()
        .look(1, &[running(A)])
        .look(300, &[done, running(A)])
        .goes_on();
}

#[test]
fn one_that_was_there_before_counts_even_if_the_first_look_missed_it() {
    let missed = run(A, RunState::Running, -600);
    Story::accepted()
        .look(1, &[])
        .look(6, &[missed])
        .look(90, &[run(A, RunState::Canceled, 80)])
        .is(Outcome::Canceled);
    // Ended since, and missed by the first look, which was not at once: nobody can say.
    Story::accepted()
        .look(3, &[])
        .look(6, &[run(A, RunState::Canceled, 4)])
        .is(Outcome::Unknown);
}

#[test]
fn staging_finished_beside_production_running() {
    let staging = run(A, RunState::Completed, -3);
    Story::accepted()
        .look(1, &[running(B), staging.clone()])
        .look(90, &[run(B, RunState::Canceled, 80), staging.clone()])
        .is(Outcome::Canceled);
    Story::accepted()
        .look(1, &[staging.clone(), running(B)])
        .look(90, &[staging, run(B, RunState::Completed, 80)])
        .is(Outcome::AlreadyCompleted);
}

#[test]
fn the_location_names_the_pinned_publish() {
    // Two are running: the named one decides.
    Story::accepted()
        .naming(A)
        .look(1, &[running(B), running(A)])
        .look(90, &[running(B), run(A, RunState::Canceled, 80)])
        .is(Outcome::Canceled);
    // The GUID of a cancellation of its own is in no list: the newest running one decides.
    Story::accepted()
        .naming(Uuid::from_u128(0xc))
        .look(1, &[running(A)])
        .look(90, &[run(A, RunState::Canceled, 80)])
        .is(Outcome::Canceled);
}
