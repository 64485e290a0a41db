//! `/offers/{offerId}/…`: actions on an offer.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};

use crate::domain::{FirstAnswer, Idempotency, Operation, ProblemCode};
use crate::http::access_log::AccessLog;
use crate::http::extract::Authenticated;
use crate::http::long_poll;
use crate::http::response::{replayed, response};
use crate::http::{AppState, Problem, extract};
use crate::ledger::{Claim, KeyState, KeysFull, LedgerError};
use crate::operation::{Act, ActionRequest, reply};

/// When to repeat a request whose key is in use.
const IN_USE_RETRY: Duration = Duration::from_secs(1);
/// When the index of keys may have room again.
const FULL_RETRY: Duration = Duration::from_secs(60);

/// `POST /offers/{offerId}/{action}`
///
/// # Errors
/// Any problem of the contract.
pub async fn act<A: Act>(
    request: HttpRequest,
    state: web::Data<AppState>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let log = extract::access_log(&request)?;
    let authenticated = extract::authenticate(&request, &state, &log).await?;
    let permit = extract::permit::<A>(&request, &authenticated, &log)?;
    extract::refuse_unsupported(&request)?;
    let key = extract::idempotency_key(&request)?;
    let notify = extract::action_body(&request, payload, state.limits.body).await?;
    let wait = extract::preferred_wait(request.headers(), state.max_wait);
    let claim = match key.map(|key| key.fingerprint(&permit, &notify)) {
        None => None,
        Some(fingerprint) => match key_state(&state, &authenticated, fingerprint).await? {
            KeyState::New(claim) => Some(claim),
            KeyState::Stored(first) => return Ok(replay(&request, &state, &log, &first)),
            KeyState::Finished(operation) => {
                let first = FirstAnswer::of(operation);
                return Ok(replay(&request, &state, &log, &first));
            }
            KeyState::Orphaned(claim, operation) => {
                log.replayed.set(true);
                let answer = answer(&request, &state, &log, operation, Some(claim), wait);
                return Ok(replayed(answer.await));
            }
            KeyState::InUse => return Err(key_in_use()),
            KeyState::Reused => return Err(key_reused()),
            KeyState::Full(KeysFull::Caller) => return Err(caller_keys_full(&authenticated)),
            KeyState::Full(KeysFull::Gateway) => return Err(keys_full()),
        },
    };
    let action = ActionRequest {
        slot: authenticated.access.quotas.action_slot(permit.caller())?,
        permit,
        request_id: log.request_id.clone(),
        notify,
        claim,
        wait,
    };
    let executed = state.operations.execute(action, |operation| {
        let _first = log.operation.set(operation);
    });
    let executed = executed.await;
    log.upstream.set(executed.upstream);
    let operation = executed.result?;
    Ok(answer(&request, &state, &log, operation, executed.claim, wait).await)
}

/// What the request's key stands for.
async fn key_state(
    state: &AppState,
    authenticated: &Authenticated,
    key: Idempotency,
) -> Result<KeyState, LedgerError> {
    let caller = &authenticated.caller.name;
    let limit = authenticated.access.quotas.idempotency_keys(caller);
    state.ledger.key_state(key, caller, limit).await
}

/// Answers with the operation when it is finished or the preferred wait is over; under a
/// key that makes it the first answer. If the client disconnects before, the key stands for
/// the operation, and the next request gets the first answer.
async fn answer(
    request: &HttpRequest,
    state: &AppState,
    log: &AccessLog,
    operation: Arc<Operation>,
    claim: Option<Claim>,
    wait: Option<Duration>,
) -> HttpResponse {
    let _first = log.operation.set(operation.id);
    let outcome = long_poll::hold(request, state, Arc::clone(&operation), wait).await;
    let (operation, waited) = match outcome {
        Ok(outcome) => outcome,
        // The action is done, even if the caller has lost its rights meanwhile: then it
        // learns what was known when it made the request.
        Err(_lost) => {
            log.refused.set(None);
            (operation, None)
        }
    };
    let next_poll = state.operations.next_poll(operation.id);
    let answer = response(reply::action(&operation, waited, next_poll, &state.reply));
    if let Some(claim) = claim {
        let first = FirstAnswer {
            waited,
            ..FirstAnswer::of(operation)
        };
        state.operations.store_first_answer(first, claim);
    }
    answer
}

/// Replays the first answer.
fn replay(
    request: &HttpRequest,
    state: &AppState,
    log: &AccessLog,
    first: &FirstAnswer,
) -> HttpResponse {
    let _first = log.operation.set(first.operation.id);
    let code = first.problem.as_ref().map(|problem| problem.code.as_str());
    log.problem.set(code);
    log.replayed.set(true);
    let next_poll = state.operations.next_poll(first.operation.id);
    let reply = reply::replay(first, request.path(), next_poll, &state.reply);
    replayed(response(reply))
}

fn key_in_use() -> Problem {
    let detail = "The first request with this Idempotency-Key is still being processed. Retry \
                  after 1 s with the same key.";
    Problem::new(ProblemCode::IdempotencyKeyInUse, detail).retry_after(IN_USE_RETRY)
}

fn key_reused() -> Problem {
    let detail = "This Idempotency-Key was already used for a different request; nothing was sent.";
    Problem::new(ProblemCode::IdempotencyKeyReused, detail)
}

fn caller_keys_full(authenticated: &Authenticated) -> Problem {
    let quotas = &authenticated.access.quotas;
    let limit = quotas.idempotency_keys(&authenticated.caller.name);
    let detail = format!(
        "Too many idempotency keys of this caller are kept (callers.max_idempotency_keys = \
         {limit}); each is kept for ledger.idempotency_hours. Nothing was sent. Send the request \
         without a key, or retry later."
    );
    Problem::new(ProblemCode::RateLimited, detail).retry_after(FULL_RETRY)
}

fn keys_full() -> Problem {
    let detail = "The gateway cannot store more idempotency keys (ledger.idempotency_hours says \
                  how long each is kept). Send the request without one, or retry later.";
    Problem::new(ProblemCode::Overloaded, detail).retry_after(FULL_RETRY)
}
