//! The files of a configuration, and whether they have changed since they were read.
//!
//! They are looked at, not subscribed to: that works the same for mounted secrets,
//! which are symbolic links that are exchanged, and for file systems of any kind.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::reload::Reloaded;

/// A change counts once it is seen twice: whoever writes several files is given that
/// long. But never more looks than this: something may be written all the time.
const MOST_LOOKS: u32 = 10;
/// File systems keep times in steps of their own, in nanoseconds.
const GRAIN: i128 = 20_000_000;

/// What changes when a file does; none if there is no file.
type Stamp = Option<[i128; 5]>;
/// Like nothing that a file has.
const UNSURE: Stamp = Some([-1; 5]);
type Stamps = BTreeMap<PathBuf, Stamp>;

/// Files, as they were when they were read.
pub struct Watched {
    read: Stamps,
    /// As they were at the last look, and how many looks have seen a change.
    last: Stamps,
    looks: u32,
    /// When reading began, in nanoseconds since 1970.
    since: i128,
}

impl Watched {
    /// Begins to watch, before files are read that are not known yet.
    #[must_use]
    pub fn begin() -> Self {
        Self {
            read: Stamps::new(),
            last: Stamps::new(),
            looks: 0,
            since: now(),
        }
    }

    /// The same files, which are to be read again.
    pub(super) fn again(&self) -> Self {
        let read = stamps(self.read.keys().cloned());
        Self {
            last: read.clone(),
            read,
            looks: 0,
            since: now(),
        }
    }

    /// The files that have been read since.
    #[must_use]
    pub fn with(self, reloaded: Reloaded) -> Self {
        let Reloaded { files, whole } = reloaded;
        let mut read = self.read;
        if whole {
            read.retain(|path, _| files.contains(path));
        }
        for path in files {
            // One that was not known before was looked at by nobody before it was read.
            let settled = |stamp: &[i128; 5]| stamp[4] + GRAIN < self.since;
            let stamp = || match stamp(&path) {
                Some(stamp) if !settled(&stamp) => UNSURE,
                stamp => stamp,
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

    /// Looks again, and says whether it is time to read again.
    pub(super) fn has_changed(&mut self) -> bool {
        let now = stamps(self.read.keys().cloned());
        if now == self.read {
            self.looks = 0;
        } else {
            self.looks += 1;
        }
        let settled = self.looks > 1 && (now == self.last || self.looks >= MOST_LOOKS);
        self.last = now;
        settled
    }
}

fn stamps(files: impl Iterator<Item = PathBuf>) -> Stamps {
    files.map(|path| (path.clone(), stamp(&path))).collect()
}

fn stamp(path: &Path) -> Stamp {
    std::fs::metadata(path).ok().map(|file| parts(&file))
}

/// Device, inode, size, and when content and file changed.
fn parts(file: &Metadata) -> [i128; 5] {
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    [
        file.dev().into(),
        file.ino().into(),
        file.size().into(),
        nanos(file.mtime(), file.mtime_nsec()),
        nanos(file.ctime(), file.ctime_nsec()),
    ]
}

fn now() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn watched(files: &[&Path], whole: bool) -> Watched {
        let files = files.iter().map(|path| path.to_path_buf()).collect();
        // Long after they were written.
        let since = now() + 1_000_000_000;
        let begun = Watched {
            since,
            ..Watched::begin()
        };
        begun.with(Reloaded { files, whole })
    }

    #[test]
    fn a_change_counts_when_it_has_settled() {
        let directory = TempDir::new().unwrap();
        let (one, other) = (directory.path().join("one"), directory.path().join("other"));
        std::fs::write(&one, "1").unwrap();
        let mut files = watched(&[&one, &other], true);
        assert!(!files.has_changed() && !files.has_changed());
        // One that was not there counts as well.
        std::fs::write(&other, "1").unwrap();
        assert!(!files.has_changed());
        std::fs::write(&one, "12").unwrap();
        assert!(!files.has_changed());
        assert!(files.has_changed());
        let mut files = files.again();
        assert!(!files.has_changed() && !files.has_changed());
        // Exchanged by another file of the same name, with the same content.
        std::fs::write(directory.path().join("new"), "12").unwrap();
        std::fs::rename(directory.path().join("new"), &one).unwrap();
        assert!(!files.has_changed());
        assert!(files.has_changed());
    }

    #[test]
    fn what_never_settles_counts_in_the_end() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "").unwrap();
        let mut files = watched(&[&path], true);
        let mut looks = 0;
        loop {
            looks += 1;
            std::fs::write(&path, "x".repeat(looks)).unwrap();
            if files.has_changed() {
                break;
            }
        }
        assert_eq!(looks, MOST_LOOKS as usize);
    }

    #[test]
    fn what_was_written_while_it_was_read_counts() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("file");
        let begun = Watched::begin();
        std::fs::write(&path, "").unwrap();
        let mut files = begun.with(Reloaded {
            files: vec![path],
            whole: true,
        });
        assert!(!files.has_changed());
        assert!(files.has_changed());
    }

    #[test]
    fn what_was_written_while_it_was_read_and_then_taken_away_counts() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("file");
        let begun = Watched::begin();
        std::fs::write(&path, "").unwrap();
        let mut files = begun.with(Reloaded {
            files: vec![path.clone()],
            whole: true,
        });
        std::fs::remove_file(path).unwrap();
        assert!(!files.has_changed());
        assert!(files.has_changed());
    }

    #[test]
    fn a_broken_version_never_takes_a_file_away() {
        let directory = TempDir::new().unwrap();
        let (one, other) = (directory.path().join("one"), directory.path().join("other"));
        std::fs::write(&one, "").unwrap();
        let files = watched(&[&one, &other], true);
        let broken = files.again().with(Reloaded {
            files: Vec::new(),
            whole: false,
        });
        assert_eq!(broken.read.len(), 2);
        let good = broken.again().with(Reloaded {
            files: vec![one],
            whole: true,
        });
        assert_eq!(good.read.len(), 1);
    }
}
