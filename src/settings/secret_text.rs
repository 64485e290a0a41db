//! What a secret must not contain, because it got there by accident.
//!
//! Editors and shells put things around a secret that are sent as part of it, and the other
//! side then says no more than that the secret is wrong: a byte order mark, line breaks,
//! blanks.

/// What was put around a secret, or into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("begins with a byte order mark; write UTF-8 without one")]
    ByteOrderMark,
    #[error("is UTF-16 text; write UTF-8 without a byte order mark")]
    Utf16,
    #[error("is not UTF-8 text")]
    NotText,
    #[error(
        "contains a control character, such as a tab or another line break than one at the end \
         of a file; write the secret alone, on one line"
    )]
    Control,
}

/// What to say about [`has_outer_blanks`].
pub const OUTER_BLANKS: &str = "begins or ends with a blank, which is part of the secret as it is \
                                written; remove it if that is not meant";

/// What is wrong with a text as a secret.
pub fn fault(text: &str) -> Option<Fault> {
    if text.starts_with('\u{feff}') {
        return Some(Fault::ByteOrderMark);
    }
    text.contains(char::is_control).then_some(Fault::Control)
}

/// The secret in a file's content. One line break at its end, as an editor or `echo` adds it,
/// is not part of it.
///
/// # Errors
/// [`Fault`]
pub fn of_file(content: &[u8]) -> Result<&str, Fault> {
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        return Err(Fault::Utf16);
    }
    let text = std::str::from_utf8(content).map_err(|_| Fault::NotText)?;
    let line = text.strip_suffix('\n');
    let text = line.map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    fault(text).map_or(Ok(text), Err)
}

/// Whether there is white space around it: legal, and seldom meant.
pub fn has_outer_blanks(text: &str) -> bool {
    text.trim() != text
}
