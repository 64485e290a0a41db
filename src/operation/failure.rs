//! Why an action is not answered with its operation.

use std::time::Duration;

use crate::credential::Unavailable;
use crate::domain::{Delivered, OperationId};
use crate::ledger::LedgerError;

/// The vendor's part in a failure.
pub use crate::portal::{Refusal, Said, Unreachable};

/// Why an action is answered with a problem. Mapped to HTTP in one place.
#[derive(Debug, Clone)]
pub enum Failure {
    /// The gateway is shutting down; nothing was sent.
    Draining,
    /// Too many actions are under way; nothing was sent.
    Overloaded,
    /// The ledger did not take the intent; nothing was sent.
    NotRecorded(LedgerError),
    /// It is over, but the ledger did not take the result; the operation will tell
    /// it as soon as the ledger works again.
    ResultNotRecorded(Answered),
    /// There is no token; nothing was done.
    NoToken(NotDone<Unavailable>),
    /// The vendor could not be reached; nothing was done.
    Unreachable(NotDone<Unreachable>),
    /// The vendor refused.
    Refused(Answered, Refusal),
    /// The vendor refuses our token, also a new one.
    CredentialRejected(Answered),
    /// The vendor failed; it may have acted, and is watched.
    PortalFailed(Answered),
    /// The vendor's answer is none that it should give; it may have acted, and is watched.
    BadResponse(Answered),
    /// A task of ours ended before its time; it may have acted, and is watched.
    Internal(Answered),
}

/// An action that did nothing at the vendor.
#[derive(Debug, Clone)]
pub struct NotDone<Cause> {
    /// Its operation, recorded as failed.
    pub operation: OperationId,
    /// Whether the vendor got a request (one that it refused as unauthorized).
    pub delivered: Delivered,
    /// Why.
    pub cause: Cause,
}

/// What the vendor answered to an action that has not succeeded.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Its operation.
    pub operation: OperationId,
    /// The vendor's status; none if it did not come to that.
    pub http_status: Option<u16>,
    /// The vendor's own words.
    pub said: Said,
    /// The vendor's id for the exchange.
    pub correlation_id: Option<String>,
    /// Whether the vendor got the request.
    pub delivered: Delivered,
}

impl Failure {
    /// How long to wait before asking again, where that helps.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NoToken(not_done) => Some(not_done.cause.retry_after),
            Self::Refused(_, Refusal::Throttled(wait)) => *wait,
            Self::Draining | Self::Overloaded | Self::NotRecorded(_) => {
                Some(Duration::from_secs(1))
            }
            Self::ResultNotRecorded(_) => Some(Duration::from_secs(5)),
            Self::Unreachable(_)
            | Self::Refused(..)
            | Self::CredentialRejected(_)
            | Self::PortalFailed(_)
            | Self::BadResponse(_)
            | Self::Internal(_) => None,
        }
    }
}
