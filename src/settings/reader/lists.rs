//! Getters of what holds other values: tables, lists, tables whose keys are names.

use config::{Value, ValueKind};

use super::cursor::{At, KeyKind, Reading, Table};
use super::words::quoted;

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
        if let Some(ValueKind::Array(_)) = self.value(name).map(|value| &value.kind) {
            return self.texts(name, empty, read);
        }
        let (at, value) = self.take(name, KeyKind::Text);
        match value.map(|value| (value, &value.kind)) {
            None => Some(None),
            Some((_, ValueKind::String(text))) => {
                read(self.reading, &at, text).map(|one| Some(vec![one]))
            }
            Some((value, _)) => {
                let expected = "text or a list of texts";
                self.reading.wrong_kind(&at, expected, value)
            }
        }
    }

    /// A table whose keys are names of the operator's choice, and whose values are all of
    /// one kind, sorted by name.
    pub fn names(&mut self, name: &'static str, kind: KeyKind) -> Option<Option<Vec<Named<'v>>>> {
        let (at, value) = self.take(name, KeyKind::Table);
        let values = match value {
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
            Some(value) => self.reading.entries(&at, value)?,
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
}

impl<'v> Reading<'v> {
    /// The elements of a list.
    fn list(&mut self, at: &At, value: &'v Value) -> Option<Vec<(At, &'v Value)>> {
        let ValueKind::Array(list) = &value.kind else {
            return self.wrong_kind(at, "a list (which only a file can hold)", value);
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
