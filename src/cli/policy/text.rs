//! Formatting of names, lists and untrusted text for the output.

use std::fmt::Display;

use crate::domain::{Action, Rule};

/// The longest untrusted text that is shown, in characters.
const MAX_SHOWN: usize = 1024;

/// Untrusted text, escaped for a terminal: it may contain sequences that move the cursor or
/// change the direction of writing.
pub fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", text[..end].escape_debug()),
        None => text.escape_debug().to_string(),
    }
}

/// The same in quotation marks, as in a configuration file.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text))
}

/// The items, separated by commas.
pub fn listed<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(", ")
}

/// A rule's actions, as in a configuration file.
pub fn actions(rule: &Rule) -> String {
    if rule.actions.len() == Action::ALL.len() {
        return "*".to_owned();
    }
    listed(&rule.actions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_text_has_no_control_sequences() {
        let table = [
            ("sub-release", "sub-release"),
            ("a\u{1b}[2Jb\r\n", "a\\u{1b}[2Jb\\r\\n"),
            ("\u{202e}x\u{9b}\u{200b}", "\\u{202e}x\\u{9b}\\u{200b}"),
            ("schl\u{fc}ssel", "schl\u{fc}ssel"),
            ("a\"b", "a\\\"b"),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text), expected);
        }
        let long = "\u{fc}".repeat(MAX_SHOWN + 1);
        assert_eq!(shown(&long).chars().count(), MAX_SHOWN + 1);
        assert!(shown(&long).ends_with('…'));
    }
}
