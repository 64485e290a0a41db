//! Commands, options and exit codes, as the command line's own parser knows them.

use std::collections::BTreeSet;

use clap::Command;

use crate::markdown::{code, only_code, page, pages};
use crate::{assert_none, assert_same};

/// Every command that does something, and its options.
fn leaves(command: &Command, path: &str, found: &mut Vec<(String, BTreeSet<String>)>) {
    let subcommands: Vec<&Command> = command.get_subcommands().collect();
    if subcommands.is_empty() {
        let options = command
            .get_arguments()
            .filter_map(|argument| argument.get_long());
        let options = options.map(|name| format!("--{name}")).collect();
        found.push((path.to_owned(), options));
    }
    for subcommand in subcommands {
        leaves(
            subcommand,
            &format!("{path} {}", subcommand.get_name()),
            found,
        );
    }
}

fn commands() -> Vec<(String, BTreeSet<String>)> {
    let mut found = Vec::new();
    leaves(&offergate::cli::command(), "offergate", &mut found);
    found
}

#[test]
fn every_command_is_documented() {
    let rows = page("docs/operating.md").rows("command | does");
    let documented = rows.iter().map(|row| only_code(&row[0]).to_owned());
    let real = commands().into_iter().map(|(name, _)| name);
    assert_same("commands", documented.collect(), real.collect());
}

#[test]
fn every_exit_code_is_documented() {
    let rows = page("docs/operating.md").rows("exit code | meaning");
    let documented = rows.iter().map(|row| row[0].clone());
    let help = offergate::cli::command()
        .get_after_help()
        .unwrap()
        .to_string();
    let codes = help
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let codes = codes.filter(|word| word.bytes().all(|b| b.is_ascii_digit()));
    assert_same(
        "exit codes",
        documented.collect(),
        codes.map(str::to_owned).collect(),
    );
}

#[test]
fn every_option_is_documented_and_no_other() {
    let commands = commands();
    let (mut mentioned, mut wrong) = (BTreeSet::new(), Vec::new());
    for page in pages() {
        let spans = page.prose().flat_map(|(_, line)| code(line));
        let blocks = page.blocks();
        let joined = blocks.iter().map(|block| block.text.replace("\\\n", " "));
        let joined: Vec<String> = joined.collect();
        let lines = joined.iter().flat_map(|text| text.lines());
        for text in spans.chain(lines) {
            let text = text
                .trim_start_matches("$ ")
                .replace("cargo run --release -- ", "offergate ");
            let mut words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
            let is_ours = text.starts_with("offergate ");
            let options: BTreeSet<String> = words
                .by_ref()
                .filter(|word| word.starts_with("--") && word.len() > 2)
                .map(str::to_owned)
                .collect();
            if is_ours {
                let command = commands
                    .iter()
                    .filter(|(name, _)| text.starts_with(name.as_str()));
                for (name, known) in command {
                    let unknown = options.iter().filter(|option| !known.contains(*option));
                    wrong.extend(unknown.map(|option| format!("{}: {name} {option}", page.name)));
                }
            }
            // A span that is an option alone.
            if is_ours || text.starts_with("--") {
                mentioned.extend(options);
            }
        }
    }
    let real: BTreeSet<String> = commands
        .into_iter()
        .flat_map(|(_, options)| options)
        .collect();
    let real: BTreeSet<String> = real
        .into_iter()
        .filter(|name| !matches!(name.as_str(), "--help" | "--version"))
        .collect();
    mentioned.retain(|option| option != "--help");
    assert_none("options that a command has not", wrong);
    // Options of other programs, that stand in tables of commands of our own.
    assert_same("options", mentioned, real);
}

#[test]
fn every_option_of_the_sandbox_has_a_row() {
    let rows = page("docs/sandbox.md").rows("option | meaning");
    let documented = rows.iter().flat_map(|row| code(&row[0])).map(str::to_owned);
    let (_, real) = commands()
        .into_iter()
        .find(|(name, _)| name == "offergate sandbox")
        .unwrap();
    assert_same("options of the sandbox", documented.collect(), real);
}
