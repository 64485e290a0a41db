//! What an `Idempotency-Key` stands for: the request that it came with first, and the
//! answer that this request got. The key itself is kept nowhere, only its digest.

use std::fmt;

use super::{Operation, OperationId, ProblemCode, Status};

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

/// The key that an action was asked for under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idempotency {
    /// Of the caller's name and its key, so that callers cannot meet in one.
    pub key: Digest,
    /// Of what was asked for.
    pub payload: Digest,
}

/// The first answer to a request with an idempotency key, to be given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The operation that it is about.
    pub operation: OperationId,
    /// Its HTTP status.
    pub status: u16,
    /// Its header lines, `name: value`, each ended by a line feed.
    pub headers: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl Operation {
    /// Whether the key that it was asked for under still stands for it. One that never
    /// came to an answer of the vendor's, and provably did nothing, gives its key back,
    /// and so does one that the vendor was too busy for: whoever asks again is to be
    /// heard, and not told the same for a day.
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
    fn only_what_did_nothing_gives_its_key_back() {
        let refused = |http_status, code| {
            let mut operation = Operation::sample();
            operation.portal.http_status = http_status;
            operation.refuse(Delivered::Yes, OperationError::new(code, ""));
            operation.consumes_idempotency_key()
        };
        // Nothing arrived, or only what was refused as unauthorized before.
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
