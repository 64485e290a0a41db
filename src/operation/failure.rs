//! Why a request is answered with a problem document.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Delivered, Operation, Origin, PortalError, PortalProblem, ProblemCode};
use crate::ledger::LedgerError;

/// When to repeat a request that was not carried out for lack of capacity.
const RETRY: Duration = Duration::from_secs(1);
/// When a result that could not be recorded may have been.
const RECORD_RETRY: Duration = Duration::from_secs(5);

/// Why a request is answered with a problem: everything in the document that does not
/// come from the request itself.
#[derive(Debug, Clone)]
pub struct RequestFailure {
    /// What happened, for programs.
    pub code: ProblemCode,
    /// What happened and what to do about it, for people.
    pub detail: Cow<'static, str>,
    /// The party at fault.
    pub origin: Origin,
    /// Whether repeating the request can help; never if the action may have been carried
    /// out.
    pub retryable: bool,
    /// When to repeat it, if it can be; the default is five seconds.
    pub retry_after: Option<Duration>,
    /// The operation that was recorded for the request. It knows whether the vendor
    /// received anything, and what the vendor answered.
    pub operation: Option<Arc<Operation>>,
    /// The vendor's error document.
    pub said: PortalError,
}

impl RequestFailure {
    /// A failure before anything was recorded or sent.
    #[must_use]
    pub fn new(code: ProblemCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            origin: code.origin(),
            retryable: code.is_retryable(),
            retry_after: None,
            operation: None,
            said: PortalError::default(),
        }
    }

    /// What the vendor's problem means for an operation in this state. First answers and
    /// replays are both made here, so that they say the same.
    #[must_use]
    pub fn of_operation(problem: PortalProblem, operation: &Arc<Operation>) -> Self {
        let detail = match &operation.error {
            Some(error) if error.code == problem.code => error.message.clone(),
            _ => Cow::Borrowed(may_have_acted(problem.code)),
        };
        Self {
            retryable: operation.is_refused()
                && (problem.code.is_retryable() || problem.code == ProblemCode::PortalFailed),
            operation: Some(Arc::clone(operation)),
            said: problem.said,
            ..Self::new(problem.code, detail)
        }
    }

    /// The part of it that is stored with the first answer under a key.
    pub(super) fn portal_problem(&self) -> PortalProblem {
        PortalProblem {
            code: self.code,
            said: self.said.clone(),
        }
    }

    /// The ledger cannot do what the request needs; `detail` says what that is.
    #[must_use]
    pub fn ledger(error: &LedgerError, detail: &'static str) -> Self {
        let failure = match error {
            LedgerError::Overloaded => Self::new(
                ProblemCode::Overloaded,
                "The ledger's queue is full; nothing was sent. Retry after 1 s.",
            ),
            LedgerError::Unreadable { .. } => Self::new(
                ProblemCode::InternalError,
                "The operation was recorded by another version of the gateway and cannot be read.",
            ),
            LedgerError::Unavailable { .. }
            | LedgerError::Late
            | LedgerError::Corrupt
            | LedgerError::Foreign { .. }
            | LedgerError::TooNew { .. }
            | LedgerError::InUse => Self::new(ProblemCode::LedgerUnavailable, detail),
        };
        Self {
            retry_after: Some(RETRY),
            ..failure
        }
    }

    /// The gateway is shutting down.
    pub(super) fn draining() -> Self {
        Self {
            retry_after: Some(RETRY),
            ..Self::new(
                ProblemCode::Draining,
                "The gateway is shutting down and accepts no new actions; nothing was sent.",
            )
        }
    }

    /// As many actions are in progress as the gateway carries out at a time.
    pub(super) fn overloaded(limit: usize) -> Self {
        let detail = format!(
            "Too many actions are in progress (server.max_in_flight_actions = {limit}); nothing \
             was sent. Retry after 1 s."
        );
        Self {
            retry_after: Some(RETRY),
            ..Self::new(ProblemCode::Overloaded, detail)
        }
    }

    /// The action's task ended before the action did.
    pub(super) fn interrupted(operation: &Arc<Operation>) -> Self {
        let problem = PortalProblem {
            code: ProblemCode::InternalError,
            said: PortalError::default(),
        };
        Self::of_operation(problem, operation)
    }

    /// The action is over, but the ledger did not take its result yet.
    pub(super) fn result_not_recorded(operation: Arc<Operation>, said: PortalError) -> Self {
        let (retryable, detail) = match operation.portal.delivered {
            Delivered::No => (
                true,
                "Nothing was sent, but this could not be recorded yet.",
            ),
            Delivered::Yes | Delivered::Unknown => (
                false,
                "The action was sent to the vendor, but its result could not be recorded yet. \
                 Follow operationLocation.",
            ),
        };
        Self {
            retryable,
            retry_after: Some(RECORD_RETRY),
            operation: Some(operation),
            said,
            ..Self::new(ProblemCode::LedgerUnavailable, detail)
        }
    }
}

impl From<LedgerError> for RequestFailure {
    fn from(error: LedgerError) -> Self {
        Self::ledger(&error, "The ledger of operations is not available.")
    }
}

/// The detail of a problem whose operation continues.
fn may_have_acted(code: ProblemCode) -> &'static str {
    match code {
        ProblemCode::PortalFailed => {
            "The vendor answered with a server error; it may have carried out the action. Follow operationLocation."
        }
        ProblemCode::PortalBadResponse => {
            "The vendor's answer is not one that its API documents; it may have carried out the action. Follow operationLocation."
        }
        _ => {
            "The action was interrupted inside the gateway; it may have been carried out. Follow operationLocation."
        }
    }
}
