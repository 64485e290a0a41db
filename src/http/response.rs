//! From a [`Reply`] to the web framework's response: the only place that does this.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};

use crate::operation::Reply;

const OPERATION_LOCATION: HeaderName = HeaderName::from_static("operation-location");
const AZURE_ASYNC_OPERATION: HeaderName = HeaderName::from_static("azure-asyncoperation");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// Says that the answer is that of an earlier request with the same idempotency key.
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The response for a reply.
#[must_use]
pub fn response(reply: Reply) -> HttpResponse {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    let content_type = HeaderValue::from_static(reply.content_type);
    response.insert_header((header::CONTENT_TYPE, content_type));
    if let Some(seconds) = reply.retry_after {
        response.insert_header((header::RETRY_AFTER, seconds));
    }
    // It is the configured address and an id, hence a valid value.
    let location = reply.operation_location.map(HeaderValue::try_from);
    if let Some(Ok(location)) = location {
        if reply.has_arm_location {
            response.insert_header((header::LOCATION, location.clone()));
            response.insert_header((AZURE_ASYNC_OPERATION, location.clone()));
        }
        response.insert_header((OPERATION_LOCATION, location));
    }
    if let Some(seconds) = reply.preference_applied {
        response.insert_header((PREFERENCE_APPLIED, format!("wait={seconds}")));
    }
    response.body(reply.body)
}

/// Marks a response as a replay.
#[must_use]
pub fn replayed(mut response: HttpResponse) -> HttpResponse {
    let yes = HeaderValue::from_static("true");
    response.headers_mut().insert(IDEMPOTENT_REPLAYED, yes);
    response
}
