//! What became of a cancel: the one place that decides, and a pure function.
//!
//! The vendor answers 202 to everything. The truth is in its list of submissions:
//! the publish that our cancel met is *pinned*, and its end decides. The contract's
//! section "What became of a cancel" is written down here as code.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::domain::{Delivered, Evidence, Fault, Outcome};
use crate::portal::{RunState, Submission};

/// Clocks of one party may differ by this much between its own machines; also how
/// soon after the vendor's answer the first look must begin to count as "at once".
const SLACK: SignedDuration = SignedDuration::from_secs(10);

/// The waits that the decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How far apart two looks must be to say that nothing was running.
    pub settle: Duration,
    /// When to stop looking.
    pub give_up: Duration,
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
}

/// One look at the vendor's list.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// When it was begun; our clock.
    pub at: Timestamp,
    /// The list, newest first; none if it could not be read.
    pub submissions: Option<&'a [Submission]>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Look again.
    KeepLooking,
    /// It is over.
    Ended(Outcome, Option<Fault>),
}

/// Weighs one more look. Updates `evidence`, which is all that is remembered.
#[must_use]
pub fn judge(case: Case, evidence: &mut Evidence, look: Look<'_>, patience: Patience) -> Verdict {
    let verdict = match look.submissions {
        None => None,
        Some(list) => weigh(case, evidence, look.at, list, patience),
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

fn weigh(
    case: Case,
    evidence: &mut Evidence,
    at: Timestamp,
    list: &[Submission],
    patience: Patience,
) -> Option<Verdict> {
    let is_first = evidence.first_look_at.is_none();
    evidence.first_look_at.get_or_insert(at);
    let at_once = is_first && is_prompt(evidence, at);
    if let Some(pinned) = evidence.pinned {
        // Seen running after the answer: its end decides, whenever it came.
        return verdict_of(list.iter().find(|s| s.id == pinned)?.state);
    }
    if let Some(named) = named(case, list)
        && named.state.has_ended()
        && since_answer(evidence, named) == Some(true)
    {
        return verdict_of(named.state);
    }
    if let Some(met) = met_running(case, evidence, list, at_once) {
        evidence.pinned = Some(met.id);
        evidence.quiet_since = None;
        return None;
    }
    if is_first && !at_once && list.iter().any(|s| !s.state.has_ended()) {
        return Some(unknown(
            "The first look at the vendor's submissions came too late to tell whether the publish now running is the one that the cancel met.",
        ));
    }
    nothing_running(case, evidence, at, list, at_once, patience)
}

/// The running publish that the cancel meets: the one that the location names;
/// else the newest one in the first look. A later look only adds one that provably
/// was there before: a publish that starts later never counts.
fn met_running<'a>(
    case: Case,
    evidence: &Evidence,
    list: &'a [Submission],
    at_once: bool,
) -> Option<&'a Submission> {
    let running = |s: &&Submission| !s.state.has_ended();
    named(case, list).filter(running).or_else(|| {
        list.iter()
            .filter(running)
            .find(|s| at_once || was_there_before(evidence, s))
    })
}

/// No publish is pinned. Either one that we never saw running ended since the
/// answer, or nothing was running: and that takes two looks to say.
fn nothing_running(
    case: Case,
    evidence: &mut Evidence,
    at: Timestamp,
    list: &[Submission],
    at_once: bool,
    patience: Patience,
) -> Option<Verdict> {
    if let Some(newest) = newest_ended(case, list) {
        match since_answer(evidence, newest) {
            None => return Some(unknown(undated(evidence))),
            Some(true) if at_once => return verdict_of(newest.state),
            Some(true) => {
                return Some(unknown(
                    "A publish ended after the vendor's answer, but it was first seen too late to tell whether it was running when the cancel came.",
                ));
            }
            Some(false) => {}
        }
    }
    let quiet_since = *evidence.quiet_since.get_or_insert(at);
    (at.duration_since(quiet_since) >= signed(patience.settle))
        .then_some(Verdict::Ended(Outcome::NothingToCancel, None))
}

/// The end came before the evidence.
fn give_up(case: Case, evidence: &Evidence, list: Option<&[Submission]>) -> Verdict {
    let Some(list) = list else {
        return unknown("At the end the vendor's list of submissions could not be read.");
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
            let message = match case.delivered {
                Delivered::Yes => "The vendor accepted the cancel, but the publish still runs.",
                Delivered::No | Delivered::Unknown => {
                    "The publish still runs; the vendor may never have received the cancel."
                }
            };
            ended(Outcome::NotCanceled, "not-canceled", message)
        }
    }
}

fn verdict_of(state: RunState) -> Option<Verdict> {
    match state {
        RunState::Canceled => Some(Verdict::Ended(Outcome::Canceled, None)),
        RunState::Failed => Some(Verdict::Ended(Outcome::AlreadyFailed, None)),
        RunState::Completed => Some(ended(
            Outcome::AlreadyCompleted,
            "already-completed",
            "The publish completed before the cancel could take effect.",
        )),
        RunState::Running | RunState::Unrecognized => None,
    }
}

fn named(case: Case, list: &[Submission]) -> Option<&Submission> {
    list.iter().find(|s| Some(s.id) == case.named)
}

/// The ended submission that matters most: the one that changed last. Where the
/// named one, or the first of the list, has no time, it stands for all.
fn newest_ended(case: Case, list: &[Submission]) -> Option<&Submission> {
    let ended = || list.iter().filter(|s| s.state.has_ended());
    let undated = |s: &&Submission| s.changed.is_none();
    ended()
        .find(|s| Some(s.id) == case.named)
        .filter(undated)
        .or_else(|| ended().next().filter(undated))
        .or_else(|| ended().max_by_key(|s| s.changed))
}

/// Whether a submission changed since the vendor's answer, by the vendor's clock;
/// none if either time is missing.
fn since_answer(evidence: &Evidence, submission: &Submission) -> Option<bool> {
    let took = SignedDuration::from_millis(i64::try_from(evidence.took_ms).unwrap_or(i64::MAX));
    let earliest = evidence
        .vendor_date?
        .checked_sub(SLACK.saturating_add(took))
        .ok()?;
    Some(submission.changed? >= earliest)
}

/// Whether a running submission existed when the vendor answered.
fn was_there_before(evidence: &Evidence, submission: &Submission) -> bool {
    matches!(
        (submission.changed, evidence.vendor_date),
        (Some(changed), Some(date)) if changed <= date
    )
}

fn is_prompt(evidence: &Evidence, at: Timestamp) -> bool {
    evidence
        .answered_at
        .is_some_and(|answered| at.duration_since(answered) <= SLACK)
}

fn undated(evidence: &Evidence) -> &'static str {
    if evidence.vendor_date.is_none() {
        "Nothing was seen running, and without a dated answer of the vendor's it cannot be told whether the last publish ended before or after the cancel."
    } else {
        "Nothing was seen running, and the vendor does not say when the last publish ended."
    }
}

fn unknown(message: &str) -> Verdict {
    ended(Outcome::Unknown, "outcome-unknown", message)
}

fn ended(outcome: Outcome, code: &'static str, message: &str) -> Verdict {
    Verdict::Ended(
        outcome,
        Some(Fault {
            code: code.into(),
            message: message.into(),
        }),
    )
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests;
