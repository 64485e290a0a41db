//! JSON from outside.

use serde::Deserialize;

use super::byte_order_mark::without_byte_order_mark;

/// Parses JSON that another program wrote. A byte order mark before it, which some add, is
/// ignored (RFC 8259 section 8.1).
///
/// # Errors
/// When it is not one whole document of this form.
pub fn parse_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(without_byte_order_mark(bytes))
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
}
