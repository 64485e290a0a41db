//! What identifies a version of a file.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Device, inode, size, and the times of the last change of content and inode: one of them
/// differs when the file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    bytes: u64,
    /// In nanoseconds since 1970.
    modified: i128,
    /// When its content, name or mode last changed, in nanoseconds since 1970.
    pub changed: i128,
}

impl FileStamp {
    /// Differs from the stamp of every file.
    pub const UNKNOWN: Self = Self {
        device: u64::MAX,
        inode: u64::MAX,
        bytes: u64::MAX,
        modified: -1,
        changed: -1,
    };
}

impl From<&Metadata> for FileStamp {
    fn from(file: &Metadata) -> Self {
        let nanos =
            |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        Self {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.size(),
            modified: nanos(file.mtime(), file.mtime_nsec()),
            changed: nanos(file.ctime(), file.ctime_nsec()),
        }
    }
}

/// The stamp of a file; none if there is no file.
///
/// # Errors
/// The operating system's: the file may be there, and is not to be taken for one that is gone.
pub fn of(path: &Path) -> io::Result<Option<FileStamp>> {
    match std::fs::metadata(path) {
        Ok(file) => Ok(Some(FileStamp::from(&file))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_is_gone_has_no_stamp() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("file");
        assert_eq!(of(&path).unwrap(), None);
        std::fs::write(&path, "content").unwrap();
        assert!(of(&path).unwrap().is_some());
        let below_a_file = of(&path.join("file")).unwrap_err();
        assert_eq!(below_a_file.kind(), io::ErrorKind::NotADirectory);
        assert!(of(&directory.path().join("x".repeat(300))).is_err());
    }
}
