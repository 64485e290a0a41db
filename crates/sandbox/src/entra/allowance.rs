//! How many calls for a token a test allows. A double that answers every call proves nothing
//! about caching; one that refuses the call too many does.

use serde_json::{Value, json};

use crate::wire::Answer;

/// Calls allowed, made and refused since the allowance was set.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    calls: Option<u64>,
    made: u64,
}

/// A call beyond the allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "This is call {made} for a token, and the test allows {allowed} \
     (PUT /_sandbox/token/allowance): the token should have come from a cache."
)]
pub(crate) struct Surplus {
    made: u64,
    allowed: u64,
}

impl Surplus {
    /// Neither a status that clients repeat, nor an error that Entra has.
    pub(crate) fn answer(self) -> Answer {
        let body = json!({"error": "surplus_call", "error_description": self.to_string()});
        Answer::json(400, &body).with("Cache-Control", "no-store")
    }
}

impl Allowance {
    /// That many calls from now on; `None` for as many as there are.
    pub(crate) fn of(calls: Option<u64>) -> Self {
        Self { calls, made: 0 }
    }

    /// Counts a call.
    pub(crate) fn count(&mut self) -> Result<(), Surplus> {
        self.made += 1;
        match self.calls {
            Some(allowed) if self.made > allowed => Err(Surplus {
                made: self.made,
                allowed,
            }),
            _ => Ok(()),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let surplus = self
            .calls
            .map_or(0, |calls| self.made.saturating_sub(calls));
        json!({"calls": self.calls, "made": self.made, "surplus": surplus})
    }
}
