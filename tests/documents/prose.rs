//! How the documents are written, as far as a program can tell.

use crate::assert_none;
use crate::markdown::{page, pages, root};

/// Words of a private vocabulary, and phrases that say nothing.
const BANNED: &[&str] = &[
    "a problem that is none",
    "agent",
    "blazing",
    "desk",
    "earns",
    "errand",
    "glance",
    "in order to",
    "left alone",
    "leverage",
    "nobody at present",
    "note that",
    "of course",
    "patience",
    "patiently",
    "please note",
    "seamless",
    "simply",
    "taken over",
    "that is no ",
    "told",
    "very ",
    "which is no ",
    "whoever comes",
];
/// The longest line outside of tables and blocks, in characters.
const MAX_LINE: usize = 100;

#[test]
fn no_banned_word_and_no_careless_line() {
    let mut wrong = Vec::new();
    for page in pages() {
        for (number, line) in (1..).zip(page.text.lines()) {
            if line.ends_with([' ', '\t']) {
                wrong.push(format!("{}:{number}: ends with a blank", page.name));
            }
            if line.contains('\t') {
                wrong.push(format!("{}:{number}: has a tab", page.name));
            }
        }
        for (number, line) in page.prose() {
            let lower = format!(" {} ", line.to_lowercase());
            for word in BANNED.iter().filter(|word| has_word(&lower, word)) {
                wrong.push(format!("{}:{number}: \"{word}\"", page.name));
            }
            if !line.starts_with('|') && line.chars().count() > MAX_LINE {
                wrong.push(format!(
                    "{}:{number}: longer than {MAX_LINE} characters",
                    page.name
                ));
            }
        }
        if !page.text.ends_with('\n') || page.text.ends_with("\n\n") {
            wrong.push(format!("{}: does not end with one line break", page.name));
        }
    }
    assert_none("prose", wrong);
}

/// Whether it is there as a word of its own.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        !is_letter(before) && (word.ends_with(' ') || !is_letter(after))
    })
}

#[test]
fn words_are_found_as_words() {
    assert!(has_word(" it is told to. ", "told"));
    assert!(!has_word(" it is untold. ", "told"));
    assert!(has_word(" one that is no problem ", "that is no "));
    assert!(!has_word(" one that is not so ", "that is no "));
}

#[test]
fn the_readme_is_short_and_the_glossary_too() {
    let lines = page("README.md").text.lines().count();
    assert!(lines <= 250, "README.md has {lines} lines");
    let terms = page("docs/architecture.md").rows("term | meaning");
    assert!(terms.len() <= 30, "the glossary has {} terms", terms.len());
    let names: Vec<&String> = terms.iter().map(|row| &row[0]).collect();
    assert!(names.is_sorted(), "the glossary is not sorted");
}

#[test]
fn rooms_are_the_directories_of_the_sources() {
    let rows = page("docs/architecture.md").rows("room | task | imports");
    let documented = rows
        .iter()
        .map(|row| crate::markdown::only_code(&row[0]).to_owned());
    let entries = std::fs::read_dir(root().join("src")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let rooms = names.map(|name| name.trim_end_matches(".rs").to_owned());
    let rooms = rooms.filter(|name| !matches!(name.as_str(), "lib" | "main"));
    crate::assert_same("rooms", documented.collect(), rooms.collect());
    let layering = std::fs::read_to_string(root().join("tests/layering/main.rs")).unwrap();
    // A long list is written in several lines.
    let layering: String = layering.split_whitespace().collect();
    for row in rows.iter().filter(|row| row[2].starts_with('`')) {
        let imports: Vec<String> = crate::markdown::code(&row[2])
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect();
        let room = crate::markdown::only_code(&row[0]);
        let arrow = format!("(\"{room}\",&[{}]", imports.join(","));
        assert!(layering.contains(&arrow), "tests/layering has no {arrow}");
    }
}
