//! What identifies a version of a file.

use std::fs::Metadata;
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
pub fn of(path: &Path) -> Option<FileStamp> {
    std::fs::metadata(path).ok().as_ref().map(FileStamp::from)
}
