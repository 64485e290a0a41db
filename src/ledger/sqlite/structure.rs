//! Examines the structure of the file: briefly at the start, and on in the background where it
//! is large.
//!
//! A gigabyte (1.4 million operations) takes 1.6 s of CPU time, and as long as the disk needs to
//! read it, which may be a minute. Neither the start nor a request waits for that.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::failure::{code, failure, primary_code};
use crate::ledger::error::LedgerError;

/// How long the start waits for it.
pub const AT_START: Duration = Duration::from_millis(250);
/// How long it may take in the background. The write-ahead log only grows meanwhile.
const IN_BACKGROUND: Duration = Duration::from_secs(300);
/// SQLite looks at the clock after this many steps, of which a page is one.
const STEPS: i32 = 100;
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

/// Examines the structure of the whole file, for no longer than `limit` or until `stop`.
pub async fn examine(
    connection: &mut SqliteConnection,
    limit: Duration,
    stop: CancellationToken,
) -> Result<Structure, LedgerError> {
    let deadline = Instant::now() + limit;
    let goes_on = move || Instant::now() < deadline && !stop.is_cancelled();
    let mut handle = connection.lock_handle().await.map_err(failure)?;
    handle.set_progress_handler(STEPS, goes_on);
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
            Some(code::CORRUPT) => {
                findings.push("a page is damaged, and what follows cannot be read".to_owned());
                Ok(Structure::Damaged(findings))
            }
            _ => Err(failure(error)),
        },
    }
}

/// What an operator is told of the ledger although it works.
#[derive(Clone, Default)]
pub struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    pub fn add(&self, warning: String) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(warning);
    }

    pub fn all(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reports damage. What is not damaged is served.
    pub fn report(&self, findings: &[String]) {
        for finding in findings {
            tracing::error!(finding, "the ledger's file is damaged");
        }
        self.add(
            "the ledger's file is damaged: records on damaged pages cannot be read or written; \
             restore a backup"
                .to_owned(),
        );
    }
}

/// An examination in the background. Dropping it stops it.
pub struct Examination {
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Examination {
    /// Examines the file by a connection of its own.
    pub fn start(options: SqliteConnectOptions, warnings: Warnings) -> Self {
        let stop = CancellationToken::new();
        let examining = run(options, warnings, stop.clone());
        Self {
            stop: stop.drop_guard(),
            task: tokio::spawn(examining),
        }
    }

    /// Stops it; its connection is closed then.
    pub async fn end(self) {
        drop(self.stop);
        // A panic has closed it, too.
        if self.task.await.is_err() {
            tracing::error!("the examination of the ledger's file has panicked");
        }
    }
}

async fn run(options: SqliteConnectOptions, warnings: Warnings, stop: CancellationToken) {
    let began = Instant::now();
    let examined = async {
        let mut connection = options.connect().await.map_err(failure)?;
        let examined = examine(&mut connection, IN_BACKGROUND, stop).await;
        connection.close().await.map_err(failure)?;
        examined
    };
    let examined = examined.await;
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    match examined {
        Ok(Structure::Sound) => tracing::info!(took_ms, "the ledger's file is sound"),
        Ok(Structure::Damaged(findings)) => warnings.report(&findings),
        Ok(Structure::Unknown) => {
            tracing::info!(
                took_ms,
                "the ledger's file was not examined to its end; PRAGMA quick_check on a copy does"
            );
        }
        Err(error) => tracing::warn!(%error, "the ledger's file could not be examined"),
    }
}
