//! The first answer to a request with an idempotency key, and when a key is used up.

use std::sync::Arc;
use std::time::Duration;

use super::{Operation, PortalError, ProblemCode};

/// The first answer to a request with an idempotency key: everything that a replay
/// needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstAnswer {
    /// The operation, in the state in which it was answered.
    pub operation: Arc<Operation>,
    /// The problem that was answered instead of it, if any.
    pub problem: Option<PortalProblem>,
    /// The `Prefer: wait` that was applied, if any.
    pub waited: Option<Duration>,
}

/// A problem that came of the vendor's answer, or of its absence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalProblem {
    /// The gateway's code for it.
    pub code: ProblemCode,
    /// The vendor's error document.
    pub said: PortalError,
}

impl FirstAnswer {
    /// The answer that consists of the operation alone.
    #[must_use]
    pub fn of(operation: Arc<Operation>) -> Self {
        Self {
            operation,
            problem: None,
            waited: None,
        }
    }

    /// Whether the finished operation alone says as much, now and later: then nothing else
    /// needs to be stored.
    #[must_use]
    pub fn is_the_operation(&self) -> bool {
        self.operation.status.is_final() && self.problem.is_none() && self.waited.is_none()
    }
}

impl Operation {
    /// Whether the key that it was requested with is used up. An operation that provably
    /// did nothing and got no answer from the vendor returns its key, and so does one that
    /// the vendor throttled: a repeated request is then carried out, instead of getting
    /// the same refusal for a day.
    #[must_use]
    pub fn consumes_idempotency_key(&self) -> bool {
        let code = self.error.as_ref().map(|error| error.code);
        let unanswered = self.portal.http_status.is_none();
        !(self.is_refused() && (unanswered || code == Some(ProblemCode::PortalThrottled)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Delivered, OperationError, Outcome};

    #[test]
    fn only_an_operation_without_effect_returns_its_key() {
        let refused = |http_status, code| {
            let mut operation = Operation::sample();
            operation.portal.http_status = http_status;
            operation.refuse(Delivered::Yes, OperationError::new(code, ""));
            operation.consumes_idempotency_key()
        };
        // Nothing arrived, or only a request that got a 401.
        for code in [
            ProblemCode::PortalFailed,
            ProblemCode::PortalTimeout,
            ProblemCode::CredentialUnavailable,
        ] {
            assert!(!refused(None, code), "{code:?}");
        }
        assert!(!refused(Some(429), ProblemCode::PortalThrottled));
        assert!(refused(Some(404), ProblemCode::OfferNotFound));
        assert!(refused(Some(401), ProblemCode::PortalRejectedCredential));
        let mut followed = Operation::sample();
        assert!(followed.consumes_idempotency_key());
        followed.follow(Delivered::Unknown);
        assert!(followed.consumes_idempotency_key());
        followed.finish(Outcome::Unknown, None);
        assert!(followed.consumes_idempotency_key());
    }
}
