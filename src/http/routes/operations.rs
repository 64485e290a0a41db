//! `/operations/{id}`: the status monitor.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};

use crate::domain::{Operation, OperationId, ProblemCode};
use crate::http::access_log::AccessLog;
use crate::http::long_poll;
use crate::http::response::response;
use crate::http::{AppState, Problem, extract};
use crate::operation::reply;

/// `GET /operations/{id}`: always 200 with the operation, if it is the caller's own.
///
/// # Errors
/// 404 `operation-not-found`, also for a malformed id and for another caller's operation.
pub async fn show(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let log = extract::access_log(&request)?;
    let operation = load_owned(&request, &state, &log).await?;
    let wait = extract::preferred_wait(request.headers(), state.max_wait);
    let (operation, waited) = long_poll::hold(&request, &state, operation, wait).await?;
    let next_poll = state.operations.next_poll(operation.id);
    let reply = reply::monitor(&operation, waited, next_poll, &state.reply);
    Ok(response(reply))
}

/// The operation in the path, if the caller is the one that requested it.
///
/// # Errors
/// As for [`show`].
pub async fn load_owned(
    request: &HttpRequest,
    state: &AppState,
    log: &AccessLog,
) -> Result<Arc<Operation>, Problem> {
    let caller = extract::authenticate(request, state, log).await?.caller;
    extract::refuse_idempotency_key(request)?;
    let not_found = || {
        let detail = "This caller has requested no operation with this id.";
        Problem::new(ProblemCode::OperationNotFound, detail)
    };
    let text = request.match_info().get("id").unwrap_or_default();
    let id = OperationId::parse(text).map_err(|_| not_found())?;
    let found = state.ledger.find(id).await?;
    let operation = found
        .filter(|operation| operation.requested_by == caller.name)
        .ok_or_else(not_found)?;
    let _first = log.operation.set(id);
    let _first = log.offer.set(operation.target.offer().clone());
    let _first = log.publisher.set(operation.target.publisher().clone());
    Ok(operation)
}
