//! Which files are ledgers.

use sqlx::sqlite::SqliteConnection;

use super::failure::failure;
use crate::ledger::error::LedgerError;

/// In the header of every ledger file: "OffG".
pub const APPLICATION_ID: i32 = 0x4f66_6647;
pub const MARK_AS_OURS: &str = "PRAGMA application_id = 0x4f666647";

/// Marks an empty file as a ledger.
pub async fn claim_file(connection: &mut SqliteConnection) -> Result<(), LedgerError> {
    if is_ledger(connection).await? {
        return Ok(());
    }
    let marked = sqlx::query(MARK_AS_OURS).execute(connection).await;
    marked.map(|_| ()).map_err(failure)
}

/// Whether the file is a ledger; false if it is empty, an error if it is another program's.
pub async fn is_ledger(connection: &mut SqliteConnection) -> Result<bool, LedgerError> {
    let application: i32 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await
        .map_err(failure)?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut *connection)
        .await
        .map_err(failure)?;
    match (application, tables) {
        (APPLICATION_ID, _) => Ok(true),
        (0, 0) => Ok(false),
        (0, _) => Err(LedgerError::Foreign {
            reason: "it contains tables of another application",
        }),
        _ => Err(LedgerError::Foreign {
            reason: "its header names another application",
        }),
    }
}
