//! JSON from outside.

use serde::Deserialize;

/// The UTF-8 byte order mark.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Parses JSON that another program wrote. A byte order mark before it, which some add, is
/// ignored (RFC 8259 section 8.1).
///
/// # Errors
/// When it is not one whole document of this form.
pub fn parse_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes))
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
