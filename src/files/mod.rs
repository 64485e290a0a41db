//! The house's only reader of files that change while it runs: configuration, certificates,
//! tokens.
//!
//! A file may not answer: its network mount hangs, or a pipe stands in its place. So every
//! access is made on a thread of its own and given up after a few seconds, a file that has not
//! answered is not asked again until it does, and anything but a regular file is refused.

mod reader;
mod regular;
mod stamp;

use std::path::{Path, PathBuf};
use std::time::Duration;

use reader::FileReader;
pub use regular::{FileContent, FileReadError};
pub use stamp::FileStamp;

/// How long a caller waits for a file.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long it waits for a file's times, which are asked for every second.
const STAMP_PATIENCE: Duration = Duration::from_secs(1);

static READER: FileReader = FileReader::new();

/// Everything in a regular file of at most `limit` bytes. Blocks, for [`PATIENCE`] at most.
///
/// # Errors
/// [`FileReadError`], which quotes nothing of the content.
pub fn read(path: &Path, limit: u64) -> Result<FileContent, FileReadError> {
    READER
        .run(path, PATIENCE, move |path| regular::read(path, limit))
        .unwrap_or_else(Err)
}

/// As [`read`], from an asynchronous task.
///
/// # Errors
/// [`FileReadError`], which quotes nothing of the content.
pub async fn read_async(path: PathBuf, limit: u64) -> Result<FileContent, FileReadError> {
    let reading = tokio::task::spawn_blocking(move || read(&path, limit));
    reading.await.unwrap_or(Err(FileReadError::Panicked))
}

/// Whether a regular file can be opened, and whether every user may read it. Blocks, for
/// [`PATIENCE`] at most.
///
/// # Errors
/// [`FileReadError`]
pub fn probe(path: &Path) -> Result<bool, FileReadError> {
    READER
        .run(path, PATIENCE, regular::probe)
        .unwrap_or_else(Err)
}

/// Whether there is a directory. Blocks, for [`PATIENCE`] at most.
///
/// # Errors
/// [`FileReadError::Late`]
pub fn is_directory(path: &Path) -> Result<bool, FileReadError> {
    READER.run(path, PATIENCE, Path::is_dir)
}

/// The names of a directory's files, sorted; those that are not UTF-8 are left out. Blocks, for
/// [`PATIENCE`] at most.
///
/// # Errors
/// [`FileReadError`]
pub fn names(directory: &Path) -> Result<Vec<String>, FileReadError> {
    READER
        .run(directory, PATIENCE, regular::names)
        .unwrap_or_else(Err)
}

/// What identifies a version of a file; none if there is no file. Blocks, for a second at
/// most.
///
/// # Errors
/// [`FileReadError`]
pub fn stamp(path: &Path) -> Result<Option<FileStamp>, FileReadError> {
    let found = READER.run(path, STAMP_PATIENCE, stamp::of)?;
    found.map_err(FileReadError::Unreadable)
}

/// As [`stamp`], from an asynchronous task.
///
/// # Errors
/// [`FileReadError::Late`]
pub async fn stamp_async(path: PathBuf) -> Result<Option<FileStamp>, FileReadError> {
    let looking = tokio::task::spawn_blocking(move || stamp(&path));
    looking.await.unwrap_or(Err(FileReadError::Panicked))
}
