//! Holds the house to its plan (DESIGN, section 3): which room may name which,
//! in one table, without circles; and a few habits that no lint knows.
//!
//! It reads the code as tokens, so that comments, doc links and strings count for
//! nothing, and every spelling of a path counts: `use crate::{a, b}`, `crate::a::f()`
//! in the middle of a function, and a chain of `super` that climbs out of its room.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms a room may name, besides itself, `domain` and `telemetry`.
/// To change this table is to change the design.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("telemetry", &[]),
    ("settings", &[]),
    ("policy", &[]),
    ("ledger", &[]),
    ("transport", &[]),
    ("identity", &["transport"]),
    ("credential", &["transport"]),
    ("portal", &["transport"]),
    ("operation", &["policy", "ledger", "credential", "portal"]),
    ("http", &["identity", "policy", "operation", "ledger"]),
    ("admin", &["credential", "ledger", "operation"]),
    ("startup", ALL_BUT_CLI),
    ("cli", EVERYTHING),
    ("sandbox", &[]),
    // Not rooms, but files beside them.
    ("main", &["cli"]),
    ("lib", &[]),
];

const EVERYTHING: &[&str] = &[
    "admin",
    "credential",
    "http",
    "identity",
    "ledger",
    "operation",
    "policy",
    "portal",
    "sandbox",
    "settings",
    "startup",
    "transport",
];
const ALL_BUT_CLI: &[&str] = &[
    "admin",
    "credential",
    "http",
    "identity",
    "ledger",
    "operation",
    "policy",
    "portal",
    "sandbox",
    "settings",
    "transport",
];
/// What everyone may name, except for those who name nobody.
const COMMON: [&str; 2] = ["domain", "telemetry"];
/// Rooms that do not name even the common ones: what everyone stands on, and
/// the sandbox, which could not contradict us if it shared our code.
const ALONE: [&str; 3] = ["domain", "lib", "sandbox"];

/// More than this is two ideas.
const MAX_LINES: usize = 400;

#[test]
fn every_import_follows_an_arrow() {
    let mut wrong = Vec::new();
    let mut named = 0;
    let mut rooms = BTreeSet::new();
    for file in sources() {
        let room = file.room();
        rooms.insert(room.clone());
        for (line, target) in paths(&tokens(&file.text), file.depth()) {
            named += 1;
            if !may(&room, &target) {
                wrong.push(format!("{}:{line}: {room} -> {target}", file.name));
            }
        }
    }
    let listed: BTreeSet<String> = ARROWS.iter().map(|(room, _)| (*room).to_owned()).collect();
    assert_eq!(rooms, listed, "the rooms in src/, and those in the list");
    assert!(named > 50, "only {named} paths found: the reader is blind");
    assert!(wrong.is_empty(), "against the plan:\n{}", wrong.join("\n"));
}

#[test]
fn the_arrows_make_no_circle() {
    let mut rest: BTreeMap<&str, BTreeSet<&str>> = ARROWS
        .iter()
        .map(|(room, targets)| (*room, targets.iter().copied().collect()))
        .collect();
    while !rest.is_empty() {
        let free =
            |(room, targets): (&&'static str, &BTreeSet<&str>)| targets.is_empty().then_some(*room);
        let leaf = rest.iter().find_map(free);
        let leaf = leaf.unwrap_or_else(|| panic!("a circle among {:?}", rest.keys()));
        rest.remove(leaf);
        for targets in rest.values_mut() {
            targets.remove(leaf);
        }
    }
    assert!(!may("credential", "portal") && !may("portal", "credential"));
    for (room, targets) in ARROWS {
        let configures = matches!(*room, "cli" | "startup");
        assert_eq!(targets.contains(&"settings"), configures, "{room}");
    }
}

#[test]
fn every_file_is_one_idea_and_says_which() {
    let mut wrong = Vec::new();
    for file in sources() {
        let lines = file.text.lines().count();
        if lines > MAX_LINES {
            wrong.push(format!("{}: {lines} lines", file.name));
        }
        if !file.text.starts_with("//! ") {
            wrong.push(format!("{}: does not begin with //!", file.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_transport_knows_awc_and_only_the_command_line_prints() {
    let mut wrong = Vec::new();
    for file in sources() {
        let tokens = tokens(&file.text);
        for pair in tokens.windows(2) {
            let (line, here) = (pair[0].0, (pair[0].1.as_str(), pair[1].1.as_str()));
            let client = matches!(here, ("awc", "::") | ("use", "awc"));
            if client && file.room() != "transport" {
                wrong.push(format!("{}:{line}: names awc", file.name));
            }
            let prints = matches!(here, ("print" | "println" | "eprint" | "eprintln", "!"));
            if prints && file.room() != "cli" {
                wrong.push(format!("{}:{line}: {}!", file.name, here.0));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_policy_makes_targets_and_only_the_ledger_gives_them_back() {
    for (constructor, makers) in [("permitted", ["policy"]), ("recorded", ["ledger"])] {
        let mut found = BTreeSet::new();
        for file in sources() {
            let tokens = tokens(&file.text);
            let text = |at: usize| tokens.get(at).map_or("", |token| token.1.as_str());
            let calls = |at| text(at) == "Target" && text(at + 1) == "::";
            if (0..tokens.len()).any(|at| calls(at) && text(at + 2) == constructor) {
                found.insert(file.room());
            }
        }
        assert_eq!(found, makers.map(str::to_owned).into(), "{constructor}");
    }
}

#[test]
fn the_reader_sees_every_spelling_and_nothing_else() {
    let text = r##"
        //! crate::comment
        /* crate::block /* crate::nested */ */
        use crate::plain::Thing;
        use crate::{group, nested::{inner::A, B}, third as other};
        fn f<'a>(c: char) -> bool { c == '"' || crate::body::is("crate::string\"") || c == '\'' }
        const RAW: &str = r#"" crate::raw "#;
        use super::sibling;
        use super::super::climbed;
        mod tests { use super::super::home; use super::super::super::further::x; }
        pub(in crate::visible) struct S;
        macro_rules! m { () => { $crate::hygienic::f() } }
    "##;
    let found: Vec<String> = paths(&tokens(text), 2).into_iter().map(|p| p.1).collect();
    let expected = [
        "plain", "group", "nested", "third", "body", "climbed", "further", "visible", "hygienic",
    ];
    assert_eq!(found, expected);
}

/// A file of `src/`.
struct Source {
    /// Relative to `src/`.
    path: PathBuf,
    name: String,
    text: String,
}

impl Source {
    /// The first level of the path: a directory or a file.
    fn room(&self) -> String {
        let first = self.path.iter().next().unwrap();
        Path::new(first)
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .into_owned()
    }

    /// How many modules deep it is: 1 for a room, 0 for the crate itself.
    fn depth(&self) -> usize {
        let stem = self.path.file_stem().unwrap();
        let levels = self.path.iter().count();
        if stem == "mod" || (levels == 1 && (stem == "lib" || stem == "main")) {
            levels - 1
        } else {
            levels
        }
    }
}

/// Every Rust file of `src/`. There are some, or this fails.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&root).unwrap().to_owned();
                files.push(Source {
                    name: format!("src/{}", relative.display()),
                    text: fs::read_to_string(&path).unwrap(),
                    path: relative,
                });
            }
        }
    }
    assert!(
        files.len() > ARROWS.len(),
        "only {} files read",
        files.len()
    );
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

fn may(room: &str, target: &str) -> bool {
    let arrows = ARROWS.iter().find(|(name, _)| *name == room);
    room == target
        || (COMMON.contains(&target) && !ALONE.contains(&room))
        || arrows.is_some_and(|(_, targets)| targets.contains(&target))
}

/// A line's number, and a word or a mark on it.
type Token = (usize, String);

/// The rooms that a file names, each with its line. `depth` is how many modules
/// deep the file is.
fn paths(tokens: &[Token], depth: usize) -> Vec<(usize, String)> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.1.as_str());
    let mut found = Vec::new();
    // Inline modules: how many braces were open before each of them.
    let (mut inline, mut braces) = (Vec::new(), 0_usize);
    let mut at = 0;
    while at < tokens.len() {
        match text(at) {
            "{" => {
                if at >= 2 && text(at - 2) == "mod" {
                    inline.push(braces);
                }
                braces += 1;
            }
            "}" => {
                braces -= 1;
                inline.pop_if(|before| *before == braces);
            }
            "crate" | "offergate" if text(at + 1) == "::" => {
                found.extend(targets(tokens, at + 2));
            }
            "super" => {
                let mut climbs = 1;
                while text(at + 1) == "::" && text(at + 2) == "super" {
                    at += 2;
                    climbs += 1;
                }
                if climbs >= depth + inline.len() && text(at + 1) == "::" {
                    found.extend(targets(tokens, at + 2));
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The first names behind `crate::`, which are several in a group.
fn targets(tokens: &[Token], at: usize) -> Vec<(usize, String)> {
    let Some((line, text)) = tokens.get(at) else {
        return Vec::new();
    };
    if text != "{" {
        return vec![(*line, text.clone())];
    }
    let mut names = Vec::new();
    let (mut depth, mut fresh) = (0, false);
    for (line, text) in &tokens[at..] {
        match text.as_str() {
            "{" => {
                depth += 1;
                fresh = depth == 1;
            }
            "}" => depth -= 1,
            "," => fresh = depth == 1,
            _ if fresh => {
                names.push((*line, text.clone()));
                fresh = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// Words and marks, without comments, strings, characters and lifetimes.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let get = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens: Vec<Token> = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let begin = at;
        match get(at) {
            '/' if get(at + 1) == '/' => at = find(&chars, at, "\n"),
            '/' if get(at + 1) == '*' => at = after_block_comment(&chars, at),
            '"' => at = after_string(&chars, at),
            '\'' if get(at + 1) == '\\' => at = find(&chars, at + 3, "'") + 1,
            '\'' if get(at + 2) == '\'' => at += 3,
            '\'' => at += 1,
            ':' if get(at + 1) == ':' => {
                tokens.push((line, "::".to_owned()));
                at += 2;
            }
            c if word(c) => {
                while word(get(at)) {
                    at += 1;
                }
                let text: String = chars[begin..at].iter().collect();
                let raw = matches!(text.as_str(), "r" | "br" | "cr");
                let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
                if raw && get(at + hashes) == '"' {
                    let end = format!("\"{}", "#".repeat(hashes));
                    at = find(&chars, at + hashes + 1, &end) + end.len();
                } else {
                    tokens.push((line, text));
                }
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push((line, c.to_string()));
                }
                at += 1;
            }
        }
        let end = at.min(chars.len());
        line += chars[begin..end].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

/// Where `what` begins, or the end.
fn find(chars: &[char], from: usize, what: &str) -> usize {
    let what: Vec<char> = what.chars().collect();
    let rest = chars.get(from..).unwrap_or_default();
    let found = rest.windows(what.len()).position(|window| window == what);
    found.map_or(chars.len(), |offset| from + offset)
}

fn after_block_comment(chars: &[char], from: usize) -> usize {
    let (mut at, mut open) = (from, 0_usize);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (open, at) = (open + 1, at + 2),
            ('*', Some('/')) => (open, at) = (open - 1, at + 2),
            _ => at += 1,
        }
        if open == 0 {
            break;
        }
    }
    at
}

fn after_string(chars: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}
