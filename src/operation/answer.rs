//! Applies the vendor's answer to an action, or its absence, to the operation, and derives the
//! answer to the caller. Only a finished answer differs between actions.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::act::Act;
use super::authorized_portal::{CallFailure, Exchange, SendFailure};
use super::failure::RequestFailure;
use crate::domain::{
    Delivered, Operation, OperationError, PortalError, PortalProblem, ProblemCode, clock,
};
use crate::portal::{Answer, Lost, Meaning, Refusal, SendError, Unreachable};

/// The code of a problem, and when to repeat the request, if the vendor said so.
type ProblemAndWait = (ProblemCode, Option<Duration>);

/// Writes what came back into the operation. Returns the problem that the caller is to be
/// answered with, if it is not the operation itself.
pub fn apply<A: Act>(operation: &mut Arc<Operation>, exchange: Exchange) -> Option<RequestFailure> {
    let changed = Arc::make_mut(operation);
    changed.evidence.answered_at = Some(clock::steady_now());
    changed.evidence.wall_ahead = clock::wall_ahead();
    changed.evidence.took_ms = u64::try_from(exchange.took.as_millis()).unwrap_or(u64::MAX);
    let (problem, said) = match exchange.answer {
        Ok(mut answer) => {
            let said = std::mem::take(&mut answer.said);
            (apply_answer::<A>(changed, answer), said)
        }
        Err(failure) => {
            // A rejected token means that the vendor received a request and did nothing.
            let delivered = match exchange.refused_once {
                true => Delivered::Yes,
                false => Delivered::No,
            };
            let problem = apply_failure(changed, failure, delivered);
            (problem, PortalError::default())
        }
    };
    let (code, retry_after) = problem?;
    Some(RequestFailure {
        retry_after,
        ..RequestFailure::of_operation(PortalProblem { code, said }, operation)
    })
}

fn apply_answer<A: Act>(operation: &mut Operation, answer: Answer) -> Option<ProblemAndWait> {
    let target = &operation.target;
    let portal = &mut operation.portal;
    portal.http_status = Some(answer.http_status);
    portal.correlation_id = answer.correlation_id;
    portal.location = answer.location.map(|location| location.path(target));
    operation.evidence.vendor_date = answer.date;
    match answer.meaning {
        Meaning::Finished => {
            operation.portal.delivered = Delivered::Yes;
            A::finish(operation);
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
            Some((ProblemCode::PortalFailed, None))
        }
        Meaning::BadResponse => {
            operation.follow(Delivered::Yes);
            Some((ProblemCode::PortalBadResponse, None))
        }
        Meaning::Unauthorized => {
            let message = "The vendor rejects the gateway's token; nothing was done.";
            let code = ProblemCode::PortalRejectedCredential;
            Some(refuse(operation, Delivered::Yes, code, message))
        }
        Meaning::Refused(refusal) => {
            let (code, message) = refusal_text(refusal);
            let (code, _) = refuse(operation, Delivered::Yes, code, message);
            match refusal {
                Refusal::Throttled(wait) => Some((code, wait)),
                _ => Some((code, None)),
            }
        }
    }
}

fn apply_failure(
    operation: &mut Operation,
    failure: SendFailure,
    delivered: Delivered,
) -> Option<ProblemAndWait> {
    match failure {
        CallFailure::Portal(SendError::Lost(lost)) => {
            let limit = (lost == Lost::Timeout).then_some("portal.request_timeout_ms");
            tracing::warn!(operation = %operation.id, %lost, limit, "no answer from the vendor; polling the operation");
            operation.follow(Delivered::Unknown);
            match lost {
                // Something answered, but it was not the vendor's API.
                Lost::NotHttp => Some((ProblemCode::PortalBadResponse, None)),
                Lost::Timeout | Lost::Closed => None,
            }
        }
        CallFailure::Portal(SendError::NotSent(cause)) => {
            tracing::warn!(operation = %operation.id, %cause, "vendor not reached");
            let code = match cause {
                Unreachable::Request => ProblemCode::InternalError,
                Unreachable::Exhausted => ProblemCode::Overloaded,
                _ if cause.is_timeout() => ProblemCode::PortalTimeout,
                _ => ProblemCode::PortalFailed,
            };
            let limit = match cause.is_timeout() {
                true => " (portal.connect_timeout_ms)",
                false => "",
            };
            let cause = cause.for_caller();
            let message =
                format!("The vendor could not be reached: {cause}{limit}. Nothing was done.");
            Some(refuse(operation, delivered, code, message))
        }
        CallFailure::NoToken(cause) => {
            let message = "The gateway has no usable token for this publisher; nothing was done.";
            let code = ProblemCode::CredentialUnavailable;
            let (code, _) = refuse(operation, delivered, code, message);
            Some((code, Some(cause.retry_after)))
        }
    }
}

fn refuse(
    operation: &mut Operation,
    delivered: Delivered,
    code: ProblemCode,
    message: impl Into<Cow<'static, str>>,
) -> ProblemAndWait {
    operation.refuse(delivered, OperationError::new(code, message));
    (code, None)
}

/// The code and the sentence that both the operation and the problem carry.
fn refusal_text(refusal: Refusal) -> (ProblemCode, &'static str) {
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
            "The vendor has no such offer of this publisher.",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Origin;

    #[test]
    fn a_request_that_was_not_sent_is_refused_and_may_be_repeated() {
        for (cause, code, origin, retryable) in [
            (
                Unreachable::Name,
                ProblemCode::PortalFailed,
                Origin::Portal,
                true,
            ),
            (
                Unreachable::Connect,
                ProblemCode::PortalFailed,
                Origin::Portal,
                true,
            ),
            (
                Unreachable::Timeout,
                ProblemCode::PortalTimeout,
                Origin::Portal,
                true,
            ),
            // Whose fault it is: not the vendor's.
            (
                Unreachable::Exhausted,
                ProblemCode::Overloaded,
                Origin::Gateway,
                true,
            ),
            (
                Unreachable::Request,
                ProblemCode::InternalError,
                Origin::Gateway,
                false,
            ),
        ] {
            let mut operation = Arc::new(Operation::sample());
            let text = cause.to_string();
            let failure = CallFailure::Portal(SendError::NotSent(cause));
            let (found, _) =
                apply_failure(Arc::make_mut(&mut operation), failure, Delivered::No).unwrap();
            let problem = PortalProblem {
                code: found,
                said: PortalError::default(),
            };
            let failure = RequestFailure::of_operation(problem, &operation);
            let told = (failure.code, failure.origin, failure.retryable);
            assert_eq!(told, (code, origin, retryable), "{text}");
            assert!(failure.detail.contains(&text), "{}", failure.detail);
            assert_eq!(operation.portal.delivered, Delivered::No);
        }
    }
}
