//! Why a control request is refused, with the sentence that the caller reads.

use serde_json::json;

use crate::entra::CertificateError;
use crate::faults::OrderError;
use crate::offer::DescriptionError;
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
    #[error("query: {0}")]
    Query(#[from] serde_urlencoded::de::Error),
    #[error(transparent)]
    Body(#[from] serde_json::Error),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Description(#[from] DescriptionError),
    #[error(transparent)]
    Order(#[from] OrderError),
}

impl ControlError {
    /// The error document.
    pub(super) fn response(&self) -> Response {
        let status = match self {
            Self::NotFound(_) | Self::NoRoute => 404,
            Self::Conflict(_) | Self::Order(OrderError::Full) => 409,
            Self::Browser => 403,
            _ => 400,
        };
        Response::json(status, &json!({"error": self.to_string()}))
    }
}
