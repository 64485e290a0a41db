//! The UTF-8 byte order mark, which some editors and programs put before a text.

/// The text after the mark, if there is one.
#[must_use]
pub fn without_byte_order_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}
