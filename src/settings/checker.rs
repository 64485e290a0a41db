//! Takes fields apart, and notes what is wrong with them.
//!
//! The only door between the mirror and the checks. What goes wrong here is told
//! by key and place; a value is handed to a parser and otherwise dropped.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::field::{Field, Shape, Table};
use super::origins::Origins;
use super::problem::{Findings, KeyPath, Place};
use super::raw;
use super::url::{HttpUrl, Reach};

/// What is known while the sections are checked one after the other.
pub(super) struct Checker<'a> {
    origins: &'a Origins,
    /// Every variable; see [`Checker::fall_back`].
    environment: &'a BTreeMap<String, String>,
    /// The variables that stand in for keys nobody wrote.
    stand_ins: BTreeMap<KeyPath, Place>,
    findings: &'a mut Findings,
    /// A gateway runs already, whose callers must not wait for what only time has
    /// changed.
    pub(super) running: bool,
}

impl<'a> Checker<'a> {
    pub(super) fn new(
        origins: &'a Origins,
        environment: &'a BTreeMap<String, String>,
        findings: &'a mut Findings,
    ) -> Self {
        Self {
            origins,
            environment,
            stand_ins: BTreeMap::new(),
            running: false,
            findings,
        }
    }

    /// Notes something that forbids using the configuration.
    pub(super) fn problem(&mut self, key: &KeyPath, message: impl Into<String>) {
        let place = self.place(key);
        self.findings.problem(place, key.clone(), message);
    }

    /// Notes something that deserves a look.
    pub(super) fn warning(&mut self, key: &KeyPath, message: impl Into<String>) {
        let place = self.place(key);
        self.findings.warning(place, key.clone(), message);
    }

    /// Where a key was written, or should have been.
    pub(super) fn place(&self, key: &KeyPath) -> Place {
        let stand_in = self.stand_ins.get(key);
        stand_in.unwrap_or_else(|| self.origins.of(key)).clone()
    }

    /// Whether a variable that is not ours is there. An empty one is not: that is how
    /// a container's environment unsets what its image sets.
    pub(super) fn has_variable(&self, name: &str) -> bool {
        self.environment
            .get(name)
            .is_some_and(|text| !text.is_empty())
    }

    /// Lets a variable that is not ours, but a platform's convention, stand in for a
    /// key that nobody wrote. From then on the variable is the key's place.
    pub(super) fn fall_back(&mut self, key: &KeyPath, field: &mut Field<String>, name: &str) {
        if let Field::Absent = field
            && let Some(text) = self.environment.get(name).filter(|text| !text.is_empty())
        {
            *field = Field::Set(text.clone());
            let place = Place::Variable(name.to_owned());
            self.stand_ins.insert(key.clone(), place);
        }
    }

    /// Which of two keys that do not go together to name: rather one that somebody
    /// wrote than a default.
    pub(super) fn at_fault<'k>(&self, key: &'k KeyPath, other: &'k KeyPath) -> &'k KeyPath {
        match self.origins.of(key) {
            Place::BuiltIn => other,
            Place::File(_) | Place::Variable(_) | Place::Option(_) => key,
        }
    }

    /// The file that a key names, as the program can open it: relative to the directory
    /// of the file that names it, or to the working directory.
    pub(super) fn locate(&self, key: &KeyPath, path: &str) -> PathBuf {
        let place = self.place(key);
        place.directory().unwrap_or(Path::new("")).join(path)
    }

    /// The file that a key names; from then on the configuration depends on it.
    pub(super) fn resolve(&mut self, key: &KeyPath, path: &str) -> PathBuf {
        let path = self.locate(key, path);
        self.findings.file(path.clone());
        path
    }

    /// The value, or none if there is none. The outer none: it is of a wrong type.
    pub(super) fn optional<T: Shape>(
        &mut self,
        key: &KeyPath,
        field: Field<T>,
    ) -> Option<Option<T>> {
        let found = match field {
            Field::Absent => return Some(None),
            Field::Set(value) => return Some(Some(value)),
            Field::Spelled(value) if matches!(self.place(key), Place::Variable(_)) => {
                return Some(Some(value));
            }
            Field::Spelled(_) => "text",
            Field::Wrong(found) => found,
        };
        self.problem(key, format!("must be {}, not {found}", T::WANTED));
        None
    }

    /// The value; a missing one is a problem.
    pub(super) fn required<T: Shape>(&mut self, key: &KeyPath, field: Field<T>) -> Option<T> {
        let value = self.optional(key, field)?;
        if value.is_none() {
            self.problem(key, "is required");
        }
        value
    }

    /// A table with known keys; a missing one is as good as an empty one.
    pub(super) fn section<T: Default>(&mut self, key: &KeyPath, field: raw::Section<T>) -> Option<T>
    where
        Table<T>: Shape,
    {
        let table = self.optional(key, field)?;
        Some(table.map_or_else(T::default, |table| table.0))
    }

    /// A required text, parsed. The error is printed, so it must not hold the text.
    pub(super) fn parsed<T, E: fmt::Display>(
        &mut self,
        key: &KeyPath,
        field: Field<String>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.required(key, field)?;
        self.parse(key, &text, parse)
    }

    /// A text that is there, parsed.
    pub(super) fn parse<T, E: fmt::Display>(
        &mut self,
        key: &KeyPath,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(key, error.to_string());
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &KeyPath,
        field: Field<String>,
        words: &[(&str, T)],
    ) -> Option<T> {
        self.parsed(key, field, |text| {
            let found = words.iter().find(|(word, _)| *word == text);
            found.map(|(_, value)| *value).ok_or_else(|| {
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                format!("must be one of {}", words.join(", "))
            })
        })
    }

    /// A number within limits.
    pub(super) fn number(
        &mut self,
        key: &KeyPath,
        field: Field<u64>,
        limits: RangeInclusive<u64>,
    ) -> Option<u64> {
        let number = self.required(key, field)?;
        if limits.contains(&number) {
            return Some(number);
        }
        let (least, most) = limits.into_inner();
        self.problem(key, format!("must be {least} to {most}"));
        None
    }

    /// A number of things or bytes, within limits.
    pub(super) fn count(
        &mut self,
        key: &KeyPath,
        field: Field<u64>,
        limits: RangeInclusive<u64>,
    ) -> Option<usize> {
        let number = self.number(key, field, limits)?;
        // The limits are far below what a 32-bit machine can count.
        usize::try_from(number).ok()
    }

    /// A duration in seconds, within limits.
    pub(super) fn seconds(
        &mut self,
        key: &KeyPath,
        field: Field<u64>,
        limits: RangeInclusive<u64>,
    ) -> Option<Duration> {
        self.number(key, field, limits).map(Duration::from_secs)
    }

    /// A duration in milliseconds, within limits.
    pub(super) fn millis(
        &mut self,
        key: &KeyPath,
        field: Field<u64>,
        limits: RangeInclusive<u64>,
    ) -> Option<Duration> {
        self.number(key, field, limits).map(Duration::from_millis)
    }

    /// Holds an address that tokens are sent to against the rule about plain HTTP.
    pub(super) fn token_goes_to(&mut self, key: &KeyPath, url: &HttpUrl, plain_http: bool) {
        let exempt = Exempt {
            reaches: &[Reach::Loopback],
            names: "loopback",
        };
        self.token_goes_to_unless(key, url, plain_http, exempt);
    }

    /// As [`Checker::token_goes_to`], with other exemptions.
    pub(super) fn token_goes_to_unless(
        &mut self,
        key: &KeyPath,
        url: &HttpUrl,
        plain_http: bool,
        exempt: Exempt,
    ) {
        if url.secure || exempt.reaches.contains(&url.reach) {
            return;
        }
        if plain_http {
            self.warning(
                key,
                "tokens and secrets cross the network unprotected: it is plain HTTP",
            );
        } else {
            let message = format!(
                "must be https: plain HTTP would show tokens and secrets to the network (only \
                 {} may do without, or everything with portal.allow_plain_http)",
                exempt.names
            );
            self.problem(key, message);
        }
    }
}

/// What may be reached over plain HTTP, and what that is called.
#[derive(Clone, Copy)]
pub(super) struct Exempt {
    pub(super) reaches: &'static [Reach],
    pub(super) names: &'static str,
}
