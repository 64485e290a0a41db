//! Who else may read or replace the ledger's files.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::ledger::error::LedgerError;

/// Read and write, for the owner.
const PRIVATE: u32 = 0o600;

/// The directory that a file is in.
pub fn directory_of(path: &Path) -> Result<PathBuf, LedgerError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    match directory.is_dir() {
        true => Ok(directory.to_owned()),
        false => Err(LedgerError::unavailable("its directory does not exist")),
    }
}

/// The file beside the database whose name ends with this.
pub fn side_file(database: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(suffix);
    name.into()
}

/// Opens a file, and creates it if it is missing: with [`PRIVATE`], whatever the umask is.
pub fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(PRIVATE);
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            file.set_permissions(Permissions::from_mode(PRIVATE))?;
            Ok(file)
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            options.create(true).truncate(false).open(path)
        }
        Err(e) => Err(e),
    }
}

/// Takes every right to this file from other users, if it exists.
///
/// # Errors
/// [`LedgerError::Unavailable`] if that is not allowed: the ledger names offers and callers.
pub fn make_private(path: &Path) -> Result<(), LedgerError> {
    make_private_by(path, |path, mode| fs::set_permissions(path, mode)).map(|_| ())
}

/// The same by way of this function. Returns the rights that other users still have: on some
/// file systems a change of the mode succeeds without effect.
pub fn make_private_by(
    path: &Path,
    set: impl FnOnce(&Path, Permissions) -> io::Result<()>,
) -> Result<u32, LedgerError> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(0);
    };
    let mode = found.permissions().mode() & 0o7777;
    if mode & !PRIVATE == 0 {
        return Ok(0);
    }
    if !found.is_file() {
        return Err(LedgerError::unavailable(
            "one of its files is not a regular file",
        ));
    }
    set(path, Permissions::from_mode(mode & PRIVATE)).map_err(|_| {
        LedgerError::unavailable(
            "other users may access its files, and their mode cannot be changed; set it to 0600",
        )
    })?;
    let now = fs::symlink_metadata(path).map_err(|e| LedgerError::io("one of its files", &e))?;
    let left = now.permissions().mode() & 0o7777 & !PRIVATE;
    let (file, mode) = (path.display(), format_args!("{mode:04o}"));
    if left == 0 {
        tracing::warn!(%file, mode, "ledger file was accessible to other users; its mode is now 0600");
    } else {
        tracing::error!(
            %file,
            mode,
            "ledger file is accessible to other users, and its file system keeps no other mode; \
             mount it with mode 0600, or move the ledger"
        );
    }
    Ok(left)
}

/// Warns of a directory in which every user may replace the file.
pub fn warn_of_directory(directory: &Path) {
    let Ok(found) = fs::metadata(directory) else {
        return;
    };
    let mode = found.permissions().mode();
    if mode & 0o1002 == 0o002 {
        tracing::warn!(
            directory = %directory.display(),
            mode = format_args!("{:04o}", mode & 0o7777),
            "the ledger's directory is writable for every user, who can replace the ledger"
        );
    }
}
