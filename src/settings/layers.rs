//! The layers of the configuration, merged into one tree in which every value remembers
//! its layer.
//!
//! The `config` crate parses. Merging and the environment are our own code: `config` reads
//! keys as path expressions (a quoted `"a.b"` would reach into another table), and its
//! environment source forgets which variable a value came from.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use config::{FileFormat, Format, Map, Value, ValueKind};

use super::findings::{Finding, Findings, Layer};
use crate::files::{self, FileReadError};

/// The built-in defaults, the first layer: `config/base.toml` at build time.
pub const BASE: &str = include_str!("../../config/base.toml");

/// The longest configuration file, in bytes: room for tens of thousands of callers.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// How the names of configuration variables begin.
const PREFIX: &str = "OFFERGATE_";
/// What separates the levels of a key in a variable's name.
const SEPARATOR: &str = "__";
/// More levels than any key has.
const MAX_LEVELS: usize = 8;

/// Where to read the configuration from.
#[derive(Clone, Default)]
pub struct ConfigSource {
    /// The directory of `base.toml` and the profiles.
    pub dir: Option<PathBuf>,
    /// The profile: the name of a file in `dir`, without `.toml`.
    pub profile: Option<String>,
    /// The environment, every variable that counts; the process's own is not read.
    pub environment: BTreeMap<String, String>,
}

impl ConfigSource {
    /// Whether it has anything: a base.toml, even one that cannot be read, or a variable.
    /// Blocks, for a second at most.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        let is_there = |dir: &PathBuf| !matches!(files::stamp(&dir.join("base.toml")), Ok(None));
        self.environment.keys().any(|name| name.starts_with(PREFIX))
            || self.profile.is_some()
            || self.dir.as_ref().is_some_and(is_there)
    }
}

/// The merged layers.
pub(super) struct Layers {
    pub(super) tree: Map<String, Value>,
    /// The variables of platforms, which some kinds of credentials fall back to.
    pub(super) platform: Map<String, Value>,
    /// The layers whose values of these keys a variable has replaced.
    hidden_by_variables: BTreeMap<String, usize>,
    /// All layers. The origin of a [`Value`] is its layer's index here.
    layers: Vec<Layer>,
    last_file: usize,
}

impl Layers {
    /// The built-in defaults alone.
    pub fn built_in(text: &str, findings: &mut Findings) -> Self {
        let mut layers = Self {
            tree: Map::new(),
            platform: Map::new(),
            hidden_by_variables: BTreeMap::new(),
            layers: Vec::new(),
            last_file: 0,
        };
        layers.text(Layer::BuiltIn, text, findings);
        layers
    }

    /// Adds the files of the directory, if one is given.
    pub fn files(&mut self, source: &ConfigSource, findings: &mut Findings) {
        let profile = Layer::Option("--profile");
        let Some(dir) = &source.dir else {
            if source.profile.is_some() {
                findings.problem(
                    &profile,
                    "",
                    "needs a configuration directory: --config DIR",
                );
            }
            return;
        };
        let found = match files::is_directory(dir) {
            Ok(true) => None,
            Ok(false) => Some("is not a directory".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(problem) = found {
            findings.problem(&Layer::File(dir.clone()), "", problem);
            // The directory may appear while a running gateway watches.
            findings.file(dir.join("base.toml"));
            return;
        }
        self.file(dir.join("base.toml"), true, findings);
        match source.profile.as_deref() {
            None => {}
            Some(name) if is_plain_file_name(name) => {
                self.file(dir.join(format!("{name}.toml")), false, findings);
            }
            Some(_) => findings.problem(
                &profile,
                "",
                "must be the name of a file in the configuration directory, without .toml: 1 to \
                 64 characters of A-Z a-z 0-9 . _ -, not beginning with a dot",
            ),
        }
    }

    fn file(&mut self, path: PathBuf, optional: bool, findings: &mut Findings) {
        findings.file(path.clone());
        let content = match files::read(&path, MAX_BYTES) {
            Ok(content) => content,
            Err(FileReadError::Unreadable(error))
                if optional && error.kind() == io::ErrorKind::NotFound =>
            {
                return;
            }
            Err(error) => return findings.problem(&Layer::File(path), "", error.to_string()),
        };
        match String::from_utf8(content.bytes) {
            Ok(text) => self.text(Layer::File(path), &text, findings),
            Err(_) => findings.problem(&Layer::File(path), "", "is not UTF-8 text"),
        }
    }

    fn text(&mut self, layer: Layer, text: &str, findings: &mut Findings) {
        match FileFormat::Toml.parse(Some(&self.layers.len().to_string()), text) {
            Ok(table) => merge(&mut self.tree, table),
            Err(error) => findings.problem(&layer, "", not_toml(error.as_ref(), text)),
        }
        self.last_file = self.layers.len();
        self.layers.push(layer);
    }

    /// Adds the variables: those that set a key, and those of platforms.
    pub fn environment(&mut self, environment: &BTreeMap<String, String>, findings: &mut Findings) {
        for (name, text) in environment {
            let levels = match name.strip_prefix(PREFIX) {
                Some(key) if key.contains(SEPARATOR) => key.split(SEPARATOR).collect(),
                Some(_) => continue,
                None => Vec::new(),
            };
            let layer = Layer::Variable(name.clone());
            if levels.len() > MAX_LEVELS || !levels.iter().all(|level| is_level(level)) {
                findings.problem(
                    &layer,
                    "",
                    "names no key: levels are upper-case and separated by two underscores, as in \
                     OFFERGATE_SERVER__LISTEN",
                );
                continue;
            }
            let origin = self.layers.len().to_string();
            self.layers.push(layer);
            let value = Value::new(Some(&origin), ValueKind::String(text.clone()));
            if levels.is_empty() {
                self.platform.insert(name.clone(), value);
                continue;
            }
            let value = levels.iter().rev().fold(value, |value, level| {
                let table = Map::from([(level.to_ascii_lowercase(), value)]);
                Value::new(Some(&origin), ValueKind::Table(table))
            });
            if let ValueKind::Table(table) = value.kind {
                let levels: Vec<String> = levels.iter().map(|l| l.to_ascii_lowercase()).collect();
                if let Some(replaced) = value_at(&self.tree, &levels) {
                    let layer = self.index_of(replaced);
                    self.hidden_by_variables.insert(levels.join("."), layer);
                }
                merge(&mut self.tree, table);
            }
        }
    }

    /// The file whose value of this key a variable has replaced.
    pub fn hidden_by_variable(&self, key: &str) -> Option<&Layer> {
        let layer = self.layer(*self.hidden_by_variables.get(key)?);
        matches!(layer, Layer::File(_)).then_some(layer)
    }

    /// What to say if there is no configuration file; none if one was read.
    pub fn nothing_read(&self, source: &ConfigSource) -> Option<Finding> {
        let is_file = |layer: &Layer| matches!(layer, Layer::File(_));
        if self.layers.iter().any(is_file) {
            return None;
        }
        let variables = self
            .layers
            .iter()
            .filter(|layer| matches!(layer, Layer::Variable(name) if name.starts_with(PREFIX)));
        let place = match &source.dir {
            Some(dir) => format!("no configuration was read from {}", dir.display()),
            None => "no configuration was read from a file".to_owned(),
        };
        let mut message = match &source.dir {
            Some(dir) => missing_base(&files::names(dir).unwrap_or_default()),
            None => "name its directory with --config DIR".to_owned(),
        };
        match variables.count() {
            0 => {}
            count => message.push_str(&format!("; only {count} environment variable(s) were")),
        }
        Some(Finding {
            place,
            key: String::new(),
            message,
        })
    }

    /// The layer that a value came from, by its index.
    pub fn index_of(&self, value: &Value) -> usize {
        let index = value.origin().and_then(|origin| origin.parse().ok());
        index.unwrap_or(self.last_file)
    }

    /// Where a key belongs that is missing at the top.
    pub fn last_file(&self) -> usize {
        self.last_file
    }

    pub fn layer(&self, index: usize) -> &Layer {
        self.layers.get(index).unwrap_or(&Layer::BuiltIn)
    }
}

/// Tables are merged key by key; anything else, lists included, is replaced.
fn merge(below: &mut Map<String, Value>, above: Map<String, Value>) {
    for (key, value) in above {
        if let Some(ValueKind::Table(old)) = below.get_mut(&key).map(|old| &mut old.kind)
            && let ValueKind::Table(new) = value.kind
        {
            merge(old, new);
        } else {
            below.insert(key, value);
        }
    }
}

/// What is written under these names, one inside the other.
fn value_at<'v>(table: &'v Map<String, Value>, names: &[String]) -> Option<&'v Value> {
    let (first, rest) = names.split_first()?;
    let value = table.get(first)?;
    match (rest, &value.kind) {
        ([], _) => Some(value),
        (rest, ValueKind::Table(table)) => value_at(table, rest),
        _ => None,
    }
}

/// Where and why the text is not TOML. The parser's own `Display` would print the line;
/// its `message` consists of fixed texts.
fn not_toml(error: &(dyn std::error::Error + Send + Sync + 'static), text: &str) -> String {
    let Some(error) = error.downcast_ref::<toml::de::Error>() else {
        return "is not valid: a number in it is out of range".to_owned();
    };
    let offset = error.span().map_or(0, |span| span.start);
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let reason = error.message();
    format!("is not valid TOML at line {line}, column {column}: {reason}")
}

/// That there is no `base.toml`, and which of these files may have been meant.
fn missing_base(names: &[String]) -> String {
    let profiles = names.iter().filter_map(|name| name.strip_suffix(".toml"));
    let profiles: Vec<&str> = profiles.filter(|name| is_plain_file_name(name)).collect();
    match (names, &*profiles) {
        ([], _) => "the directory is empty".to_owned(),
        (_, [one, ..]) => format!(
            "it has no base.toml; name {one}.toml base.toml, or select it with --profile {one}"
        ),
        _ => "it has no base.toml".to_owned(),
    }
}

/// A name that cannot lead out of the directory.
fn is_plain_file_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=64).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.')
}

fn is_level(level: &str) -> bool {
    let legal = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    !level.is_empty() && level.bytes().all(legal)
}
