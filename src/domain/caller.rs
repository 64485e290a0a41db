//! Callers, and the rules that apply to them.

use super::action::Action;
use super::glob::Glob;
use super::ids::{PublisherId, is_identifier, text_id};

/// Why a text is not a caller's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 characters of A-Z a-z 0-9 . _ -")]
pub struct InvalidCallerName;

text_id! {
    /// A caller's name in the configuration. Operations and log lines carry it.
    CallerName(|text| is_identifier(text, 64), "1 to 64 of `A-Z a-z 0-9 . _ -`", InvalidCallerName)
}

/// An authenticated caller. That it may do something is what a permit says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Its name.
    pub name: CallerName,
    /// The publisher of requests whose route names none.
    pub default_publisher: Option<PublisherId>,
}

/// The claims that identify the client of a JWT. A caller's configuration must name at least
/// one of them.
pub const IDENTIFYING_CLAIMS: [&str; 5] = ["sub", "azp", "appid", "client_id", "oid"];

/// One `allow` entry: it allows each of these actions on each offer that matches one of the
/// patterns, of each publisher that matches one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The actions.
    pub actions: Vec<Action>,
    /// Patterns of publisher ids.
    pub publishers: Vec<Glob>,
    /// Patterns of offer ids.
    pub offers: Vec<Glob>,
}
