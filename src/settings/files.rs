//! Files that the configuration names.
//!
//! Some are read here, once and up to a limit; others only have to exist when they are
//! opened later. An error names neither the path nor the content: a path is a configured
//! value too, and may be a secret in the wrong key.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::findings::Layer;
use super::reader::{At, Table};
use super::secret_text;
use crate::domain::Secret;
use crate::files::{self, FileContent, FileReadError};

/// The longest secret, in bytes; a wrong file may be endless.
const MAX_SECRET_BYTES: u64 = 64 * 1024;
const READABLE_BY_ALL: &str = "names a file that every user can read; restrict it to the \
                               gateway's user (chmod 600)";
/// The client secret that `config/sandbox.toml` publishes.
const SAMPLE_SECRET: &str = "sandbox-secret";

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("names a file that {0}")]
    Unread(FileReadError),
    #[error("names a file that {0}")]
    Text(secret_text::Fault),
    #[error("names an empty file")]
    Empty,
    #[error("names {0}, not a file")]
    NotFile(&'static str),
}

impl From<FileReadError> for FileError {
    fn from(error: FileReadError) -> Self {
        match error {
            FileReadError::NotFile(what) => Self::NotFile(what),
            error => Self::Unread(error),
        }
    }
}

/// What a file that is read again and again contains.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RereadContent {
    /// A token that a platform mounts, and decides who may read.
    Assertion,
    /// A secret for the gateway's user alone.
    Secret,
}

impl Table<'_, '_> {
    /// The path of a file on which the configuration depends.
    pub fn path(&mut self, name: &'static str) -> Option<Option<(At, PathBuf)>> {
        let Some((at, path)) = self.located(name)? else {
            return Some(None);
        };
        self.reading.findings.file(path.clone());
        Some(Some((at, path)))
    }

    /// As [`Self::path`], of a file that can be opened now; it is read later.
    pub fn openable(&mut self, name: &'static str) -> Option<Option<PathBuf>> {
        let Some((at, path)) = self.path(name)? else {
            return Some(None);
        };
        self.reading.good(&at, probe(&path))?;
        Some(Some(path))
    }

    /// The path of a file that its user reads again and again: another content is not
    /// another configuration.
    pub fn reread(
        &mut self,
        name: &'static str,
        content: RereadContent,
    ) -> Option<Option<PathBuf>> {
        let Some((at, path)) = self.located(name)? else {
            return Some(None);
        };
        if self.reading.is_reload && matches!(files::stamp(&path), Ok(None)) {
            // It may be replaced at this moment, which must not delay a reload.
            self.reading
                .warn(&at, "names a file that does not exist at present");
            return Some(Some(path));
        }
        let is_public = self.reading.good(&at, probe(&path))?;
        if content == RereadContent::Secret && is_public {
            self.reading.warn(&at, READABLE_BY_ALL);
        }
        Some(Some(path))
    }

    /// Relative paths start at the directory of the file that names them; in a variable,
    /// at the working directory.
    fn located(&mut self, name: &'static str) -> Option<Option<(At, PathBuf)>> {
        let Some((at, text)) = self.text(name)? else {
            return Some(None);
        };
        if text.is_empty() {
            return self.reading.good(&at, Err("must not be empty"));
        }
        let directory = self.reading.layer(&at).directory();
        let path = directory.unwrap_or(Path::new("")).join(text);
        Some(Some((at, path)))
    }

    /// A secret from its key, or from the file that the key's twin names.
    pub fn secret(
        &mut self,
        name: &'static str,
        file_name: &'static str,
    ) -> Option<Option<Secret>> {
        self.secret_where(name, file_name, |text| text != SAMPLE_SECRET)
    }

    /// As [`Self::secret`], of a key whose value may be public: `is_secret` tells that, and a
    /// public one may be readable and be replaced by a variable as any other value.
    pub fn secret_where(
        &mut self,
        name: &'static str,
        file_name: &'static str,
        is_secret: fn(&str) -> bool,
    ) -> Option<Option<Secret>> {
        let (inline, file) = (self.text(name), self.text(file_name));
        match (inline?, file?) {
            (None, None) => Some(None),
            (Some((at, _)), Some(_)) => {
                let (key, layer) = (&at.key, self.reading.layer(&at));
                let message = format!("{key} is set too ({layer}); remove one of them");
                self.problem(file_name, message);
                None
            }
            (Some((at, text)), None) => {
                self.check_inline(&at, text)?;
                if is_secret(text) {
                    self.check_place(name, file_name, &at)?;
                }
                Some(Some(Secret::new(text.to_owned())))
            }
            (None, Some(_)) => {
                let (at, path) = self.path(file_name)??;
                self.read_secret(&at, &path).map(Some)
            }
        }
    }

    fn check_inline(&mut self, at: &At, text: &str) -> Option<()> {
        let usable = match secret_text::fault(text) {
            _ if text.is_empty() => Err("must not be empty".to_owned()),
            Some(fault) => Err(fault.to_string()),
            None => Ok(()),
        };
        self.reading.good(at, usable)?;
        if secret_text::has_outer_blanks(text) {
            self.reading.warn(at, secret_text::OUTER_BLANKS);
        }
        Some(())
    }

    /// An inline secret must not hide another, and its file should not be readable by all.
    fn check_place(&mut self, name: &'static str, file_name: &'static str, at: &At) -> Option<()> {
        if let Some(other) = self.reading.layers.hidden_by_variable(&at.key) {
            let message = format!("{name} is set too ({other}); remove one of them");
            return self.reading.good(at, Err(message));
        }
        if let Layer::File(file) = self.reading.layer(at)
            && files::probe(file).unwrap_or(false)
        {
            let message = format!(
                "is a secret in a file that every user can read; restrict the file to the \
                 gateway's user (chmod 600), or use {file_name}"
            );
            self.reading.warn(at, message);
        }
        Some(())
    }

    /// The secret in a file; that others can read the file is worth a warning.
    pub fn read_secret(&mut self, at: &At, path: &Path) -> Option<Secret> {
        let bytes = self.read_private(at, path)?;
        let text = self
            .reading
            .good(at, secret_text::of_file(&bytes).map_err(FileError::Text))?;
        if secret_text::has_outer_blanks(text) {
            let message = format!("names a file whose content {}", secret_text::OUTER_BLANKS);
            self.reading.warn(at, message);
        }
        Some(Secret::new(text.to_owned()))
    }

    /// The bytes of a file for the gateway's user alone.
    pub fn read_private(&mut self, at: &At, path: &Path) -> Option<Zeroizing<Vec<u8>>> {
        let FileContent { bytes, is_public } =
            self.reading.good(at, read(path, MAX_SECRET_BYTES))?;
        if bytes.trim_ascii().is_empty() {
            return self.reading.good(at, Err(FileError::Empty));
        }
        if is_public {
            self.reading.warn(at, READABLE_BY_ALL);
        }
        Some(Zeroizing::new(bytes))
    }
}

fn probe(path: &Path) -> Result<bool, FileError> {
    Ok(files::probe(path)?)
}

/// Everything in a file of at most `limit` bytes.
pub fn read(path: &Path, limit: u64) -> Result<FileContent, FileError> {
    Ok(files::read(path, limit)?)
}
