//! Requests that wait for their operation to finish. They cost only memory:
//! the ledger's feed wakes them, without polling.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use tokio::sync::OwnedSemaphorePermit;

use super::extract::reauthenticate;
use super::quota::CallerSlot;
use super::{AppState, Problem};
use crate::domain::{CallerName, Limit, Operation};

/// A waiting request's slot.
pub struct WaitSlot {
    _of_all: OwnedSemaphorePermit,
    _of_the_caller: CallerSlot,
}

/// Why there is no slot.
#[derive(Debug, thiserror::Error)]
pub enum NoWaitSlot {
    /// The caller has as many as it may have.
    #[error("of this caller (callers.max_waits = {}{})", .0.count, match .0.is_default {
        true => ", by default half of what all callers may have",
        false => "",
    })]
    OfCaller(Limit),
    /// All callers together have as many as there may be.
    #[error("of all callers together (nine tenths of server.max_connections)")]
    OfAll,
}

impl WaitSlot {
    /// A slot for this caller's request.
    ///
    /// # Errors
    /// The limit that has been reached.
    pub fn acquire(state: &AppState, caller: &CallerName) -> Result<Self, NoWaitSlot> {
        let _of_the_caller = state.access.load().quotas.wait_slot(caller);
        let _of_the_caller = _of_the_caller.map_err(NoWaitSlot::OfCaller)?;
        let _of_all = state.long_polls.acquire().ok_or(NoWaitSlot::OfAll)?;
        Ok(Self {
            _of_all,
            _of_the_caller,
        })
    }
}

/// The state at the end of a wait, and the applied preference.
pub type WaitOutcome = (Arc<Operation>, Option<Duration>);

/// The operation when it is finished, when the wait is over, or when the gateway begins to
/// drain; at once if no slot is free.
///
/// # Errors
/// 401 or 403 if the request's credential no longer belongs to the caller that requested
/// the operation, and 503 while that cannot be verified.
pub async fn hold(
    request: &HttpRequest,
    state: &AppState,
    operation: Arc<Operation>,
    wait: Option<Duration>,
) -> Result<WaitOutcome, Problem> {
    let Some(wait) = wait else {
        return Ok((operation, None));
    };
    if operation.status.is_final() || wait.is_zero() {
        return Ok((operation, Some(wait)));
    }
    match WaitSlot::acquire(state, &operation.requested_by) {
        Ok(_slot) => until_finished(request, state, operation, wait).await,
        Err(_none) => Ok((operation, None)),
    }
}

async fn until_finished(
    request: &HttpRequest,
    state: &AppState,
    operation: Arc<Operation>,
    wait: Duration,
) -> Result<WaitOutcome, Problem> {
    let caller = operation.requested_by.clone();
    let mut rights = state.access.changes();
    let mut updates = state.ledger.subscribe(operation.id);
    // The subscription does not bring what was published before it.
    let mut known = operation;
    let found = state.ledger.find(known.id).await?;
    take_newer(&mut known, found);
    let mut end = pin!(tokio::time::sleep(wait));
    while !known.status.is_final() {
        tokio::select! {
            biased;
            Some(newer) = updates.next() => take_newer(&mut known, Some(newer)),
            () = state.draining.cancelled() => break,
            () = &mut end => break,
            Ok(()) = rights.changed() => check_rights(request, state, &caller).await?,
        }
    }
    // A credential can also expire without a change of the configuration.
    check_rights(request, state, &caller).await?;
    Ok((known, Some(wait)))
}

/// Keeps the newer of two states: they can arrive out of order.
pub fn take_newer(known: &mut Arc<Operation>, newer: Option<Arc<Operation>>) {
    if let Some(newer) = newer.filter(|newer| newer.updated_at > known.updated_at) {
        *known = newer;
    }
}

/// See [`reauthenticate`]. Boxed: it is seldom needed, and would enlarge every waiting
/// request's future.
pub async fn check_rights(
    request: &HttpRequest,
    state: &AppState,
    caller: &CallerName,
) -> Result<(), Problem> {
    tokio::select! {
        biased;
        checked = Box::pin(reauthenticate(request, state, caller)) => checked,
        // An issuer's keys are not waited for: what was known holds for this last answer.
        () = state.draining.cancelled() => Ok(()),
    }
}
