//! Texts that are checked, and words for what was found instead.

use config::{Value, ValueKind};

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
