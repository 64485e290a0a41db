//! The database file: private to its owner, locked by one process at a time, and checked
//! for having been replaced.
//!
//! The lock is on a second file. SQLite uses POSIX locks, which a process loses as soon as
//! it closes *any* descriptor of the database file, so nothing else here may open that.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::ledger::error::LedgerError;

/// A database file that this process has locked.
pub struct FileLock {
    path: PathBuf,
    /// Device and inode, which identify the file independently of its name.
    identity: (u64, u64),
    /// The operating system releases the lock when this is closed, however the process
    /// ends.
    lock: File,
}

impl FileLock {
    /// Creates the file if it is missing, readable and writable for its owner only, and
    /// locks `<path>.lock` beside it. Symbolic links are resolved first, so that two names
    /// of one file share a lock.
    pub fn acquire(path: &Path) -> Result<Self, LedgerError> {
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

    /// The file's resolved, absolute path, which SQLite cannot mistake for a URI.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that the path still leads to the locked file. Runs on another thread, since
    /// it hangs while the disk does.
    pub async fn check_path(&self) -> Result<(), LedgerError> {
        let path = self.path.clone();
        let now = tokio::task::spawn_blocking(move || identity(&path)).await;
        if now.map_err(|_| LedgerError::closed())?? == self.identity {
            Ok(())
        } else {
            Err(LedgerError::unavailable(
                "its file was replaced while in use; restore it, or restart the gateway",
            ))
        }
    }

    /// Releases the lock to other processes.
    pub fn release(&self) -> Result<(), LedgerError> {
        let unlocked = self.lock.unlock();
        unlocked.map_err(|e| LedgerError::io("its lock file", &e))
    }
}

fn identity(path: &Path) -> Result<(u64, u64), LedgerError> {
    let file = fs::metadata(path).map_err(|e| LedgerError::io("its file", &e))?;
    Ok((file.dev(), file.ino()))
}
