//! Notices while the store runs that a file of the ledger was replaced, removed or cut, and
//! saves what can be saved.

use std::time::Duration;

use sqlx::Connection;

use super::SqliteStore;
use super::connection::ConnectionSlot;
use super::failure::failure;
use super::row;
use super::wal::{self, LogState};
use crate::domain::OperationId;
use crate::ledger::error::LedgerError;

/// Asks how many frames the write-ahead log has, and does nothing (SQLite 3.51).
const FRAMES: &str = "PRAGMA wal_checkpoint(NOOP)";
const SAVE_LOG: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// The pause before a damaged log is looked at again: another process may just have begun
/// a new one.
const AGAIN: Duration = Duration::from_millis(50);

const DAMAGED_FILE: &str =
    "its file was cut or overwritten while in use; restore it, and restart the gateway";
const DAMAGED_LOG: &str = "its -wal file was cut or overwritten while in use; restart the gateway";

impl SqliteStore {
    /// Compares the ledger with the record of what it held when its last gateway ran; returns
    /// what is wrong. The record keeps a loss, so that each later start tells of it, too.
    pub(super) async fn compare_with_record(
        &self,
        retention: Duration,
    ) -> Result<Option<String>, LedgerError> {
        let newest = match self.newest().await {
            // A damaged page, which was reported.
            Err(LedgerError::Corrupt) => return Ok(None),
            newest => newest?,
        };
        let Some(lost) = self.file.recorded().lost_of(newest, retention)? else {
            return Ok(None);
        };
        tracing::error!(
            newest = newest.map(tracing::field::display),
            lost = %lost,
            "the ledger has lost its latest operations: its .lock file names a newer one than \
             it contains"
        );
        self.file.record_loss(lost).await?;
        Ok(Some(format!(
            "the ledger has lost its latest operations: it does not contain one from {:.0}, which \
             its .lock file names; restore a newer copy, or accept the loss by removing the \
             .lock file while no gateway runs",
            lost.created_at()
        )))
    }

    /// Closes the connections if the file at the path has been replaced or removed: other
    /// processes would not see what is written to the old one. The replacement is not
    /// opened, since SQLite would apply the old file's log to it. Closing writes the log
    /// into the file that it belongs to, wherever that is now.
    ///
    /// If the log was removed, it is written into the file, too, and a new one is begun. If
    /// something was cut, nothing more is written.
    pub(super) async fn check_files(&self) -> Result<(), LedgerError> {
        self.undamaged()?;
        if let Err(replaced) = self.file.check_path().await {
            self.end_examination().await;
            for slot in [&self.reader, &self.writer] {
                let connection = slot.lock().await.take();
                if let Some(connection) = connection {
                    // The error to report is that of the check.
                    let _ = connection.close().await;
                }
            }
            return Err(replaced);
        }
        if !self.file.is_whole().await? {
            return Err(self.give_up(DAMAGED_FILE).await);
        }
        match self.examine_log().await? {
            LogState::Whole(files) => *self.side_files.lock().await = Some(files),
            LogState::Removed => return self.save_log().await,
            LogState::Damaged => return Err(self.give_up(DAMAGED_LOG).await),
        }
        self.record_newest().await
    }

    /// Records beside the ledger which operation is its newest.
    pub(super) async fn record_newest(&self) -> Result<(), LedgerError> {
        match self.newest().await {
            Ok(newest) => self.file.record(newest).await,
            // One damaged page: what touches it will fail.
            Err(LedgerError::Corrupt) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn examine_log(&self) -> Result<LogState, LedgerError> {
        let first = self.examine_log_once().await?;
        if first != LogState::Damaged {
            return Ok(first);
        }
        tokio::time::sleep(AGAIN).await;
        self.examine_log_once().await
    }

    async fn examine_log_once(&self) -> Result<LogState, LedgerError> {
        let known = *self.side_files.lock().await;
        let frames = {
            let mut slot = self.reader().await?;
            let asked = sqlx::query_as::<_, (i64, i64, i64)>(FRAMES);
            let asked = asked.fetch_one(slot.connection()?).await;
            slot.settle(asked)?.1
        };
        // Negative while there is no log.
        let frames = u64::try_from(frames).unwrap_or(0);
        let path = self.file.path().to_owned();
        let examined = tokio::task::spawn_blocking(move || wal::examine(&path, known, frames));
        let examined = examined.await.map_err(|_| LedgerError::closed())?;
        examined.map_err(|e| LedgerError::io("its -wal file", &e))
    }

    /// Writes the log, which SQLite still has open, into the file.
    async fn save_log(&self) -> Result<(), LedgerError> {
        *self.side_files.lock().await = None;
        self.end_examination().await;
        let mut writer = self.writer.lock().await;
        let mut reader = self.reader.lock().await;
        let (first, second) = (reader.take(), writer.take());
        // Without other connections nothing hinders the last one.
        let last = match (first, second) {
            (Some(reader), Some(writer)) => {
                reader.close().await.map_err(failure)?;
                Some(writer)
            }
            (reader, writer) => reader.or(writer),
        };
        let Some(mut last) = last else {
            return Ok(());
        };
        let saved = sqlx::query_as::<_, (i64, i64, i64)>(SAVE_LOG);
        let saved = saved.fetch_one(&mut last).await;
        if !matches!(saved, Ok((0, ..))) {
            std::mem::forget(last);
            drop((reader, writer));
            return Err(self.give_up(DAMAGED_LOG).await);
        }
        // The slots are free only after this: a connection opened meanwhile would look into
        // the new log for what the index knows of the old one.
        last.close().await.map_err(failure)?;
        drop((reader, writer));
        tracing::error!(
            "the ledger's -wal or -shm file was removed or replaced while in use; what the \
             gateway had written to it is saved in the ledger's file"
        );
        Ok(())
    }

    /// Stops using the file, and returns the error that every call gets from now on. The
    /// connections are not closed, since SQLite would then write the damaged log into the
    /// file; without that the next start recovers all that precedes the damage.
    async fn give_up(&self, reason: &'static str) -> LedgerError {
        let _first = self.damaged.set(reason);
        tracing::error!(reason, "the ledger is damaged; nothing more is recorded");
        for slot in [&self.reader, &self.writer] {
            let mut slot = slot.lock().await;
            std::mem::forget(std::mem::replace(&mut *slot, ConnectionSlot::Closed));
        }
        LedgerError::unavailable(reason)
    }

    /// # Errors
    /// [`LedgerError::Unavailable`] once the store has given up.
    pub(super) fn undamaged(&self) -> Result<(), LedgerError> {
        match self.damaged.get() {
            Some(reason) => Err(LedgerError::unavailable(*reason)),
            None => Ok(()),
        }
    }

    /// The newest operation in the ledger.
    async fn newest(&self) -> Result<Option<OperationId>, LedgerError> {
        let mut slot = self.reader().await?;
        let newest = row::newest(slot.connection()?).await;
        slot.settle(newest)
    }
}
