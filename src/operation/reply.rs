//! From an operation, or the failure of a request, to the answer: status, headers
//! and body. Pure, and the only way to an answer: first answers, replays under an
//! idempotency key and the status monitor all take it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::failure::RequestFailure;
use crate::domain::{
    Action, Delivered, FirstAnswer, Operation, OperationError, OperationId, Origin, Outcome,
    ProblemCode, Status, serialize_time,
};

/// Initial capacity of an operation's JSON: it seldom has to grow.
const USUAL_BYTES: usize = 1024;
/// The longest `instance` that is repeated, in bytes.
const MAX_INSTANCE: usize = 1024;
/// `Retry-After` of a failure that can be retried and has no time of its own.
const DEFAULT_RETRY: Duration = Duration::from_secs(5);
/// The longest `Retry-After`, in seconds.
const MAX_RETRY_AFTER: u64 = 3600;

/// An answer, before it becomes one of the web framework's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Type`
    pub content_type: &'static str,
    /// `Operation-Location`
    pub operation_location: Option<String>,
    /// Whether `Location` and `Azure-AsyncOperation` have the same address: older pollers of
    /// Azure's SDKs know only these.
    pub has_arm_location: bool,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// `Preference-Applied`: the seconds of `wait`.
    pub preference_applied: Option<u64>,
    /// The JSON document.
    pub body: Vec<u8>,
}

/// The configuration that answers depend on.
#[derive(Debug, Clone)]
pub struct ReplyConfig {
    /// Where callers reach the gateway, without a trailing slash.
    pub public_url: Arc<str>,
    /// Where the vendor is, without a trailing slash.
    pub portal_url: Arc<str>,
}

/// The request that a problem is the answer to.
#[derive(Debug, Clone, Copy)]
pub struct ProblemContext<'a> {
    /// `server.public_url`
    pub public_url: &'a str,
    /// The request's path, as received; empty where it could not be read.
    pub path: &'a str,
    /// The id that the request is logged under.
    pub request_id: &'a str,
}

/// The answer to an action: 200 with a finished operation, 202 with an unfinished one.
/// `waited` is the applied `Prefer: wait`, `next_poll` the time until the gateway polls the
/// operation next.
#[must_use]
pub fn action(
    operation: &Operation,
    waited: Option<Duration>,
    next_poll: Duration,
    config: &ReplyConfig,
) -> Reply {
    let is_final = operation.status.is_final();
    Reply {
        status: if is_final { 200 } else { 202 },
        has_arm_location: !is_final,
        ..monitor(operation, waited, next_poll, config)
    }
}

/// The answer of the status monitor: always 200 with the operation. The arguments are those
/// of [`action`].
#[must_use]
pub fn monitor(
    operation: &Operation,
    waited: Option<Duration>,
    next_poll: Duration,
    config: &ReplyConfig,
) -> Reply {
    let mut body = Vec::with_capacity(USUAL_BYTES);
    let location = location(operation.id, &config.public_url);
    write_json(operation, &location, config, &mut body);
    body.push(b'\n');
    Reply {
        status: 200,
        content_type: "application/json",
        operation_location: Some(location),
        has_arm_location: false,
        // A second for the poll itself.
        retry_after: (!operation.status.is_final())
            .then(|| retry_after(next_poll.saturating_add(Duration::from_secs(1)))),
        preference_applied: waited.map(|wait| wait.as_secs()),
        body,
    }
}

/// The answer to a request that failed, as a problem document (RFC 9457).
#[must_use]
pub fn problem(failure: &RequestFailure, context: &ProblemContext<'_>) -> Reply {
    let ProblemContext {
        public_url,
        path,
        request_id,
    } = context;
    let RequestFailure {
        code, operation, ..
    } = failure;
    let operation = operation.as_deref();
    let location = operation.map(|operation| location(operation.id, public_url));
    let portal = operation.and_then(|operation| {
        Some(PortalView {
            http_status: operation.portal.http_status?,
            code: failure.said.code.as_deref(),
            message: failure.said.message.as_deref(),
            correlation_id: operation.portal.correlation_id.as_deref(),
        })
    });
    let document = ProblemView {
        r#type: format!("{public_url}/problems/{}", code.as_str()),
        title: code.title(),
        status: code.status(),
        detail: &failure.detail,
        message: &failure.detail,
        instance: &path[..path.floor_char_boundary(MAX_INSTANCE)],
        code: *code,
        // Of the request that the operation was recorded for, also in a replay.
        request_id: operation.map_or(request_id, |operation| operation.request_id.as_str()),
        origin: failure.origin,
        retryable: failure.retryable,
        delivered: operation.map_or(Delivered::No, |operation| operation.portal.delivered),
        operation_location: location.as_deref(),
        portal,
    };
    Reply {
        status: code.status(),
        content_type: "application/problem+json",
        // HTTP libraries repeat a request by themselves if they see this header.
        retry_after: (failure.retryable)
            .then(|| retry_after(failure.retry_after.unwrap_or(DEFAULT_RETRY))),
        preference_applied: None,
        body: json_line(&document),
        operation_location: location,
        has_arm_location: false,
    }
}

/// A document as one line of JSON.
fn json_line(document: &impl Serialize) -> Vec<u8> {
    // Serializing these types cannot fail; an empty body would still carry the status.
    let mut line = serde_json::to_vec(document).unwrap_or_default();
    line.push(b'\n');
    line
}

/// The first answer to a request, once more. `path` is that of the repeated request, and
/// `next_poll` as in [`action`].
#[must_use]
pub fn replay(first: &FirstAnswer, path: &str, next_poll: Duration, config: &ReplyConfig) -> Reply {
    let operation = &first.operation;
    match &first.problem {
        None => action(operation, first.waited, next_poll, config),
        Some(said) => {
            let failure = RequestFailure::of_operation(said.clone(), operation);
            let context = ProblemContext {
                public_url: &config.public_url,
                path,
                request_id: operation.request_id.as_str(),
            };
            problem(&failure, &context)
        }
    }
}

/// The address of an operation's status monitor.
#[must_use]
pub fn location(id: OperationId, public_url: &str) -> String {
    let mut buffer = Uuid::encode_buffer();
    let id = id.as_uuid().as_hyphenated().encode_lower(&mut buffer);
    [public_url, "/operations/", id].concat()
}

/// Appends an operation as one line of JSON.
pub fn write_json(operation: &Operation, location: &str, config: &ReplyConfig, into: &mut Vec<u8>) {
    let view = OperationView::of(operation, location, &config.portal_url);
    // Serializing these types into memory cannot fail.
    let _ = serde_json::to_writer(into, &view);
}

/// Whole seconds, rounded up, from one to an hour.
fn retry_after(wait: Duration) -> u64 {
    let seconds = wait
        .as_secs()
        .saturating_add(u64::from(wait.subsec_nanos() > 0));
    seconds.clamp(1, MAX_RETRY_AFTER)
}

/// An operation as callers see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OperationView<'a> {
    id: OperationId,
    action: Action,
    status: Status,
    outcome: Option<Outcome>,
    offer_id: &'a str,
    publisher_id: &'a str,
    operation_location: &'a str,
    #[serde(serialize_with = "serialize_time")]
    created_at: Timestamp,
    #[serde(serialize_with = "serialize_time")]
    updated_at: Timestamp,
    requested_by: &'a str,
    request_id: &'a str,
    portal: PortalFactsView<'a>,
    error: Option<&'a OperationError>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PortalFactsView<'a> {
    http_status: Option<u16>,
    status: Option<&'a str>,
    operation_location: Option<String>,
    correlation_id: Option<&'a str>,
    delivered: Delivered,
}

/// A problem document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProblemView<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    /// The same: Azure SDKs print this member of an error.
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    instance: &'a str,
    code: ProblemCode,
    request_id: &'a str,
    origin: Origin,
    retryable: bool,
    delivered: Delivered,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation_location: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    portal: Option<PortalView<'a>>,
}

/// What the vendor answered, in a problem document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PortalView<'a> {
    http_status: u16,
    code: Option<&'a str>,
    message: Option<&'a str>,
    correlation_id: Option<&'a str>,
}

impl<'a> OperationView<'a> {
    fn of(operation: &'a Operation, location: &'a str, portal_url: &str) -> Self {
        let portal = &operation.portal;
        Self {
            id: operation.id,
            action: operation.action,
            status: operation.status,
            outcome: operation.outcome,
            offer_id: operation.target.offer().as_str(),
            publisher_id: operation.target.publisher().as_str(),
            operation_location: location,
            created_at: operation.created_at,
            updated_at: operation.updated_at,
            requested_by: operation.requested_by.as_str(),
            request_id: operation.request_id.as_str(),
            portal: PortalFactsView {
                http_status: portal.http_status,
                status: portal.status.as_deref(),
                operation_location: portal
                    .location
                    .as_deref()
                    .map(|path| [portal_url, path].concat()),
                correlation_id: portal.correlation_id.as_deref(),
                delivered: portal.delivered,
            },
            error: operation.error.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests;
