//! Snapshots of the configuration's files, to detect changes since they were read.
//!
//! The files are polled. That works on every file system, and for mounted secrets, which
//! are symbolic links that get replaced.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::files::{self, FileStamp};

/// A change counts once two checks in a row have seen the same state, so that several files
/// can be written one after the other; but at the latest after this many checks, in case
/// they are written continuously.
const MAX_CHECKS: u32 = 10;
/// The granularity of a file system's timestamps, in nanoseconds.
const TIMESTAMP_GRANULARITY: i128 = 20_000_000;

/// The stamp of each file; none where there is no file.
type FileStamps = BTreeMap<PathBuf, Option<FileStamp>>;

/// The files that a reading of the configuration consulted.
pub struct FilesRead {
    /// Their paths.
    pub files: Vec<PathBuf>,
    /// False if reading stopped at a problem, so that there may be further files.
    pub complete: bool,
}

/// Files and their stamps as they were when they were read.
pub struct FileSnapshot {
    read: FileStamps,
    /// The stamps at the last check.
    last: FileStamps,
    /// How many checks in a row have seen a change.
    changed_checks: u32,
    /// When reading began, in nanoseconds since 1970.
    since: i128,
}

impl FileSnapshot {
    /// Starts a snapshot. To be called before files are read that are not known yet.
    #[must_use]
    pub fn begin() -> Self {
        Self {
            read: FileStamps::new(),
            last: FileStamps::new(),
            changed_checks: 0,
            since: now(),
        }
    }

    /// A new snapshot of the same files, to be taken before they are read again. Blocks.
    pub(super) fn renewed(&self) -> Self {
        let read = stamps(&self.read);
        Self {
            last: read.clone(),
            read,
            changed_checks: 0,
            since: now(),
        }
    }

    /// Completes the snapshot with the files that have been read since it was taken. Blocks.
    #[must_use]
    pub fn with(self, FilesRead { files, complete }: FilesRead) -> Self {
        let mut read = self.read;
        if complete {
            read.retain(|path, _| files.contains(path));
        }
        for path in files {
            // A new file is stamped only after it was read. If it may have changed
            // meanwhile, the next check has to find a difference.
            let settled = |stamp: &FileStamp| stamp.changed + TIMESTAMP_GRANULARITY < self.since;
            let stamp = || match files::stamp(&path) {
                Ok(Some(stamp)) if settled(&stamp) => Some(stamp),
                Ok(None) => None,
                Ok(Some(_)) | Err(_) => Some(FileStamp::UNKNOWN),
            };
            let first = read.get(&path).copied().unwrap_or_else(stamp);
            read.insert(path, first);
        }
        Self {
            last: read.clone(),
            read,
            ..self
        }
    }

    /// Whether the last check found the same state as the one before it.
    pub(super) fn is_settled(&self) -> bool {
        self.changed_checks == 0
    }

    /// Checks the files; true once a change has settled. Blocks.
    pub(super) fn detect_change(&mut self) -> bool {
        let now = stamps(&self.last);
        if now == self.read {
            self.changed_checks = 0;
        } else {
            self.changed_checks += 1;
        }
        let settled =
            self.changed_checks > 1 && (now == self.last || self.changed_checks >= MAX_CHECKS);
        self.last = now;
        settled
    }
}

/// The present stamps of these files. A file that does not answer counts as unchanged.
fn stamps(earlier: &FileStamps) -> FileStamps {
    let stamp = |path: &Path, earlier| files::stamp(path).unwrap_or(earlier);
    let files = earlier.iter();
    files
        .map(|(path, earlier)| (path.clone(), stamp(path, *earlier)))
        .collect()
}

fn now() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn snapshot(files: &[&Path], complete: bool) -> FileSnapshot {
        let files = files.iter().map(|path| path.to_path_buf()).collect();
        // Long after they were written.
        let since = now() + 1_000_000_000;
        let started = FileSnapshot {
            since,
            ..FileSnapshot::begin()
        };
        started.with(FilesRead { files, complete })
    }

    #[test]
    fn a_change_counts_once_it_has_settled() {
        let directory = TempDir::new().unwrap();
        let (one, other) = (directory.path().join("one"), directory.path().join("other"));
        std::fs::write(&one, "1").unwrap();
        let mut files = snapshot(&[&one, &other], true);
        assert!(!files.detect_change() && !files.detect_change());
        // A new file counts as well.
        std::fs::write(&other, "1").unwrap();
        assert!(!files.detect_change());
        std::fs::write(&one, "12").unwrap();
        assert!(!files.detect_change());
        assert!(files.detect_change());
        let mut files = files.renewed();
        assert!(!files.detect_change() && !files.detect_change());
        // Replaced by another file with the same name and content.
        std::fs::write(directory.path().join("new"), "12").unwrap();
        std::fs::rename(directory.path().join("new"), &one).unwrap();
        assert!(!files.detect_change());
        assert!(files.detect_change());
    }

    #[test]
    fn a_file_that_never_settles_counts_in_the_end() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "").unwrap();
        let mut files = snapshot(&[&path], true);
        let mut checks = 0;
        loop {
            checks += 1;
            std::fs::write(&path, "x".repeat(checks)).unwrap();
            if files.detect_change() {
                break;
            }
        }
        assert_eq!(checks, MAX_CHECKS as usize);
    }

    #[test]
    fn a_file_written_while_it_was_read_counts() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("file");
        let started = FileSnapshot::begin();
        std::fs::write(&path, "").unwrap();
        let mut files = started.with(FilesRead {
            files: vec![path],
            complete: true,
        });
        assert!(!files.detect_change());
        assert!(files.detect_change());
    }

    #[test]
    fn a_file_written_while_it_was_read_and_then_removed_counts() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("file");
        let started = FileSnapshot::begin();
        std::fs::write(&path, "").unwrap();
        let mut files = started.with(FilesRead {
            files: vec![path.clone()],
            complete: true,
        });
        std::fs::remove_file(path).unwrap();
        assert!(!files.detect_change());
        assert!(files.detect_change());
    }

    #[test]
    fn a_broken_version_never_removes_a_file() {
        let directory = TempDir::new().unwrap();
        let (one, other) = (directory.path().join("one"), directory.path().join("other"));
        std::fs::write(&one, "").unwrap();
        let files = snapshot(&[&one, &other], true);
        let broken = files.renewed().with(FilesRead {
            files: Vec::new(),
            complete: false,
        });
        assert_eq!(broken.read.len(), 2);
        let good = broken.renewed().with(FilesRead {
            files: vec![one],
            complete: true,
        });
        assert_eq!(good.read.len(), 1);
    }
}
