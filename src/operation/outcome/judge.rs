//! The decision on an outcome: the part that all actions share, and a match by action.

use jiff::Timestamp;

use super::cancel;
use super::terms::{Deadlines, Facts, MissingReason, Observation, Verdict, reached};
use crate::domain::{Action, Evidence};

const READ_FAILED: &str = "The vendor's list of submissions could not be read at the deadline (operations.give_up_seconds).";
const THROTTLED: &str = "The vendor was throttling (429) or unavailable when the deadline came (operations.give_up_seconds), so the last state could not be read.";
const NO_CAPACITY: &str = "Too many other operations were waiting to be polled when the deadline came (operations.give_up_seconds), so the last state could not be read.";
const NOT_JUDGED: &str = "This version of offergate cannot judge the outcome of this action.";

/// Weighs one more observation. Updates `evidence`, which is all that is remembered.
#[must_use]
pub fn judge(
    facts: Facts,
    evidence: &mut Evidence,
    observation: Observation<'_>,
    deadlines: Deadlines,
) -> Verdict {
    restart_waits(evidence, observation.at);
    let waited = evidence.answered_at;
    let waited = waited.map(|at| observation.at.duration_since(at));
    let is_last = waited.is_none_or(|waited| reached(waited, deadlines.give_up));
    let list = match observation.submissions {
        Ok(list) => list,
        Err(reason) if is_last => return missing(reason),
        Err(_) => return Verdict::KeepPolling,
    };
    match facts.action {
        Action::Cancel => cancel::judge(facts, evidence, &observation, list, deadlines, is_last),
        Action::Read | Action::Publish | Action::GoLive | Action::Write => match is_last {
            true => Verdict::unknown(NOT_JUDGED),
            false => Verdict::KeepPolling,
        },
    }
}

/// An observation from before the answer shows that the gateway clock was set back. What it has
/// measured is void, and waits start over, so that none lasts longer than it should.
fn restart_waits(evidence: &mut Evidence, at: Timestamp) {
    for moment in [&mut evidence.answered_at, &mut evidence.quiet_since] {
        if moment.is_some_and(|moment| moment > at) {
            *moment = Some(at);
            evidence.clock_went_back = true;
        }
    }
}

/// The deadline came without a list.
fn missing(reason: MissingReason) -> Verdict {
    match reason {
        MissingReason::WillRetry => Verdict::KeepPolling,
        MissingReason::ReadFailed => Verdict::unknown(READ_FAILED),
        MissingReason::Throttled => Verdict::unknown(THROTTLED),
        MissingReason::NoCapacity => Verdict::unknown(NO_CAPACITY),
    }
}
