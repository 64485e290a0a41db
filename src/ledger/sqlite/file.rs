//! The database file: private to its owner, locked by one process at a time, and checked
//! for having been replaced or cut.
//!
//! The lock is on the file itself, so that it holds under every name of the file. It is a
//! lock of the open file (`F_OFD_SETLK`, fcntl(2)) on a byte that SQLite does not use.
//! SQLite's own locks belong to the process, which loses them as soon as it closes *any*
//! descriptor of the file: that is why one that this process holds is never opened twice.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(target_os = "linux")]
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
};

use super::claim::APPLICATION_ID;
use super::held::{HeldRecord, Recorded, refuse_emptied};
use super::modes::{self, SUFFIXES, check_access, make_private, private, side_file};
use crate::domain::OperationId;
use crate::ledger::error::LedgerError;

/// Device and inode, which identify a file independently of its name.
pub type Identity = (u64, u64);

/// The files that this process holds.
static HELD: Mutex<BTreeSet<Identity>> = Mutex::new(BTreeSet::new());

/// A database file that this process has locked.
pub struct FileLock {
    path: PathBuf,
    identity: Identity,
    /// None once released.
    held: Arc<Mutex<Option<HeldFile>>>,
}

/// The operating system releases the locks when the files are closed, however the process
/// ends.
struct HeldFile {
    database: File,
    /// The largest size that it was seen with, in bytes.
    size: u64,
    /// `<path>.lock`. It was the only lock of version 0.1.0, and holds the record.
    record: HeldRecord,
    _registered: Registered,
}

/// An entry in [`HELD`], until dropped.
struct Registered(Identity);

impl FileLock {
    /// Creates the file if it is missing, and locks it and `<path>.lock` beside it. Both
    /// are readable and writable for their owner only, whatever they were before.
    ///
    /// # Errors
    /// [`LedgerError::InUse`] if it is locked, under whatever name; `Unavailable` if it is
    /// missing or empty and the record says that it held operations.
    pub fn acquire(path: &Path) -> Result<Self, LedgerError> {
        let directory = modes::directory_of(path)?;
        modes::warn_of_directory(&directory);
        let resolved = resolve(path, &directory)?;
        check_access(&resolved)?;
        refuse_emptied(&resolved)?;
        if !path.exists() {
            private(path).map_err(|e| LedgerError::io("its file cannot be created", &e))?;
        }
        let path = fs::canonicalize(path).map_err(|e| LedgerError::io("its file", &e))?;
        let registered = Registered::new(identity(&path)?)?;
        let database = OpenOptions::new().read(true).write(true).open(&path);
        let database =
            database.map_err(|e| LedgerError::io("its file cannot be opened for writing", &e))?;
        lock_file(&database)?;
        // The mode of another program's file is not ours to change; it is refused later.
        if is_ledger_or_empty(&database).unwrap_or(false) {
            for suffix in SUFFIXES {
                make_private(&side_file(&path, suffix))?;
            }
        }
        let record = HeldRecord::open(&path)?;
        match record.file().try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LedgerError::InUse),
            Err(TryLockError::Error(e)) => return Err(LedgerError::io("its lock file", &e)),
        }
        Ok(Self {
            path,
            identity: registered.0,
            held: Arc::new(Mutex::new(Some(HeldFile {
                database,
                size: 0,
                record,
                _registered: registered,
            }))),
        })
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
                "its file was replaced while in use; stop the gateway, and put the same file \
                 back, or restore a backup without the old -wal file",
            ))
        }
    }

    /// Whether the file is as long as its header says, or has not become shorter. Not to be
    /// called during a write.
    pub async fn is_whole(&self) -> Result<bool, LedgerError> {
        self.with_held(|held| {
            let size = held.database.metadata()?.len();
            let shrunk = size < held.size;
            held.size = size;
            Ok(!shrunk || size >= size_in_header(&held.database)?)
        })
        .await
    }

    /// What the file held when its last gateway ran, as far as that is known.
    pub fn recorded(&self) -> Recorded {
        let held = lock(&self.held);
        held.as_ref()
            .map_or_else(Recorded::default, |held| held.record.content())
    }

    /// Records the newest operation that the file holds.
    pub async fn record(&self, newest: Option<OperationId>) -> Result<(), LedgerError> {
        let path = self.path.clone();
        self.with_held(move |held| {
            let lost = held.record.content().lost;
            held.record.set(&path, Recorded { newest, lost })
        })
        .await
    }

    /// Records that this operation, and others before it, are lost.
    pub async fn record_loss(&self, lost: OperationId) -> Result<(), LedgerError> {
        let path = self.path.clone();
        self.with_held(move |held| {
            let newest = held.record.content().newest;
            let lost = Some(lost);
            held.record.set(&path, Recorded { newest, lost })
        })
        .await
    }

    async fn with_held<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut HeldFile) -> io::Result<T> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let held = Arc::clone(&self.held);
        let done = tokio::task::spawn_blocking(move || {
            lock(&held)
                .as_mut()
                .map(work)
                .transpose()
                .map_err(|e| LedgerError::io("its file", &e))?
                .ok_or_else(LedgerError::closed)
        });
        done.await.map_err(|_| LedgerError::closed())?
    }

    /// Releases the locks to other processes. SQLite must have closed the file.
    pub fn release(&self) {
        drop(lock(&self.held).take());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registered {
    fn new(identity: Identity) -> Result<Self, LedgerError> {
        match lock(&HELD).insert(identity) {
            true => Ok(Self(identity)),
            false => Err(LedgerError::InUse),
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&HELD).remove(&self.0);
    }
}

/// The path without symbolic links, of a file that may be missing.
pub fn resolve(path: &Path, directory: &Path) -> Result<PathBuf, LedgerError> {
    fs::canonicalize(path).or_else(|_missing| {
        let directory = fs::canonicalize(directory);
        let directory = directory.map_err(|e| LedgerError::io("its directory", &e))?;
        Ok(directory.join(path.file_name().unwrap_or_default()))
    })
}

/// The identity of a regular file.
fn identity(path: &Path) -> Result<Identity, LedgerError> {
    let file = fs::metadata(path).map_err(|e| LedgerError::io("its file", &e))?;
    match file.is_file() {
        true => Ok((file.dev(), file.ino())),
        false => Err(LedgerError::unavailable("its file is not a regular file")),
    }
}

/// Whether another process, or this one, holds the file at this path.
pub fn is_held(path: &Path) -> Result<bool, LedgerError> {
    if lock(&HELD).contains(&identity(path)?) {
        return Ok(true);
    }
    let file = File::open(path).map_err(|e| LedgerError::io("its file cannot be opened", &e))?;
    is_locked(&file).map_err(|e| LedgerError::io("its file", &e))
}

/// Far beyond the end of the file, and beyond the bytes that SQLite locks (at 1 GiB).
#[cfg(target_os = "linux")]
const LOCKED_BYTE: nix::libc::off64_t = 1 << 62;

#[cfg(target_os = "linux")]
fn byte_lock() -> nix::libc::flock {
    nix::libc::flock {
        l_type: nix::libc::F_WRLCK as _,
        l_whence: nix::libc::SEEK_SET as _,
        l_start: LOCKED_BYTE,
        l_len: 1,
        l_pid: 0,
    }
}

#[cfg(target_os = "linux")]
fn lock_file(file: &File) -> Result<(), LedgerError> {
    locked(fcntl(file, FcntlArg::F_OFD_SETLK(&byte_lock())))
}

/// What an attempt to lock the file means.
#[cfg(target_os = "linux")]
pub fn locked(tried: nix::Result<i32>) -> Result<(), LedgerError> {
    match tried {
        Ok(_) => Ok(()),
        Err(Errno::EAGAIN | Errno::EACCES) => Err(LedgerError::InUse),
        Err(e) if is_unsupported(e) => {
            tracing::warn!(
                "the ledger's file cannot be locked on this system; only its .lock file keeps \
                 other gateways away"
            );
            Ok(())
        }
        Err(e) => Err(LedgerError::io("its file cannot be locked", &e.into())),
    }
}

/// Whether the kernel or the file system has no locks of open files, as some sandboxes and
/// FUSE do.
#[cfg(target_os = "linux")]
fn is_unsupported(error: Errno) -> bool {
    matches!(error, Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP)
}

#[cfg(target_os = "linux")]
fn is_locked(file: &File) -> io::Result<bool> {
    let mut lock = byte_lock();
    match fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock)) {
        Ok(_) => Ok(i32::from(lock.l_type) != nix::libc::F_UNLCK),
        Err(e) if is_unsupported(e) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Elsewhere only `<path>.lock` is locked.
#[cfg(not(target_os = "linux"))]
fn lock_file(_: &File) -> Result<(), LedgerError> {
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn is_locked(_: &File) -> io::Result<bool> {
    Ok(false)
}

/// What a database begins with (<https://www.sqlite.org/fileformat2.html#the_database_header>).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The header, if the file is a database.
fn header(file: &File) -> io::Result<Option<[u8; 100]>> {
    let mut header = [0; 100];
    match file.read_exact_at(&mut header, 0) {
        Ok(()) => Ok(Some(header).filter(|header| header.starts_with(MAGIC))),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(e),
    }
}

fn big_endian(header: &[u8; 100], at: usize) -> u32 {
    let bytes = header.get(at..at + 4).and_then(|b| b.try_into().ok());
    bytes.map_or(0, u32::from_be_bytes)
}

fn is_ledger_or_empty(file: &File) -> io::Result<bool> {
    let application = header(file)?.map(|header| big_endian(&header, 68).cast_signed());
    Ok(match application {
        Some(application) => application == APPLICATION_ID,
        None => file.metadata()?.len() == 0,
    })
}

/// The size that the file must have, in bytes; the largest number if it has no header.
fn size_in_header(file: &File) -> io::Result<u64> {
    let Some(header) = header(file)? else {
        return Ok(u64::MAX);
    };
    let page = match u64::from(big_endian(&header, 16) >> 16) {
        1 => 65_536,
        size => size,
    };
    Ok(page * u64::from(big_endian(&header, 28)))
}
