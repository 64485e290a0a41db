//! The database as a file: made private, held by one process at a time, and
//! recognized if somebody puts another one in its place.
//!
//! SQLite's own locks are of the kind that a process loses when it closes *any*
//! descriptor of the file, so once SQLite has it open, nobody here opens it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::ledger::LedgerError;

/// A database file that no other gateway has open.
pub struct Claim {
    path: PathBuf,
    /// Which file it is, whatever its name: device and inode.
    identity: (u64, u64),
    /// The operating system holds the lock for as long as this is open, and
    /// no longer, however the process ends.
    lock: File,
}

impl Claim {
    /// Creates the file if there is none, readable and writable for its owner
    /// only, and locks `<path>.lock` beside it. Follows symbolic links first, so
    /// that two names of one file are one claim.
    pub fn stake(path: &Path) -> Result<Self, LedgerError> {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if !directory.is_dir() {
            return Err(LedgerError::unavailable("its directory does not exist"));
        }
        let private = |path: &Path| {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(0o600);
            options.open(path)
        };
        if !path.exists() {
            private(path).map_err(|e| LedgerError::io("its file cannot be created", &e))?;
        }
        let path = fs::canonicalize(path).map_err(|e| LedgerError::io("its file", &e))?;
        let mut lock_path = OsString::from(&path);
        lock_path.push(".lock");
        let lock = private(Path::new(&lock_path))
            .map_err(|e| LedgerError::io("its lock file cannot be opened", &e))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                identity: identity(&path)?,
                path,
                lock,
            }),
            Err(TryLockError::WouldBlock) => Err(LedgerError::InUse),
            Err(TryLockError::Error(e)) => Err(LedgerError::io("its lock file", &e)),
        }
    }

    /// The file's real and absolute path, so that SQLite takes it for no URI.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes sure that the claimed file is still the one at the path. Asked on
    /// another thread: on a disk that hangs, this hangs.
    pub async fn still_holds(&self) -> Result<(), LedgerError> {
        let path = self.path.clone();
        let now = tokio::task::spawn_blocking(move || identity(&path)).await;
        if now.map_err(|_| LedgerError::closed())?? == self.identity {
            Ok(())
        } else {
            Err(LedgerError::unavailable(
                "its file was replaced while in use; put it back, or restart",
            ))
        }
    }

    /// Lets another process have it.
    pub fn release(&self) -> Result<(), LedgerError> {
        let unlocked = self.lock.unlock();
        unlocked.map_err(|e| LedgerError::io("its lock file", &e))
    }
}

fn identity(path: &Path) -> Result<(u64, u64), LedgerError> {
    let file = fs::metadata(path).map_err(|e| LedgerError::io("its file", &e))?;
    Ok((file.dev(), file.ino()))
}
