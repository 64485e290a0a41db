//! `/operations/{id}`: the status monitor, and an operation's JSON.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use serde::Serialize;

use super::prefer::Wait;
use super::problem::seconds;
use super::waiting::Held;
use super::{Gate, Problem, caller, idempotency, waiting};
use crate::domain::{
    Action, Delivered, Operation, OperationError, OperationId, Outcome, ProblemCode, Status,
};
use crate::telemetry::AccessLog;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OPERATION_LOCATION: HeaderName = HeaderName::from_static("operation-location");
/// Room for an operation's JSON, so that it seldom has to grow.
const USUAL_BYTES: usize = 1024;

/// `GET /operations/{id}`: always 200 with the operation, if it is the caller's own.
///
/// # Errors
/// 404 `operation-not-found`, also for an id that is none and for another's operation.
pub async fn show(request: HttpRequest, gate: web::Data<Gate>) -> Result<HttpResponse, Problem> {
    let log = super::log(&request)?;
    let operation = own(&request, &gate, &log).await?;
    let wait = Wait::of(request.headers(), gate.max_wait);
    match waiting::hold(&request, &gate, Arc::clone(&operation), wait).await? {
        Held::Told(operation, applied) => answer(StatusCode::OK, &operation, applied, &gate),
        Held::Gone => answer(StatusCode::OK, &operation, None, &gate),
    }
}

/// The operation in the path, if the one who asks for it is the one who made it.
///
/// # Errors
/// 404 `operation-not-found`, also for an id that is none and for another's operation.
pub async fn own(
    request: &HttpRequest,
    gate: &Gate,
    log: &AccessLog,
) -> Result<Arc<Operation>, Problem> {
    let caller = caller::authenticate(request, gate, log).await?.caller;
    idempotency::refuse(request)?;
    let not_found = || {
        Problem::new(
            ProblemCode::OperationNotFound,
            "You have no operation with this id.",
        )
    };
    let text = request.match_info().get("id").unwrap_or_default();
    let id = OperationId::parse(text).map_err(|_| not_found())?;
    let found = gate.ledger.find(id).await?;
    let operation = found
        .filter(|operation| operation.requested_by == caller.name)
        .ok_or_else(not_found)?;
    let _first = log.operation.set(id);
    let _first = log.offer.set(operation.target.offer().clone());
    let _first = log.publisher.set(operation.target.publisher().clone());
    Ok(operation)
}

/// The answer to an action: 200 when it is finished, 202 while it is not.
///
/// # Errors
/// 500 if the operation cannot be written as JSON.
pub fn acted(
    operation: &Operation,
    wait: Option<Wait>,
    gate: &Gate,
) -> Result<HttpResponse, Problem> {
    let status = if operation.status.is_final() {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    answer(status, operation, wait, gate)
}

fn answer(
    status: StatusCode,
    operation: &Operation,
    wait: Option<Wait>,
    gate: &Gate,
) -> Result<HttpResponse, Problem> {
    let location = location(operation, gate);
    let mut body = Vec::with_capacity(USUAL_BYTES);
    write(operation, &location, gate, &mut body)?;
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CONTENT_TYPE, JSON));
    if !operation.status.is_final() {
        response.insert_header((header::RETRY_AFTER, seconds(gate.poll)));
    }
    if let Ok(location) = HeaderValue::try_from(location) {
        response.insert_header((OPERATION_LOCATION, location));
    }
    let mut response = response.body(body);
    if let Some(wait) = wait {
        wait.confirm(&mut response);
    }
    Ok(response)
}

/// Where an operation is to be found.
#[must_use]
pub fn location(operation: &Operation, gate: &Gate) -> String {
    format!("{}/operations/{}", gate.public_url, operation.id)
}

/// Writes an operation as one line of JSON.
///
/// # Errors
/// 500 if that does not go.
pub fn write(
    operation: &Operation,
    location: &str,
    gate: &Gate,
    into: &mut Vec<u8>,
) -> Result<(), Problem> {
    let view = View::of(operation, location, &gate.portal_url);
    serde_json::to_writer(into, &view).map_err(|_| {
        Problem::new(
            ProblemCode::InternalError,
            "The operation cannot be written.",
        )
    })
}

/// An operation as callers see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    id: OperationId,
    action: Action,
    status: Status,
    outcome: Option<Outcome>,
    offer_id: &'a str,
    publisher_id: &'a str,
    operation_location: &'a str,
    created_at: Timestamp,
    updated_at: Timestamp,
    requested_by: &'a str,
    request_id: &'a str,
    portal: PortalView<'a>,
    error: Option<&'a OperationError>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PortalView<'a> {
    http_status: Option<u16>,
    status: Option<&'a str>,
    operation_location: Option<String>,
    correlation_id: Option<&'a str>,
    delivered: Delivered,
}

impl<'a> View<'a> {
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
            portal: PortalView {
                http_status: portal.http_status,
                status: portal.status.as_deref(),
                operation_location: portal
                    .location
                    .as_ref()
                    .map(|path| format!("{portal_url}{path}")),
                correlation_id: portal.correlation_id.as_deref(),
                delivered: portal.delivered,
            },
            error: operation.error.as_ref(),
        }
    }
}
