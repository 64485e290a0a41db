//! What became of a cancel: the one place that decides, and a pure function.
//!
//! The vendor answers 202 to everything. The truth is in its list of submissions:
//! the publish that our cancel met is *pinned*, and its end decides. The contract's
//! section "What became of a cancel" is written down here as code.

mod proof;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::domain::{Delivered, Evidence, OperationError, Outcome, ProblemCode};
use crate::portal::{RunState, Submission};
use proof::Proof;

/// The waits that the decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How far apart two looks must be to say that nothing was running.
    pub settle: Duration,
    /// When to stop looking.
    pub give_up: Duration,
}

/// The longest time that a last look which fails is repeated for.
const LATEST: Duration = Duration::from_secs(300);

impl Patience {
    /// How long after its end was due an operation waits for a look that succeeds: a
    /// sixth of the time before, but at most five minutes.
    #[must_use]
    pub fn grace(&self) -> Duration {
        LATEST.min(self.give_up / 6)
    }
}

/// What is known of the operation besides its evidence.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The GUID that the vendor's location names, if it names one. The word at the
    /// location itself proves nothing (an unmigrated offer's names the offer, not
    /// one publish), so it is not among the arguments.
    pub named: Option<Uuid>,
    /// Whether the vendor got the request.
    pub delivered: Delivered,
    /// Whether the vendor said that it accepted it.
    pub accepted: bool,
}

/// One look at the vendor's list.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// When it was begun; our clock.
    pub at: Timestamp,
    /// When it was over; our clock.
    pub ended: Timestamp,
    /// The `Date` of the vendor's answer to it.
    pub date: Option<Timestamp>,
    /// The list, newest first, or why there is none.
    pub submissions: Result<&'a [Submission], Unseen>,
}

/// Why a look brought no list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unseen {
    /// It could not be read this time; there will be another look.
    ForNow,
    /// It could not be read, and there is no time for another look.
    Unread,
    /// The vendor wants to be left alone until it is too late.
    LeftAlone,
    /// It was not this operation's turn until it was too late.
    NoTurn,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Look again.
    KeepLooking,
    /// It is over.
    Ended(Outcome, Option<OperationError>),
}

/// Weighs one more look. Updates `evidence`, which is all that is remembered.
#[must_use]
pub fn judge(case: Case, evidence: &mut Evidence, look: Look<'_>, patience: Patience) -> Verdict {
    notice_clock(evidence, look.at);
    let verdict = match look.submissions {
        Err(_) => None,
        Ok(list) => weigh(case, evidence, &look, list, patience),
    };
    if let Some(verdict) = verdict {
        return verdict;
    }
    let waited = evidence.answered_at.map(|at| look.at.duration_since(at));
    if waited.is_some_and(|waited| waited < signed(patience.give_up)) {
        Verdict::KeepLooking
    } else {
        give_up(case, evidence, look.submissions)
    }
}

/// A look from before the answer tells that our clock went back. What it measured so
/// far is void, and waits begin anew, so that none is longer than it should be.
fn notice_clock(evidence: &mut Evidence, at: Timestamp) {
    for moment in [&mut evidence.answered_at, &mut evidence.quiet_since] {
        if moment.is_some_and(|moment| moment > at) {
            *moment = Some(at);
            evidence.clock_went_back = true;
        }
    }
}

/// What the list says of the publish that our cancel met.
enum Met<'a> {
    /// It is this one, and it runs.
    Running(&'a Submission),
    /// It was this one.
    Ended(&'a Submission),
    /// Nothing was running.
    Nothing,
    /// It cannot be told; why.
    Unclear(&'static str),
}

fn weigh(
    case: Case,
    evidence: &mut Evidence,
    look: &Look<'_>,
    list: &[Submission],
    patience: Patience,
) -> Option<Verdict> {
    let is_first = evidence.first_look_at.is_none();
    evidence.first_look_at.get_or_insert(look.at);
    if let Some(pinned) = evidence.pinned {
        // Seen running after the answer: its end decides, whenever it came.
        return verdict_of(list.iter().find(|s| s.id == pinned)?.state);
    }
    let proof = Proof::of(evidence, look, is_first);
    let not_later;
    let list = if evidence.nothing_at_once {
        not_later = without_later(case, &proof, list);
        &not_later
    } else {
        list
    };
    let met = named(case, &proof, list)
        .or_else(|| running(&proof, list, is_first))
        .unwrap_or_else(|| over(&proof, list));
    match met {
        Met::Running(met) => {
            evidence.pinned = Some(met.id);
            evidence.quiet_since = None;
            None
        }
        Met::Ended(met) => verdict_of(met.state),
        Met::Unclear(why) => Some(unknown(why)),
        // That takes two looks to say.
        Met::Nothing => {
            evidence.nothing_at_once |= proof.at_once;
            let quiet_since = *evidence.quiet_since.get_or_insert(look.at);
            let quiet = look.at.duration_since(quiet_since);
            (quiet >= signed(patience.settle))
                .then_some(Verdict::Ended(Outcome::NothingToCancel, None))
        }
    }
}

/// What a look at once that found nothing leaves to be found: the publish that the
/// location names, and what was there long before, if the list was late to show it.
/// Anything else has started later.
fn without_later(case: Case, proof: &Proof, list: &[Submission]) -> Vec<Submission> {
    let counts = |one: &&Submission| Some(one.id) == case.named || proof.is_of_before(one);
    list.iter().filter(counts).cloned().collect()
}

/// The publish that the location names. One that had ended by the time of the answer
/// is none that a cancel could meet if another was surely running.
fn named<'a>(case: Case, proof: &Proof, list: &'a [Submission]) -> Option<Met<'a>> {
    let named = list.iter().find(|s| Some(s.id) == case.named)?;
    if !named.state.has_ended() {
        return Some(Met::Running(named));
    }
    if proof.ended_after(named) {
        return Some(Met::Ended(named));
    }
    let mut others = list.iter().filter(|s| !s.state.has_ended());
    if let Some(other) = others.find(|s| proof.was_there_throughout(s)) {
        return Some(Met::Running(other));
    }
    match (proof.is_dated, named.changed) {
        (true, None) => Some(Met::Unclear(NO_TIME)),
        (true, Some(_)) => {
            let suspected = proof.suspects(std::slice::from_ref(named), None);
            (!suspected.is_empty()).then_some(Met::Ended(named))
        }
        (false, _) => None,
    }
}

/// A running publish that our cancel can have met: one that was surely there; else the
/// newest one in the first look, or in a later one if it was there before. A publish
/// that starts later never counts.
fn running<'a>(proof: &Proof, list: &'a [Submission], is_first: bool) -> Option<Met<'a>> {
    let running = || list.iter().filter(|s| !s.state.has_ended());
    if let Some(met) = running().find(|s| proof.was_there_throughout(s)) {
        return Some(Met::Running(met));
    }
    let touched = |s: &&Submission| proof.may_be_touched(s);
    let may = |s: &&Submission| {
        proof.at_once || proof.was_there(s) || (is_first && proof.may_be_touched(s))
    };
    let Some(candidate) = running().find(may) else {
        return match (is_first, running().find(touched), running().next()) {
            (true, _, Some(_)) => Some(Met::Unclear(LATE_RUNNING)),
            // Missed by the look before, or later than it.
            (false, Some(_), _) => Some(Met::Unclear(JUST_THEN)),
            _ => None,
        };
    };
    // One publish runs at a time: another that ended since may be the one that was met,
    // and this one may have followed it.
    Some(match &proof.suspects(list, Some(candidate))[..] {
        [] => Met::Running(candidate),
        [met] if proof.at_once && proof.ended_after(met) => Met::Ended(met),
        _ => Met::Unclear(EITHER),
    })
}

/// Nothing that our cancel can have met is running any more, if anything was.
fn over<'a>(proof: &Proof, list: &'a [Submission]) -> Met<'a> {
    if !proof.is_dated && list.iter().any(|s| s.state.has_ended()) {
        return Met::Unclear(NO_DATE);
    }
    let suspects = proof.suspects(list, None);
    match &suspects[..] {
        [] => Met::Nothing,
        all if all.iter().any(|s| s.changed.is_none()) => Met::Unclear(NO_TIME),
        _ if !proof.at_once => Met::Unclear(LATE_ENDED),
        [met] => Met::Ended(met),
        _ => Met::Unclear(SEVERAL),
    }
}

const LATE_RUNNING: &str = "The first look at the vendor's submissions came too late to tell whether the publish now running is the one that the cancel met.";
const LATE_ENDED: &str = "A publish ended after the vendor's answer, but it was first seen too late to tell whether it was running when the cancel came.";
const JUST_THEN: &str = "A publish started, or changed, just when the vendor had answered, and was not seen at once; it cannot be told whether the cancel met it.";
const EITHER: &str = "One publish ended and another started about when the cancel came; it cannot be told which of them the cancel met.";
const SEVERAL: &str = "Several publishes ended about when the cancel came; it cannot be told which of them the cancel met.";
const NO_DATE: &str = "Nothing was seen running, and without a dated answer of the vendor's it cannot be told whether the last publish ended before or after the cancel.";
const NO_TIME: &str =
    "Nothing was seen running, and the vendor does not say when the last publish ended.";

const UNREAD: &str = "At the end the vendor's list of submissions could not be read.";
const LEFT_ALONE: &str = "At the end the vendor had asked to be left alone, so its list of submissions was not read again.";
const NO_TURN: &str = "At the end there were too many other operations to look at, so the vendor's list of submissions was not read again.";

/// The end came before the evidence.
fn give_up(case: Case, evidence: &Evidence, list: Result<&[Submission], Unseen>) -> Verdict {
    let list = match list {
        Ok(list) => list,
        Err(Unseen::ForNow) => return Verdict::KeepLooking,
        Err(Unseen::Unread) => return unknown(UNREAD),
        Err(Unseen::LeftAlone) => return unknown(LEFT_ALONE),
        Err(Unseen::NoTurn) => return unknown(NO_TURN),
    };
    let Some(pinned) = evidence.pinned else {
        return unknown("There was no time for a second look at the vendor's submissions.");
    };
    match list.iter().find(|s| s.id == pinned) {
        None => unknown("The publish that the cancel met is no longer in the vendor's list."),
        Some(s) if s.state == RunState::Unrecognized => {
            unknown("The vendor's word for the state of the publish is not a known one.")
        }
        Some(_) => {
            let message = match (case.accepted, case.delivered) {
                (true, _) => "The vendor accepted the cancel, but the publish still runs.",
                (false, Delivered::Yes) => {
                    "The publish still runs; the vendor received the cancel, but did not say that it accepted it."
                }
                (false, Delivered::No | Delivered::Unknown) => {
                    "The publish still runs; the vendor may never have received the cancel."
                }
            };
            ended(Outcome::NotCanceled, ProblemCode::NotCanceled, message)
        }
    }
}

fn verdict_of(state: RunState) -> Option<Verdict> {
    match state {
        RunState::Canceled => Some(Verdict::Ended(Outcome::Canceled, None)),
        RunState::Failed => Some(Verdict::Ended(Outcome::AlreadyFailed, None)),
        RunState::Completed => Some(ended(
            Outcome::AlreadyCompleted,
            ProblemCode::AlreadyCompleted,
            "The publish completed before the cancel could take effect.",
        )),
        RunState::Running | RunState::Unrecognized => None,
    }
}

fn unknown(message: &'static str) -> Verdict {
    ended(Outcome::Unknown, ProblemCode::OutcomeUnknown, message)
}

fn ended(outcome: Outcome, code: ProblemCode, message: &'static str) -> Verdict {
    Verdict::Ended(outcome, Some(OperationError::new(code, message)))
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests;
