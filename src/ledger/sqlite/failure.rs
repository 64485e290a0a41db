//! SQLite's and sqlx's errors as errors of the ledger. Their own texts are not used, since
//! they may quote SQL.

use sqlx::migrate::MigrateError;

use crate::ledger::error::LedgerError;

/// SQLite's primary result codes (<https://www.sqlite.org/rescode.html>).
pub mod code {
    pub const ERROR: i32 = 1;
    pub const BUSY: i32 = 5;
    pub const LOCKED: i32 = 6;
    pub const NOMEM: i32 = 7;
    pub const READONLY: i32 = 8;
    pub const INTERRUPT: i32 = 9;
    pub const IOERR: i32 = 10;
    pub const CORRUPT: i32 = 11;
    pub const FULL: i32 = 13;
    pub const CANTOPEN: i32 = 14;
    pub const NOTADB: i32 = 26;
}

/// The primary result code of an error of SQLite itself.
pub fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

/// Converts the error of a statement.
pub fn failure(error: sqlx::Error) -> LedgerError {
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

/// Converts the error of a migration.
pub fn unmigrated(error: MigrateError) -> LedgerError {
    match error {
        MigrateError::VersionMissing(version) => LedgerError::TooNew { version },
        MigrateError::VersionMismatch(_) => LedgerError::Foreign {
            reason: "its schema has been altered",
        },
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failure(error),
        _ => LedgerError::unavailable("its schema cannot be brought up to date"),
    }
}
