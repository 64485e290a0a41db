//! The offer that a call to the vendor is about.

use super::{OfferId, PublisherId};

/// An offer that a caller was permitted to act on, the only source of the vendor's paths. It
/// cannot be built from a request: a permit contains it, and the ledger restores the one that
/// an operation was recorded with. No other code
/// calls the two constructors; `tests/layering.rs` checks that.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    publisher: PublisherId,
    offer: OfferId,
}

impl Target {
    /// For `policy` alone: the offer that a permit is being granted for.
    pub(crate) fn permitted(publisher: PublisherId, offer: OfferId) -> Self {
        Self { publisher, offer }
    }

    /// For `ledger` alone: the offer of a recorded operation, which was permitted when
    /// the operation was asked for.
    pub(crate) fn recorded(publisher: PublisherId, offer: OfferId) -> Self {
        Self { publisher, offer }
    }

    /// The offer's publisher.
    #[must_use]
    pub fn publisher(&self) -> &PublisherId {
        &self.publisher
    }

    /// The offer.
    #[must_use]
    pub fn offer(&self) -> &OfferId {
        &self.offer
    }
}

#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::unwrap_used)]
impl Target {
    /// A target without a permit, for tests.
    pub fn sample(publisher: &str, offer: &str) -> Self {
        Self {
            publisher: PublisherId::parse(publisher).unwrap(),
            offer: OfferId::parse(offer).unwrap(),
        }
    }
}
