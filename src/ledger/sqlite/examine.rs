//! Whether a gateway could open a ledger, for `offergate check`. Nothing is created.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::unistd::{AccessFlags, access};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::claim::is_ledger;
use super::failure::failure;
use super::file::is_held;
use super::held::refuse_emptied;
use super::migrations;
use super::modes::directory_of;
use super::structure::{EXAMINED_FOR, Structure, examine as examine_structure};
use crate::ledger::error::LedgerError;

/// Says in a few words in which state the ledger is.
///
/// # Errors
/// Why a gateway could not open it. That another one has it open is no such reason.
pub async fn examine(path: &Path, retention: Duration) -> Result<&'static str, LedgerError> {
    let directory = directory_of(path)?;
    access(&directory, AccessFlags::W_OK | AccessFlags::X_OK)
        .map_err(|e| LedgerError::io("its directory is not writable", &e.into()))?;
    refuse_emptied(path, retention)?;
    if !path.exists() {
        return Ok("does not exist yet; the gateway creates it");
    }
    access(path, AccessFlags::R_OK | AccessFlags::W_OK)
        .map_err(|e| LedgerError::io("its file is not readable and writable", &e.into()))?;
    let in_use = is_held(path)?;
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
    examined?;
    Ok(match in_use {
        true => "in use by a running gateway",
        false => "can be opened",
    })
}

async fn examine_open(connection: &mut SqliteConnection) -> Result<(), LedgerError> {
    if !is_ledger(connection).await? {
        // An empty file.
        return Ok(());
    }
    migrations::compare(connection).await?;
    match examine_structure(connection, EXAMINED_FOR).await? {
        Structure::Sound | Structure::Unknown => Ok(()),
        Structure::Damaged(_) => Err(LedgerError::Corrupt),
    }
}
