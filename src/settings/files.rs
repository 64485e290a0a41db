//! Files that the configuration names.
//!
//! Some are read here, once and up to a limit; others only have to be there when
//! somebody else opens them. What goes wrong names neither the file nor what is
//! in it: a path is a configured value too, and may be a secret in the wrong key.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::checker::Checker;
use super::field::Field;
use super::problem::KeyPath;
use crate::domain::Secret;

/// No secret is longer, in bytes; a wrong file may be endless.
const MAX_SECRET_BYTES: u64 = 64 * 1024;
const EMPTY_PATH: &str = "must not be empty";
const READABLE_BY_ALL: &str = "names a file that every user can read";

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoUse {
    #[error("names a file that cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("names a file that is longer than {0} bytes")]
    TooLong(u64),
    #[error("names a file that is no UTF-8 text")]
    NotText,
    #[error("names a directory, pipe or device, not a file")]
    NoFile,
    #[error("names an empty file")]
    Empty,
}

/// The path under a key, or none if there is none. The outer none: it is no path.
pub(super) fn path(
    c: &mut Checker<'_>,
    key: &KeyPath,
    field: Field<String>,
) -> Option<Option<PathBuf>> {
    match c.optional(key, field)? {
        None => Some(None),
        Some(text) if text.is_empty() => {
            c.problem(key, EMPTY_PATH);
            None
        }
        Some(text) => Some(Some(c.resolve(key, &text))),
    }
}

/// The path of a file that can be opened now; others read it later.
pub(super) fn openable(
    c: &mut Checker<'_>,
    key: &KeyPath,
    field: Field<String>,
) -> Option<Option<PathBuf>> {
    let Some(path) = path(c, key, field)? else {
        return Some(None);
    };
    open(c, key, &path)?;
    Some(Some(path))
}

/// What is in a file that its user reads again and again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// Something that whoever set up the platform decides who may read.
    Assertion,
    /// Something for the gateway's user alone.
    Secret,
}

/// As [`openable`], but the configuration does not depend on the file: whoever uses it
/// reads it again on its own, so another content of it is no other configuration.
pub(super) fn reread(
    c: &mut Checker<'_>,
    key: &KeyPath,
    field: Field<String>,
    holds: Holds,
) -> Option<Option<PathBuf>> {
    let Some(text) = c.optional(key, field)? else {
        return Some(None);
    };
    if text.is_empty() {
        c.problem(key, EMPTY_PATH);
        return None;
    }
    let path = c.locate(key, &text);
    if c.running && !path.exists() {
        // Whoever renews it may just be about to; a reload is not kept back by that.
        c.warning(key, "names a file that is not there at present");
        return Some(Some(path));
    }
    let metadata = open(c, key, &path)?;
    if holds == Holds::Secret && is_readable_by_all(&metadata) {
        c.warning(key, READABLE_BY_ALL);
    }
    Some(Some(path))
}

/// Opens a file, to see whether that can be done.
fn open(c: &mut Checker<'_>, key: &KeyPath, path: &Path) -> Option<Metadata> {
    // Looked at before it is opened: opening a pipe would wait for its other end.
    let looked_at = std::fs::metadata(path);
    if let Ok(metadata) = &looked_at
        && !metadata.is_file()
    {
        let what = if metadata.is_dir() {
            "directory"
        } else {
            "pipe or device"
        };
        c.problem(key, format!("names a {what}, not a file"));
        return None;
    }
    match looked_at.and_then(|_| File::open(path)?.metadata()) {
        Ok(metadata) => Some(metadata),
        Err(error) => {
            c.problem(key, NoUse::from(error).to_string());
            None
        }
    }
}

/// Everything in a file of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> Result<(Vec<u8>, Metadata), NoUse> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(NoUse::NoFile);
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    // Room for all of it at once: a secret must not be left behind in a buffer outgrown.
    let room = metadata.len().min(limit) + 1;
    let mut bytes = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
    let length = file.take(limit + 1).read_to_end(&mut bytes)?;
    if length as u64 > limit {
        return Err(NoUse::TooLong(limit));
    }
    Ok((bytes, metadata))
}

/// The secret in a file; that others can read it as well is worth a warning.
pub(super) fn secret(c: &mut Checker<'_>, key: &KeyPath, path: &Path) -> Option<Secret> {
    match read_secret(path) {
        Ok((secret, metadata)) => {
            if is_readable_by_all(&metadata) {
                c.warning(key, READABLE_BY_ALL);
            }
            Some(secret)
        }
        Err(error) => {
            c.problem(key, error.to_string());
            None
        }
    }
}

fn read_secret(path: &Path) -> Result<(Secret, Metadata), NoUse> {
    let (bytes, metadata) = read(path, MAX_SECRET_BYTES)?;
    let mut text = String::from_utf8(bytes).map_err(|_| NoUse::NotText)?;
    // One newline, as an editor or `echo` leaves it; a second one is meant.
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(NoUse::Empty);
    }
    Ok((Secret::new(text), metadata))
}

#[cfg(unix)]
fn is_readable_by_all(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.is_file() && metadata.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn is_readable_by_all(_: &Metadata) -> bool {
    false
}
