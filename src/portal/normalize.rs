//! What the vendor's answer to an action means: a pure function.
//!
//! The table "the vendor answers an action" of the contract is implemented here alone.
//! The vendor's text leaves this module only as plain, short, redacted text.

use std::time::Duration;

use actix_web::http::header::{self, HeaderMap, HeaderName};
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::finished::is_canceled_or_nothing;
use super::location::Location;
use super::wire;
use crate::domain::{PortalError, Redactor, Target, parse_json_leniently};
use crate::transport::{Body, date, retry_after};

/// The longest text from the vendor that is shown, in bytes.
const MAX_TEXT: usize = 1024;
/// The longest status text that is shown, in bytes.
const MAX_STATUS: usize = 64;
/// How deep a body is searched for a location.
const MAX_DEPTH: usize = 4;

const OPERATION_LOCATION: HeaderName = HeaderName::from_static("operation-location");
const AZURE_ASYNC_OPERATION: HeaderName = HeaderName::from_static("azure-asyncoperation");
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-ms-correlation-request-id");

/// The vendor's answer to an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub http_status: u16,
    /// Its meaning for the action.
    pub meaning: Meaning,
    /// The location of the operation, if a recognized one is named.
    pub location: Option<Location>,
    /// Its `Date`, by the vendor's clock.
    pub date: Option<Timestamp>,
    /// Its `X-Ms-Correlation-Request-Id`.
    pub correlation_id: Option<String>,
    /// Its error document, cleaned.
    pub said: PortalError,
}

/// What an answer means for the action that it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Carried out at once.
    Finished,
    /// Started, or not known to be over.
    Accepted,
    /// Refused: nothing was done.
    Refused(Refusal),
    /// The token was rejected: nothing was done.
    Unauthorized,
    /// The vendor failed (5xx); it may have acted.
    Failed,
    /// Not an answer of this API (3xx, other 4xx); it may have acted.
    BadResponse,
    /// The answer broke off; it may have acted.
    Cut,
}

/// The refusals that the contract knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 400
    BadRequest,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 409
    Conflict,
    /// 412
    PreconditionFailed,
    /// 422
    Unprocessable,
    /// 429, with its `Retry-After`, if any.
    Throttled(Option<Duration>),
}

/// Reads the vendor's answer to an action on `target`. `now` is used only for a
/// `Retry-After` date in an answer without `Date`.
#[must_use]
pub fn action_answer(
    status: u16,
    headers: &HeaderMap,
    body: &Body,
    target: &Target,
    redactor: &Redactor,
    now: Timestamp,
) -> Answer {
    let document = ParsedBody::of(body);
    let location = location(headers, &document, target).filter(|location| match location {
        Location::Operation(id) => !redactor.knows(id.as_bytes()),
        Location::Preview => true,
    });
    let meaning = match status {
        200..=299 if matches!(body, Body::Cut) => Meaning::Cut,
        200 if !names_location(headers)
            && location.is_none()
            && document.is_canceled_or_nothing() =>
        {
            Meaning::Finished
        }
        200..=299 => Meaning::Accepted,
        400 => Meaning::Refused(Refusal::BadRequest),
        401 => Meaning::Unauthorized,
        403 => Meaning::Refused(Refusal::Forbidden),
        404 => Meaning::Refused(Refusal::NotFound),
        409 => Meaning::Refused(Refusal::Conflict),
        412 => Meaning::Refused(Refusal::PreconditionFailed),
        422 => Meaning::Refused(Refusal::Unprocessable),
        429 => Meaning::Refused(Refusal::Throttled(retry_after(headers, now))),
        500..=599 => Meaning::Failed,
        _ => Meaning::BadResponse,
    };
    Answer {
        http_status: status,
        meaning,
        location,
        date: date(headers),
        correlation_id: correlation_id(headers, redactor),
        said: if status >= 400 {
            said(&document, redactor)
        } else {
            PortalError::default()
        },
    }
}

/// A body, parsed.
enum ParsedBody<'a> {
    /// Empty, as announced.
    Empty,
    /// Complete JSON, and its text.
    Json(Value, &'a [u8]),
    /// Anything else.
    Other,
}

impl<'a> ParsedBody<'a> {
    fn of(body: &'a Body) -> Self {
        match body {
            Body::Whole(bytes) if bytes.is_empty() => Self::Empty,
            Body::Whole(bytes) | Body::Unverified(bytes) => {
                parse_json_leniently(bytes).map_or(Self::Other, |value| Self::Json(value, bytes))
            }
            Body::Cut | Body::Unreadable => Self::Other,
        }
    }

    /// Whether a 200 with this body means that the action is over.
    fn is_canceled_or_nothing(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Json(_, text) => is_canceled_or_nothing(text),
            Self::Other => false,
        }
    }
}

/// Whether the headers name any location, recognized or not: then the action goes on.
fn names_location(headers: &HeaderMap) -> bool {
    [OPERATION_LOCATION, AZURE_ASYNC_OPERATION, header::LOCATION]
        .iter()
        .any(|name| headers.contains_key(name))
}

/// The first recognized location, in the headers of either API version or else in any
/// string of the body. The documentation shows the value but not the member's name.
fn location(headers: &HeaderMap, document: &ParsedBody<'_>, target: &Target) -> Option<Location> {
    let recognize = |text: &str| Location::recognize(text, target);
    let in_header = [OPERATION_LOCATION, AZURE_ASYNC_OPERATION, header::LOCATION]
        .into_iter()
        .filter_map(|name| headers.get(name)?.to_str().ok())
        .find_map(recognize);
    in_header.or_else(|| match document {
        ParsedBody::Json(value, _) => find_string(value, MAX_DEPTH, &recognize),
        ParsedBody::Empty | ParsedBody::Other => None,
    })
}

fn find_string<T>(value: &Value, depth: usize, matching: &impl Fn(&str) -> Option<T>) -> Option<T> {
    if depth == 0 {
        return None;
    }
    match value {
        Value::String(text) => matching(text),
        Value::Object(members) => members
            .values()
            .find_map(|member| find_string(member, depth - 1, matching)),
        Value::Array(items) => items
            .iter()
            .find_map(|item| find_string(item, depth - 1, matching)),
        _ => None,
    }
}

fn correlation_id(headers: &HeaderMap, redactor: &Redactor) -> Option<String> {
    let text = headers.get(CORRELATION_ID)?.to_str().ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let legal = (1..=128).contains(&text.len()) && text.bytes().all(plain);
    if !legal {
        return None;
    }
    // Nearly always a GUID, which cannot be anything else than its 16 bytes.
    match Uuid::try_parse(text) {
        Ok(id) if !redactor.knows(id.as_bytes()) && !redactor.knows(text.as_bytes()) => {
            Some(text.to_owned())
        }
        _ => Some(redactor.redact(text).into_owned()),
    }
}

fn said(document: &ParsedBody<'_>, redactor: &Redactor) -> PortalError {
    let ParsedBody::Json(value, _) = document else {
        return PortalError::default();
    };
    let text = wire::error_text(value);
    let clean = |text: Option<String>| {
        text.map(|text| redactor.plain_text(&text, MAX_TEXT))
            .filter(|text| !text.is_empty())
    };
    PortalError {
        code: clean(text.code),
        message: clean(text.message),
    }
}

/// The vendor's status text, cleaned.
#[must_use]
pub fn status_text(text: &str, redactor: &Redactor) -> String {
    redactor.plain_text(text, MAX_STATUS)
}

#[cfg(test)]
mod tests;
