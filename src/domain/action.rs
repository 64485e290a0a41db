//! The actions that a caller may be allowed on an offer.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// An action, and the right to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// See an offer, its status and its submissions.
    Read,
    /// Cancel the vendor's current operation on an offer.
    Cancel,
    /// Send a draft to preview.
    Publish,
    /// Send a preview to the public marketplace.
    GoLive,
    /// Change the offer's draft.
    Write,
}

impl Action {
    /// Every action, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::Read,
        Self::Cancel,
        Self::Publish,
        Self::GoLive,
        Self::Write,
    ];

    /// The name in configuration, JSON, logs and the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Cancel => "cancel",
            Self::Publish => "publish",
            Self::GoLive => "go-live",
            Self::Write => "write",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not the name of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of read, cancel, publish, go-live, write")]
pub struct UnknownAction;

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|action| action.as_str() == name)
            .ok_or(UnknownAction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_case_sensitively() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(action));
        }
        assert_eq!("Cancel".parse::<Action>(), Err(UnknownAction));
        assert_eq!("*".parse::<Action>(), Err(UnknownAction));
    }
}
