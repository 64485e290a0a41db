//! Answers that are held back until there is more to say. Whoever waits costs memory
//! and nothing else: it is told, and asks nobody.

use std::pin::pin;
use std::sync::Arc;

use actix_web::HttpRequest;

use super::prefer::Wait;
use super::{Gate, Problem, caller};
use crate::domain::Operation;

/// The operation when it is over, or when the wait is, or the gateway begins to drain.
///
/// # Errors
/// 401 or 403 if the request's credential no longer names the caller that asked for the
/// operation, and 503 while that cannot be told.
pub async fn until_over(
    request: &HttpRequest,
    gate: &Gate,
    operation: Arc<Operation>,
    wait: Wait,
) -> Result<Arc<Operation>, Problem> {
    if operation.status.is_final() || wait.limit().is_zero() {
        return Ok(operation);
    }
    let caller = operation.requested_by.clone();
    let mut news = gate.ledger.subscribe(operation.id);
    // What happened before the subscription is told by nobody.
    let mut known = gate.ledger.find(operation.id).await?.unwrap_or(operation);
    let mut rights = gate.access.changes();
    let mut end = pin!(tokio::time::sleep(wait.limit()));
    while !known.status.is_final() {
        tokio::select! {
            biased;
            Some(newer) = news.next() => {
                if newer.updated_at > known.updated_at {
                    known = newer;
                }
            }
            () = gate.draining.cancelled() => break,
            () = &mut end => break,
            Ok(()) = rights.changed() => caller::still(request, gate, &caller).await?,
        }
    }
    // A credential can also come to its end by itself.
    caller::still(request, gate, &caller).await?;
    Ok(known)
}
