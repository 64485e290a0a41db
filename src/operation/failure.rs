//! Why an action is not answered with its operation.

use std::time::Duration;

use crate::credential::Unavailable;
use crate::domain::{Delivered, OperationId};

/// The vendor's part in a failure.
pub use crate::portal::{Refusal, Said, Unreachable};

/// Why an action is answered with a problem. Mapped to HTTP in one place.
#[derive(Debug)]
pub enum Failure {
    /// The gateway is shutting down; nothing was sent.
    Draining,
    /// Too many actions are under way; nothing was sent.
    Overloaded,
    /// The ledger did not take the intent; nothing was sent.
    NotRecorded,
    /// The vendor answered, the ledger did not take the result; it will be told
    /// by the operation as soon as the ledger works again.
    Untold(Untold),
    /// There is no token; nothing was done.
    NoToken(NotSent<Unavailable>),
    /// The vendor could not be reached; nothing has left.
    Unreachable(NotSent<Unreachable>),
    /// The vendor refused.
    Refused(Untold, Refusal),
    /// The vendor refuses our token, also a new one.
    CredentialRejected(Untold),
    /// The vendor failed; it may have acted, and is watched.
    PortalFailed(Untold),
    /// The vendor's answer is none that it should give; it may have acted, and is watched.
    BadResponse(Untold),
    /// A task of ours ended before its time.
    Internal,
}

/// An action that did nothing at the vendor.
#[derive(Debug)]
pub struct NotSent<Cause> {
    /// Its operation, recorded as failed.
    pub operation: OperationId,
    /// Whether the vendor got a request (one that it refused as unauthorized).
    pub delivered: Delivered,
    /// Why.
    pub cause: Cause,
}

/// An action that the vendor answered, but not with success.
#[derive(Debug)]
pub struct Untold {
    /// Its operation.
    pub operation: OperationId,
    /// The vendor's status.
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
            Self::NoToken(not_sent) => Some(not_sent.cause.retry_after),
            Self::Refused(_, Refusal::Throttled(wait)) => *wait,
            Self::Draining | Self::Overloaded | Self::NotRecorded => Some(Duration::from_secs(1)),
            Self::Untold(_) => Some(Duration::from_secs(5)),
            Self::Unreachable(_)
            | Self::Refused(..)
            | Self::CredentialRejected(_)
            | Self::PortalFailed(_)
            | Self::BadResponse(_)
            | Self::Internal => None,
        }
    }
}
