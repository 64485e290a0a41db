//! The contract's table "What became of a cancel", row by row.

#![allow(clippy::cloned_ref_to_slice_refs)] // a list of one reads like the others

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::{Deadlines, Facts, MissingReason, Observation, Verdict, judge};
use crate::domain::{Action, Delivered, Evidence, Outcome};
use crate::portal::{RunState, Submission};

mod doubtful;
mod times;

const A: Uuid = Uuid::from_u128(0xa);
const B: Uuid = Uuid::from_u128(0xb);
const DEADLINES: Deadlines = Deadlines {
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
    facts: Facts,
    evidence: Evidence,
    verdict: Verdict,
    /// The date of the observations from here on.
    observation_date: Option<Timestamp>,
}

impl Story {
    /// A 202 that names no operation, dated by the vendor.
    fn accepted() -> Self {
        Self {
            facts: Facts {
                action: Action::Cancel,
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
            verdict: Verdict::KeepPolling,
            observation_date: None,
        }
    }

    fn naming(mut self, id: Uuid) -> Self {
        self.facts.named = Some(id);
        self
    }

    fn undated(mut self) -> Self {
        self.evidence.vendor_date = None;
        self
    }

    fn lost(mut self) -> Self {
        self.facts.delivered = Delivered::Unknown;
        self.facts.accepted = false;
        self.undated()
    }

    fn observe(self, at: i64, list: &[Submission]) -> Self {
        self.apply(at, Ok(list))
    }

    fn unreachable(self, at: i64) -> Self {
        self.missing(at, MissingReason::ReadFailed)
    }

    fn missing(self, at: i64, why: MissingReason) -> Self {
        self.apply(at, Err(why))
    }

    fn apply(mut self, at: i64, submissions: Result<&[Submission], MissingReason>) -> Self {
        assert_eq!(self.verdict, Verdict::KeepPolling, "already over at {at}");
        // Evidence goes through its stored form between observations, as over a restart.
        let stored = serde_json::to_string(&self.evidence).unwrap();
        self.evidence = serde_json::from_str(&stored).unwrap();
        let observation = Observation {
            at: ours(at),
            ended: ours(at),
            date: self.observation_date,
            submissions,
        };
        self.verdict = judge(self.facts, &mut self.evidence, observation, DEADLINES);
        self
    }

    #[track_caller]
    fn ends(self, expected: Outcome) {
        match self.verdict {
            Verdict::Ended(outcome, _) => assert_eq!(outcome, expected),
            Verdict::KeepPolling => panic!("not over; expected {expected:?}"),
        }
    }

    #[track_caller]
    fn keeps_polling(self) {
        assert_eq!(self.verdict, Verdict::KeepPolling);
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
            .observe(1, &[running(A)])
            .observe(90, &[run(A, state, 80)])
            .ends(outcome);
        Story::accepted()
            .naming(A)
            .observe(1, &[running(A)])
            .observe(90, &[run(A, state, 80)])
            .ends(outcome);
        Story::accepted()
            .undated()
            .observe(1, &[running(A)])
            .observe(90, &[run(A, state, 80)])
            .ends(outcome);
        Story::accepted()
            .lost()
            .observe(1, &[running(A)])
            .observe(90, &[run(A, state, 80)])
            .ends(outcome);
        let no_time = Submission {
            changed: None,
            ..run(A, state, 0)
        };
        Story::accepted()
            .observe(1, &[running(A)])
            .observe(90, &[no_time])
            .ends(outcome);
    }
}

impl Story {
    fn lost_with_list(list: &[Submission]) -> Self {
        Self::accepted().lost().observe(1, list)
    }
}

#[test]
fn ended_since_the_answer_though_never_seen_running() {
    for (state, outcome) in [
        (RunState::Canceled, Outcome::Canceled),
        (RunState::Failed, Outcome::AlreadyFailed),
        (RunState::Completed, Outcome::AlreadyCompleted),
    ] {
        Story::accepted()
            .observe(1, &[run(A, state, 0)])
            .ends(outcome);
        Story::accepted()
            .naming(A)
            .observe(1, &[run(A, state, 0)])
            .ends(outcome);
        // 10 s of slack, and the second that the request took.
        Story::accepted()
            .observe(1, &[run(A, state, -11)])
            .ends(outcome);
        // The location's GUID says which publish it was, however late the observation.
        Story::accepted()
            .naming(A)
            .observe(400, &[run(A, state, 90)])
            .ends(outcome);
    }
}

#[test]
fn ended_before_the_answer_means_that_nothing_was_running() {
    for state in [RunState::Canceled, RunState::Failed, RunState::Completed] {
        let list = [run(A, state, -12)];
        Story::accepted().observe(1, &list).keeps_polling();
        Story::accepted()
            .observe(1, &list)
            .observe(30, &list)
            .keeps_polling();
        Story::accepted()
            .observe(1, &list)
            .observe(31, &list)
            .ends(Outcome::NothingToCancel);
        Story::accepted()
            .naming(A)
            .observe(1, &list)
            .observe(31, &list)
            .ends(Outcome::NothingToCancel);
        // Also when the first observation is late.
        Story::accepted()
            .observe(300, &list)
            .observe(330, &list)
            .ends(Outcome::NothingToCancel);
    }
}

#[test]
fn an_empty_list_needs_two_observations() {
    Story::accepted()
        .observe(1, &[])
        .observe(30, &[])
        .keeps_polling();
    Story::accepted()
        .observe(1, &[])
        .observe(31, &[])
        .ends(Outcome::NothingToCancel);
    Story::accepted()
        .undated()
        .observe(1, &[])
        .observe(31, &[])
        .ends(Outcome::NothingToCancel);
    Story::accepted()
        .naming(A)
        .observe(1, &[])
        .observe(31, &[])
        .ends(Outcome::NothingToCancel);
}

#[test]
fn a_list_that_could_not_be_read_says_nothing() {
    Story::accepted().unreachable(1).keeps_polling();
    Story::accepted()
        .unreachable(1)
        .unreachable(1799)
        .keeps_polling();
    Story::accepted()
        .unreachable(1)
        .unreachable(1800)
        .ends(Outcome::Unknown);
    // It does not count as a second observation.
    Story::accepted()
        .observe(1, &[])
        .unreachable(31)
        .observe(36, &[])
        .ends(Outcome::NothingToCancel);
    // Evidence from before the outage counts.
    Story::accepted()
        .observe(1, &[running(A)])
        .unreachable(60)
        .observe(70, &[run(A, RunState::Canceled, 60)])
        .ends(Outcome::Canceled);
    Story::accepted()
        .observe(1, &[running(A)])
        .unreachable(1800)
        .ends(Outcome::Unknown);
}

#[test]
fn an_older_publish_does_not_count() {
    let old = run(B, RunState::Completed, -9000);
    Story::accepted()
        .observe(1, &[running(A), old.clone()])
        .observe(90, &[run(A, RunState::Canceled, 80), old])
        .ends(Outcome::Canceled);
    // Not even when the location names it while another is running.
    let named = run(B, RunState::Completed, -9000);
    Story::accepted()
        .naming(B)
        .observe(1, &[running(A), named.clone()])
        .observe(90, &[run(A, RunState::Canceled, 80), named])
        .ends(Outcome::Canceled);
}

#[test]
fn a_publish_that_starts_later_never_counts() {
    let later = run(B, RunState::Running, 100);
    Story::accepted()
        .observe(1, &[running(A)])
        .observe(110, &[later.clone(), run(A, RunState::Canceled, 80)])
        .ends(Outcome::Canceled);
    Story::accepted()
        .naming(A)
        .observe(1, &[running(A)])
        .observe(110, &[later.clone(), running(A)])
        .keeps_polling();
    let idle = run(A, RunState::Completed, -9000);
    let soon = run(B, RunState::Running, 20);
    Story::accepted()
        .observe(1, &[idle.clone()])
        .observe(31, &[soon.clone(), idle])
        .ends(Outcome::NothingToCancel);
    Story::accepted()
        .observe(1, &[])
        .observe(31, &[soon])
        .ends(Outcome::NothingToCancel);
    // The pinned one is what is waited for, not the later one's end.
    let done = run(B, RunState::Completed, 200);
    Story::accepted()
        .observe(1, &[running(A)])
        .observe(300, &[done, running(A)])
        .keeps_polling();
}

#[test]
fn a_publish_from_before_counts_even_if_the_first_observation_missed_it() {
    let missed = run(A, RunState::Running, -600);
    Story::accepted()
        .observe(1, &[])
        .observe(6, &[missed])
        .observe(90, &[run(A, RunState::Canceled, 80)])
        .ends(Outcome::Canceled);
    // Ended since, and missed by the first observation, which was not immediate.
    Story::accepted()
        .observe(3, &[])
        .observe(6, &[run(A, RunState::Canceled, 4)])
        .ends(Outcome::Unknown);
}

#[test]
fn staging_finished_beside_production_running() {
    let staging = run(A, RunState::Completed, -3);
    Story::accepted()
        .observe(1, &[running(B), staging.clone()])
        .observe(90, &[run(B, RunState::Canceled, 80), staging.clone()])
        .ends(Outcome::Canceled);
    Story::accepted()
        .observe(1, &[staging.clone(), running(B)])
        .observe(90, &[staging, run(B, RunState::Completed, 80)])
        .ends(Outcome::AlreadyCompleted);
}

#[test]
fn the_location_names_the_pinned_publish() {
    // Two are running: the named one decides.
    Story::accepted()
        .naming(A)
        .observe(1, &[running(B), running(A)])
        .observe(90, &[running(B), run(A, RunState::Canceled, 80)])
        .ends(Outcome::Canceled);
    // The GUID of a cancellation of its own is in no list: the newest running one decides.
    Story::accepted()
        .naming(Uuid::from_u128(0xc))
        .observe(1, &[running(A)])
        .observe(90, &[run(A, RunState::Canceled, 80)])
        .ends(Outcome::Canceled);
}

#[test]
fn an_action_without_rules_is_unknown_at_the_deadline() {
    let mut story = Story::accepted();
    story.facts.action = Action::Publish;
    let ended = [run(A, RunState::Completed, 10)];
    let story = story.observe(60, &ended).observe(1799, &ended);
    story.observe(1800, &ended).ends(Outcome::Unknown);
}
