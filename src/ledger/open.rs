//! Opening a ledger: its options, and the choice of the database behind it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::error::LedgerError;
use super::handle::Ledger;
use super::keys::IdempotencyIndex;
use super::sqlite::SqliteStore;
use super::store::Store;
use super::writer::Schedule;
use crate::domain::Durability;

/// Where the ledger is and how it behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerOptions {
    /// The database file. It is created if missing; its directory is not.
    pub path: PathBuf,
    /// What a commit guarantees.
    pub durability: Durability,
    /// How long records are kept.
    pub retention: Retention,
}

/// How long records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Finished operations; unfinished ones are always kept.
    pub operations: Duration,
    /// Idempotency keys and the answers under them, counted from the first request.
    pub keys: Duration,
}

impl Ledger {
    /// Opens or creates the SQLite ledger at `options.path`, writes to it once, and starts
    /// its tasks on the current tokio runtime.
    ///
    /// # Errors
    /// [`LedgerError::InUse`] if another process has it open; `TooNew`, `Foreign` or
    /// `Corrupt` if the file cannot be used; `Unavailable` if the directory is missing or
    /// the file cannot be written.
    pub async fn open(options: LedgerOptions) -> Result<Self, LedgerError> {
        let store = SqliteStore::open(&options.path, options.durability).await?;
        let keys = IdempotencyIndex::new(options.retention.keys);
        keys.restore(store.keys_since(keys.horizon()).await?);
        let (store, retention) = (Arc::new(store), options.retention.operations);
        Ok(Self::start(store, retention, keys, Schedule::default()))
    }
}
