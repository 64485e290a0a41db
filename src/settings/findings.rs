//! What is wrong with a configuration, and where.
//!
//! A finding consists of a place, a key and our own words. There is no field that could
//! take a configured value: secrets end up in the wrong key too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// One problem or warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A file's path, an environment variable's name, or `built-in defaults`.
    pub place: String,
    /// The key's path, as in `callers[2].allow[0].actions[1]`. Empty if the place as a
    /// whole is meant.
    pub key: String,
    /// What is wrong; never repeats a configured value.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "{}: {}", self.place, self.message),
            key => write!(f, "{}: {key}: {}", self.place, self.message),
        }
    }
}

/// The configuration cannot be used: every problem that it has.
#[derive(Clone, PartialEq, Eq)]
pub struct SettingsError {
    problems: Vec<Finding>,
    files: Vec<PathBuf>,
}

impl SettingsError {
    /// The problems, file by file and key by key.
    #[must_use]
    pub fn problems(&self) -> &[Finding] {
        &self.problems
    }

    /// Adds a problem that explains the others.
    pub(super) fn put_first(&mut self, problem: Finding) {
        self.problems.insert(0, problem);
    }

    /// The files that were read, or would have been: a change to one of them may repair
    /// the configuration.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.problems.iter().map(Finding::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// Without the files: a path is a configured value too.
impl fmt::Debug for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SettingsError")
            .field(&self.problems)
            .finish()
    }
}

impl std::error::Error for SettingsError {}

/// Where a value was written. Sorted in the order of the layers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    /// The `base.toml` inside the program.
    BuiltIn,
    /// A configuration file, or the directory of them.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// An option of the command line.
    Option(&'static str),
}

impl Layer {
    /// The directory of a file; none if it is not a file.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::File(path) => path.parent(),
            Self::BuiltIn | Self::Variable(_) | Self::Option(_) => None,
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in defaults"),
            Self::File(path) => path.display().fmt(f),
            Self::Variable(name) => f.write_str(name),
            Self::Option(option) => f.write_str(option),
        }
    }
}

/// Findings by layer, then by key, then by message; each once.
type Sorted = BTreeMap<(Layer, String, String), Finding>;

/// Everything found so far.
#[derive(Default)]
pub(super) struct Findings {
    problems: Sorted,
    warnings: Sorted,
    files: BTreeSet<PathBuf>,
}

impl Findings {
    /// Something that forbids using the configuration.
    pub fn problem(&mut self, layer: &Layer, key: &str, message: impl Into<String>) {
        add(&mut self.problems, layer, key, message.into());
    }

    /// Something that can be used but deserves attention.
    pub fn warning(&mut self, layer: &Layer, key: &str, message: impl Into<String>) {
        add(&mut self.warnings, layer, key, message.into());
    }

    /// A file that the configuration is read from, whether it exists or not.
    pub fn file(&mut self, path: PathBuf) {
        self.files.insert(path);
    }

    /// Whether there is no problem.
    pub fn is_usable(&self) -> bool {
        self.problems.is_empty()
    }

    pub fn into_error(self) -> SettingsError {
        SettingsError {
            problems: self.problems.into_values().collect(),
            files: self.files.into_iter().collect(),
        }
    }

    /// The warnings and the files.
    pub fn into_warnings(self) -> (Vec<Finding>, Vec<PathBuf>) {
        (
            self.warnings.into_values().collect(),
            self.files.into_iter().collect(),
        )
    }
}

fn add(found: &mut Sorted, layer: &Layer, key: &str, message: String) {
    let order = (layer.clone(), padded(key), message.clone());
    let finding = Finding {
        place: layer.to_string(),
        key: key.to_owned(),
        message,
    };
    found.insert(order, finding);
}

/// A key whose indexes have the same width, so that `callers[10]` comes after `callers[9]`.
fn padded(key: &str) -> String {
    let pad = |part: &str| match part.split_once(']') {
        Some((index, rest)) => format!("[{index:0>9}]{rest}"),
        None => part.to_owned(),
    };
    key.split('[').map(pad).collect()
}
