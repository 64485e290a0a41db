//! Why a control request is refused, with the sentence that the caller reads.

use serde_json::json;

use crate::wire::Response;

/// Why a control request is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum ControlError {
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    NotFound(String),
    #[error("no such control route, or not with this method; GET /_sandbox/v1/ lists them")]
    NoRoute,
    #[error("{0}")]
    Conflict(String),
    #[error("requests from browsers are refused: this one has an Origin header")]
    Browser,
}

impl ControlError {
    /// The error document.
    pub(super) fn response(&self) -> Response {
        let status = match self {
            Self::Invalid(_) => 400,
            Self::NotFound(_) | Self::NoRoute => 404,
            Self::Conflict(_) => 409,
            Self::Browser => 403,
        };
        Response::json(status, &json!({"error": self.to_string()}))
    }
}

impl From<serde_json::Error> for ControlError {
    fn from(error: serde_json::Error) -> Self {
        Self::Invalid(error.to_string())
    }
}
