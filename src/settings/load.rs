//! Reads the layers and lays them over each other.
//!
//! The `config` crate parses; the laying is ours, because its own reads keys as
//! path expressions (a quoted `"a.b"` would reach into another table), and so is
//! the environment, because its own forgets which variable a value came from.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use config::{FileFormat, Format, Map, Value, ValueKind};

use super::checker::Checker;
use super::origins::Origins;
use super::problem::{Findings, KeyPath, Place, Problem, Problems};
use super::{Settings, check, raw};

/// The built-in defaults, the first layer: `config/base.toml` as it was when the
/// program was built.
pub const BASE: &str = include_str!("../../config/base.toml");

/// What the name of a configuring variable starts with.
const PREFIX: &str = "OFFERGATE_";
/// What separates the levels of a key in a variable's name.
const LEVEL: &str = "__";
/// No key has as many levels as this.
const MAX_LEVELS: usize = 8;

/// Where to read the configuration from.
#[derive(Clone, Default)]
pub struct Source {
    /// The directory of `base.toml` and the profiles.
    pub dir: Option<PathBuf>,
    /// The profile: the name of a file in `dir`, without `.toml`.
    pub profile: Option<String>,
    /// The environment, every variable of it; the process's own is not looked at.
    pub environment: BTreeMap<String, String>,
}

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub settings: Settings,
    /// What can be used but deserves a look.
    pub warnings: Vec<Problem>,
    /// The files that it was read from or would be if they were there, and those that
    /// it names: what to look at for changes.
    pub files: Vec<PathBuf>,
}

/// Reads and checks the configuration.
///
/// # Errors
/// Everything that is wrong with it, at once. Only files that cannot be read, or
/// are no TOML, are reported alone, since the rest would follow from them.
pub fn load(source: &Source) -> Result<Loaded, Problems> {
    read(source, None)
}

/// Reads and checks the configuration anew, for a gateway that runs with another.
///
/// What depends on a section that only a restart changes is held against the
/// running one too: the published sample key is good for a portal on loopback,
/// and the portal of a running gateway stays where it is.
///
/// # Errors
/// As [`load`].
pub fn reload(source: &Source, running: &Settings) -> Result<Loaded, Problems> {
    read(source, Some(running))
}

fn read(source: &Source, running: Option<&Settings>) -> Result<Loaded, Problems> {
    let mut findings = Findings::default();
    let mut layers = Layers::default();
    layers.add_text(Place::BuiltIn, BASE, &mut findings);
    layers.add_files(source, &mut findings);
    if !findings.is_usable() {
        return Err(findings.into_problems());
    }
    layers.add_environment(&source.environment, &mut findings);

    let (table, origins) = layers.finish();
    let Some(mirror) = mirror(table, &origins, &mut findings) else {
        return Err(findings.into_problems());
    };
    let checker = Checker::new(&origins, &source.environment, &mut findings);
    let settings = check::check(mirror, checker, running);
    match settings {
        Some(settings) if findings.is_usable() => {
            let (warnings, files) = findings.into_warnings();
            Ok(Loaded {
                settings,
                warnings,
                files,
            })
        }
        _ => Err(findings.into_problems()),
    }
}

/// Fills the serde mirror, and notes every key that it has no field for.
pub(super) fn mirror(
    table: Map<String, Value>,
    origins: &Origins,
    findings: &mut Findings,
) -> Option<raw::Root> {
    let mut unknown = Vec::new();
    let mirror = serde_ignored::deserialize(Value::from(table), |path| {
        unknown.push(KeyPath::from(&path));
    });
    for key in unknown {
        for place in origins.all(&key) {
            findings.problem(place.clone(), key.clone(), unknown_key(&key));
        }
    }
    match mirror {
        Ok(mirror) => Some(mirror),
        // Cannot happen while every field is a `Field`. The error is not printed:
        // it would repeat the value.
        Err(_) => {
            let key = KeyPath::default();
            findings.problem(origins.of(&key).clone(), key, "cannot be understood");
            None
        }
    }
}

fn unknown_key(key: &KeyPath) -> String {
    let known = raw::known_keys(&key.parent().unwrap_or_default());
    match nearest(key.last_name(), known.iter().copied()) {
        Some(name) => format!("is not a known key; is {name} meant?"),
        None => "is not a known key".to_owned(),
    }
}

/// The known name that was most likely meant, if one is close enough.
#[must_use]
pub fn nearest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let known = known.into_iter();
    let (_, name) = known
        .map(|name| (distance(name, written), name))
        .min()
        .filter(|(distance, name)| *distance <= 2 && *distance < name.len() / 2)?;
    Some(name)
}

/// How many characters must be changed, added or dropped to get from one to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (done, from_char) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = done + 1;
        for (column, to_char) in to.iter().enumerate() {
            let changed = diagonal + usize::from(from_char != *to_char);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

/// The layers so far, merged.
#[derive(Default)]
pub(super) struct Layers {
    table: Map<String, Value>,
    /// By the text that a value of `config` carries as its origin.
    places: BTreeMap<String, Place>,
    last_file: Option<Place>,
}

impl Layers {
    /// Lays a TOML document over the layers so far.
    pub(super) fn add_text(&mut self, place: Place, text: &str, findings: &mut Findings) {
        let origin = place.to_string();
        match FileFormat::Toml.parse(Some(&origin), text) {
            Ok(table) => merge(&mut self.table, table),
            Err(error) => {
                let message = not_toml(error.as_ref(), text);
                findings.problem(place.clone(), KeyPath::default(), message);
            }
        }
        self.places.insert(origin, place.clone());
        self.last_file = Some(place);
    }

    fn add_files(&mut self, source: &Source, findings: &mut Findings) {
        let Some(dir) = &source.dir else {
            if source.profile.is_some() {
                let message = "needs a configuration directory, --config DIR";
                findings.problem(Place::Option("--profile"), KeyPath::default(), message);
            }
            return;
        };
        if !dir.is_dir() {
            let place = Place::File(dir.clone());
            findings.problem(place, KeyPath::default(), "is not a directory");
            // It may come (back) while somebody watches.
            findings.file(dir.join("base.toml"));
            return;
        }
        self.add_file(dir.join("base.toml"), Missing::IsFine, findings);
        match source.profile.as_deref() {
            None => {}
            Some(name) if is_plain_file_name(name) => {
                self.add_file(
                    dir.join(format!("{name}.toml")),
                    Missing::IsAProblem,
                    findings,
                );
            }
            Some(_) => {
                let message = "must be the name of a file in the configuration directory, \
                               without .toml: 1 to 64 characters of A-Z a-z 0-9 . _ -";
                findings.problem(Place::Option("--profile"), KeyPath::default(), message);
            }
        }
    }

    fn add_file(&mut self, path: PathBuf, missing: Missing, findings: &mut Findings) {
        findings.file(path.clone());
        match fs::read_to_string(&path) {
            Ok(text) => self.add_text(Place::File(path), &text, findings),
            Err(error) if error.kind() == io::ErrorKind::NotFound && missing == Missing::IsFine => {
            }
            Err(error) => {
                let message = format!("cannot be read: {error}");
                findings.problem(Place::File(path), KeyPath::default(), message);
            }
        }
    }

    /// Lays the variables that configure something over the layers so far.
    fn add_environment(&mut self, environment: &BTreeMap<String, String>, findings: &mut Findings) {
        for (name, text) in environment {
            let Some(key) = name.strip_prefix(PREFIX) else {
                continue;
            };
            if !key.contains(LEVEL) {
                continue;
            }
            let place = Place::Variable(name.clone());
            let levels: Vec<&str> = key.split(LEVEL).collect();
            if levels.len() > MAX_LEVELS || !levels.iter().copied().all(is_level) {
                let message = "names no key: levels are upper-case and separated by two \
                               underscores, as in OFFERGATE_SERVER__LISTEN";
                findings.problem(place, KeyPath::default(), message);
                continue;
            }
            let leaf = Value::new(Some(name), ValueKind::String(text.clone()));
            let value = levels.iter().rev().fold(leaf, |value, level| {
                Value::from(Map::from([(level.to_ascii_lowercase(), value)]))
            });
            if let ValueKind::Table(layer) = value.kind {
                merge(&mut self.table, layer);
            }
            self.places.insert(name.clone(), place);
        }
    }

    /// The merged layers, and who wrote what.
    pub(super) fn finish(self) -> (Map<String, Value>, Origins) {
        let last_file = self.last_file.unwrap_or(Place::BuiltIn);
        let origins = Origins::new(&self.table, self.places, last_file);
        (self.table, origins)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    IsFine,
    IsAProblem,
}

/// Tables are merged key by key; anything else, lists included, replaces.
fn merge(below: &mut Map<String, Value>, above: Map<String, Value>) {
    for (key, value) in above {
        let old = below.get_mut(&key).map(|old| &mut old.kind);
        if let Some(ValueKind::Table(old)) = old
            && let ValueKind::Table(new) = value.kind
        {
            merge(old, new);
        } else {
            below.insert(key, value);
        }
    }
}

/// Where the document stops being TOML. The parser's own `Display` would print
/// the line; its message is made of fixed texts.
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

/// A name that cannot lead out of the directory.
fn is_plain_file_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=64).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.')
}

fn is_level(level: &str) -> bool {
    let legal = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    !level.is_empty() && level.bytes().all(legal)
}
