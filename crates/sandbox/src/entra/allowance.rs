//! How many calls for a token a test allows. A double that serves every call proves nothing about
//! caching; one that refuses the surplus does.

use serde_json::{Value, json};

use crate::wire::Response;

/// Calls allowed, made and refused since the allowance was set.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    calls: Option<u64>,
    made: u64,
}

/// A call beyond the allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Call {made} for a token, but the test allows {allowed} (PUT /_sandbox/v1/token/allowance): \
     the token should have come from a cache."
)]
pub(crate) struct AllowanceError {
    made: u64,
    allowed: u64,
}

impl AllowanceError {
    /// Neither a status that clients retry nor an error of Entra.
    pub(crate) fn response(self) -> Response {
        let body = json!({"error": "surplus_call", "error_description": self.to_string()});
        Response::json(400, &body).with("Cache-Control", "no-store")
    }
}

impl Allowance {
    /// That many calls from now on; `None` for no limit.
    pub(crate) fn of(calls: Option<u64>) -> Self {
        Self { calls, made: 0 }
    }

    /// Counts a call.
    pub(crate) fn count(&mut self) -> Result<(), AllowanceError> {
        self.made += 1;
        match self.calls {
            Some(allowed) if self.made > allowed => Err(AllowanceError {
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
