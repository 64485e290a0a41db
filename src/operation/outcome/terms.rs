//! The inputs of a judgement other than the evidence, and its result.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::domain::{Action, Delivered, OperationError, Outcome, ProblemCode};
use crate::portal::Submission;

/// The longest grace period.
const MAX_GRACE: Duration = Duration::from_secs(300);

/// The facts about the operation other than its evidence.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// The action, whose rules apply.
    pub action: Action,
    /// The GUID in the vendor's location. The status text at that location proves
    /// nothing (an unmigrated offer's is about the offer, not about one publish), so it
    /// is not an argument.
    pub named: Option<Uuid>,
    /// Whether the vendor got the request.
    pub delivered: Delivered,
    /// Whether the vendor answered that it accepted it.
    pub accepted: bool,
}

/// One reading of the vendor's list of submissions.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// When its request was sent; gateway clock.
    pub at: Timestamp,
    /// When it was complete; gateway clock.
    pub ended: Timestamp,
    /// The `Date` of the vendor's answer to it.
    pub date: Option<Timestamp>,
    /// The list, newest first, or why there is none.
    pub submissions: Result<&'a [Submission], MissingReason>,
}

/// Why an observation has no list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingReason {
    /// The read failed and will be retried.
    WillRetry,
    /// The read failed, and the deadline leaves no time to retry it.
    ReadFailed,
    /// The vendor asked for a pause that lasts beyond the deadline.
    Throttled,
    /// No poll could be started in time, because too many others were waiting.
    NoCapacity,
}

/// How long to wait for evidence.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// How far apart two observations must be to say that nothing was running.
    pub settle: Duration,
    /// How long an operation is polled before its last observation decides.
    pub give_up: Duration,
}

impl Deadlines {
    /// How long a last read that fails is retried: a sixth of `give_up`, at most five
    /// minutes.
    #[must_use]
    pub fn grace(&self) -> Duration {
        MAX_GRACE.min(self.give_up / 6)
    }
}

/// Whether a period is over.
pub fn reached(elapsed: SignedDuration, period: Duration) -> bool {
    Duration::try_from(elapsed).is_ok_and(|elapsed| elapsed >= period)
}

/// Whether the operation has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not decided: poll again.
    KeepPolling,
    /// Decided.
    Ended(Outcome, Option<OperationError>),
}

impl Verdict {
    /// Decided, and not as the caller wanted.
    pub(super) fn failed(outcome: Outcome, code: ProblemCode, message: &'static str) -> Self {
        Self::Ended(outcome, Some(OperationError::new(code, message)))
    }

    /// The evidence does not decide.
    pub(super) fn unknown(message: &'static str) -> Self {
        Self::failed(Outcome::Unknown, ProblemCode::OutcomeUnknown, message)
    }
}
