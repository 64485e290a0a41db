//! Examines the structure of the file, within a bounded time.

use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sqlx::sqlite::SqliteConnection;

use super::failure::{code, failure, primary_code};
use crate::ledger::error::LedgerError;

/// How long the file is examined at start. A gigabyte takes about a second.
pub const EXAMINED_FOR: Duration = Duration::from_secs(2);
/// SQLite's virtual machine runs this many instructions between two looks at the clock.
const INSTRUCTIONS: i32 = 10_000;
/// At most this many findings are reported.
const QUICK_CHECK: &str = "PRAGMA quick_check(8)";

/// What an examination found.
#[derive(Debug, PartialEq, Eq)]
pub enum Structure {
    /// Nothing wrong.
    Sound,
    /// What SQLite says is wrong, without any content.
    Damaged(Vec<String>),
    /// There was not enough time.
    Unknown,
}

/// Examines the structure of the whole file, for no longer than `limit`.
pub async fn examine(
    connection: &mut SqliteConnection,
    limit: Duration,
) -> Result<Structure, LedgerError> {
    let deadline = Instant::now() + limit;
    let in_time = move || Instant::now() < deadline;
    let mut handle = connection.lock_handle().await.map_err(failure)?;
    handle.set_progress_handler(INSTRUCTIONS, in_time);
    drop(handle);
    let mut findings: Vec<String> = Vec::new();
    let mut checked = sqlx::query_scalar(QUICK_CHECK).fetch(&mut *connection);
    let ended = loop {
        match checked.try_next().await {
            Ok(Some(finding)) => findings.push(finding),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    drop(checked);
    let mut handle = connection.lock_handle().await.map_err(failure)?;
    handle.remove_progress_handler();
    drop(handle);
    match ended {
        Ok(()) if findings == ["ok"] => Ok(Structure::Sound),
        Ok(()) => Ok(Structure::Damaged(findings)),
        Err(error) => match primary_code(&error) {
            Some(code::INTERRUPT) => Ok(Structure::Unknown),
            // Where it cannot read on.
            Some(code::CORRUPT) => Ok(Structure::Damaged(findings)),
            _ => Err(failure(error)),
        },
    }
}
