//! The one writer of results: per operation one write at a time, the newest state next,
//! retried until the ledger accepts it.
//!
//! A first answer under an idempotency key is written in the same transaction as the
//! state, and its key stays claimed until then.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio_util::time::DelayQueue;

use crate::domain::OperationId;
use crate::ledger::{Claim, Ledger, LedgerError, Write};

/// Concurrent writes: most of the ledger's queue stays free for intents.
const MAX_WRITES: usize = 512;
/// The pause before the next attempt at a write that failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Writes in flight, and what waits to be written.
pub struct StateWriter {
    ledger: Ledger,
    pending: HashMap<OperationId, Pending>,
    /// Operations that can be written now.
    ready: VecDeque<OperationId>,
    /// Operations whose last write failed, until the next attempt.
    retries: DelayQueue<OperationId>,
    in_flight: FuturesUnordered<LocalBoxFuture<'static, Attempt>>,
    is_draining: bool,
}

/// What is still to be written about one operation. An entry exists while it is queued
/// or in flight.
#[derive(Default)]
struct Pending {
    next: Write,
    /// Released when `next`, or the write in flight, is durable.
    claim: Option<Claim>,
    /// A finished state was recorded here: an unfinished one cannot be newer.
    is_final: bool,
    is_in_flight: bool,
    /// In `ready` or in `retries`.
    is_queued: bool,
    has_logged_failure: bool,
}

struct Attempt {
    id: OperationId,
    write: Write,
    claim: Option<Claim>,
    result: Result<(), LedgerError>,
    is_last: bool,
}

/// The operation that a write is about; none if it is empty.
pub fn operation_of(write: &Write) -> Option<OperationId> {
    let operation = write.operation.as_ref().map(|operation| operation.id);
    operation.or(write.answer.as_ref().map(|answer| answer.operation.id))
}

impl StateWriter {
    /// A writer with nothing to write.
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            pending: HashMap::new(),
            ready: VecDeque::new(),
            retries: DelayQueue::new(),
            in_flight: FuturesUnordered::new(),
            is_draining: false,
        }
    }

    /// Records this as soon as possible. `claim` is released once it is durable.
    pub fn record(&mut self, write: Write, claim: Option<Claim>) {
        let Some(id) = operation_of(&write) else {
            return;
        };
        let pending = self.pending.entry(id).or_default();
        pending.add(write, claim);
        if !pending.is_in_flight && !pending.is_queued {
            pending.is_queued = true;
            self.ready.push_back(id);
        }
        self.start_writes();
    }

    /// Completes when a write has ended or a retry has started; `None` if there is nothing
    /// to wait for. Loses nothing when dropped.
    pub async fn progress(&mut self) -> Option<()> {
        tokio::select! {
            Some(attempt) = self.in_flight.next() => self.finish(attempt),
            Some(retry) = self.retries.next() => self.ready.push_back(retry.into_inner()),
            else => return None,
        }
        self.start_writes();
        Some(())
    }

    /// Waits for the writes in flight and attempts the others once more. What the ledger
    /// refuses then is left to the next start.
    pub async fn drain(mut self) {
        self.is_draining = true;
        self.retries.clear();
        let queued = self.pending.iter().filter(|(_, pending)| pending.is_queued);
        self.ready = queued.map(|(id, _)| *id).collect();
        self.start_writes();
        while self.progress().await.is_some() {}
    }

    fn start_writes(&mut self) {
        while self.in_flight.len() < MAX_WRITES
            && let Some(id) = self.ready.pop_front()
        {
            let Some(pending) = self.pending.get_mut(&id) else {
                continue;
            };
            pending.is_queued = false;
            pending.is_in_flight = true;
            let write = std::mem::take(&mut pending.next);
            let claim = pending.claim.take();
            let (ledger, is_last) = (self.ledger.clone(), self.is_draining);
            self.in_flight.push(Box::pin(async move {
                let result = ledger.write(write.clone()).await;
                Attempt {
                    id,
                    write,
                    claim,
                    result,
                    is_last,
                }
            }));
        }
    }

    fn finish(&mut self, attempt: Attempt) {
        let id = attempt.id;
        let Some(pending) = self.pending.get_mut(&id) else {
            return;
        };
        pending.is_in_flight = false;
        if let Err(error) = attempt.result {
            if !std::mem::replace(&mut pending.has_logged_failure, true) {
                tracing::error!(operation = %id, %error, "operation not recorded; retrying");
            }
            if attempt.is_last {
                self.pending.remove(&id);
                return;
            }
            pending.restore(attempt.write, attempt.claim);
            pending.is_queued = true;
            if self.is_draining {
                self.ready.push_back(id);
            } else {
                self.retries.insert(id, RETRY_AFTER);
            }
        } else if operation_of(&pending.next).is_some() {
            pending.has_logged_failure = false;
            pending.is_queued = true;
            self.ready.push_back(id);
        } else {
            self.pending.remove(&id);
        }
    }
}

impl Pending {
    /// The newest state counts, and the first answer.
    fn add(&mut self, write: Write, claim: Option<Claim>) {
        if let Some(operation) = write.operation {
            let is_final = operation.status.is_final();
            if is_final || !self.is_final {
                self.is_final = is_final;
                self.next.operation = Some(operation);
            }
        }
        self.next.answer = self.next.answer.take().or(write.answer);
        self.claim = claim.or(self.claim.take());
    }

    /// Takes back a write that failed.
    fn restore(&mut self, failed: Write, claim: Option<Claim>) {
        self.next.operation = self.next.operation.take().or(failed.operation);
        self.next.answer = failed.answer.or(self.next.answer.take());
        self.claim = claim.or(self.claim.take());
    }
}

#[cfg(test)]
mod tests;
