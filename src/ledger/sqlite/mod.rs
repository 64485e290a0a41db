//! The store in an SQLite file: one connection that writes and one that reads, each with
//! its own thread.

mod answers;
mod connection;
mod failure;
mod file;
mod migrations;
mod row;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use sqlx::query::Query;
use sqlx::sqlite::{
    Sqlite, SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Mutex, MutexGuard};

use super::error::LedgerError;
use super::store::{Found, MAX_BATCH, Store, Stored};
use crate::domain::{Digest, Durability, FirstAnswer, Operation, OperationId};
use connection::ConnectionSlot;
use failure::{failure, unmigrated};
use file::FileLock;

/// In the header of every ledger file: "OffG".
const APPLICATION_ID: i32 = 0x4f66_6647;
const MARK_AS_OURS: &str = "PRAGMA application_id = 0x4f666647";

/// What finished before a time was also created before it. The condition on the id
/// therefore limits the search to the start of the table, without an index of its own.
const PRUNE: &str = "DELETE FROM operations WHERE id IN (SELECT id FROM operations \
                     WHERE id < ? AND finished_at < ? ORDER BY id LIMIT ?)";
const PROBE: &str = "INSERT INTO gateway (id, probed_at) VALUES (1, ?) \
                     ON CONFLICT (id) DO UPDATE SET probed_at = excluded.probed_at";

/// A statement with its values bound.
type Prepared = Query<'static, Sqlite, SqliteArguments>;

pub struct SqliteStore {
    file: FileLock,
    durability: Durability,
    writer: Mutex<ConnectionSlot>,
    reader: Mutex<ConnectionSlot>,
}

impl SqliteStore {
    /// Locks the file for this process, brings its schema up to date, and writes to it
    /// once.
    pub async fn open(path: &Path, durability: Durability) -> Result<Self, LedgerError> {
        let store = Self {
            file: FileLock::acquire(path)?,
            durability,
            writer: Mutex::new(ConnectionSlot::Empty),
            reader: Mutex::new(ConnectionSlot::Empty),
        };
        store.probe().await?;
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
            .disable_statement_logging()
    }

    /// Opens the file for writing after checking that it is a ledger.
    async fn connect_writer(&self) -> Result<ConnectionSlot, LedgerError> {
        self.file.check_path().await?;
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
        let mut slot = self.writer.lock().await;
        if matches!(*slot, ConnectionSlot::Empty) {
            *slot = self.connect_writer().await?;
        }
        Ok(slot)
    }

    /// The read connection, opened if necessary.
    async fn reader(&self) -> Result<MutexGuard<'_, ConnectionSlot>, LedgerError> {
        let mut slot = self.reader.lock().await;
        if matches!(*slot, ConnectionSlot::Empty) {
            *slot = self.connect_reader().await?;
        }
        Ok(slot)
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

    /// Closes the connections if the file at the path has been replaced or removed: other
    /// processes would not see what is written to the old one. The replacement is not
    /// opened, since SQLite would apply the old file's log to it. Closing writes the log
    /// into the file that it belongs to, wherever that is now.
    async fn check_file(&self) -> Result<(), LedgerError> {
        let checked = self.file.check_path().await;
        if checked.is_err() {
            for slot in [&self.reader, &self.writer] {
                let connection = slot.lock().await.take();
                if let Some(connection) = connection {
                    // The error to report is that of the check.
                    let _ = connection.close().await;
                }
            }
        }
        checked
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

    fn keys_since(&self, since: Timestamp) -> Stored<'_, Vec<(Digest, OperationId)>> {
        let query = sqlx::query(answers::SELECT_KEYS).bind(row::first_id_of(since));
        Box::pin(async {
            let mut slot = self.reader().await?;
            // One row at a time, since there may be a million.
            let rows = query.fetch(slot.connection()?);
            let keys = rows.try_filter_map(async |row| Ok(answers::decode_key(&row)));
            let keys = keys.try_collect().await;
            slot.settle(keys)
        })
    }

    fn forget_answers(&self, before: Timestamp, limit: u32) -> Stored<'_, u64> {
        let query = sqlx::query(answers::FORGET)
            .bind(row::first_id_of(before))
            .bind(limit);
        Box::pin(self.execute(query))
    }

    fn find<'a>(&'a self, ids: &'a [OperationId]) -> Stored<'a, Vec<Found>> {
        Box::pin(async {
            let sql = row::select(ids.len()).ok_or_else(no_such_batch)?;
            self.fetch(sqlx::query_with(sql, row::encode_ids(ids)?))
                .await
        })
    }

    fn unfinished(&self) -> Stored<'_, Vec<Found>> {
        Box::pin(self.fetch(sqlx::query(row::select_unfinished())))
    }

    fn prune(&self, before: Timestamp, limit: u32) -> Stored<'_, u64> {
        let query = sqlx::query(PRUNE)
            .bind(row::first_id_of(before))
            .bind(before.as_microsecond())
            .bind(limit);
        Box::pin(self.execute(query))
    }

    fn probe(&self) -> Stored<'_, ()> {
        Box::pin(async {
            self.check_file().await?;
            let now = Timestamp::now().as_microsecond();
            self.execute(sqlx::query(PROBE).bind(now)).await?;
            Ok(())
        })
    }

    fn close(&self) -> Stored<'_, ()> {
        Box::pin(async {
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
            self.file.release()
        })
    }
}

/// Checks that the file is a ledger; marks an empty file as one.
async fn claim_file(connection: &mut SqliteConnection) -> Result<(), LedgerError> {
    let application: i32 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await
        .map_err(failure)?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut *connection)
        .await
        .map_err(failure)?;
    match (application, tables) {
        (APPLICATION_ID, _) => Ok(()),
        (0, 0) => sqlx::query(MARK_AS_OURS)
            .execute(connection)
            .await
            .map(|_| ())
            .map_err(failure),
        (0, _) => Err(LedgerError::Foreign {
            reason: "it contains tables of another application",
        }),
        _ => Err(LedgerError::Foreign {
            reason: "its header names another application",
        }),
    }
}

fn bytes_of(operation: OperationId) -> Vec<u8> {
    operation.as_uuid().as_bytes().to_vec()
}

fn no_such_batch() -> LedgerError {
    LedgerError::unavailable("internal error: a batch is empty or too large")
}
