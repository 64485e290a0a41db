//! JSON from outside.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use zeroize::Zeroizing;

use super::byte_order_mark::without_byte_order_mark;

/// Parses JSON that another program wrote. A byte order mark before it, which some add, is
/// ignored (RFC 8259 section 8.1).
///
/// # Errors
/// When it is not one whole document of this form.
pub fn parse_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(without_byte_order_mark(bytes))
}

/// The deepest nesting that is read leniently; what is nested deeper reads as `null`.
const MAX_NESTING: usize = 64;

/// Parses as [`parse_json`] does, but what is JSON by its grammar (RFC 8259) and yet cannot be
/// represented is not allowed to cost the rest: half of a surrogate pair and what is not UTF-8
/// read as U+FFFD, a number beyond those of 64 bits as 1e308, and what is nested very deep as
/// `null`. Costs more only where there is such a thing.
///
/// # Errors
/// When it is not one whole document of this form.
pub fn parse_json_leniently<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    parse_json(bytes).or_else(|error| {
        if !error.is_syntax() || parse_json::<IgnoredAny>(bytes).is_err() {
            return Err(error);
        }
        let text = Zeroizing::new(String::from_utf8_lossy(bytes).into_owned());
        parse_json(representable(&text).as_bytes())
    })
}

/// A valid document with whatever cannot be represented replaced.
fn representable(document: &str) -> Zeroizing<String> {
    let mut clean = Zeroizing::new(String::with_capacity(document.len()));
    let mut depth = 0_usize;
    let mut rest = document;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string_length(rest),
            '-' | '0'..='9' => rest.find(|c| !is_of_number(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        match first {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let opens_too_deep = matches!(first, '[' | '{') && depth == MAX_NESTING + 1;
        let closes_too_deep = matches!(first, ']' | '}') && depth == MAX_NESTING;
        match first {
            _ if opens_too_deep => clean.push_str("null"),
            _ if closes_too_deep || depth > MAX_NESTING => {}
            '"' => push_string(&mut clean, token),
            '-' | '0'..='9' if token.parse().is_ok_and(f64::is_infinite) => {
                clean.push_str(if first == '-' { "-1e308" } else { "1e308" });
            }
            _ => clean.push_str(token),
        }
    }
    clean
}

fn is_of_number(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E')
}

/// The length of the string at the beginning, with both quotation marks.
fn string_length(text: &str) -> usize {
    let mut is_escaped = true; // the first quotation mark does not end it
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Appends a string, with U+FFFD for each escape of a surrogate that has no other half.
fn push_string(clean: &mut String, mut string: &str) {
    while let Some(at) = string.find('\\') {
        clean.push_str(&string[..at]);
        string = &string[at..];
        let length = match (surrogate(string), string.get(6..).and_then(surrogate)) {
            (Some(0xd800..0xdc00), Some(0xdc00..)) => 12,
            (Some(_), _) => {
                clean.push('\u{fffd}');
                string = &string[6..];
                continue;
            }
            (None, _) => 1 + string[1..].chars().next().map_or(0, char::len_utf8),
        };
        clean.push_str(&string[..length]);
        string = &string[length..];
    }
    clean.push_str(string);
}

/// The surrogate whose escape is at the beginning.
fn surrogate(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let unit = u16::from_str_radix(digits, 16).ok()?;
    (0xd800..0xe000).contains(&unit).then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_order_mark_before_a_document_is_ignored() {
        let read = |text: &str| parse_json::<Vec<u8>>(text.as_bytes()).ok();
        assert_eq!(read("[1]"), Some(vec![1]));
        assert_eq!(read("\u{feff}[1]"), Some(vec![1]));
        assert_eq!(read("\u{feff} [1]"), Some(vec![1]));
        for text in [
            "\u{feff}",
            "\u{feff}\u{feff}[1]",
            "[1]\u{feff}",
            " \u{feff}[1]",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_represented_costs_nothing_else() {
        use serde_json::{Value, json};
        for (odd, read) in [
            (r"1e999", json!(1e308)),
            (r"-1e999", json!(-1e308)),
            (r"[1, 1E+400]", json!([1, 1e308])),
            (r#""\ud83d""#, json!("\u{fffd}")),
            (r#""a\uDE00b""#, json!("a\u{fffd}b")),
            (r#""\ud83d\ud83d\ude00\n""#, json!("\u{fffd}\u{1f600}\n")),
            (
                r#""\\ud83d \ud83d\"1e999""#,
                json!("\\ud83d \u{fffd}\"1e999"),
            ),
            (
                r#"{"\ud83d":{"b":[1e999]}}"#,
                json!({"\u{fffd}": {"b": [1e308]}}),
            ),
        ] {
            let document = format!(r#"{{"a":"é\u00e9","odd":{odd},"z":7}}"#);
            assert!(parse_json::<Value>(document.as_bytes()).is_err(), "{odd}");
            let document = parse_json_leniently::<Value>(document.as_bytes()).unwrap();
            assert_eq!(document, json!({"a": "éé", "odd": read, "z": 7}), "{odd}");
        }
        let latin = parse_json_leniently::<Value>(b"{\"a\":\"\xe9\",\"z\":7}").unwrap();
        assert_eq!(latin, json!({"a": "\u{fffd}", "z": 7}));
        let deep = format!(
            r#"{{"odd":{}{}"]"{},"z":[7]}}"#,
            "[".repeat(200),
            r#"{"a":["#,
            "]}".to_owned() + &"]".repeat(200),
        );
        let deep = parse_json_leniently::<Value>(deep.as_bytes()).unwrap();
        assert_eq!(deep["z"], json!([7]));
    }

    #[test]
    fn what_is_no_json_stays_an_error() {
        use serde_json::Value;
        for text in [
            "",
            "{",
            "01e999",
            "1e999,",
            "[1e999",
            "-",
            r#""\ud83""#,
            r#""\ud83d"#,
            "{1e999:1}",
            "[1e999}",
            "\"\\ud83d\n\"",
        ] {
            assert!(
                parse_json_leniently::<Value>(text.as_bytes()).is_err(),
                "{text}"
            );
        }
    }
}
