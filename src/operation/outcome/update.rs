//! Applies an observation to an operation, and computes when the next decision is due.

use std::sync::Arc;

use jiff::Timestamp;

use super::judge::judge;
use super::terms::{Deadlines, Facts, Observation, Verdict};
use crate::domain::{Delivered, Evidence, Operation, Status};
use crate::portal::Location;

/// The effect of an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// No change.
    Unchanged,
    /// A change that has to be recorded.
    Changed,
    /// The publish that the action applies to was found.
    Pinned,
    /// The operation has ended.
    Ended,
}

/// How much the wall clock must have jumped to be worth recording, in seconds.
const JUMP: u64 = 2;

/// Takes up an operation that an earlier process recorded; `wall_ahead` is how far the wall
/// clock is ahead of this process's.
pub fn adopt(operation: &mut Arc<Operation>, wall_ahead: i64) {
    if operation.evidence.wall_ahead != wall_ahead {
        Arc::make_mut(operation).evidence.adopt(wall_ahead);
    }
}

/// Records how far the wall clock is ahead, if it has jumped. Returns whether that changed
/// the operation.
pub fn note_jump(operation: &mut Arc<Operation>, wall_ahead: i64) -> bool {
    let jumped = operation.evidence.wall_ahead.abs_diff(wall_ahead) >= JUMP;
    if jumped && !operation.status.is_final() {
        let mut evidence = operation.evidence.clone();
        evidence.wall_ahead = wall_ahead;
        Arc::make_mut(operation).record_poll(evidence, None);
        return true;
    }
    false
}

/// An intent that a crash left without a result may have been sent from the moment it was
/// recorded. Returns whether that changed the operation. `wall_ahead` as for [`adopt`].
pub fn assume_sent(operation: &mut Arc<Operation>, wall_ahead: i64) -> bool {
    let is_intent = operation.status == Status::NotStarted;
    if is_intent {
        let operation = Arc::make_mut(operation);
        operation.follow(Delivered::Unknown);
        operation.evidence = Evidence {
            answered_at: Some(operation.created_at),
            ..Evidence::default()
        };
        operation.evidence.adopt(wall_ahead);
    }
    is_intent
}

/// Applies an observation, and the vendor's own status text, if it gave one. A finished
/// operation stays as it is.
pub fn observe(
    operation: &mut Arc<Operation>,
    location: Option<Location>,
    observation: Observation<'_>,
    status_text: Option<&str>,
    deadlines: Deadlines,
) -> Effect {
    if operation.status.is_final() {
        return Effect::Unchanged;
    }
    let facts = Facts {
        action: operation.action,
        named: match location {
            Some(Location::Operation(guid)) => Some(guid),
            Some(Location::Preview) | None => None,
        },
        delivered: operation.portal.delivered,
        accepted: matches!(operation.portal.http_status, Some(200..=299)),
    };
    let mut evidence = operation.evidence.clone();
    let verdict = judge(facts, &mut evidence, observation, deadlines);
    let known = operation.portal.status.as_deref();
    let status_text = status_text.filter(|text| known != Some(*text));
    let is_new = evidence != operation.evidence || status_text.is_some();
    if verdict == Verdict::KeepPolling && !is_new {
        return Effect::Unchanged;
    }
    let is_found = evidence.pinned != operation.evidence.pinned;
    let operation = Arc::make_mut(operation);
    operation.record_poll(evidence, status_text);
    match verdict {
        Verdict::Ended(outcome, error) => {
            operation.finish(outcome, error);
            Effect::Ended
        }
        Verdict::KeepPolling if is_found => Effect::Pinned,
        Verdict::KeepPolling => Effect::Changed,
    }
}

/// When an observation can confirm that nothing was running, if that is pending; gateway
/// clock.
#[must_use]
pub fn settles_at(operation: &Operation, deadlines: Deadlines) -> Option<Timestamp> {
    let quiet_since = operation.evidence.quiet_since?;
    quiet_since.checked_add(deadlines.settle).ok()
}

/// When the operation is due to end, decided or not; gateway clock.
#[must_use]
pub fn gives_up_at(operation: &Operation, deadlines: Deadlines) -> Timestamp {
    let answered_at = operation.evidence.answered_at;
    let since = answered_at.unwrap_or(operation.created_at);
    since.checked_add(deadlines.give_up).unwrap_or(since)
}
