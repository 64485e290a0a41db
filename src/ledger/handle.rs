//! The handle to the ledger that all threads share. It starts the writing and the reading
//! task and sends them requests.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

use super::batch::{BatchSender, batch_queue};
use super::error::LedgerError;
use super::feed::UpdateFeed;
use super::keys::IdempotencyIndex;
use super::reader::{Finds, ReadTask};
use super::store::{MAX_BATCH, Store};
use super::writer::{Schedule, Write, WriteHealth, WriteTask};
use crate::domain::{FirstAnswer, Operation, OperationId};

/// The most writes, and the most reads, that may wait; more are refused.
const MAX_WAITING: usize = 4096;

/// The durable record of operations. All clones are the same ledger. Its tasks end when
/// the last clone is dropped, but only [`close`](Self::close) reports that every write
/// succeeded.
#[derive(Clone)]
pub struct Ledger(Arc<LedgerState>);

struct LedgerState {
    store: Arc<dyn Store>,
    writes: BatchSender<Write, ()>,
    reads: BatchSender<OperationId, Finds>,
    health: watch::Receiver<WriteHealth>,
    closing: CancellationToken,
    ended: CancellationToken,
    tasks: TaskTracker,
    deadline: Duration,
    feed: Arc<UpdateFeed>,
    keys: Arc<IdempotencyIndex>,
}

impl Ledger {
    /// Starts the tasks of a ledger on this store. Finished operations are kept for
    /// `retention`.
    pub(super) fn start(
        store: Arc<dyn Store>,
        retention: Duration,
        keys: IdempotencyIndex,
        schedule: Schedule,
    ) -> Self {
        let (writes, write_requests) = batch_queue(MAX_WAITING);
        let (reads, read_requests) = batch_queue(MAX_WAITING);
        let (health, known_health) = watch::channel(Ok(()));
        let closing = CancellationToken::new();
        let tasks = TaskTracker::new();
        let (feed, keys) = (Arc::new(UpdateFeed::default()), Arc::new(keys));
        let ended = CancellationToken::new();
        let writer = WriteTask {
            feed: Arc::clone(&feed),
            keys: Arc::clone(&keys),
            store: Arc::clone(&store),
            requests: write_requests,
            health,
            written: false,
            closing: closing.clone(),
            retention,
            schedule,
            given_up: ended.clone(),
        };
        let reader = ReadTask {
            store: Arc::clone(&store),
            requests: read_requests,
            closing: closing.clone(),
            deadline: schedule.deadline,
        };
        tasks.spawn(noticed(writer.run(), ended.clone().drop_guard()));
        tasks.spawn(noticed(reader.run(), ended.clone().drop_guard()));
        tasks.close();
        Self(Arc::new(LedgerState {
            store,
            writes,
            reads,
            health: known_health,
            closing,
            ended,
            tasks,
            deadline: schedule.deadline,
            feed,
            keys,
        }))
    }

    /// A ledger on any store, for tests that need one that fails.
    #[cfg(test)]
    pub fn on(store: Arc<dyn Store>, retention: Duration) -> Self {
        Self::start(
            store,
            retention,
            IdempotencyIndex::new(retention),
            Schedule::default(),
        )
    }

    /// Records the present state of an operation. Returns when it is durable; concurrent
    /// saves share a commit. A finished record never changes again: saving another state
    /// has no effect. Saves of one operation that start one after the other take effect in
    /// that order.
    ///
    /// Times are stored in microseconds. Dropping the future does not withdraw the write.
    ///
    /// # Errors
    /// [`LedgerError::Overloaded`] at once if 4,096 writes are waiting: nothing is written.
    /// `Unavailable` if the disk refuses. `Late` if it did not answer within 10 seconds:
    /// the write *may still happen*. After an error for an intent the request must not be
    /// sent; after `Late` the caller should also record how that intent ended.
    pub async fn save(&self, operation: impl Into<Arc<Operation>>) -> Result<(), LedgerError> {
        self.write(operation.into().into()).await
    }

    /// Records one thing; see [`save`](Self::save).
    ///
    /// # Errors
    /// As there.
    pub async fn write(&self, write: Write) -> Result<(), LedgerError> {
        self.0.writes.request(vec![write]).await
    }

    /// Records several things in as few commits as possible. Returns one result for each,
    /// in the same order; see [`save`](Self::save).
    pub async fn write_all(&self, writes: Vec<Write>) -> Vec<Result<(), LedgerError>> {
        // Usually one chunk.
        let chunks = writes.chunks(MAX_BATCH);
        let written = chunks.map(async |chunk| {
            let written = self.0.writes.request(chunk.to_vec()).await;
            if written != Err(LedgerError::Corrupt) || chunk.len() == 1 {
                return vec![written; chunk.len()];
            }
            // Only what touches the damaged page has to fail.
            let each = chunk.iter().map(|write| self.write(write.clone()));
            join_all(each).await
        });
        join_all(written).await.into_iter().flatten().collect()
    }

    /// The last saved state of an operation.
    ///
    /// # Errors
    /// As for [`save`](Self::save), and [`LedgerError::Unreadable`] if the record contains
    /// a value that only a newer version knows.
    pub async fn find(&self, id: OperationId) -> Result<Option<Operation>, LedgerError> {
        let mut found = self.find_all(vec![id]).await;
        found.pop().unwrap_or_else(|| Err(LedgerError::closed()))
    }

    /// The last saved states of several operations, in the order of the ids.
    pub async fn find_all(&self, ids: Vec<OperationId>) -> Finds {
        let chunks = ids.chunks(MAX_BATCH);
        let finds = chunks.map(async |chunk| {
            let found = self.0.reads.request(chunk.to_vec()).await;
            found.unwrap_or_else(|error| vec![Err(error); chunk.len()])
        });
        join_all(finds).await.into_iter().flatten().collect()
    }

    /// Every unfinished operation, oldest first. One that cannot be read is skipped and
    /// logged.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] if the database cannot be read.
    pub async fn unfinished(&self) -> Result<Vec<Operation>, LedgerError> {
        let found = self.0.store.unfinished().await?;
        let readable = found.into_iter().filter_map(|(id, operation)| {
            operation
                .inspect_err(|error| {
                    tracing::warn!(
                        operation_id = %id,
                        %error,
                        "unfinished operation cannot be read and is not polled"
                    );
                })
                .ok()
        });
        Ok(readable.collect())
    }

    /// The result of the latest write. Costs no write itself: a probe renews it every few
    /// seconds even without traffic.
    ///
    /// # Errors
    /// The error of that write.
    pub fn healthy(&self) -> Result<(), LedgerError> {
        if self.0.health.has_changed().is_err() {
            return Err(LedgerError::closed());
        }
        self.0.health.borrow().clone()
    }

    /// What is wrong with the ledger although it works.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.0.store.warnings()
    }

    /// Completes when the ledger does not work any more: a task of it has ended, because it
    /// was closed or by a panic, or its files were damaged while in use.
    pub fn ended(&self) -> WaitForCancellationFutureOwned {
        self.0.ended.clone().cancelled_owned()
    }

    /// Completes queued writes, refuses new ones, and closes the database. Applies to every
    /// clone.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] if that does not succeed within 10 seconds; what was
    /// reported as saved is safe even then.
    pub async fn close(&self) -> Result<(), LedgerError> {
        self.0.closing.cancel();
        self.with_deadline(async {
            self.0.tasks.wait().await;
            self.0.store.close().await
        })
        .await
    }

    /// The first answer about an operation, if it was stored. Not batched: it is seldom
    /// needed.
    pub(super) async fn first_answer(
        &self,
        operation: &Arc<Operation>,
    ) -> Result<Option<FirstAnswer>, LedgerError> {
        self.with_deadline(self.0.store.first_answer(operation))
            .await
    }

    pub(super) fn feed(&self) -> &Arc<UpdateFeed> {
        &self.0.feed
    }

    pub(super) fn keys(&self) -> &Arc<IdempotencyIndex> {
        &self.0.keys
    }

    async fn with_deadline<T>(
        &self,
        work: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<T, LedgerError> {
        tokio::time::timeout(self.0.deadline, work)
            .await
            .unwrap_or(Err(LedgerError::Late))
    }
}

/// Runs a task, whose end cancels the guard's token, however it comes.
async fn noticed(task: impl Future<Output = ()>, _ended: DropGuard) {
    task.await;
}

#[cfg(test)]
mod tests;
