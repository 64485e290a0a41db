//! The interface between the ledger and a database.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::error::LedgerError;
use crate::domain::{CallerName, Digest, FirstAnswer, Operation, OperationId};

/// The most items that one commit or one query covers.
pub const MAX_BATCH: usize = 64;

/// What a store's methods return.
pub type Stored<'a, T> = BoxFuture<'a, Result<T, LedgerError>>;
/// A record's id, and the record or the reason why it cannot be read.
pub type Found = (OperationId, Result<Operation, LedgerError>);

/// Which operation an idempotency key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// The digest of the key.
    pub key: Digest,
    /// The operation.
    pub operation: OperationId,
    /// Whose key it is.
    pub caller: CallerName,
}

/// A database of operations. The ledger calls each method for a whole batch, and starts a
/// write only after the previous one has returned.
pub trait Store: Send + Sync {
    /// Inserts or updates all operations of the batch in one durable transaction. No id
    /// occurs twice. A stored record that is finished, or newer, does not change; an
    /// update never changes what was asked for, by whom and when.
    fn save<'a>(&'a self, batch: &'a [Arc<Operation>]) -> Stored<'a, ()>;

    /// The same, together with first answers. An operation's stored answer does not change.
    /// There may be no operations.
    fn save_answered<'a>(
        &'a self,
        operations: &'a [Arc<Operation>],
        answers: &'a [Arc<FirstAnswer>],
    ) -> Stored<'a, ()>;

    /// The first answer about this operation, which is given in its latest state.
    fn first_answer<'a>(&'a self, operation: &'a Arc<Operation>)
    -> Stored<'a, Option<FirstAnswer>>;

    /// Passes on the keys of the operations created since, oldest first. There may be a
    /// million.
    fn keys_since<'a>(
        &'a self,
        since: Timestamp,
        restore: &'a mut (dyn FnMut(StoredKey) + Send),
    ) -> Stored<'a, ()>;

    /// Removes up to `limit` first answers about operations created before `before`;
    /// returns the number removed.
    fn forget_answers(&self, before: Timestamp, limit: u32) -> Stored<'_, u64>;

    /// Reads those of `ids` (at most [`MAX_BATCH`]) that exist, in any order.
    fn find<'a>(&'a self, ids: &'a [OperationId]) -> Stored<'a, Vec<Found>>;

    /// Reads every unfinished operation, oldest first.
    fn unfinished(&self) -> Stored<'_, Vec<Found>>;

    /// Removes up to `limit` operations that finished before `before`; returns the number
    /// removed.
    fn prune(&self, before: Timestamp, limit: u32) -> Stored<'_, u64>;

    /// Checks that the database is still the one that was opened, and whole; mends what can
    /// be mended. Never waits for the locks of other processes.
    fn check(&self) -> Stored<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    /// What is wrong with the database, for an operator.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether every later call fails, whatever happens to the files: only another start can
    /// mend that.
    fn has_given_up(&self) -> bool {
        false
    }

    /// Checks with a durable write that the database accepts writes.
    fn probe(&self) -> Stored<'_, ()>;

    /// Flushes everything and releases the database. Later calls fail.
    fn close(&self) -> Stored<'_, ()>;
}
