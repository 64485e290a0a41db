//! Whether a gateway could open a ledger, for `offergate check`. Nothing is created.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::unistd::{AccessFlags, access};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::claim::is_ledger;
use super::failure::{code, failure, primary_code};
use super::file::is_held;
use super::held::{Recorded, refuse_emptied};
use super::migrations;
use super::modes::directory_of;
use super::row::newest;
use super::structure::{EXAMINED_FOR, Structure, examine as examine_structure};
use crate::domain::OperationId;
use crate::ledger::error::LedgerError;

/// Says in a few words in which state the ledger is.
///
/// # Errors
/// Why a gateway could not open it. That another one has it open is no such reason.
pub async fn examine(path: &Path, retention: Duration) -> Result<&'static str, LedgerError> {
    let directory = directory_of(path)?;
    access(&directory, AccessFlags::W_OK | AccessFlags::X_OK)
        .map_err(|e| LedgerError::io("its directory is not writable", &e.into()))?;
    refuse_emptied(path)?;
    if !path.exists() {
        return Ok("does not exist yet; the gateway creates it");
    }
    access(path, AccessFlags::R_OK | AccessFlags::W_OK)
        .map_err(|e| LedgerError::io("its file is not readable and writable", &e.into()))?;
    let in_use = is_held(path)?;
    let recorded = Recorded::read(&fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()))?;
    let path = fs::canonicalize(path).map_err(|e| LedgerError::io("its file", &e))?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        // A reader that is the last to leave would not remove the log that it began.
        .read_only(in_use)
        .pragma("query_only", "ON")
        .disable_statement_logging();
    let mut connection = options.connect().await.map_err(failure)?;
    let examined = examine_open(&mut connection).await;
    connection.close().await.map_err(failure)?;
    let newest = examined?;
    let lost = match in_use {
        // It has compared them at its start; what it holds may be in a log of another name.
        true => recorded.lost,
        false => recorded.lost_of(newest, retention)?,
    };
    Ok(match (in_use, lost) {
        (true, None) => "in use by a running gateway",
        (false, None) => "can be opened",
        (true, Some(_)) => {
            "in use by a running gateway, but has lost its latest operations; stop the gateway, then \
             restore a newer copy, or remove the .lock file to accept the loss"
        }
        (false, Some(_)) => {
            "can be opened, but has lost its latest operations; restore a newer copy, or remove \
             the .lock file to accept the loss"
        }
    })
}

/// The newest operation.
async fn examine_open(
    connection: &mut SqliteConnection,
) -> Result<Option<OperationId>, LedgerError> {
    if !is_ledger(connection).await? {
        // An empty file.
        return Ok(None);
    }
    migrations::compare(connection).await?;
    match examine_structure(connection, EXAMINED_FOR).await? {
        Structure::Sound | Structure::Unknown => match newest(connection).await {
            // There are no tables yet.
            Err(error) if primary_code(&error) == Some(code::ERROR) => Ok(None),
            newest => newest.map_err(failure),
        },
        Structure::Damaged(_) => Err(LedgerError::Corrupt),
    }
}
