//! Links, paths, tests and commands that the documents name exist.

use std::collections::BTreeSet;

use crate::markdown::{Page, code, only_code, page, pages, root};
use crate::{assert_none, assert_same};

/// The targets of a page's links, with their lines.
fn links(page: &Page) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (number, line) in page.prose() {
        for (at, _) in line.match_indices("](") {
            let target = line[at + 2..].split(')').next().unwrap();
            links.push((number, target.to_owned()));
        }
    }
    links
}

#[test]
fn every_link_leads_somewhere() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for page in pages() {
        let directory = root().join(&page.name).parent().unwrap().to_owned();
        for (number, target) in links(&page) {
            if target.starts_with("https://") {
                continue;
            }
            count += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let place = format!("{}:{number}: {target}", page.name);
            let file = match path {
                "" => root().join(&page.name),
                path => directory.join(path),
            };
            if !file.exists() {
                wrong.push(place);
                continue;
            }
            let name = file.canonicalize().unwrap();
            let name = name
                .strip_prefix(root().canonicalize().unwrap())
                .unwrap()
                .to_owned();
            let linked = || crate::markdown::page(name.to_str().unwrap());
            if !anchor.is_empty() && !linked().anchors().contains(anchor) {
                wrong.push(format!("{place}: no such heading"));
            }
        }
    }
    assert_none("links", wrong);
    assert!(count > 50, "only {count} links");
}

#[test]
fn every_page_is_on_the_map() {
    let map = page("README.md");
    let linked: BTreeSet<String> = links(&map).into_iter().map(|(_, target)| target).collect();
    for page in pages() {
        assert!(
            page.name == "README.md" || linked.contains(&page.name),
            "{}",
            page.name
        );
    }
}

/// Code that is a path below the repository.
#[test]
fn every_path_exists() {
    let places = [
        "src/", "tests/", "crates/", "config/", "docs/", "benches", "fuzz/", ".ci/",
    ];
    let mut wrong = Vec::new();
    for page in pages() {
        for (number, line) in page.prose() {
            for text in code(line) {
                let is_path = places.iter().any(|place| text.starts_with(place));
                if is_path && !text.contains(['{', ' ', '*']) && !root().join(text).exists() {
                    wrong.push(format!("{}:{number}: {text}", page.name));
                }
            }
        }
    }
    assert_none("paths", wrong);
}

#[test]
fn every_named_test_exists() {
    let mut wrong = Vec::new();
    let rows = page("docs/security.md").rows("attempt | what stops it | tests");
    for name in rows.iter().flat_map(|row| code(&row[2])) {
        let mut segments: Vec<&str> = name.split("::").collect();
        let function = segments.pop().unwrap();
        let module = segments.join("/");
        let files = [format!("tests/api/{module}.rs"), format!("src/{module}.rs")];
        let texts = files
            .iter()
            .filter_map(|file| std::fs::read_to_string(root().join(file)).ok());
        let has_it = |text: &String| {
            let defined = text.split_once(&format!("fn {function}("));
            // Its attribute, and perhaps `async`, stand before it.
            defined.is_some_and(|(before, _)| {
                before
                    .lines()
                    .rev()
                    .take(6)
                    .any(|line| line.contains("test"))
            })
        };
        if !texts.into_iter().any(|text| has_it(&text)) {
            wrong.push(name.to_owned());
        }
    }
    assert_none("tests", wrong);
    assert!(rows.len() > 25 && rows.iter().all(|row| !code(&row[2]).is_empty()));
}

#[test]
fn every_step_of_the_checks_is_listed() {
    let rows = page("CONTRIBUTING.md").rows("step | does");
    let documented = rows.iter().map(|row| only_code(&row[0]).to_owned());
    let script = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    let (_, steps) = script.split_once("\nsteps=(").unwrap();
    let steps = steps.split(')').next().unwrap().split_whitespace();
    let steps = steps.map(str::to_owned).collect();
    assert_same("steps of .ci/run", documented.collect(), steps);
}

/// Each figure follows the command that measures it, and the command's target exists.
#[test]
fn figures_name_their_command() {
    let page = page("docs/performance.md");
    let benches: BTreeSet<&str> = ["keys", "load", "pure"].into();
    let mut command: Option<String> = None;
    let mut tables = 0;
    let blocks = page.blocks();
    let mut before = "";
    for line in page.text.lines() {
        if line.starts_with('#') {
            command = None;
        }
        if line.starts_with("cargo bench") {
            command = Some(line.to_owned());
        }
        let is_table = line.starts_with('|') && !before.starts_with('|');
        if is_table {
            tables += 1;
            assert!(command.is_some(), "a table without a command: {line}");
        }
        let has_unit = [" µs", " ns", " ms", "MiB", "KiB"]
            .iter()
            .any(|unit| line.contains(unit));
        let is_introduction = command.is_none() && !line.starts_with('|');
        assert!(
            !(has_unit && is_introduction),
            "a figure without a command: {line}"
        );
        before = line;
    }
    assert!(tables >= 6, "{tables}");
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for block in blocks.iter().filter(|block| block.language == "sh") {
        let mut words = block
            .text
            .split_whitespace()
            .skip_while(|word| *word != "--bench");
        let bench = words.nth(1).unwrap();
        assert!(benches.contains(bench) && manifest.contains(&format!("name = \"{bench}\"")));
        let filter = block.text.split('"').nth(1).unwrap_or_default();
        let source = std::fs::read_to_string(root().join("benches/pure.rs")).unwrap();
        for name in filter.split('|').filter(|name| !name.is_empty()) {
            assert!(source.contains(name), "benches/pure.rs has no {name}");
        }
        if let Some((_, option)) = block.text.split_once("-- --") {
            let option = option.split_whitespace().next().unwrap();
            let source = std::fs::read_to_string(root().join("benches/load/main.rs")).unwrap();
            assert!(source.contains(&format!("\"--{option}\"")), "no --{option}");
        }
    }
}
