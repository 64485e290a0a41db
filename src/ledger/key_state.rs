//! The state of an idempotency key, in one query to the ledger.

use std::sync::Arc;

use super::client::LedgerClient;
use super::error::LedgerError;
use super::key_counts::KeysFull;
use super::keys::{Claim, ClaimResult};
use crate::domain::{CallerName, FirstAnswer, Idempotency, Operation};

/// The state of a key.
pub enum KeyState {
    /// New: the request is executed under this claim.
    New(Claim),
    /// The request was carried out, and first answered with this.
    Stored(Arc<FirstAnswer>),
    /// The request was carried out, and its finished operation is the answer.
    Finished(Arc<Operation>),
    /// The request was carried out, or may have been, but never answered: the gateway
    /// crashed, or the client disconnected while it waited. This request gets the first
    /// answer.
    Orphaned(Claim, Arc<Operation>),
    /// The first request with the key is still being answered.
    InUse,
    /// The key was used for a different request.
    Reused,
    /// There may be no further key.
    Full(KeysFull),
}

impl LedgerClient {
    /// What a key of this caller stands for; claims it for this request if that is to be
    /// carried out or answered first. The caller may have `limit` keys.
    ///
    /// # Errors
    /// As for [`find`](Self::find).
    pub async fn key_state(
        &self,
        idempotency: Idempotency,
        caller: &CallerName,
        limit: usize,
    ) -> Result<KeyState, LedgerError> {
        let index = self.ledger.keys();
        let id = match index.claim(idempotency, caller, limit) {
            ClaimResult::New(claim) => return Ok(KeyState::New(claim)),
            ClaimResult::Unwritten(answer) => return Ok(KeyState::Stored(answer)),
            ClaimResult::InUse => return Ok(KeyState::InUse),
            ClaimResult::Reused => return Ok(KeyState::Reused),
            ClaimResult::Full(full) => return Ok(KeyState::Full(full)),
            ClaimResult::Bound(id) => id,
        };
        let found = self.find(id).await?;
        let consuming = found.filter(|operation| operation.consumes_idempotency_key());
        let Some(operation) = consuming else {
            let claim = index.reclaim(idempotency, id);
            return Ok(claim.map_or(KeyState::InUse, KeyState::New));
        };
        if operation.idempotency.as_deref() != Some(&idempotency) {
            return Ok(KeyState::Reused);
        }
        if let Some(answer) = self.ledger.first_answer(&operation).await? {
            return Ok(KeyState::Stored(Arc::new(answer)));
        }
        if operation.status.is_final() {
            return Ok(KeyState::Finished(operation));
        }
        let Some(claim) = index.reclaim(idempotency, id) else {
            return Ok(KeyState::InUse);
        };
        // Another request may have had the claim, and answered, in the meantime; the
        // operation may have ended.
        let operation = self.find(id).await?.unwrap_or(operation);
        Ok(match self.ledger.first_answer(&operation).await? {
            Some(answer) => KeyState::Stored(Arc::new(answer)),
            None if operation.status.is_final() => KeyState::Finished(operation),
            None => KeyState::Orphaned(claim, operation),
        })
    }
}
