//! The store in an SQLite file: one connection that writes and one that reads, each with
//! its own thread.

mod answers;
mod claim;
mod connection;
mod examine;
mod failure;
mod file;
mod held;
mod migrations;
mod modes;
mod row;
mod salvage;
mod structure;
#[cfg(test)]
mod tests;
mod wal;
mod watch;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use sqlx::query::Query;
use sqlx::sqlite::{
    Sqlite, SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Mutex, MutexGuard};

use super::error::LedgerError;
use super::options::LedgerOptions;
use super::store::{Found, MAX_BATCH, Store, Stored, StoredKey};
use crate::domain::{Durability, FirstAnswer, Operation, OperationId};
use claim::claim_file;
use connection::ConnectionSlot;
use failure::{failure, unmigrated};
use file::FileLock;
use structure::{Examination, Warnings};
use wal::SideFiles;

pub use examine::examine;

/// What finished before a time was also created before it. The condition on the id
/// therefore limits the search to the start of the table, without an index of its own.
const PRUNE: &str = "DELETE FROM operations WHERE id IN (SELECT id FROM operations \
                     WHERE id < ? AND finished_at < ? ORDER BY id LIMIT ?)";
const PROBE: &str = "INSERT INTO gateway (id, probed_at) VALUES (1, ?) \
                     ON CONFLICT (id) DO UPDATE SET probed_at = excluded.probed_at";

/// A statement with its values bound.
type Prepared = Query<'static, Sqlite, SqliteArguments>;

/// How long a statement waits for another process's lock. Requests wait for one such
/// statement and their own, which is within the ledger's deadline.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);

pub struct SqliteStore {
    durability: Durability,
    writer: Mutex<ConnectionSlot>,
    reader: Mutex<ConnectionSlot>,
    /// The write-ahead log and its index, while they are known.
    side_files: Mutex<Option<SideFiles>>,
    /// Why the file is not used any more.
    damaged: OnceLock<&'static str>,
    /// What was found at the start or since, for an operator.
    warnings: Warnings,
    /// While the file is examined in the background.
    examination: Mutex<Option<Examination>>,
    /// The last to be dropped, after the connections.
    file: FileLock,
}

impl SqliteStore {
    /// Locks the file for this process, brings its schema up to date, examines it, and
    /// writes to it once.
    pub async fn open(options: &LedgerOptions) -> Result<Self, LedgerError> {
        let (path, retention) = (options.path.clone(), options.retention.operations);
        let acquire = tokio::task::spawn_blocking(move || FileLock::acquire(&path));
        let store = Self {
            durability: options.durability,
            writer: Mutex::new(ConnectionSlot::Empty),
            reader: Mutex::new(ConnectionSlot::Empty),
            side_files: Mutex::new(None),
            damaged: OnceLock::new(),
            warnings: Warnings::default(),
            examination: Mutex::new(None),
            file: acquire.await.map_err(|_| LedgerError::closed())??,
        };
        store.examine_structure().await?;
        if let Some(lost) = store.compare_with_record(retention).await? {
            store.warnings.add(lost);
        }
        store.probe().await?;
        store.check().await?;
        Ok(store)
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(self.file.path())
            // A file that vanished must not be replaced by an empty one.
            .create_if_missing(false)
            // Room for the prepared statements of every batch size.
            .statement_cache_capacity(64)
            // In kibibytes: only the end of the table is in frequent use.
            .pragma("cache_size", "-512")
            .row_buffer_size(MAX_BATCH + 1)
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging()
    }

    /// Opens the file for writing after checking that it is a ledger.
    async fn connect_writer(&self) -> Result<ConnectionSlot, LedgerError> {
        self.file.check_path().await?;
        *self.side_files.lock().await = None;
        // The file must not be changed before it is known to be a ledger.
        let mut connection = self.options().connect().await.map_err(failure)?;
        claim_file(&mut connection).await?;
        connection.close().await.map_err(failure)?;

        let synchronous = match self.durability {
            Durability::Full => SqliteSynchronous::Full,
            Durability::Relaxed => SqliteSynchronous::Normal,
        };
        let options = self.options().journal_mode(SqliteJournalMode::Wal);
        let options = options.synchronous(synchronous);
        let mut connection = options.connect().await.map_err(failure)?;
        let journal: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&mut connection)
            .await
            .map_err(failure)?;
        if journal != "wal" {
            return Err(LedgerError::unavailable(
                "its file system does not support write-ahead logging",
            ));
        }
        // Not `run`, whose future the compiler cannot prove to be `Send`.
        let migrator = migrations::migrator();
        let migrated = migrator.run_direct(None, &mut connection, false).await;
        migrated.map_err(unmigrated)?;
        Ok(ConnectionSlot::Open(connection))
    }

    async fn connect_reader(&self) -> Result<ConnectionSlot, LedgerError> {
        self.file.check_path().await?;
        let options = self.options().pragma("query_only", "ON");
        let connection = options.connect().await.map_err(failure)?;
        Ok(ConnectionSlot::Open(connection))
    }

    /// The write connection, opened if necessary.
    async fn writer(&self) -> Result<MutexGuard<'_, ConnectionSlot>, LedgerError> {
        self.undamaged()?;
        let mut slot = self.writer.lock().await;
        if matches!(*slot, ConnectionSlot::Empty) {
            *slot = self.connect_writer().await?;
        }
        Ok(slot)
    }

    /// The read connection, opened if necessary.
    async fn reader(&self) -> Result<MutexGuard<'_, ConnectionSlot>, LedgerError> {
        self.undamaged()?;
        let mut slot = self.reader.lock().await;
        if matches!(*slot, ConnectionSlot::Empty) {
            *slot = self.connect_reader().await?;
        }
        Ok(slot)
    }

    async fn find_rows(&self, ids: &[OperationId]) -> Result<Vec<Found>, LedgerError> {
        let sql = row::select(ids.len()).ok_or_else(no_such_batch)?;
        self.fetch(sqlx::query_with(sql, row::encode_ids(ids)?))
            .await
    }

    async fn fetch(&self, query: Prepared) -> Result<Vec<Found>, LedgerError> {
        let mut slot = self.reader().await?;
        let rows = query.fetch_all(slot.connection()?).await;
        Ok(slot.settle(rows)?.iter().filter_map(row::decode).collect())
    }

    async fn execute(&self, query: Prepared) -> Result<u64, LedgerError> {
        let mut slot = self.writer().await?;
        let done = query.execute(slot.connection()?).await;
        Ok(slot.settle(done)?.rows_affected())
    }

    /// Runs both in one transaction, which the first begins and the second ends.
    async fn execute_both(&self, first: Prepared, second: Prepared) -> Result<(), LedgerError> {
        let mut slot = self.writer().await?;
        let both = async {
            let connection = slot.connection()?;
            first.execute(&mut *connection).await.map_err(failure)?;
            second.execute(&mut *connection).await.map_err(failure)?;
            Ok(())
        };
        let done = both.await;
        if done.is_err() {
            // Dropping the connection rolls back what the first may have done.
            drop(slot.take());
        }
        done
    }
}

impl Store for SqliteStore {
    fn save<'a>(&'a self, batch: &'a [Arc<Operation>]) -> Stored<'a, ()> {
        Box::pin(async {
            let sql = row::upsert(batch.len()).ok_or_else(no_such_batch)?;
            self.execute(sqlx::query_with(sql, row::encode(batch)?))
                .await?;
            Ok(())
        })
    }

    fn save_answered<'a>(
        &'a self,
        operations: &'a [Arc<Operation>],
        answers: &'a [Arc<FirstAnswer>],
    ) -> Stored<'a, ()> {
        Box::pin(async {
            let encoded = answers::encode(answers)?;
            if operations.is_empty() {
                let sql = answers::insert(answers.len()).ok_or_else(no_such_batch)?;
                self.execute(sqlx::query_with(sql, encoded)).await?;
                return Ok(());
            }
            let begin = answers::begin(operations.len()).ok_or_else(no_such_batch)?;
            let end = answers::end(answers.len()).ok_or_else(no_such_batch)?;
            self.execute_both(
                sqlx::query_with(begin, row::encode(operations)?),
                sqlx::query_with(end, encoded),
            )
            .await
        })
    }

    fn first_answer<'a>(
        &'a self,
        operation: &'a Arc<Operation>,
    ) -> Stored<'a, Option<FirstAnswer>> {
        let query = sqlx::query(answers::SELECT).bind(bytes_of(operation.id));
        Box::pin(async move {
            let mut slot = self.reader().await?;
            let row = query.fetch_optional(slot.connection()?).await;
            let row = slot.settle(row)?;
            row.map(|row| answers::decode(operation, &row)).transpose()
        })
    }

    fn keys_since<'a>(
        &'a self,
        since: Timestamp,
        restore: &'a mut (dyn FnMut(StoredKey) + Send),
    ) -> Stored<'a, ()> {
        let query = sqlx::query(answers::SELECT_KEYS).bind(row::first_id_of(since));
        Box::pin(async {
            let mut slot = self.reader().await?;
            let mut rows = query.fetch(slot.connection()?);
            let read = loop {
                match rows.try_next().await {
                    Ok(Some(row)) => answers::decode_key(&row)
                        .into_iter()
                        .for_each(&mut *restore),
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            drop(rows);
            match slot.settle(read) {
                Err(LedgerError::Corrupt) => {
                    tracing::error!(
                        "idempotency keys behind a damaged page of the ledger are forgotten"
                    );
                    Ok(())
                }
                read => read,
            }
        })
    }

    fn forget_answers(&self, before: Timestamp, limit: u32) -> Stored<'_, u64> {
        let query = sqlx::query(answers::FORGET)
            .bind(row::first_id_of(before))
            .bind(limit);
        Box::pin(self.execute(query))
    }

    fn find<'a>(&'a self, ids: &'a [OperationId]) -> Stored<'a, Vec<Found>> {
        Box::pin(self.find_each(ids))
    }

    fn unfinished(&self) -> Stored<'_, Vec<Found>> {
        Box::pin(self.find_unfinished())
    }

    fn prune(&self, before: Timestamp, limit: u32) -> Stored<'_, u64> {
        let query = sqlx::query(PRUNE)
            .bind(row::first_id_of(before))
            .bind(before.as_microsecond())
            .bind(limit);
        Box::pin(self.execute(query))
    }

    fn check(&self) -> Stored<'_, ()> {
        Box::pin(self.check_files())
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.all()
    }

    fn has_given_up(&self) -> bool {
        self.damaged.get().is_some()
    }

    fn probe(&self) -> Stored<'_, ()> {
        Box::pin(async {
            let now = Timestamp::now().as_microsecond();
            self.execute(sqlx::query(PROBE).bind(now)).await?;
            Ok(())
        })
    }

    fn close(&self) -> Stored<'_, ()> {
        Box::pin(async {
            if self.has_given_up() {
                return Ok(());
            }
            self.end_examination().await;
            // With an older record the next start is only less strict.
            let _ = self.record_newest().await;
            let reader = std::mem::replace(&mut *self.reader.lock().await, ConnectionSlot::Closed);
            if let ConnectionSlot::Open(connection) = reader {
                connection.close().await.map_err(failure)?;
            }
            let writer = std::mem::replace(&mut *self.writer.lock().await, ConnectionSlot::Closed);
            if let ConnectionSlot::Open(mut connection) = writer {
                sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
                    .execute(&mut connection)
                    .await
                    .map_err(failure)?;
                connection.close().await.map_err(failure)?;
            }
            self.file.release();
            Ok(())
        })
    }
}

fn bytes_of(operation: OperationId) -> Vec<u8> {
    operation.as_uuid().as_bytes().to_vec()
}

fn no_such_batch() -> LedgerError {
    LedgerError::unavailable("internal error: a batch is empty or too large")
}
