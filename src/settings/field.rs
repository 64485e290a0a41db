//! A place in the serde mirror that takes whatever was written there.
//!
//! Deserializing stops at the first error, and serde's errors repeat the value.
//! A [`Field`] never fails: it remembers that the type was wrong, so that all
//! problems can be reported together, in our own words.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// What was found under a key.
#[derive(Default)]
pub(super) enum Field<T> {
    /// Nothing.
    #[default]
    Absent,
    /// A value of the right type.
    Set(T),
    /// A text that spells one: right in an environment variable, which can hold
    /// nothing but text, and wrong in a file.
    Spelled(T),
    /// Something else; the name of its type.
    Wrong(&'static str),
}

/// A type that a field can have.
pub(super) trait Shape: Sized {
    /// What the field must be, to follow "must be".
    const WANTED: &'static str;

    /// Takes a boolean.
    fn boolean(_: bool) -> Option<Self> {
        None
    }
    /// Takes an integer.
    fn integer(_: i64) -> Option<Self> {
        None
    }
    /// Takes a text.
    fn text(_: String) -> Option<Self> {
        None
    }
    /// Takes a text that spells a value of another type.
    fn spelled(_: &str) -> Option<Self> {
        None
    }
    /// Takes a list; it must not fail if its elements do not.
    fn list<'de, A: SeqAccess<'de>>(_: A) -> Result<Option<Self>, A::Error> {
        Ok(None)
    }
    /// Takes a table; it must not fail if its values do not.
    fn table<'de, A: MapAccess<'de>>(_: A) -> Result<Option<Self>, A::Error> {
        Ok(None)
    }
}

impl Shape for String {
    const WANTED: &'static str = "text";

    fn text(text: String) -> Option<Self> {
        Some(text)
    }
}

impl Shape for bool {
    const WANTED: &'static str = "true or false";

    fn boolean(value: bool) -> Option<Self> {
        Some(value)
    }

    fn spelled(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Shape for u64 {
    const WANTED: &'static str = "a whole number";

    fn integer(value: i64) -> Option<Self> {
        value.try_into().ok()
    }

    fn spelled(text: &str) -> Option<Self> {
        // `parse` alone would also take "+5".
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    }
}

impl<T: for<'de> Deserialize<'de>> Shape for Vec<T> {
    const WANTED: &'static str = "a list (which only a file can hold)";

    fn list<'de, A: SeqAccess<'de>>(mut elements: A) -> Result<Option<Self>, A::Error> {
        let mut list = Self::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Some(list))
    }
}

/// A text, or a list of them.
pub(super) enum OneOrMore {
    One(String),
    More(Vec<Field<String>>),
}

impl Shape for OneOrMore {
    const WANTED: &'static str = "text or a list of texts";

    fn text(text: String) -> Option<Self> {
        Some(Self::One(text))
    }

    fn list<'de, A: SeqAccess<'de>>(elements: A) -> Result<Option<Self>, A::Error> {
        Ok(Vec::list(elements)?.map(Self::More))
    }
}

impl<T: for<'de> Deserialize<'de>> Shape for BTreeMap<String, T> {
    const WANTED: &'static str = "a table";

    fn table<'de, A: MapAccess<'de>>(entries: A) -> Result<Option<Self>, A::Error> {
        Self::deserialize(MapAccessDeserializer::new(entries)).map(Some)
    }
}

/// A table with known keys.
pub(super) struct Table<T>(pub(super) T);

impl<T: for<'de> Deserialize<'de>> Shape for Table<T> {
    const WANTED: &'static str = "a table";

    fn table<'de, A: MapAccess<'de>>(entries: A) -> Result<Option<Self>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(entries)).map(|table| Some(Self(table)))
    }
}

impl<'de, T: Shape> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyShape(PhantomData))
    }
}

struct AnyShape<T>(PhantomData<T>);

impl<'de, T: Shape> Visitor<'de> for AnyShape<T> {
    type Value = Field<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WANTED)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(T::boolean(value).map_or(Field::Wrong("true or false"), Field::Set))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        let kind = if value < 0 {
            "a negative number"
        } else {
            "a whole number"
        };
        Ok(T::integer(value).map_or(Field::Wrong(kind), Field::Set))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Field::Wrong("a fraction"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(match T::spelled(&text) {
            Some(value) => Field::Spelled(value),
            None => T::text(text).map_or(Field::Wrong("text"), Field::Set),
        })
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Field::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Self::Value, A::Error> {
        Ok(T::list(elements)?.map_or(Field::Wrong("a list"), Field::Set))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
        Ok(T::table(entries)?.map_or(Field::Wrong("a table"), Field::Set))
    }
}
