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

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoUse {
    #[error("names a file that cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("names a file that is longer than {0} bytes")]
    TooLong(u64),
    #[error("names a file that is no UTF-8 text")]
    NotText,
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
            c.problem(key, "must not be empty");
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
    match File::open(&path).and_then(|file| file.metadata()) {
        Ok(metadata) if metadata.is_dir() => {
            c.problem(key, "names a directory, not a file");
            None
        }
        Ok(_) => Some(Some(path)),
        Err(error) => {
            c.problem(key, NoUse::from(error).to_string());
            None
        }
    }
}

/// Everything in a file of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> Result<(Vec<u8>, Metadata), NoUse> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
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
                c.warning(key, "names a file that every user can read");
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
