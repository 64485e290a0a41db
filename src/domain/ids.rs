//! Identifiers: what a caller may name, in the only spelling that is let in.
//!
//! The vendor's paths are built from these types, so none of them can hold a
//! slash, a dot segment, a control character or anything percent-encoded.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

/// The longest offer, publisher or request id that is accepted, in characters.
const MAX_LENGTH: usize = 128;

/// Why a text is not an identifier. Never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 128 characters of A-Z a-z 0-9 . _ - and neither \".\" nor \"..\"")]
pub struct InvalidId;

fn is_word(text: &str) -> bool {
    (1..=MAX_LENGTH).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn parse_vendor_id(text: &str) -> Result<Arc<str>, InvalidId> {
    if is_word(text) && text != "." && text != ".." {
        Ok(text.into())
    } else {
        Err(InvalidId)
    }
}

macro_rules! vendor_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Accepts 1 to 128 of `A-Z a-z 0-9 . _ -`, but not `.` or `..`.
            ///
            /// # Errors
            /// [`InvalidId`] for anything else.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                parse_vendor_id(text).map(Self)
            }

            /// The identifier as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

vendor_id! {
    /// An offer on the marketplace, for example `contoso-vm`.
    OfferId
}

vendor_id! {
    /// A publisher (seller account) on the marketplace, for example `contoso`.
    PublisherId
}

/// An operation of the gateway: a UUIDv7, so that ids sort by time of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct OperationId(Uuid);

impl OperationId {
    /// A new id of this moment.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// Accepts the hyphenated form of a UUID only.
    ///
    /// # Errors
    /// [`InvalidId`] for anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        if text.len() != uuid::fmt::Hyphenated::LENGTH {
            return Err(InvalidId);
        }
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidId)
    }

    /// When it was generated, to the millisecond; the beginning of time for an id that
    /// is no UUIDv7.
    #[must_use]
    pub fn created_at(self) -> Timestamp {
        let unix = self.0.get_timestamp().map(|time| time.to_unix());
        unix.and_then(|(seconds, nanoseconds)| {
            let nanoseconds = i32::try_from(nanoseconds).ok()?;
            Timestamp::new(i64::try_from(seconds).ok()?, nanoseconds).ok()
        })
        .unwrap_or(Timestamp::MIN)
    }

    /// The id as a UUID, for storage.
    #[must_use]
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for OperationId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.as_hyphenated(), f)
    }
}

/// The id under which a request can be found in the log: the caller's own
/// `X-Request-Id`, or a UUIDv7.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Accepts 1 to 128 of `A-Z a-z 0-9 . _ -`.
    ///
    /// # Errors
    /// [`InvalidId`] for anything else; the gateway then makes its own.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        if is_word(text) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId)
        }
    }

    /// A new id of this moment.
    #[must_use]
    pub fn generate() -> Self {
        let mut text = Uuid::encode_buffer();
        Self((&*Uuid::now_v7().as_hyphenated().encode_lower(&mut text)).into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_what_the_vendor_uses() {
        for good in ["a", "contoso-vm", "A.b_c-9", "...", &"x".repeat(128)] {
            assert_eq!(OfferId::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn refuses_what_could_leave_its_path_segment() {
        let long = "x".repeat(129);
        for bad in [
            "", ".", "..", "a/b", "a\\b", "a b", "a%2Fb", "a?b", "a#b", "a;b", "a\0", "a\r\n", "é",
            "a$b", &long,
        ] {
            assert_eq!(OfferId::parse(bad), Err(InvalidId), "{bad:?}");
            assert_eq!(PublisherId::parse(bad), Err(InvalidId), "{bad:?}");
        }
    }

    #[test]
    fn an_operation_id_has_one_spelling() {
        let id = OperationId::generate();
        assert_eq!(OperationId::parse(&id.to_string()), Ok(id));
        for bad in ["", "x", "01996b2e7d5c7c3a8f3e2b1a0c9d8e7f"] {
            assert_eq!(OperationId::parse(bad), Err(InvalidId));
        }
        assert!(OperationId::parse(&format!("{{{id}}}")).is_err());
    }

    proptest! {
        #[test]
        fn a_parsed_id_is_one_plain_path_segment(text in "\\PC{0,140}") {
            if let Ok(id) = OfferId::parse(&text) {
                prop_assert!(id.as_str().bytes().all(|b| b.is_ascii_graphic() && !b"/\\?#%;".contains(&b)));
                prop_assert!(id.as_str() != "." && id.as_str() != "..");
                prop_assert_eq!(id.as_str(), text);
            }
        }
    }
}
