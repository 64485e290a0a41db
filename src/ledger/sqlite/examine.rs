//! Whether a gateway could open a ledger, for `offergate check`. Nothing is created.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio_util::sync::CancellationToken;

use super::claim::is_ledger;
use super::failure::{code, failure, primary_code};
use super::file::{is_held, resolve};
use super::held::{Recorded, refuse_emptied};
use super::migrations;
use super::modes::{check_access, check_private, directory_of};
use super::row::newest;
use super::structure::{Structure, examine as examine_structure};
use crate::domain::OperationId;
use crate::ledger::error::LedgerError;

/// How long the file of a running gateway is examined, and any other.
const WHILE_IN_USE: Duration = Duration::from_secs(2);
const WHILE_IDLE: Duration = Duration::from_secs(60);

const ACCEPT_LOSS: &str = "has lost its latest operations; restore a newer copy, or remove the \
                           .lock file to accept the loss";
const ACCEPT_LOSS_LATER: &str = "has lost its latest operations; stop the gateway, then restore a \
                                 newer copy, or remove the .lock file to accept the loss";

/// Says in a few words in which state the ledger is.
///
/// # Errors
/// Why a gateway could not open it. That another one has it open is no such reason.
pub async fn examine(path: &Path, retention: Duration) -> Result<String, LedgerError> {
    let path = resolve(path, &directory_of(path)?)?;
    check_access(&path)?;
    refuse_emptied(&path)?;
    if !path.exists() {
        return Ok("does not exist yet; the gateway creates it".into());
    }
    let in_use = is_held(&path)?;
    let recorded = Recorded::read(&path)?;
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(false)
        // A reader that is the last to leave would not remove the log that it began.
        .read_only(in_use)
        .pragma("query_only", "ON")
        .disable_statement_logging();
    let limit = if in_use { WHILE_IN_USE } else { WHILE_IDLE };
    let mut connection = options.connect().await.map_err(failure)?;
    let examined = examine_open(&mut connection, limit).await;
    connection.close().await.map_err(failure)?;
    let (newest, is_whole) = examined?;
    check_private(&path)?;
    let lost = match in_use {
        // It has compared them at its start; what it holds may be in a log of another name.
        true => recorded.lost.map(|_| ACCEPT_LOSS_LATER),
        false => recorded.lost_of(newest, retention)?.map(|_| ACCEPT_LOSS),
    };
    let mut state = String::from(match in_use {
        true => "in use by a running gateway",
        false => "can be opened",
    });
    if !is_whole {
        let seconds = limit.as_secs();
        state.push_str(&format!(" (examined in part: {seconds} s are not enough)"));
    }
    if let Some(lost) = lost {
        state.push_str(&format!(", but {lost}"));
    }
    Ok(state)
}

/// The newest operation, and whether the file was examined to its end.
async fn examine_open(
    connection: &mut SqliteConnection,
    limit: Duration,
) -> Result<(Option<OperationId>, bool), LedgerError> {
    if !is_ledger(connection).await? {
        // An empty file.
        return Ok((None, true));
    }
    migrations::compare(connection).await?;
    let structure = examine_structure(connection, limit, CancellationToken::new()).await?;
    if let Structure::Damaged(_) = structure {
        return Err(LedgerError::Corrupt);
    }
    let newest = match newest(connection).await {
        // There are no tables yet.
        Err(error) if primary_code(&error) == Some(code::ERROR) => None,
        newest => newest.map_err(failure)?,
    };
    Ok((newest, structure == Structure::Sound))
}
