//! Answers that are held back until there is more to say. Whoever waits costs memory
//! and nothing else: it is told, and asks nobody.

use std::pin::pin;
use std::sync::Arc;

use actix_web::HttpRequest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::{Lasting, closed};
use super::prefer::Wait;
use super::quota::Place;
use super::{Gate, Problem, caller};
use crate::domain::{CallerName, Operation};

/// Room for those who wait, over all threads: less than there is for connections, so
/// that they keep nobody else out.
#[derive(Clone)]
pub struct Room(Arc<Semaphore>);

/// One who waits.
pub struct Waiter {
    _of_all: OwnedSemaphorePermit,
    _of_its_own: Place,
    _lasting: Lasting,
}

impl Room {
    /// For a gateway with so many connections.
    #[must_use]
    pub fn among(connections: usize) -> Self {
        let waiting = connections - connections / 10;
        Self(Arc::new(Semaphore::new(waiting)))
    }
}

impl Waiter {
    /// A place for this caller, if there is one.
    #[must_use]
    pub fn enter(request: &HttpRequest, gate: &Gate, caller: &CallerName) -> Option<Self> {
        let _of_its_own = gate.access.load().quotas.waiting_place(caller)?;
        let _of_all = Arc::clone(&gate.room.0).try_acquire_owned().ok()?;
        Some(Self {
            _of_all,
            _of_its_own,
            _lasting: Lasting::begin(request),
        })
    }
}

/// How a wait ended.
pub enum Held {
    /// With this state. The wish was granted, so far as it comes to that.
    Told(Arc<Operation>, Option<Wait>),
    /// Nobody is there any more to be told.
    Gone,
}

/// The operation when it is over, or when the wait is, or the gateway begins to drain.
/// Where there is no room to wait, it is the operation at once.
///
/// # Errors
/// 401 or 403 if the request's credential no longer names the caller that asked for the
/// operation, and 503 while that cannot be told.
pub async fn hold(
    request: &HttpRequest,
    gate: &Gate,
    operation: Arc<Operation>,
    wait: Option<Wait>,
) -> Result<Held, Problem> {
    let Some(wait) = wait else {
        return Ok(Held::Told(operation, None));
    };
    if operation.status.is_final() || wait.limit().is_zero() {
        return Ok(Held::Told(operation, Some(wait)));
    }
    match Waiter::enter(request, gate, &operation.requested_by) {
        Some(_waiter) => until_over(request, gate, operation, wait).await,
        None => Ok(Held::Told(operation, None)),
    }
}

async fn until_over(
    request: &HttpRequest,
    gate: &Gate,
    operation: Arc<Operation>,
    wait: Wait,
) -> Result<Held, Problem> {
    let caller = operation.requested_by.clone();
    let mut rights = gate.access.changes();
    let mut news = gate.ledger.subscribe(operation.id);
    // What happened before the subscription is told by nobody.
    let mut known = operation;
    let found = gate.ledger.find(known.id).await?;
    take_newer(&mut known, found);
    let mut end = pin!(tokio::time::sleep(wait.limit()));
    let mut gone = pin!(closed(request));
    while !known.status.is_final() {
        tokio::select! {
            biased;
            newer = news.next() => take_newer(&mut known, newer),
            () = gate.draining.cancelled() => break,
            () = &mut end => break,
            () = &mut gone => return Ok(Held::Gone),
            Ok(()) = rights.changed() => still(request, gate, &caller).await?,
        }
    }
    // A credential can also come to its end by itself.
    still(request, gate, &caller).await?;
    Ok(Held::Told(known, Some(wait)))
}

/// States can be told out of order, and what is found can be older than what is known.
pub fn take_newer(known: &mut Arc<Operation>, newer: Option<Arc<Operation>>) {
    if let Some(newer) = newer.filter(|newer| newer.updated_at > known.updated_at) {
        *known = newer;
    }
}

/// See [`caller::still`]. Asked so seldom that it has no room in everyone who waits.
async fn still(request: &HttpRequest, gate: &Gate, caller: &CallerName) -> Result<(), Problem> {
    Box::pin(caller::still(request, gate, caller)).await
}
