//! A record, beside the database, of what the database held: `<path>.lock` names the newest
//! operation. If the database comes back without it, something was lost.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::modes::{private, side_file};
use crate::domain::OperationId;
use crate::ledger::error::LedgerError;

const NEWEST: &str = "newest operation: ";

/// The open record.
pub struct HeldRecord {
    file: File,
    newest: Option<OperationId>,
}

impl HeldRecord {
    /// Opens the record of this database; creates it if it is missing.
    pub fn open(database: &Path) -> Result<Self, LedgerError> {
        let path = side_file(database, ".lock");
        let file = private(&path);
        let file = file.map_err(|e| LedgerError::io("its lock file cannot be opened", &e))?;
        let newest = read(&path);
        Ok(Self { file, newest })
    }

    /// The file, whose lock is that of version 0.1.0.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The newest operation that is recorded.
    pub fn newest(&self) -> Option<OperationId> {
        self.newest
    }

    /// Records the newest operation. Creates the file again if it was removed.
    pub fn set(&mut self, database: &Path, newest: Option<OperationId>) -> io::Result<()> {
        let path = side_file(database, ".lock");
        let inode = self.file.metadata()?.ino();
        let removed = fs::metadata(&path).map_or(true, |found| found.ino() != inode);
        if removed {
            self.file = private(&path)?;
            self.file.try_lock().map_err(io::Error::from)?;
        }
        if newest == self.newest && !removed {
            return Ok(());
        }
        let text = newest.map_or_else(String::new, |id| format!("{NEWEST}{id}\n"));
        self.file.write_all_at(text.as_bytes(), 0)?;
        self.file.set_len(text.len() as u64)?;
        self.newest = newest;
        Ok(())
    }
}

fn read(record: &Path) -> Option<OperationId> {
    let text = fs::read_to_string(record).ok()?;
    OperationId::parse(text.trim_end().strip_prefix(NEWEST)?).ok()
}

/// Refuses a database that is missing or empty although it held operations: SQLite would
/// make a new one of it, and delete the write-ahead log.
pub fn refuse_emptied(database: &Path, retention: Duration) -> Result<(), LedgerError> {
    if fs::metadata(database).is_ok_and(|found| found.len() > 0) {
        return Ok(());
    }
    if let Some(newest) = read(&side_file(database, ".lock"))
        && !may_have_expired(newest, retention)
    {
        return Err(emptied(newest));
    }
    if fs::metadata(side_file(database, "-wal")).is_ok_and(|found| found.len() > 0) {
        return Err(LedgerError::unavailable(
            "its file is missing or empty, but its -wal file is not; restore the file, or remove \
             the -wal file to start with an empty ledger",
        ));
    }
    Ok(())
}

/// Whether an operation may have been removed because it finished long ago.
pub fn may_have_expired(newest: OperationId, retention: Duration) -> bool {
    let retention = SignedDuration::try_from(retention).unwrap_or(SignedDuration::MAX);
    Timestamp::now().duration_since(newest.created_at()) > retention
}

/// The error for a ledger that has lost all that it held.
pub fn emptied(newest: OperationId) -> LedgerError {
    LedgerError::unavailable(format!(
        "its file is missing or empty, but held operations, the newest of {:.0}; restore the \
         file, or remove the .lock file beside it to start with an empty ledger",
        newest.created_at()
    ))
}
