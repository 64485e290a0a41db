//! Who else may read or replace the ledger's files.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};
use rustix::process::geteuid;

use crate::ledger::error::LedgerError;

/// Read and write, for the owner.
const PRIVATE: u32 = 0o600;
/// How the names of the ledger's files end: the database, what SQLite keeps beside it, and our
/// own record.
pub const SUFFIXES: [&str; 5] = ["", "-wal", "-shm", "-journal", ".lock"];

/// The directory that a file is in.
pub fn directory_of(path: &Path) -> Result<PathBuf, LedgerError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    match fs::metadata(directory) {
        Ok(found) if found.is_dir() => Ok(directory.to_owned()),
        Ok(_) => Err(LedgerError::unavailable("its directory is a file")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            Err(LedgerError::unavailable("its directory does not exist"))
        }
        Err(e) => Err(LedgerError::io("its directory cannot be accessed", &e)),
    }
}

/// Checks that this process may create the ledger's files in their directory, and read and
/// write those that exist. Opens none, so that no lock of this process is lost.
pub fn check_access(path: &Path) -> Result<(), LedgerError> {
    let directory = directory_of(path)?;
    access(&directory, AccessFlags::W_OK | AccessFlags::X_OK)
        .map_err(|e| LedgerError::io("its directory is not writable", &e.into()))?;
    for suffix in SUFFIXES {
        match access(
            &side_file(path, suffix),
            AccessFlags::R_OK | AccessFlags::W_OK,
        ) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(e) => {
                let e = io::Error::from(e).kind();
                return Err(LedgerError::unavailable(match suffix {
                    "" => format!("its file is not readable and writable: {e}"),
                    _ => format!("its {suffix} file is not readable and writable: {e}"),
                }));
            }
        }
    }
    Ok(())
}

/// Checks that [`make_private`] will succeed, and changes nothing.
pub fn check_private(path: &Path) -> Result<(), LedgerError> {
    let me = geteuid();
    for suffix in SUFFIXES {
        let Ok(found) = fs::symlink_metadata(side_file(path, suffix)) else {
            continue;
        };
        let is_private = found.permissions().mode() & 0o7777 & !PRIVATE == 0;
        if !is_private && !me.is_root() && found.uid() != me.as_raw() {
            return Err(not_private());
        }
    }
    Ok(())
}

fn not_private() -> LedgerError {
    LedgerError::unavailable(
        "other users may access its files, and their mode cannot be changed; set it to 0600",
    )
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
    set(path, Permissions::from_mode(mode & PRIVATE)).map_err(|_| not_private())?;
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
