//! The ledger in an SQLite file: one connection that writes and one that reads,
//! each with a thread of its own. A connection that failed in a way that may
//! stick to it is dropped, and the next use opens a new one.

mod file;
mod row;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::query::Query;
use sqlx::sqlite::{
    Sqlite, SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Mutex, MutexGuard};

use super::{Durability, Found, LedgerError, MAX_BATCH, Store, Stored};
use crate::domain::{Operation, OperationId};
use file::Claim;

static MIGRATOR: Migrator = sqlx::migrate!("src/ledger/migrations/sqlite");

/// Stands in the header of every ledger file: "OffG".
const APPLICATION_ID: i32 = 0x4f66_6647;
const MARK_AS_OURS: &str = "PRAGMA application_id = 0x4f666647";

/// What finished before a time was created before it, so it is found at the
/// table's beginning, and no index has to be kept for this.
const PRUNE: &str = "DELETE FROM operations WHERE id IN (SELECT id FROM operations \
                     WHERE id < ? AND finished_at < ? ORDER BY id LIMIT ?)";
const PROBE: &str = "INSERT INTO gateway (id, probed_at) VALUES (1, ?) \
                     ON CONFLICT (id) DO UPDATE SET probed_at = excluded.probed_at";

/// What SQLite's primary result codes mean (<https://www.sqlite.org/rescode.html>).
mod code {
    pub const BUSY: i32 = 5;
    pub const LOCKED: i32 = 6;
    pub const NOMEM: i32 = 7;
    pub const READONLY: i32 = 8;
    pub const IOERR: i32 = 10;
    pub const CORRUPT: i32 = 11;
    pub const FULL: i32 = 13;
    pub const CANTOPEN: i32 = 14;
    pub const NOTADB: i32 = 26;
}

/// A statement with everything bound.
type Prepared = Query<'static, Sqlite, SqliteArguments>;

pub struct SqliteStore {
    claim: Claim,
    durability: Durability,
    writer: Mutex<Slot>,
    reader: Mutex<Slot>,
}

/// The place of a connection.
enum Slot {
    /// The next use connects.
    Empty,
    Open(SqliteConnection),
    /// For good.
    Closed,
}

impl SqliteStore {
    /// Claims the file for this process, brings its schema up to date, and
    /// writes to it once.
    pub async fn open(path: &Path, durability: Durability) -> Result<Self, LedgerError> {
        let store = Self {
            claim: Claim::stake(path)?,
            durability,
            writer: Mutex::new(Slot::Empty),
            reader: Mutex::new(Slot::Empty),
        };
        store.probe().await?;
        Ok(store)
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(self.claim.path())
            // One that vanished must not be replaced by an empty one in silence.
            .create_if_missing(false)
            // Every size of batch keeps its prepared statement.
            .statement_cache_capacity(32)
            // The table's end is all that is ever hot; half a megabyte holds it.
            .pragma("cache_size", "-512")
            .row_buffer_size(MAX_BATCH + 1)
            .disable_statement_logging()
    }

    /// Opens the file for writing, having made sure that it is a ledger.
    async fn connect_writer(&self) -> Result<Slot, LedgerError> {
        self.claim.still_holds().await?;
        // Nothing is changed about the file before it is known to be ours.
        let mut connection = self.options().connect().await.map_err(failure)?;
        recognize(&mut connection).await?;
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
        let migrated = MIGRATOR.run_direct(None, &mut connection, false).await;
        migrated.map_err(unmigrated)?;
        Ok(Slot::Open(connection))
    }

    async fn connect_reader(&self) -> Result<Slot, LedgerError> {
        self.claim.still_holds().await?;
        let options = self.options().pragma("query_only", "ON");
        let connection = options.connect().await.map_err(failure)?;
        Ok(Slot::Open(connection))
    }

    /// The place of the write connection, connected unless closed.
    async fn writer(&self) -> Result<MutexGuard<'_, Slot>, LedgerError> {
        let mut slot = self.writer.lock().await;
        if matches!(*slot, Slot::Empty) {
            *slot = self.connect_writer().await?;
        }
        Ok(slot)
    }

    /// The place of the read connection, connected unless closed.
    async fn reader(&self) -> Result<MutexGuard<'_, Slot>, LedgerError> {
        let mut slot = self.reader.lock().await;
        if matches!(*slot, Slot::Empty) {
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

    /// Lets go of a file that is no longer the one at the path, since what is
    /// written to it is lost to everyone else. Its replacement is not opened:
    /// SQLite would apply the old file's log to it. Closing puts the log into
    /// the file that it belongs to, wherever that is now.
    async fn check_claim(&self) -> Result<(), LedgerError> {
        let gone = self.claim.still_holds().await;
        if gone.is_err() {
            for slot in [&self.reader, &self.writer] {
                let connection = slot.lock().await.take();
                if let Some(connection) = connection {
                    // However that goes, the error to report is the one at hand.
                    let _ = connection.close().await;
                }
            }
        }
        gone
    }
}

impl Slot {
    fn connection(&mut self) -> Result<&mut SqliteConnection, LedgerError> {
        match self {
            Self::Open(connection) => Ok(connection),
            Self::Empty | Self::Closed => Err(LedgerError::closed()),
        }
    }

    /// The connection, if there is one; the next use makes another.
    fn take(&mut self) -> Option<SqliteConnection> {
        match std::mem::replace(self, Self::Empty) {
            Self::Open(connection) => Some(connection),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Passes on how a statement went. Unless the failure was one that passes
    /// by itself, the connection goes: one that met a read-only or broken disk
    /// would go on failing when the disk is well again.
    fn settle<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, LedgerError> {
        result.map_err(|error| {
            if !matches!(
                primary_code(&error),
                Some(code::FULL | code::BUSY | code::LOCKED)
            ) {
                drop(self.take());
            }
            failure(error)
        })
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
            self.check_claim().await?;
            let now = Timestamp::now().as_microsecond();
            self.execute(sqlx::query(PROBE).bind(now)).await?;
            Ok(())
        })
    }

    fn close(&self) -> Stored<'_, ()> {
        Box::pin(async {
            let reader = std::mem::replace(&mut *self.reader.lock().await, Slot::Closed);
            if let Slot::Open(connection) = reader {
                connection.close().await.map_err(failure)?;
            }
            let writer = std::mem::replace(&mut *self.writer.lock().await, Slot::Closed);
            if let Slot::Open(mut connection) = writer {
                sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
                    .execute(&mut connection)
                    .await
                    .map_err(failure)?;
                connection.close().await.map_err(failure)?;
            }
            self.claim.release()
        })
    }
}

/// Makes sure that the file is a ledger, or a new and empty one.
async fn recognize(connection: &mut SqliteConnection) -> Result<(), LedgerError> {
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
            reason: "it has tables that are not a ledger's",
        }),
        _ => Err(LedgerError::Foreign {
            reason: "its header names another application",
        }),
    }
}

fn no_such_batch() -> LedgerError {
    LedgerError::unavailable("a batch is empty or too large")
}

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

/// Says in our own words what went wrong: SQLite's and sqlx's may quote SQL.
fn failure(error: sqlx::Error) -> LedgerError {
    match primary_code(&error) {
        Some(code::BUSY | code::LOCKED) => LedgerError::unavailable("its file is locked"),
        Some(code::NOMEM) => LedgerError::unavailable("out of memory"),
        Some(code::READONLY) => LedgerError::unavailable("its file is read-only"),
        Some(code::IOERR) => LedgerError::unavailable("input/output error"),
        Some(code::FULL) => LedgerError::unavailable("the disk is full"),
        Some(code::CANTOPEN) => LedgerError::unavailable("its file cannot be opened"),
        Some(code::CORRUPT | code::NOTADB) => LedgerError::Corrupt,
        Some(other) => LedgerError::unavailable(format!("SQLite error {other}")),
        None => match error {
            sqlx::Error::Io(error) => LedgerError::io("input/output error", &error),
            sqlx::Error::WorkerCrashed => LedgerError::unavailable("its thread has ended"),
            _ => LedgerError::unavailable("the database driver failed"),
        },
    }
}

fn unmigrated(error: MigrateError) -> LedgerError {
    match error {
        MigrateError::VersionMissing(version) => LedgerError::TooNew { version },
        MigrateError::VersionMismatch(_) => LedgerError::Foreign {
            reason: "its schema has been altered",
        },
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failure(error),
        _ => LedgerError::unavailable("its schema cannot be brought up to date"),
    }
}
