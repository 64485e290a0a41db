//! One operation as the watcher follows it, without the watcher: what a look changes
//! in it, and when the next thing about it is decided. Pure.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::{Delivered, Operation, Status};
use crate::operation::outcome::{self, Case, Look, Patience, Verdict};
use crate::portal::Location;

/// What a look was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// It changed nothing.
    Nothing,
    /// It changed something that is to be recorded.
    News,
    /// It found the publish that the cancel meets.
    Found,
    /// It ended the operation.
    Ended,
}

/// An intent that a crash left without a result may have been sent from the moment
/// it was recorded. Whether that changed anything.
pub fn begin(operation: &mut Arc<Operation>) -> bool {
    let begins = operation.status == Status::NotStarted;
    if begins {
        let operation = Arc::make_mut(operation);
        operation.follow(Delivered::Unknown);
        operation.evidence.answered_at = Some(operation.created_at);
    }
    begins
}

/// Where the vendor says that it is, if anywhere.
#[must_use]
pub fn location(operation: &Operation) -> Option<Location> {
    let path = operation.portal.location.as_deref()?;
    Location::recognize(path, &operation.target)
}

/// Weighs what a look found, and the vendor's word, if it said one. An operation that
/// is over is left alone.
pub fn weigh(
    operation: &mut Arc<Operation>,
    location: Option<Location>,
    look: Look<'_>,
    word: Option<&str>,
    patience: Patience,
) -> Worth {
    if operation.status.is_final() {
        return Worth::Nothing;
    }
    let case = Case {
        named: match location {
            Some(Location::Operation(guid)) => Some(guid),
            Some(Location::Preview) | None => None,
        },
        delivered: operation.portal.delivered,
        accepted: matches!(operation.portal.http_status, Some(200..=299)),
    };
    let mut evidence = operation.evidence.clone();
    let verdict = outcome::judge(case, &mut evidence, look, patience);
    let word = word.filter(|word| operation.portal.status.as_deref() != Some(*word));
    let found = evidence.pinned != operation.evidence.pinned;
    if verdict == Verdict::KeepLooking && evidence == operation.evidence && word.is_none() {
        return Worth::Nothing;
    }
    let operation = Arc::make_mut(operation);
    operation.learn(evidence, word);
    match verdict {
        Verdict::Ended(outcome, fault) => {
            operation.finish(outcome, fault);
            Worth::Ended
        }
        Verdict::KeepLooking if found => Worth::Found,
        Verdict::KeepLooking => Worth::News,
    }
}

/// When a look can say that nothing was running, if it may come to that; our clock.
#[must_use]
pub fn settles_at(operation: &Operation, patience: Patience) -> Option<Timestamp> {
    let quiet_since = operation.evidence.quiet_since?;
    quiet_since.checked_add(patience.settle).ok()
}

/// When it ends, found out or not; our clock.
#[must_use]
pub fn gives_up_at(operation: &Operation, patience: Patience) -> Timestamp {
    let answered_at = operation.evidence.answered_at;
    let since = answered_at.unwrap_or(operation.created_at);
    since.checked_add(patience.give_up).unwrap_or(since)
}
