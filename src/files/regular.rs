//! Opening and reading a regular file. These functions block as long as the file system does.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// The most names of a directory that are read.
const MAX_NAMES: usize = 1000;

/// Why a file was not read. Names neither the path nor the content: a path is a configured
/// value too, and may be a secret in the wrong key.
#[derive(Debug, thiserror::Error)]
pub enum FileReadError {
    /// The operating system's error.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is longer than this many bytes.
    #[error("is longer than {0} bytes")]
    TooLong(u64),
    /// Not a regular file.
    #[error("is {0}, not a file")]
    NotFile(&'static str),
    /// It, or too many others, did not answer.
    #[error("does not answer; check the mount that it is on")]
    Late,
    /// Reading it panicked.
    #[error("was not read because of a bug in the gateway; standard error has the panic")]
    Panicked,
}

/// What was read.
pub struct FileContent {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether every user of the machine may read them.
    pub is_public: bool,
}

/// Everything in a file of at most `limit` bytes.
pub fn read(path: &Path, limit: u64) -> Result<FileContent, FileReadError> {
    let (file, metadata) = open(path)?;
    // Room for everything at once: a buffer that grows leaves copies of a secret behind.
    let room = metadata.len().min(limit) + 1;
    let mut bytes = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
    let length = file.take(limit + 1).read_to_end(&mut bytes)?;
    if length as u64 > limit {
        return Err(FileReadError::TooLong(limit));
    }
    Ok(FileContent {
        bytes,
        is_public: is_public(&metadata),
    })
}

/// Whether a file can be opened, and whether every user may read it.
pub fn probe(path: &Path) -> Result<bool, FileReadError> {
    open(path).map(|(_, metadata)| is_public(&metadata))
}

/// The names of a directory's files, sorted.
pub fn names(directory: &Path) -> Result<Vec<String>, FileReadError> {
    let entries = std::fs::read_dir(directory)?.take(MAX_NAMES);
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    Ok(names)
}

fn open(path: &Path) -> Result<(File, Metadata), FileReadError> {
    // Examined before it is opened, since opening alone affects a device or the other end of
    // a pipe; and again afterwards, since it may have been replaced. Opening does not wait for
    // a pipe's other end.
    regular(&std::fs::metadata(path)?)?;
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let metadata = file.metadata()?;
    regular(&metadata)?;
    Ok((file, metadata))
}

fn regular(metadata: &Metadata) -> Result<(), FileReadError> {
    if metadata.is_dir() {
        Err(FileReadError::NotFile("a directory"))
    } else if !metadata.is_file() {
        Err(FileReadError::NotFile("a pipe or device"))
    } else {
        Ok(())
    }
}

fn is_public(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & 0o004 != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn only_a_regular_file_of_bounded_length_is_read() {
        let directory = TempDir::new().unwrap();
        let pipe = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let socket = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        for (path, expected) in [
            (directory.path(), "is a directory, not a file"),
            (&pipe, "is a pipe or device, not a file"),
            (&link, "is a pipe or device, not a file"),
            (&socket, "is a pipe or device, not a file"),
            (Path::new("/dev/zero"), "is a pipe or device, not a file"),
        ] {
            let error = read(path, 9).err().unwrap().to_string();
            assert_eq!(error, expected, "{}", path.display());
            assert_eq!(probe(path).unwrap_err().to_string(), expected);
        }
        let file = directory.path().join("file");
        std::fs::write(&file, "123456789").unwrap();
        assert_eq!(read(&file, 9).unwrap().bytes, b"123456789");
        let error = read(&file, 8).err().unwrap();
        assert!(matches!(error, FileReadError::TooLong(8)), "{error}");
        assert!(matches!(
            read(Path::new("/proc/self/environ"), 1),
            Err(FileReadError::TooLong(1))
        ));
    }
}
