//! Tables within tables, lists, tables whose keys are names, and what is left over.

use std::collections::BTreeSet;

use config::{Value, ValueKind};

use super::{At, KeyKind, Layers, Reading, Table};
use crate::settings::findings::Findings;

/// An entry of a table whose keys are names of the operator's choice.
pub(in crate::settings) struct Named<'v> {
    pub(in crate::settings) name: &'v str,
    pub(in crate::settings) at: At,
    pub(in crate::settings) value: Option<&'v Value>,
}

impl<'v> Table<'_, 'v> {
    /// A table; a missing one is as good as an empty one.
    pub fn table<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Table<'_, 'v>) -> Option<T>,
    ) -> Option<T> {
        let (at, value) = self.take(name, KeyKind::Table);
        self.reading.table(at, value, read)
    }

    /// A table that may be absent.
    pub fn optional_table<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Table<'_, 'v>) -> Option<T>,
    ) -> Option<Option<T>> {
        if !self.has(name) && self.reading.inventory.is_none() {
            self.take(name, KeyKind::Table);
            return Some(None);
        }
        self.table(name, read).map(Some)
    }

    /// A list of tables; a missing one is as good as an empty one.
    pub fn tables<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&mut Table<'_, 'v>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let (at, value) = self.take(name, KeyKind::Table);
        let list = match value {
            Some(value) => self.reading.list(&at, value)?,
            None if self.reading.inventory.is_some() => {
                let key = format!("{}[]", at.key);
                return self
                    .reading
                    .table(At { key, ..at }, None, read)
                    .map(|one| vec![one]);
            }
            None => Vec::new(),
        };
        let elements: Vec<Option<T>> = list
            .into_iter()
            .map(|(at, value)| self.reading.table(at, Some(value), &mut read))
            .collect();
        elements.into_iter().collect()
    }

    /// A list of texts. If it is there it must not be empty, because of what `empty` says.
    pub fn texts<T>(
        &mut self,
        name: &'static str,
        empty: &str,
        mut read: impl FnMut(&mut Reading<'v>, &At, &'v str) -> Option<T>,
    ) -> Option<Option<Vec<T>>> {
        let (at, value) = self.take(name, KeyKind::Texts);
        let Some(value) = value else {
            return Some(None);
        };
        let list = self.reading.list(&at, value)?;
        if list.is_empty() {
            let message = format!("must not be empty: {empty}");
            return self.reading.good(&at, Err(message));
        }
        let mut elements = Vec::with_capacity(list.len());
        for (at, value) in list {
            let text = self.reading.text(&at, value);
            elements.push(text.and_then(|text| read(self.reading, &at, text)));
        }
        elements.into_iter().collect::<Option<_>>().map(Some)
    }

    /// As [`Self::texts`], but one text may stand for a list of one.
    pub fn text_or_texts<T>(
        &mut self,
        name: &'static str,
        empty: &str,
        mut read: impl FnMut(&mut Reading<'v>, &At, &'v str) -> Option<T>,
    ) -> Option<Option<Vec<T>>> {
        match self.value(name).map(|value| (value, &value.kind)) {
            Some((_, ValueKind::Array(_))) => self.texts(name, empty, read),
            None | Some((_, ValueKind::String(_))) => match self.text(name)? {
                Some((at, text)) => read(self.reading, &at, text).map(|one| Some(vec![one])),
                None => Some(None),
            },
            Some((value, _)) => {
                let (at, _) = self.take(name, KeyKind::Text);
                let found = kind_of(value);
                let message = format!("must be text or a list of texts, not {found}");
                self.reading.good(&at, Err(message))
            }
        }
    }

    /// A table whose keys are names of the operator's choice, and whose values are all of
    /// one kind, sorted by name.
    pub fn names(&mut self, name: &'static str, kind: KeyKind) -> Option<Option<Vec<Named<'v>>>> {
        let (at, value) = self.take(name, KeyKind::Table);
        let values = match value.map(|value| (value, &value.kind)) {
            None if self.reading.inventory.is_some() => {
                let at = self.reading.below(&at, "NAME", at.layer);
                if let Some(inventory) = &mut self.reading.inventory {
                    inventory.insert(at.key.clone(), kind);
                }
                let name = "NAME";
                return Some(Some(vec![Named {
                    name,
                    at,
                    value: None,
                }]));
            }
            None => return Some(None),
            Some((_, ValueKind::Table(values))) => values,
            Some((value, _)) => {
                let message = format!("must be a table, not {}", kind_of(value));
                return self.reading.good(&at, Err(message));
            }
        };
        let named = |(name, value): (&'v String, &'v Value)| {
            let layer = self.reading.layers.index_of(value);
            Named {
                name,
                at: self.reading.below(&at, name, layer),
                value: Some(value),
            }
        };
        let mut names: Vec<Named<'v>> = values.iter().map(named).collect();
        names.sort_by_key(|named| named.name);
        Some(Some(names))
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

impl<'v> Reading<'v> {
    /// The elements of a list.
    fn list(&mut self, at: &At, value: &'v Value) -> Option<Vec<(At, &'v Value)>> {
        let ValueKind::Array(list) = &value.kind else {
            let found = kind_of(value);
            let message = format!("must be a list (which only a file can hold), not {found}");
            return self.good(at, Err(message));
        };
        let element = |(index, value)| {
            let key = format!("{}[{index}]", at.key);
            let layer = self.layers.index_of(value);
            (At { key, layer }, value)
        };
        Some(list.iter().enumerate().map(element).collect())
    }

    fn below(&self, at: &At, name: &str, layer: usize) -> At {
        let key = format!("{}.{}", at.key, quoted(name));
        At { key, layer }
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
    let mut reading = Reading::new(&layers, findings, None);
    let mut table = reading.root();
    read(&mut table);
    table.known
}

/// Parses one of a few words.
pub fn one_of<T: Copy>(words: &[(&str, T)]) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            format!("must be one of {}", words.join(", "))
        })
    }
}

/// Parses text of 1 to `max` legal bytes, which the error calls `what`.
pub fn limited(
    max: usize,
    is_legal: impl Fn(u8) -> bool,
    what: &str,
) -> impl Fn(&str) -> Result<String, String> {
    move |text| {
        if (1..=max).contains(&text.len()) && text.bytes().all(&is_legal) {
            Ok(text.to_owned())
        } else {
            Err(format!("must be 1 to {max} {what}"))
        }
    }
}

/// The known name that was most likely meant, if one is close enough.
#[must_use]
pub fn nearest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let known = known.into_iter();
    let (_, name) = known
        .map(|name| (strsim::levenshtein(name, written), name))
        .min()
        .filter(|(distance, name)| *distance <= 2 && *distance < name.len() / 2)?;
    Some(name)
}

/// A key as TOML would write it: a quoted key may hold anything, line breaks included.
pub fn quoted(name: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(bare) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.escape_debug())
    }
}

/// What a value is, to follow "not".
pub fn kind_of(value: &Value) -> &'static str {
    match &value.kind {
        ValueKind::Nil => "nothing",
        ValueKind::Boolean(_) => "true or false",
        ValueKind::Float(_) => "a fraction",
        ValueKind::String(_) => "text",
        ValueKind::Table(_) => "a table",
        ValueKind::Array(_) => "a list",
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => {
            "a whole number"
        }
    }
}
