//! Who is asking, and the rules written for them.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::{Action, Glob, PublisherId};

/// The name of a caller in the configuration. It owns operations and appears
/// in the log, so it is one plain word.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct CallerName(Arc<str>);

/// Why a text is not a caller's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 characters of A-Z a-z 0-9 . _ -")]
pub struct InvalidCallerName;

impl CallerName {
    /// Accepts 1 to 64 of `A-Z a-z 0-9 . _ -`.
    ///
    /// # Errors
    /// [`InvalidCallerName`] for anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidCallerName> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidCallerName)
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CallerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An authenticated caller. Holding one says who asks, not that they may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name that operations and log lines carry.
    pub name: CallerName,
    /// The publisher meant by a route that names none.
    pub default_publisher: Option<PublisherId>,
}

/// The claims by which issuers of JWTs say who a client is. A caller's must name at
/// least one of them.
pub const IDENTIFYING_CLAIMS: [&str; 5] = ["sub", "azp", "appid", "client_id", "oid"];

/// One `allow` entry: any of these actions, on any of these publishers' offers
/// whose id matches one of these patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What is allowed.
    pub actions: Vec<Action>,
    /// For which publishers.
    pub publishers: Vec<Glob>,
    /// On which offers.
    pub offers: Vec<Glob>,
}
