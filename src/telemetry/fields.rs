//! Fields that many events share.

use tracing::Span;

use crate::domain::RequestId;

/// The span of a caller's request: every event in it carries the request's id, as
/// `span.request_id` in the log. It is enabled at every log level.
#[must_use]
pub fn request_span(id: &RequestId) -> Span {
    tracing::error_span!("request", request_id = id.as_str())
}
