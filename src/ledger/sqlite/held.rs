//! A record, beside the database, of what the database held: `<path>.lock` names the newest
//! operation. If the database comes back without it, something was lost, which the record
//! keeps until it is removed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::modes::{private, side_file};
use crate::domain::OperationId;
use crate::files::{self, FileReadError};
use crate::ledger::error::LedgerError;

const NEWEST: &str = "newest operation: ";
const LOST: &str = "lost operation: ";
/// The most bytes of a record.
const MAX_LENGTH: u64 = 4096;

/// What a record says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The newest operation that the database held.
    pub newest: Option<OperationId>,
    /// The newest one that it has lost.
    pub lost: Option<OperationId>,
}

impl Recorded {
    /// Reads the record beside this database. One that is missing says nothing.
    pub fn read(database: &Path) -> Result<Self, LedgerError> {
        let content = match files::read(&side_file(database, ".lock"), MAX_LENGTH) {
            Ok(content) => content.bytes,
            Err(FileReadError::Unreadable(e)) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(LedgerError::unavailable(format!("its .lock file {e}"))),
        };
        let text = String::from_utf8_lossy(&content);
        let named = |key| {
            let id = text.lines().find_map(|line| line.strip_prefix(key))?;
            OperationId::parse(id.trim_end()).ok()
        };
        Ok(Self {
            newest: named(NEWEST),
            lost: named(LOST),
        })
    }

    /// The newest operation that a database has lost whose newest is this one. What may have
    /// expired is not refused, but reported: a record is behind the removal of expired
    /// operations by a few seconds only, and the clock may be wrong.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] if it has lost all.
    pub fn lost_of(
        self,
        newest: Option<OperationId>,
        retention: Duration,
    ) -> Result<Option<OperationId>, LedgerError> {
        let is_kept = |id: &OperationId| !may_have_expired(*id, retention);
        match self.newest {
            Some(recorded) if newest.is_none() && is_kept(&recorded) => Err(emptied(recorded)),
            Some(recorded) if newest < self.newest => Ok(Some(recorded)),
            _ => Ok(self.lost.filter(is_kept)),
        }
    }

    fn text(self) -> String {
        let lines = [(NEWEST, self.newest), (LOST, self.lost)];
        let lines = lines.map(|(key, id)| id.map(|id| format!("{key}{id}\n")));
        lines.into_iter().flatten().collect()
    }
}

/// The open record.
pub struct HeldRecord {
    file: File,
    content: Recorded,
}

impl HeldRecord {
    /// Opens the record of this database; creates it if it is missing.
    pub fn open(database: &Path) -> Result<Self, LedgerError> {
        let content = Recorded::read(database)?;
        let file = private(&side_file(database, ".lock"));
        let file = file.map_err(|e| LedgerError::io("its lock file cannot be opened", &e))?;
        Ok(Self { file, content })
    }

    /// The file, whose lock is that of version 0.1.0.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// What it says.
    pub fn content(&self) -> Recorded {
        self.content
    }

    /// Writes the record. Creates the file again if it was removed.
    pub fn set(&mut self, database: &Path, content: Recorded) -> io::Result<()> {
        let path = side_file(database, ".lock");
        let inode = self.file.metadata()?.ino();
        let removed = fs::metadata(&path).map_or(true, |found| found.ino() != inode);
        if removed {
            self.file = private(&path)?;
            self.file.try_lock().map_err(io::Error::from)?;
        }
        if content == self.content && !removed {
            return Ok(());
        }
        let text = content.text();
        self.file.write_all_at(text.as_bytes(), 0)?;
        self.file.set_len(text.len() as u64)?;
        self.content = content;
        Ok(())
    }
}

/// Refuses a database that is missing or empty although it held operations: SQLite would
/// make a new one of it, and delete the write-ahead log. Whether the operations have expired
/// does not matter, since a database without any is not empty.
pub fn refuse_emptied(database: &Path) -> Result<(), LedgerError> {
    if fs::metadata(database).is_ok_and(|found| found.len() > 0) {
        return Ok(());
    }
    if let Some(newest) = Recorded::read(database)?.newest {
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
fn may_have_expired(newest: OperationId, retention: Duration) -> bool {
    let retention = SignedDuration::try_from(retention).unwrap_or(SignedDuration::MAX);
    Timestamp::now().duration_since(newest.created_at()) > retention
}

/// The error for a ledger that has lost all that it held.
fn emptied(newest: OperationId) -> LedgerError {
    LedgerError::unavailable(format!(
        "its file is missing or empty, but held operations, the newest from {:.0}; restore the \
         file, or remove the .lock file beside it to start with an empty ledger",
        newest.created_at()
    ))
}
