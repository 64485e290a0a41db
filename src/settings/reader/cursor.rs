//! The cursor: one table, whose keys are taken one by one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;
use std::hash::Hash;

use config::{Map, Value, ValueKind};

use super::words::{kind_of, quoted};
use crate::domain::nearest;
use crate::settings::findings::{Findings, Layer};
use crate::settings::layers::Layers;

/// What the value of a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Text; for `audience` also a list of texts.
    Text,
    /// A whole number, from `least` to `most`.
    Number {
        /// The least that is accepted.
        least: u64,
        /// The most that is accepted.
        most: u64,
    },
    /// `true` or `false`.
    Flag,
    /// A list of texts.
    Texts,
    /// A table or a list of tables. Its keys are listed too.
    Table,
}

/// One pass over the configuration: what it reads, and what it has found.
pub(in crate::settings) struct Reading<'v> {
    pub(in crate::settings) layers: &'v Layers,
    pub(in crate::settings) findings: Findings,
    /// A running gateway reads its configuration again.
    pub(in crate::settings) is_reload: bool,
    /// All keys taken so far. If it is there, every table is entered, whether it was
    /// written or not.
    pub(super) inventory: Option<BTreeMap<String, KeyKind>>,
}

/// A key and where it was written, or should have been.
#[derive(Debug, Clone)]
pub(in crate::settings) struct At {
    pub(in crate::settings) key: String,
    pub(super) layer: usize,
}

impl<'v> Reading<'v> {
    pub fn new(layers: &'v Layers, findings: Findings, is_reload: bool) -> Self {
        Self {
            layers,
            findings,
            is_reload,
            inventory: None,
        }
    }

    /// Every key that `read` takes. An element of a list has no index, as in `callers[]`, and
    /// a name of the operator's choice is `NAME`.
    pub fn inventory<T>(
        layers: &'v Layers,
        read: impl FnOnce(&mut Table<'_, 'v>) -> T,
    ) -> BTreeMap<String, KeyKind> {
        let mut reading = Self::new(layers, Findings::default(), false);
        reading.inventory = Some(BTreeMap::new());
        read(&mut reading.root());
        reading.inventory.unwrap_or_default()
    }

    /// The whole configuration.
    pub fn root(&mut self) -> Table<'_, 'v> {
        let layers = self.layers;
        let at = At {
            key: String::new(),
            layer: layers.last_file(),
        };
        Table::new(self, at, Some(&layers.tree))
    }

    pub fn problem(&mut self, at: &At, message: impl Into<String>) {
        let layer = self.layers.layer(at.layer);
        self.findings.problem(layer, &at.key, message);
    }

    pub fn warn(&mut self, at: &At, message: impl Into<String>) {
        let layer = self.layers.layer(at.layer);
        self.findings.warning(layer, &at.key, message);
    }

    /// Reports two keys that do not go together at the first, or at the second if the
    /// first is a default.
    pub fn conflict(&mut self, first: &At, second: &At, message: impl Into<String>) {
        let at = match self.layer(first) {
            Layer::BuiltIn => second,
            Layer::File(_) | Layer::Variable(_) | Layer::Option(_) => first,
        };
        self.problem(at, message);
    }

    /// Refuses a value that an earlier key has too.
    pub fn unique<V: Hash + Eq>(&mut self, seen: &mut HashMap<V, String>, value: V, at: &At) {
        match seen.get(&value) {
            Some(first) => self.problem(at, format!("is the same as {first}")),
            None => drop(seen.insert(value, at.key.clone())),
        }
    }

    pub fn layer(&self, at: &At) -> &'v Layer {
        self.layers.layer(at.layer)
    }

    /// The value, or a problem that prints the error, which must not hold the value.
    pub fn good<T, E: Display>(&mut self, at: &At, result: Result<T, E>) -> Option<T> {
        result
            .map_err(|error| self.problem(at, error.to_string()))
            .ok()
    }

    /// Text under a key that is there.
    pub fn text(&mut self, at: &At, value: &'v Value) -> Option<&'v str> {
        match &value.kind {
            ValueKind::String(text) => Some(text),
            _ => self.wrong_kind(at, "text", value),
        }
    }

    /// Reports a value that is not what it should be.
    pub fn wrong_kind<T>(&mut self, at: &At, expected: &str, value: &Value) -> Option<T> {
        self.problem(at, format!("must be {expected}, not {}", kind_of(value)));
        None
    }

    /// The keys and values of a table.
    pub fn entries(&mut self, at: &At, value: &'v Value) -> Option<&'v Map<String, Value>> {
        match &value.kind {
            ValueKind::Table(values) => Some(values),
            _ => self.wrong_kind(at, "a table", value),
        }
    }

    /// Reads one table; a missing one is as good as an empty one.
    pub fn table<T>(
        &mut self,
        at: At,
        value: Option<&'v Value>,
        read: impl FnOnce(&mut Table<'_, 'v>) -> Option<T>,
    ) -> Option<T> {
        let values = match value {
            None => None,
            Some(value) => Some(self.entries(&at, value)?),
        };
        let mut table = Table::new(self, at, values);
        let found = read(&mut table);
        table.finish();
        found
    }
}

/// One table, while its keys are taken.
pub(in crate::settings) struct Table<'r, 'v> {
    pub(in crate::settings) reading: &'r mut Reading<'v>,
    pub(in crate::settings) at: At,
    values: Option<&'v Map<String, Value>>,
    /// Keys that the platform sets unless the configuration does, each with the name of
    /// its variable and that variable's value.
    fallbacks: Vec<(&'static str, &'static str, Option<&'v Value>)>,
    known: Vec<&'static str>,
    /// What makes keys required, as in " for kind token-file".
    pub(in crate::settings) purpose: String,
    /// Each key is checked by itself: nothing is missing, and nothing contradicts.
    pub(in crate::settings) is_lenient: bool,
}

impl<'r, 'v> Table<'r, 'v> {
    fn new(reading: &'r mut Reading<'v>, at: At, values: Option<&'v Map<String, Value>>) -> Self {
        Self {
            reading,
            at,
            values,
            fallbacks: Vec::new(),
            known: Vec::new(),
            purpose: String::new(),
            is_lenient: false,
        }
    }

    /// The value that was written, or the one of its variable.
    pub fn value(&self, name: &str) -> Option<&'v Value> {
        let written = self.values.and_then(|values| values.get(name));
        written.or_else(|| {
            let mut fallbacks = self.fallbacks.iter();
            fallbacks.find(|(key, ..)| *key == name)?.2
        })
    }

    /// Whether the key was written, or its variable is set.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The key's path and place.
    pub fn at(&self, name: &str) -> At {
        self.child(name, self.value(name))
    }

    fn child(&self, name: &str, value: Option<&Value>) -> At {
        let name = quoted(name);
        let layers = self.reading.layers;
        let (key, missing) = match self.at.key.as_str() {
            "" => (name, layers.last_file()),
            // A section has keys of every layer: its own layer says nothing about a
            // missing key.
            above if above.contains('.') || above.contains('[') => {
                (format!("{above}.{name}"), self.at.layer)
            }
            above => (format!("{above}.{name}"), layers.last_file()),
        };
        let layer = value.map_or(missing, |value| layers.index_of(value));
        At { key, layer }
    }

    /// Takes a key: its path and place, and its value if there is one.
    pub fn take(&mut self, name: &'static str, kind: KeyKind) -> (At, Option<&'v Value>) {
        self.known.push(name);
        let value = self.value(name);
        let at = self.child(name, value);
        if let Some(inventory) = &mut self.reading.inventory {
            inventory.insert(at.key.clone(), kind);
        }
        (at, value)
    }

    pub fn problem(&mut self, name: &str, message: impl Into<String>) {
        let at = self.at(name);
        self.reading.problem(&at, message);
    }

    pub fn warn(&mut self, name: &str, message: impl Into<String>) {
        let at = self.at(name);
        self.reading.warn(&at, message);
    }

    /// Reports a rule that holds between keys.
    pub fn contradiction(&mut self, name: &str, message: impl Into<String>) {
        if !self.is_lenient {
            self.problem(name, message);
        }
    }

    /// Lets a platform's variable stand in for a key that was not written. An empty
    /// variable counts as unset: that is how an image's variable is removed.
    pub fn fall_back(&mut self, name: &'static str, variable: &'static str) {
        let value = self.variable(variable);
        self.fallbacks.push((name, variable, value));
    }

    pub fn variable(&self, name: &str) -> Option<&'v Value> {
        let value = self.reading.layers.platform.get(name);
        value.filter(|value| !matches!(&value.kind, ValueKind::String(text) if text.is_empty()))
    }

    /// What another getter found under a key that must be there.
    pub fn needed<T>(&mut self, name: &str, found: Option<Option<T>>) -> Option<T> {
        let found = found?;
        if found.is_none() {
            let mut fallbacks = self.fallbacks.iter();
            let or = match fallbacks.find(|(key, ..)| *key == name) {
                Some((_, variable, _)) => format!(", here or as {variable}"),
                None => String::new(),
            };
            self.missing(name, &or);
        }
        found
    }

    /// Reports a key that must be there, `or` what could stand in for it.
    pub fn missing(&mut self, name: &str, or: &str) {
        self.contradiction(name, format!("is required{}{or}", self.purpose));
    }

    /// Refuses what no getter has taken.
    pub fn finish(self) {
        let written = self.values.into_iter().flatten();
        for (name, value) in written {
            if self.known.contains(&name.as_str()) {
                continue;
            }
            let message = match nearest(name, self.known.iter().copied()) {
                Some(known) => format!("is not a known key; did you mean {known}?"),
                None => "is not a known key".to_owned(),
            };
            let at = self.child(name, Some(value));
            let mut layers = BTreeSet::new();
            layers_of(self.reading.layers, value, &mut layers);
            for layer in layers {
                let key = at.key.clone();
                self.reading.problem(&At { key, layer }, &message);
            }
        }
    }
}

/// Every layer that wrote a value or something in it.
fn layers_of(layers: &Layers, value: &Value, found: &mut BTreeSet<usize>) {
    match &value.kind {
        ValueKind::Table(table) if !table.is_empty() => {
            table
                .values()
                .for_each(|value| layers_of(layers, value, found));
        }
        _ => drop(found.insert(layers.index_of(value))),
    }
}

/// The names of the keys that `read` takes.
pub fn keys_of<T>(read: impl FnOnce(&mut Table<'_, '_>) -> T) -> Vec<&'static str> {
    let mut findings = Findings::default();
    let layers = Layers::built_in("", &mut findings);
    let mut reading = Reading::new(&layers, findings, false);
    let mut table = reading.root();
    read(&mut table);
    table.known
}
