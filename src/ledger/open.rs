//! Opening a ledger, and the choice of the database behind it.

use std::sync::Arc;

use super::error::LedgerError;
use super::handle::Ledger;
use super::keys::IdempotencyIndex;
use super::options::LedgerOptions;
use super::sqlite::{SqliteStore, examine};
use super::store::Store;
use super::writer::Schedule;

impl Ledger {
    /// Opens or creates the SQLite ledger at `options.path`, writes to it once, and starts
    /// its tasks on the current tokio runtime.
    ///
    /// # Errors
    /// [`LedgerError::InUse`] if another process has it open; `TooNew`, `Foreign` or
    /// `Corrupt` if the file cannot be used; `Unavailable` if the directory is missing or
    /// the file cannot be written.
    pub async fn open(options: LedgerOptions) -> Result<Self, LedgerError> {
        let store = SqliteStore::open(&options).await?;
        let keys = IdempotencyIndex::new(options.retention.keys);
        let mut restore = |key| keys.restore(&key);
        store.keys_since(keys.horizon(), &mut restore).await?;
        let (store, retention) = (Arc::new(store), options.retention.operations);
        Ok(Self::start(store, retention, keys, Schedule::default()))
    }

    /// Says in a few words in which state the ledger is, without opening it for writing.
    ///
    /// # Errors
    /// Why [`open`](Self::open) would fail; that another gateway has it open is no such
    /// reason.
    pub async fn examine(options: &LedgerOptions) -> Result<String, LedgerError> {
        examine(&options.path, options.retention.operations).await
    }
}
