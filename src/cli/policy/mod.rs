//! `offergate policy …`: who may do what, and why.
//!
//! Everything is decided by the gateway's own `Policy` and `Tokens`: what is said
//! here is what the gateway does.

mod case;
mod explain;
mod refusal;
mod table;
mod token;

use std::fmt::Display;
use std::process::ExitCode;

use clap::Subcommand;

use super::config_args::ConfigArgs;
use crate::domain::{Action, Rule};

/// The longest text of somebody else's that is shown, in characters.
const MAX_SHOWN: usize = 1024;

#[derive(Subcommand)]
pub enum PolicyCommand {
    /// Say whether somebody may do something, and by which rule of which file
    #[command(after_help = explain::AFTER_HELP)]
    Explain(Box<explain::ExplainArgs>),
    /// Print who may do what: one line for each rule of each caller
    Table(ConfigArgs),
}

pub fn run(command: PolicyCommand) -> ExitCode {
    match command {
        PolicyCommand::Explain(args) => explain::run(*args),
        PolicyCommand::Table(config) => table::run(config),
    }
}

/// A text of somebody else's as a terminal can be trusted with it: it may hold
/// sequences that move the cursor, or turn the direction of writing.
fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", text[..end].escape_debug()),
        None => text.escape_debug().to_string(),
    }
}

/// The same in quotation marks, as a configuration file would have it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text))
}

/// The words, with commas between them.
fn listed<T: Display>(words: impl IntoIterator<Item = T>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| word.to_string()).collect();
    words.join(", ")
}

/// A rule's actions as they would be written.
fn actions(rule: &Rule) -> String {
    if rule.actions.len() == Action::ALL.len() {
        return "*".to_owned();
    }
    listed(&rule.actions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acts_on_the_terminal() {
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
