//! Getters of single values: texts, numbers, flags.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use config::ValueKind;

use super::cursor::{At, KeyKind, Table};
use super::words::kind_of;
use crate::settings::findings::Layer;

impl<'v> Table<'_, 'v> {
    /// Text as it was written, and where.
    pub fn text(&mut self, name: &'static str) -> Option<Option<(At, &'v str)>> {
        let (at, value) = self.take(name, KeyKind::Text);
        let Some(value) = value else {
            return Some(None);
        };
        let text = self.reading.text(&at, value)?;
        Some(Some((at, text)))
    }

    pub fn optional<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Option<T>> {
        match self.text(name)? {
            Some((at, text)) => self.reading.good(&at, parse(text)).map(Some),
            None => Some(None),
        }
    }

    pub fn required<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let found = self.optional(name, parse);
        self.needed(name, found)
    }

    pub fn optional_number(
        &mut self,
        name: &'static str,
        limits: RangeInclusive<u64>,
    ) -> Option<Option<u64>> {
        let (least, most) = (*limits.start(), *limits.end());
        let (at, Some(value)) = self.take(name, KeyKind::Number { least, most }) else {
            return Some(None);
        };
        let (is_number, number) = match &value.kind {
            ValueKind::I64(number) => (true, u64::try_from(*number).ok()),
            // `parse` alone would also accept "+5".
            ValueKind::String(text) if self.is_variable(&at) && is_digits(text) => {
                (true, text.parse().ok())
            }
            _ => (false, None),
        };
        if let Some(number) = number.filter(|number| limits.contains(number)) {
            return Some(Some(number));
        }
        let mut message = format!("must be a whole number from {least} to {most}");
        if !is_number {
            message.push_str(", not ");
            message.push_str(kind_of(value));
        }
        self.reading.good(&at, Err(message))
    }

    pub fn number(&mut self, name: &'static str, limits: RangeInclusive<u64>) -> Option<u64> {
        let found = self.optional_number(name, limits);
        self.needed(name, found)
    }

    pub fn count(&mut self, name: &'static str, limits: RangeInclusive<u64>) -> Option<usize> {
        // The limits are far below what a 32-bit machine can count.
        usize::try_from(self.number(name, limits)?).ok()
    }

    pub fn seconds(&mut self, name: &'static str, limits: RangeInclusive<u64>) -> Option<Duration> {
        self.number(name, limits).map(Duration::from_secs)
    }

    pub fn millis(&mut self, name: &'static str, limits: RangeInclusive<u64>) -> Option<Duration> {
        self.number(name, limits).map(Duration::from_millis)
    }

    pub fn flag(&mut self, name: &'static str) -> Option<bool> {
        let (at, value) = self.take(name, KeyKind::Flag);
        let Some(value) = value else {
            return self.needed(name, Some(None));
        };
        let flag = match &value.kind {
            ValueKind::Boolean(flag) => Some(*flag),
            ValueKind::String(text) if self.is_variable(&at) => text.parse().ok(),
            _ => None,
        };
        flag.or_else(|| self.reading.wrong_kind(&at, "true or false", value))
    }

    fn is_variable(&self, at: &At) -> bool {
        matches!(self.reading.layer(at), Layer::Variable(_))
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}
