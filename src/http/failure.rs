//! From every failure of the house to its problem: exhaustive, so that a new failure
//! does not compile before it has a status.

use std::time::Duration;

use super::problem::{Parts, PortalSaid, Problem};
use crate::domain::{Delivered, Origin, ProblemCode};
use crate::ledger::LedgerError;
use crate::operation::{Answered, Failure, NotDone, Refusal, Said, Unreachable};
use crate::policy::Denied;

impl From<Denied> for Problem {
    fn from(_: Denied) -> Self {
        Self::new(
            ProblemCode::CallerNotAllowed,
            "No rule of the gateway allows you this action on this offer.",
        )
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        Parts::ledger(
            &error,
            "The ledger of operations does not answer at the moment.",
        )
        .into()
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let retry_after = failure.retry_after();
        let mut parts = match failure {
            Failure::Draining => Parts::new(
                ProblemCode::Draining,
                "This gateway takes no new actions; nothing was sent.",
            ),
            Failure::Overloaded => Parts::new(
                ProblemCode::Overloaded,
                "Too many actions are under way; nothing was sent.",
            ),
            Failure::NotRecorded(error) => Parts::ledger(
                &error,
                "The intent could not be recorded, so nothing was sent.",
            ),
            Failure::ResultNotRecorded(answered) => Parts::result_not_recorded(answered),
            Failure::NoToken(not_done) => Parts::new(
                ProblemCode::CredentialUnavailable,
                "The gateway has no usable token for this publisher; nothing was done.",
            )
            .not_done(Origin::IdentityProvider, &not_done),
            Failure::Unreachable(not_done) => unreachable_vendor(&not_done),
            Failure::Refused(answered, refusal) => {
                let (code, detail) = refused(refusal);
                Parts::by_portal(code, answered, detail)
            }
            Failure::CredentialRejected(answered) => Parts::by_portal(
                ProblemCode::PortalRejectedCredential,
                answered,
                "The vendor refuses the gateway's token; nothing was done.",
            ),
            Failure::PortalFailed(answered) => Parts::by_portal(
                ProblemCode::PortalFailed,
                answered,
                "The vendor reports a failure of its own; it may have acted. Follow operationLocation.",
            ),
            Failure::BadResponse(answered) => Parts::by_portal(
                ProblemCode::PortalBadResponse,
                answered,
                "The vendor gave an answer that its API does not have; it may have acted. Follow operationLocation.",
            ),
            Failure::Internal(answered) => Parts {
                origin: Origin::Gateway,
                ..Parts::by_portal(
                    ProblemCode::InternalError,
                    answered,
                    "The action ended before its time; it may have been carried out. Follow operationLocation.",
                )
            },
        };
        parts.retry_after = retry_after;
        parts.into()
    }
}

fn unreachable_vendor(not_done: &NotDone<Unreachable>) -> Parts {
    let (code, origin) = match not_done.cause {
        Unreachable::Timeout => (ProblemCode::PortalTimeout, Origin::Portal),
        Unreachable::Name | Unreachable::Connect | Unreachable::Tls => {
            (ProblemCode::PortalFailed, Origin::Portal)
        }
        Unreachable::Request => (ProblemCode::InternalError, Origin::Gateway),
    };
    let detail = format!(
        "The vendor could not be asked: {}. Nothing was done.",
        not_done.cause
    );
    Parts::new(code, detail).not_done(origin, not_done)
}

fn refused(refusal: Refusal) -> (ProblemCode, &'static str) {
    match refusal {
        Refusal::BadRequest => (
            ProblemCode::PortalRejectedRequest,
            "The vendor rejected the request; nothing was done.",
        ),
        Refusal::Forbidden => (
            ProblemCode::PublisherAccessDenied,
            "The vendor does not let the gateway's application act for this publisher.",
        ),
        Refusal::NotFound => (
            ProblemCode::OfferNotFound,
            "The vendor knows no such offer of this publisher.",
        ),
        Refusal::Conflict => (
            ProblemCode::Conflict,
            "The vendor reports a conflict; nothing was done.",
        ),
        Refusal::PreconditionFailed => (
            ProblemCode::PreconditionFailed,
            "The vendor reports that a precondition failed; nothing was done.",
        ),
        Refusal::Unprocessable => (
            ProblemCode::PortalValidationFailed,
            "The vendor's validation failed; nothing was done.",
        ),
        Refusal::Throttled(_) => (
            ProblemCode::PortalThrottled,
            "The vendor is throttling; nothing was done.",
        ),
    }
}

impl Parts {
    /// What the ledger's error means for the request that met it.
    fn ledger(error: &LedgerError, detail: &str) -> Self {
        let mut parts = match error {
            LedgerError::Overloaded => Self::new(
                ProblemCode::Overloaded,
                "Too many operations are being recorded or read; nothing was sent.",
            ),
            LedgerError::Unreadable { .. } => Self::new(
                ProblemCode::InternalError,
                "The operation's record is of another version of the gateway.",
            ),
            LedgerError::Unavailable { .. }
            | LedgerError::Late
            | LedgerError::Corrupt
            | LedgerError::Foreign { .. }
            | LedgerError::TooNew { .. }
            | LedgerError::InUse => Self::new(ProblemCode::LedgerUnavailable, detail),
        };
        parts.retry_after = parts.retryable.then_some(Duration::from_secs(1));
        parts
    }

    fn by_portal(code: ProblemCode, answered: Answered, detail: &str) -> Self {
        let Said {
            code: said,
            message,
        } = answered.said;
        let portal = answered.http_status.map(|http_status| PortalSaid {
            http_status,
            code: said,
            message,
            correlation_id: answered.correlation_id,
        });
        Self {
            origin: Origin::Portal,
            delivered: answered.delivered,
            operation: Some(answered.operation),
            portal,
            ..Self::new(code, detail)
        }
    }

    fn not_done<Cause>(self, origin: Origin, not_done: &NotDone<Cause>) -> Self {
        Self {
            origin,
            delivered: not_done.delivered,
            operation: Some(not_done.operation),
            ..self
        }
    }

    fn result_not_recorded(answered: Answered) -> Self {
        let detail = match answered.delivered {
            Delivered::No => "Nothing was sent, but that could not be recorded yet.",
            Delivered::Yes | Delivered::Unknown => {
                "The vendor was asked, but what came of it could not be recorded yet. Follow operationLocation."
            }
        };
        let not_sent = answered.delivered == Delivered::No;
        Self {
            origin: Origin::Gateway,
            retryable: not_sent,
            ..Self::by_portal(ProblemCode::LedgerUnavailable, answered, detail)
        }
    }
}
