//! What the vendor's answer to an action, or the lack of one, makes of the operation,
//! and of the answer to whoever asked.

use std::borrow::Cow;

use super::authorized_portal::{Exchange, SendFailure};
use super::failure::{Answered, Failure, NotDone};
use crate::domain::{Delivered, Operation, OperationError, Outcome, ProblemCode, now};
use crate::portal::{Answer, Lost, Meaning, Refusal, SendError, Unreachable};

/// What the operation says of the vendor's answer, without the vendor's words.
pub fn answered(operation: &Operation) -> Answered {
    Answered {
        operation: operation.id,
        http_status: operation.portal.http_status,
        said: Default::default(),
        correlation_id: operation.portal.correlation_id.clone(),
        delivered: operation.portal.delivered,
    }
}

/// Writes into the operation what came back, and says whether the caller is to be
/// answered with a problem instead of it.
pub fn apply(operation: &mut Operation, exchange: Exchange) -> Option<Failure> {
    operation.evidence.answered_at = Some(now());
    operation.evidence.took_ms = u64::try_from(exchange.took.as_millis()).unwrap_or(u64::MAX);
    // A refused token means that the vendor did get a request, and did nothing.
    let delivered = if exchange.refused_once {
        Delivered::Yes
    } else {
        Delivered::No
    };
    match exchange.answer {
        Ok(answer) => apply_answer(operation, answer),
        Err(SendFailure::Portal(SendError::Lost(lost))) => {
            tracing::warn!(operation = %operation.id, request_id = %operation.request_id, %lost, "the vendor's answer is lost; following");
            operation.follow(Delivered::Unknown);
            match lost {
                // Something was said, only not by the vendor's API.
                Lost::NotHttp => Some(Failure::BadResponse(answered(operation))),
                Lost::Timeout | Lost::Closed | Lost::Interim => None,
            }
        }
        Err(SendFailure::Portal(SendError::NotSent(cause))) => {
            tracing::warn!(operation = %operation.id, request_id = %operation.request_id, %cause, "the vendor could not be reached");
            let code = match cause {
                Unreachable::Timeout => ProblemCode::PortalTimeout,
                Unreachable::Request => ProblemCode::InternalError,
                Unreachable::Name | Unreachable::Connect | Unreachable::Tls => {
                    ProblemCode::PortalFailed
                }
            };
            refuse(
                operation,
                delivered,
                code,
                format!("The vendor could not be asked: {cause}."),
            );
            Some(Failure::Unreachable(not_done(operation, cause)))
        }
        Err(SendFailure::NoToken(cause)) => {
            let message = "The gateway has no usable token for this publisher.";
            refuse(
                operation,
                delivered,
                ProblemCode::CredentialUnavailable,
                message,
            );
            Some(Failure::NoToken(not_done(operation, cause)))
        }
    }
}

fn not_done<Cause>(operation: &Operation, cause: Cause) -> NotDone<Cause> {
    NotDone {
        operation: operation.id,
        delivered: operation.portal.delivered,
        cause,
    }
}

fn apply_answer(operation: &mut Operation, answer: Answer) -> Option<Failure> {
    let target = &operation.target;
    let portal = &mut operation.portal;
    portal.http_status = Some(answer.http_status);
    portal.correlation_id = answer.correlation_id;
    portal.location = answer.location.map(|location| location.path(target));
    operation.evidence.vendor_date = answer.date;
    let answered = |operation: &Operation| Answered {
        said: answer.said,
        ..answered(operation)
    };
    match answer.meaning {
        Meaning::Finished => {
            operation.portal.delivered = Delivered::Yes;
            operation.finish(Outcome::Canceled, None);
            None
        }
        Meaning::Accepted => {
            operation.follow(Delivered::Yes);
            None
        }
        Meaning::Cut => {
            operation.follow(Delivered::Unknown);
            None
        }
        Meaning::Failed => {
            operation.follow(Delivered::Yes);
            Some(Failure::PortalFailed(answered(operation)))
        }
        Meaning::BadResponse => {
            operation.follow(Delivered::Yes);
            Some(Failure::BadResponse(answered(operation)))
        }
        Meaning::Unauthorized => {
            let message = "The vendor refuses the gateway's token.";
            refuse(
                operation,
                Delivered::Yes,
                ProblemCode::PortalRejectedCredential,
                message,
            );
            Some(Failure::CredentialRejected(answered(operation)))
        }
        Meaning::Refused(refusal) => {
            let (code, message) = refusal_text(refusal);
            refuse(operation, Delivered::Yes, code, message);
            Some(Failure::Refused(answered(operation), refusal))
        }
    }
}

fn refuse(
    operation: &mut Operation,
    delivered: Delivered,
    code: ProblemCode,
    message: impl Into<Cow<'static, str>>,
) {
    operation.refuse(delivered, OperationError::new(code, message));
}

/// The code and the sentence that the operation keeps; the problem has the same code.
fn refusal_text(refusal: Refusal) -> (ProblemCode, &'static str) {
    match refusal {
        Refusal::BadRequest => (
            ProblemCode::PortalRejectedRequest,
            "The vendor rejected the request.",
        ),
        Refusal::Forbidden => (
            ProblemCode::PublisherAccessDenied,
            "The vendor does not let the gateway's application act for this publisher.",
        ),
        Refusal::NotFound => (
            ProblemCode::OfferNotFound,
            "The vendor knows no such offer.",
        ),
        Refusal::Conflict => (ProblemCode::Conflict, "The vendor reports a conflict."),
        Refusal::PreconditionFailed => (
            ProblemCode::PreconditionFailed,
            "The vendor reports that a precondition failed.",
        ),
        Refusal::Unprocessable => (
            ProblemCode::PortalValidationFailed,
            "The vendor's validation failed.",
        ),
        Refusal::Throttled(_) => (ProblemCode::PortalThrottled, "The vendor is throttling."),
    }
}
