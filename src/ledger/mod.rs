//! The ledger: what was asked for is on disk before it is sent, and what became
//! of it before it is told. Many callers' writes become one commit, so that a
//! durable write costs a few microseconds and not one disk flush each.
//!
//! [`Ledger`] is the handle that everyone holds; a writer and a reader task
//! behind it batch what they are asked for and hand it to a [`Store`].

mod changes;
mod error;
mod front;
mod keys;
mod queue;
mod reader;
mod recent;
mod sqlite;
#[cfg(test)]
mod tests;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use changes::Changes;
pub use changes::Subscription;
pub use error::LedgerError;
pub use front::Front;
use keys::Keys;
pub use keys::{Claim, Claimed};
use queue::{Queue, queue};
use reader::{Finds, Reader};
use recent::Recent;
use sqlite::SqliteStore;
use writer::Writer;

use crate::domain::{Digest, KeptAnswer, Operation, OperationId};

/// The most that one commit, or one query, takes together.
pub const MAX_BATCH: usize = 64;
/// How many writes, and how many reads, may wait before more are refused.
pub const MAX_WAITING: usize = 4096;

/// What a store's methods return.
pub type Stored<'a, T> = BoxFuture<'a, Result<T, LedgerError>>;
/// A record and its id; an error if the record cannot be understood.
pub type Found = (OperationId, Result<Operation, LedgerError>);

/// Where operations are kept. Its methods are called for whole batches, and
/// each of those that write only when the one before has returned.
pub trait Store: Send + Sync {
    /// Inserts or updates all of them in one transaction, durably. No id occurs
    /// twice. A record that is already finished, or of a later state, stays as it
    /// is; of another, who asked for what and when stays as it is.
    fn save<'a>(&'a self, batch: &'a [Arc<Operation>]) -> Stored<'a, ()>;

    /// The same, and keeps answers that were given, in the same transaction. The first
    /// answer about an operation stays the first. There may be no operations.
    fn save_answered<'a>(
        &'a self,
        operations: &'a [Arc<Operation>],
        answers: &'a [Arc<KeptAnswer>],
    ) -> Stored<'a, ()>;

    /// The answer that was kept about an operation.
    fn answer(&self, operation: OperationId) -> Stored<'_, Option<KeptAnswer>>;

    /// Which key stands for which operation, of those created since, oldest first.
    fn keys_since(&self, since: Timestamp) -> Stored<'_, Vec<(Digest, OperationId)>>;

    /// Removes up to `limit` answers about operations that were created before
    /// `before`; returns how many it removed.
    fn forget_answers(&self, before: Timestamp, limit: u32) -> Stored<'_, u64>;

    /// Those of `ids` (at most [`MAX_BATCH`]) that exist, in any order.
    fn find<'a>(&'a self, ids: &'a [OperationId]) -> Stored<'a, Vec<Found>>;

    /// Every unfinished operation, oldest first.
    fn unfinished(&self) -> Stored<'_, Vec<Found>>;

    /// Removes up to `limit` operations that finished before `before`; returns
    /// how many it removed.
    fn prune(&self, before: Timestamp, limit: u32) -> Stored<'_, u64>;

    /// Writes something durably, to learn whether that works.
    fn probe(&self) -> Stored<'_, ()>;

    /// Puts everything in order and lets go of the file. Nothing works afterwards.
    fn close(&self) -> Stored<'_, ()>;
}

/// How much survives a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Every commit is flushed to the disk before it is reported.
    #[default]
    Full,
    /// The last commits may be lost with the power, though not with the
    /// process; the file stays consistent.
    Relaxed,
}

/// Where the ledger is and how it behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The database file; created if missing, its directory is not.
    pub path: PathBuf,
    /// What a commit promises.
    pub durability: Durability,
    /// How long things are kept.
    pub keep: Keep,
}

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Finished operations; unfinished ones always are.
    pub operations: Duration,
    /// Idempotency keys and the answers under them, from the first request on.
    pub keys: Duration,
}

/// How patient the tasks are and how often they do their chores.
#[derive(Debug, Clone, Copy)]
struct Pace {
    patience: Duration,
    probe_every: Duration,
    prune_every: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(10),
            probe_every: Duration::from_secs(5),
            prune_every: Duration::from_secs(3600),
        }
    }
}

/// The record of what was asked for. Cheap to clone; every clone is the same
/// ledger. When the last one is dropped its tasks end, but only
/// [`close`](Self::close) tells that everything went well.
#[derive(Clone)]
pub struct Ledger(Arc<Shared>);

struct Shared {
    store: Arc<dyn Store>,
    writes: Queue<Write, ()>,
    reads: Queue<OperationId, Finds>,
    health: watch::Receiver<Result<(), LedgerError>>,
    closing: CancellationToken,
    tasks: TaskTracker,
    patience: Duration,
    news: Arc<News>,
    keys: Arc<Keys>,
}

/// Something to be written.
#[derive(Debug, Clone, Default)]
pub struct Write {
    /// An operation's present state.
    pub operation: Option<Arc<Operation>>,
    /// The answer that was given to whoever asked for it under a key.
    pub answer: Option<Arc<KeptAnswer>>,
}

impl From<Arc<Operation>> for Write {
    fn from(operation: Arc<Operation>) -> Self {
        Self {
            operation: Some(operation),
            answer: None,
        }
    }
}

/// What becomes visible is remembered for a while, and told to those who wait for it.
#[derive(Default)]
struct News {
    recent: Recent,
    changes: Arc<Changes>,
}

impl Ledger {
    /// Opens the SQLite ledger at `options.path`, or makes one, and starts its
    /// tasks on the current tokio runtime. Has written to it once before it returns.
    ///
    /// # Errors
    /// [`LedgerError::InUse`] if another process has it open, `TooNew`,
    /// `Foreign` or `Corrupt` if the file is not one to be used, and
    /// `Unavailable` if the directory is missing or nothing can be written.
    pub async fn open(options: Options) -> Result<Self, LedgerError> {
        let store = SqliteStore::open(&options.path, options.durability).await?;
        let keys = Keys::new(options.keep.keys);
        keys.restore(store.keys_since(keys.horizon()).await?);
        let (store, retention) = (Arc::new(store), options.keep.operations);
        Ok(Self::start(store, retention, keys, Pace::default()))
    }

    /// A ledger on any store: for tests that make one fail on purpose.
    #[cfg(test)]
    pub fn on(store: Arc<dyn Store>, retention: Duration) -> Self {
        Self::at_pace(store, retention, Pace::default())
    }

    #[cfg(test)]
    fn at_pace(store: Arc<dyn Store>, retention: Duration, pace: Pace) -> Self {
        Self::start(store, retention, Keys::new(retention), pace)
    }

    fn start(store: Arc<dyn Store>, retention: Duration, keys: Keys, pace: Pace) -> Self {
        let (writes, to_write) = queue(MAX_WAITING);
        let (reads, to_read) = queue(MAX_WAITING);
        let (health, known_health) = watch::channel(Ok(()));
        let closing = CancellationToken::new();
        let tasks = TaskTracker::new();
        let (news, keys) = (Arc::new(News::default()), Arc::new(keys));
        let writer = Writer {
            news: Arc::clone(&news),
            keys: Arc::clone(&keys),
            store: Arc::clone(&store),
            queue: to_write,
            health,
            closing: closing.clone(),
            retention,
            pace,
        };
        let reader = Reader {
            store: Arc::clone(&store),
            queue: to_read,
            closing: closing.clone(),
            patience: pace.patience,
        };
        tasks.spawn(writer.run());
        tasks.spawn(reader.run());
        tasks.close();
        Self(Arc::new(Shared {
            store,
            writes,
            reads,
            health: known_health,
            closing,
            tasks,
            patience: pace.patience,
            news,
            keys,
        }))
    }

    /// Records the operation's present state. Returns once it is durable, with
    /// whatever else was being saved at the time. A finished record never
    /// changes again: saving it once more does nothing. Several saves of one
    /// operation, each begun after the one before, take effect in that order.
    ///
    /// Times are kept in microseconds. Dropping the future does not take the
    /// write back.
    ///
    /// # Errors
    /// [`LedgerError::Overloaded`] at once, and nothing is written, if more than
    /// [`MAX_WAITING`] wait already. `Unavailable` if the disk refuses, and `Late` if
    /// it has not answered within 10 seconds: then the write *may still happen*.
    /// Whoever gets an error for an intent must not send, and after `Late` should see
    /// to it that the intent does not stay what it is.
    pub async fn save(&self, operation: impl Into<Arc<Operation>>) -> Result<(), LedgerError> {
        self.0.writes.ask(vec![operation.into().into()]).await
    }

    /// Writes several things, as many together as go into one commit; how each of them
    /// went, in their order: see [`save`](Self::save).
    pub async fn write_all(&self, writes: Vec<Write>) -> Vec<Result<(), LedgerError>> {
        // Nearly always one chunk.
        let chunks = writes.chunks(MAX_BATCH);
        let written = chunks.map(async |chunk| {
            let written = self.0.writes.ask(chunk.to_vec()).await;
            vec![written; chunk.len()]
        });
        join_all(written).await.into_iter().flatten().collect()
    }

    /// The operation as it was last saved.
    ///
    /// # Errors
    /// As for [`save`](Self::save), and [`LedgerError::Unreadable`] if a newer
    /// version wrote something into it that this one does not know.
    pub async fn find(&self, id: OperationId) -> Result<Option<Operation>, LedgerError> {
        let mut found = self.find_all(vec![id]).await;
        found.pop().unwrap_or_else(|| Err(LedgerError::closed()))
    }

    fn announce(&self, operation: &Arc<Operation>) {
        let one = std::slice::from_ref(operation);
        self.0.news.recent.keep(one);
        self.0.news.changes.tell(one);
    }

    /// The operation, if it is among the last that were saved: from memory.
    fn recent(&self, id: OperationId) -> Option<Arc<Operation>> {
        self.0.news.recent.get(id)
    }

    /// The answer that was kept about an operation. Asked for so seldom that it waits
    /// in no line.
    async fn answer(&self, operation: OperationId) -> Result<Option<KeptAnswer>, LedgerError> {
        let answer = self.0.store.answer(operation);
        tokio::time::timeout(self.0.patience, answer)
            .await
            .unwrap_or(Err(LedgerError::Late))
    }

    /// Several operations as they were last saved, in the order of the ids.
    pub async fn find_all(&self, ids: Vec<OperationId>) -> Finds {
        let chunks = ids.chunks(MAX_BATCH);
        let finds = chunks.map(async |chunk| match self.0.reads.ask(chunk.to_vec()).await {
            Ok(found) => found,
            Err(error) => vec![Err(error); chunk.len()],
        });
        join_all(finds).await.into_iter().flatten().collect()
    }

    /// Every operation that has to be followed to its end, oldest first. One
    /// that cannot be understood is left out, with a warning.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] if nothing can be read.
    pub async fn unfinished(&self) -> Result<Vec<Operation>, LedgerError> {
        let found = self.0.store.unfinished().await?;
        let readable = found.into_iter().filter_map(|(id, operation)| {
            operation
                .inspect_err(|error| {
                    tracing::warn!(operation_id = %id, %error, "an unfinished operation is not followed");
                })
                .ok()
        });
        Ok(readable.collect())
    }

    /// Whether the last write worked. Costs nothing; known anew every few
    /// seconds even without traffic.
    ///
    /// # Errors
    /// What the last write failed with.
    pub fn healthy(&self) -> Result<(), LedgerError> {
        if self.0.health.has_changed().is_err() {
            return Err(LedgerError::closed());
        }
        self.0.health.borrow().clone()
    }

    /// Finishes what is queued, refuses what comes later, and leaves the file
    /// in order. Every clone is closed with it.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] if that does not work within 10 seconds; what
    /// was reported as saved is safe even then.
    pub async fn close(&self) -> Result<(), LedgerError> {
        self.0.closing.cancel();
        let end = async {
            self.0.tasks.wait().await;
            self.0.store.close().await
        };
        tokio::time::timeout(self.0.patience, end)
            .await
            .unwrap_or(Err(LedgerError::Late))
    }
}
