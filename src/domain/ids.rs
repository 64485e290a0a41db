//! Identifiers, validated where they enter the program.
//!
//! The vendor's paths are built from them, so none of them can contain a slash, a dot
//! segment, a control character or a percent-encoded byte.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

/// The longest offer, publisher or request id, in characters.
const MAX_LENGTH: usize = 128;

/// Why a text is not an identifier. Never contains the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 128 characters of A-Z a-z 0-9 . _ - and neither \".\" nor \"..\"")]
pub struct InvalidId;

/// Whether the text is 1 to `max` characters of `A-Z a-z 0-9 . _ -`.
pub(super) fn is_identifier(text: &str, max: usize) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=max).contains(&text.len()) && text.bytes().all(legal)
}

fn is_path_segment(text: &str) -> bool {
    is_identifier(text, MAX_LENGTH) && text != "." && text != ".."
}

/// A type for texts that pass a test: `Name` parses a text that `$is_valid` accepts, which
/// `$rule` describes, and refuses others with `$error`.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident($is_valid:expr, $rule:literal, $error:ident)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize)]
        pub struct $name(::std::sync::Arc<str>);

        impl $name {
            #[doc = concat!("Accepts ", $rule, ".")]
            ///
            /// # Errors
            #[doc = concat!("[`", stringify!($error), "`] for anything else.")]
            pub fn parse(text: &str) -> Result<Self, $error> {
                match $is_valid(text) {
                    true => Ok(Self(text.into())),
                    false => Err($error),
                }
            }

            /// The text as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(super) use text_id;

text_id! {
    /// An offer on the marketplace, for example `contoso-vm`.
    OfferId(is_path_segment, "1 to 128 of `A-Z a-z 0-9 . _ -`, but not `.` or `..`", InvalidId)
}

text_id! {
    /// A publisher (seller account) on the marketplace, for example `contoso`.
    PublisherId(is_path_segment, "1 to 128 of `A-Z a-z 0-9 . _ -`, but not `.` or `..`", InvalidId)
}

text_id! {
    /// The id of a request in the log: the caller's `X-Request-Id`, or else a UUIDv7.
    RequestId(|text| is_identifier(text, MAX_LENGTH), "1 to 128 of `A-Z a-z 0-9 . _ -`", InvalidId)
}

impl RequestId {
    /// A new UUIDv7.
    #[must_use]
    pub fn generate() -> Self {
        let mut text = Uuid::encode_buffer();
        Self((&*Uuid::now_v7().as_hyphenated().encode_lower(&mut text)).into())
    }
}

/// The id of an operation: a UUIDv7, so that ids sort by time of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct OperationId(Uuid);

impl OperationId {
    /// A new UUIDv7.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// Accepts only the hyphenated form of a UUID.
    ///
    /// # Errors
    /// [`InvalidId`] for anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        if text.len() != uuid::fmt::Hyphenated::LENGTH {
            return Err(InvalidId);
        }
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidId)
    }

    /// The time of creation, to the millisecond; [`Timestamp::MIN`] for a UUID of another
    /// version.
    #[must_use]
    pub fn created_at(self) -> Timestamp {
        let unix = self.0.get_timestamp().map(|time| time.to_unix());
        unix.and_then(|(seconds, nanoseconds)| {
            let nanoseconds = i32::try_from(nanoseconds).ok()?;
            Timestamp::new(i64::try_from(seconds).ok()?, nanoseconds).ok()
        })
        .unwrap_or(Timestamp::MIN)
    }

    /// The UUID, for storage.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_the_vendors_ids() {
        for good in ["a", "contoso-vm", "A.b_c-9", "...", &"x".repeat(128)] {
            assert_eq!(OfferId::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn refuses_every_text_that_is_not_one_path_segment() {
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
