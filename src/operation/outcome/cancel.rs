//! The outcome of a cancel: the contract's section "What became of a cancel" as code.
//!
//! The publish that the cancel applies to is *pinned*, and its end decides.

use super::terms::{Deadlines, Facts, Observation, Verdict, reached};
use super::time_evidence::TimeEvidence;
use crate::domain::{Delivered, Evidence, Outcome, ProblemCode};
use crate::portal::{RunState, Submission};

const FIRST_READ_TOO_LATE_RUNNING: &str = "The submissions were first read too late to tell whether the publish that is running now is the one that the cancel applied to.";
const FIRST_READ_TOO_LATE_ENDED: &str = "A publish ended after the vendor's answer, but the submissions were first read too late to tell whether it was running when the cancel arrived.";
const STARTED_WITH_ANSWER: &str = "A publish started or changed just as the vendor answered, so it cannot be told whether the cancel applied to it.";
const ONE_AFTER_ANOTHER: &str = "One publish ended and another started at about the time of the cancel, so it cannot be told which of them the cancel applied to.";
const SEVERAL_ENDED: &str = "Several publishes ended at about the time of the cancel, so it cannot be told which of them the cancel applied to.";
const NO_DATE: &str = "No publish was seen running, and the vendor's answer had no Date, so it cannot be told whether the last publish ended before or after the cancel.";
const NO_CHANGED_TIME: &str =
    "No publish was seen running, and the vendor does not report when the last one ended.";

const NOT_SETTLED: &str = "The deadline (operations.give_up_seconds) came before a second reading of the vendor's list of submissions could confirm that no publish was running.";
const DISAPPEARED: &str =
    "The publish that the cancel applied to is no longer in the vendor's list of submissions.";
const UNKNOWN_STATE: &str =
    "The vendor reports the publish in a state that this version of offergate does not know.";
const ACCEPTED: &str = "The vendor accepted the cancel, but the publish was still running at the deadline (operations.give_up_seconds).";
const RECEIVED: &str = "The vendor received the cancel but did not confirm that it accepted it, and the publish was still running at the deadline (operations.give_up_seconds).";
const MAYBE_LOST: &str = "The vendor may never have received the cancel; the publish was still running at the deadline (operations.give_up_seconds).";
const COMPLETED: &str = "The publish completed before the cancel took effect.";

/// Judges a list of submissions. At the deadline the result is final, if only `unknown`.
pub fn judge(
    facts: Facts,
    evidence: &mut Evidence,
    observation: &Observation<'_>,
    list: &[Submission],
    deadlines: Deadlines,
    is_last: bool,
) -> Verdict {
    let verdict = weigh(facts, evidence, observation, list, deadlines);
    verdict.unwrap_or_else(|| match is_last {
        true => judge_last(facts, evidence, list),
        false => Verdict::KeepPolling,
    })
}

/// The publish that the cancel applied to, as far as a list shows.
enum PinnedPublish<'a> {
    /// This one, and it is still running.
    Running(&'a Submission),
    /// This one, and it has ended.
    Ended(&'a Submission),
    /// None: nothing was running.
    Nothing,
    /// Unknown, for this reason.
    Undecided(&'static str),
}

fn weigh(
    facts: Facts,
    evidence: &mut Evidence,
    observation: &Observation<'_>,
    list: &[Submission],
    deadlines: Deadlines,
) -> Option<Verdict> {
    let is_first = evidence.first_look_at.is_none();
    evidence.first_look_at.get_or_insert(observation.at);
    if let Some(pinned) = evidence.pinned {
        // Seen running after the answer: its end decides, whenever it came.
        return verdict_of(list.iter().find(|s| s.id == pinned)?.state);
    }
    let times = TimeEvidence::new(evidence, observation, is_first);
    let earlier;
    let list = if evidence.nothing_at_once {
        earlier = without_later(facts, &times, list);
        &earlier
    } else {
        list
    };
    let pinned = find_named(facts, &times, list)
        .or_else(|| find_running(&times, list, is_first))
        .unwrap_or_else(|| find_ended(&times, list));
    match pinned {
        PinnedPublish::Running(publish) => {
            evidence.pinned = Some(publish.id);
            evidence.quiet_since = None;
            None
        }
        PinnedPublish::Ended(publish) => verdict_of(publish.state),
        PinnedPublish::Undecided(why) => Some(Verdict::unknown(why)),
        // Two observations are needed for this outcome.
        PinnedPublish::Nothing => {
            evidence.nothing_at_once |= times.is_immediate;
            let quiet_since = *evidence.quiet_since.get_or_insert(observation.at);
            let quiet = observation.at.duration_since(quiet_since);
            reached(quiet, deadlines.settle)
                .then_some(Verdict::Ended(Outcome::NothingToCancel, None))
        }
    }
}

/// What remains possible once an immediate observation has found nothing: the publish
/// that the location names, and one from long before, which the list was late to show.
/// Everything else started later.
fn without_later(facts: Facts, times: &TimeEvidence, list: &[Submission]) -> Vec<Submission> {
    let counts = |one: &&Submission| Some(one.id) == facts.named || times.clearly_precedes(one);
    list.iter().filter(counts).cloned().collect()
}

/// The publish that the location names. If it had ended by the time of the answer while
/// another was certainly running, the cancel applied to that one.
fn find_named<'a>(
    facts: Facts,
    times: &TimeEvidence,
    list: &'a [Submission],
) -> Option<PinnedPublish<'a>> {
    let named = list.iter().find(|s| Some(s.id) == facts.named)?;
    if !named.state.has_ended() {
        return Some(PinnedPublish::Running(named));
    }
    if times.ended_after_answer(named) {
        return Some(PinnedPublish::Ended(named));
    }
    let mut others = list.iter().filter(|s| !s.state.has_ended());
    if let Some(other) = others.find(|s| times.ran_throughout(s)) {
        return Some(PinnedPublish::Running(other));
    }
    match (times.is_dated, named.changed) {
        (true, None) => Some(PinnedPublish::Undecided(NO_CHANGED_TIME)),
        (true, Some(_)) => {
            let candidates = times.maybe_ended_since(std::slice::from_ref(named), None);
            (!candidates.is_empty()).then_some(PinnedPublish::Ended(named))
        }
        (false, _) => None,
    }
}

/// A running publish that the cancel can have applied to: one that was certainly there;
/// else the newest one in the first observation, or in a later one if it was there
/// before. A publish that starts later never counts.
fn find_running<'a>(
    times: &TimeEvidence,
    list: &'a [Submission],
    is_first: bool,
) -> Option<PinnedPublish<'a>> {
    let running = || list.iter().filter(|s| !s.state.has_ended());
    if let Some(publish) = running().find(|s| times.ran_throughout(s)) {
        return Some(PinnedPublish::Running(publish));
    }
    let touched = |s: &&Submission| times.may_be_touched(s);
    let may = |s: &&Submission| {
        times.is_immediate || times.ran_at_answer(s) || (is_first && times.may_be_touched(s))
    };
    let Some(candidate) = running().find(may) else {
        return match (is_first, running().find(touched), running().next()) {
            (true, _, Some(_)) => Some(PinnedPublish::Undecided(FIRST_READ_TOO_LATE_RUNNING)),
            // Missed by the observation before, or later than it.
            (false, Some(_), _) => Some(PinnedPublish::Undecided(STARTED_WITH_ANSWER)),
            _ => None,
        };
    };
    // One publish runs at a time: if another has ended since, the cancel may have applied
    // to that one, and this one may have followed it.
    Some(match &times.maybe_ended_since(list, Some(candidate))[..] {
        [] => PinnedPublish::Running(candidate),
        [ended] if times.is_immediate && times.ended_after_answer(ended) => {
            PinnedPublish::Ended(ended)
        }
        _ => PinnedPublish::Undecided(ONE_AFTER_ANOTHER),
    })
}

/// No publish that the cancel can have applied to is running.
fn find_ended<'a>(times: &TimeEvidence, list: &'a [Submission]) -> PinnedPublish<'a> {
    if !times.is_dated && list.iter().any(|s| s.state.has_ended()) {
        return PinnedPublish::Undecided(NO_DATE);
    }
    let candidates = times.maybe_ended_since(list, None);
    match &candidates[..] {
        [] => PinnedPublish::Nothing,
        all if all.iter().any(|s| s.changed.is_none()) => PinnedPublish::Undecided(NO_CHANGED_TIME),
        _ if !times.is_immediate => PinnedPublish::Undecided(FIRST_READ_TOO_LATE_ENDED),
        [ended] => PinnedPublish::Ended(ended),
        _ => PinnedPublish::Undecided(SEVERAL_ENDED),
    }
}

/// The deadline came before the evidence.
fn judge_last(facts: Facts, evidence: &Evidence, list: &[Submission]) -> Verdict {
    let Some(pinned) = evidence.pinned else {
        return Verdict::unknown(NOT_SETTLED);
    };
    match list.iter().find(|s| s.id == pinned) {
        None => Verdict::unknown(DISAPPEARED),
        Some(s) if s.state == RunState::Unrecognized => Verdict::unknown(UNKNOWN_STATE),
        Some(_) => {
            let message = match (facts.accepted, facts.delivered) {
                (true, _) => ACCEPTED,
                (false, Delivered::Yes) => RECEIVED,
                (false, Delivered::No | Delivered::Unknown) => MAYBE_LOST,
            };
            Verdict::failed(Outcome::NotCanceled, ProblemCode::NotCanceled, message)
        }
    }
}

fn verdict_of(state: RunState) -> Option<Verdict> {
    match state {
        RunState::Canceled => Some(Verdict::Ended(Outcome::Canceled, None)),
        RunState::Failed => Some(Verdict::Ended(Outcome::AlreadyFailed, None)),
        RunState::Completed => Some(Verdict::failed(
            Outcome::AlreadyCompleted,
            ProblemCode::AlreadyCompleted,
            COMPLETED,
        )),
        RunState::Running | RunState::Unrecognized => None,
    }
}
