//! What is wrong with a configuration, and where.
//!
//! A problem is made of a key, a place and our own words, and of nothing else:
//! there is no field that a configured value could be put into. The files beside them
//! are for a watcher, and are not printed.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One thing that is wrong, or deserves a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A file's path, an environment variable's name, or `built-in defaults`.
    pub place: String,
    /// The key's path, as in `callers[2].allow[0].actions[1]`. Empty if the place
    /// as a whole is meant.
    pub key: String,
    /// What is wrong, in our own words; never repeats a configured value.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "{}: {}", self.place, self.message)
        } else {
            write!(f, "{}: {}: {}", self.place, self.key, self.message)
        }
    }
}

/// Everything that keeps a configuration from being used, in a stable order.
#[derive(Clone, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    files: Vec<PathBuf>,
}

impl Problems {
    /// The problems, file by file and key by key.
    #[must_use]
    pub fn as_slice(&self) -> &[Problem] {
        &self.list
    }

    /// The files that the configuration was read from, or would have been, as far as
    /// they were named: a change to one of them may mend it.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

/// Without the files: a path is a configured value, and may be a secret in the
/// wrong key.
impl fmt::Debug for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Problems").field(&self.list).finish()
    }
}

impl std::error::Error for Problems {}

/// The way from the top of the configuration to a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Key(Arc<str>),
    Index(usize),
}

impl KeyPath {
    /// A key at the top.
    pub(super) fn of(key: &str) -> Self {
        Self::default().key(key)
    }

    /// A key below this one.
    #[must_use]
    pub(super) fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.into()))
    }

    /// An element of the list under this key.
    #[must_use]
    pub(super) fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    /// The table or list that this key stands in; none at the top.
    pub(super) fn parent(&self) -> Option<Self> {
        let (_, parent) = self.0.split_last()?;
        Some(Self(parent.to_vec()))
    }

    /// The steps, outermost first.
    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The name of the key itself; empty at the top and in a list.
    pub(super) fn last_name(&self) -> &str {
        match self.0.last() {
            Some(Step::Key(name)) => name,
            Some(Step::Index(_)) | None => "",
        }
    }

    fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl From<&serde_ignored::Path<'_>> for KeyPath {
    fn from(path: &serde_ignored::Path<'_>) -> Self {
        use serde_ignored::Path;
        match path {
            Path::Root => Self::default(),
            Path::Map { parent, key } => Self::from(*parent).key(key),
            Path::Seq { parent, index } => Self::from(*parent).index(*index),
            Path::Some { parent }
            | Path::NewtypeStruct { parent }
            | Path::NewtypeVariant { parent } => Self::from(*parent),
        }
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    let bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
                    // A quoted key may hold anything, line breaks included.
                    if !key.is_empty() && key.bytes().all(bare) {
                        f.write_str(key)?;
                    } else {
                        write!(f, "\"{}\"", key.escape_debug())?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The `base.toml` inside the program.
    BuiltIn,
    /// A configuration file, or the directory of them.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// An option of the command line.
    Option(&'static str),
}

impl Place {
    /// The directory of a file; none if it is no file.
    pub(super) fn directory(&self) -> Option<&Path> {
        match self {
            Self::File(path) => path.parent(),
            Self::BuiltIn | Self::Variable(_) | Self::Option(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in defaults"),
            Self::File(path) => path.display().fmt(f),
            Self::Variable(name) => f.write_str(name),
            Self::Option(option) => f.write_str(option),
        }
    }
}

/// Problems and warnings as they are found, in whatever order, and files.
#[derive(Default)]
pub(super) struct Findings {
    problems: Vec<(Place, KeyPath, String)>,
    warnings: Vec<(Place, KeyPath, String)>,
    files: BTreeSet<PathBuf>,
}

impl Findings {
    /// Notes something that forbids using the configuration.
    pub(super) fn problem(&mut self, place: Place, key: KeyPath, message: impl Into<String>) {
        self.problems.push((place, key, message.into()));
    }

    /// Notes something that deserves a look.
    pub(super) fn warning(&mut self, place: Place, key: KeyPath, message: impl Into<String>) {
        self.warnings.push((place, key, message.into()));
    }

    /// Notes a file that the configuration is read from, whether it is there or not.
    pub(super) fn file(&mut self, path: PathBuf) {
        self.files.insert(path);
    }

    /// Whether nothing forbids using the configuration.
    pub(super) fn is_usable(&self) -> bool {
        self.problems.is_empty()
    }

    /// What forbids using the configuration, sorted.
    pub(super) fn into_problems(self) -> Problems {
        Problems {
            list: sorted(self.problems),
            files: self.files.into_iter().collect(),
        }
    }

    /// What deserves a look, and the files, both sorted.
    pub(super) fn into_warnings(self) -> (Vec<Problem>, Vec<PathBuf>) {
        (sorted(self.warnings), self.files.into_iter().collect())
    }
}

/// By place, then by key, numbers as numbers.
fn sorted(mut found: Vec<(Place, KeyPath, String)>) -> Vec<Problem> {
    found.sort();
    found.dedup();
    found
        .into_iter()
        .map(|(place, key, message)| Problem {
            place: place.to_string(),
            key: key.to_string(),
            message,
        })
        .collect()
}
