//! What an `Idempotency-Key` stands for: the request that it came with first, and the
//! answer to that request. Only a digest of the key is stored.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Operation, PortalError, ProblemCode, Status};

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl Digest {
    /// The digest in these bytes; none if they are not 32.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third, fourth, ..] = self.0;
        write!(f, "{first:02x}{second:02x}{third:02x}{fourth:02x}…")
    }
}

/// The key that an action was requested with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idempotency {
    /// Of the caller's name and its key: a key belongs to its caller.
    pub key: Digest,
    /// Of what was requested: action, target and addresses.
    pub payload: Digest,
}

/// The first answer to a request with an idempotency key: everything that a replay is
/// made of.
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
    /// The vendor's own words.
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
        let refused = self.status == Status::Failed && self.outcome.is_none();
        let code = self.error.as_ref().map(|error| error.code);
        let unanswered = self.portal.http_status.is_none();
        !(refused && (unanswered || code == Some(ProblemCode::PortalThrottled)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Delivered, OperationError, Outcome};

    #[test]
    fn only_what_did_nothing_returns_its_key() {
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

    #[test]
    fn a_digest_is_not_printed_whole() {
        let digest = Digest::from([0xab; 32]);
        assert_eq!(format!("{digest:?}"), "abababab…");
    }
}
