//! What an `Idempotency-Key` stands for: the request that it came with first, and the
//! answer that this request got. The key itself is kept nowhere, only its digest.

use std::fmt;

use super::{Operation, OperationId, Status};

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

/// Codes of failures after which nothing was done at the vendor and asking again is the
/// advice.
const ASK_AGAIN: [&str; 2] = ["portal-throttled", "credential-unavailable"];

impl Operation {
    /// Whether the key that it was asked for under still stands for it. One that
    /// provably did nothing, and of which the caller was told to ask again, gives its
    /// key back: the same answer for ever would be no help.
    #[must_use]
    pub fn holds_its_key(&self) -> bool {
        let nothing_done = match &self.error {
            Some(fault) if self.status == Status::Failed && self.outcome.is_none() => {
                self.portal.delivered == super::Delivered::No || ASK_AGAIN.contains(&&*fault.code)
            }
            _ => false,
        };
        !nothing_done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        Action, CallerName, Delivered, Fault, OfferId, Outcome, PublisherId, RequestId,
    };

    fn operation() -> Operation {
        Operation::intent(
            Action::Cancel,
            PublisherId::parse("contoso").unwrap(),
            OfferId::parse("vm").unwrap(),
            CallerName::parse("pipeline").unwrap(),
            RequestId::generate(),
        )
    }

    #[test]
    fn only_what_did_nothing_gives_its_key_back() {
        let refused = |delivered, code: &'static str| {
            let mut operation = operation();
            let message = String::new();
            operation.refuse(
                delivered,
                Fault {
                    code: code.into(),
                    message,
                },
            );
            operation.holds_its_key()
        };
        assert!(!refused(Delivered::No, "portal-failed"));
        assert!(!refused(Delivered::No, "portal-timeout"));
        assert!(!refused(Delivered::Yes, "credential-unavailable"));
        assert!(!refused(Delivered::Yes, "portal-throttled"));
        assert!(refused(Delivered::Yes, "offer-not-found"));
        assert!(refused(Delivered::Yes, "portal-rejected-credential"));
        let mut followed = operation();
        assert!(followed.holds_its_key());
        followed.follow(Delivered::Unknown);
        assert!(followed.holds_its_key());
        followed.finish(Outcome::Unknown, None);
        assert!(followed.holds_its_key());
    }

    #[test]
    fn a_digest_is_not_printed_whole() {
        let digest = Digest::from([0xab; 32]);
        assert_eq!(format!("{digest:?}"), "abababab…");
    }
}
