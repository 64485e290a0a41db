//! Holds the code to its plan: which room of `src/` may import which, that no two rooms
//! give one name to two types, that the files of a room form no circle, and that a file
//! stays small.
//!
//! The sources are read with `syn`, so comments and strings do not count, and every
//! spelling of a path does: grouped imports, a path in the middle of a function or in a
//! macro's arguments, and a chain of `super` that climbs out of its room.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod contents;
mod package;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use contents::Contents;
use package::Package;
use source::{Source, rust_files};

/// Which rooms a room may import, besides itself, `domain`, `files` and `telemetry`.
/// A change of this table is a change of the design.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("files", &[]),
    ("telemetry", &[]),
    ("settings", &[]),
    ("policy", &[]),
    ("ledger", &[]),
    ("http1", &[]),
    ("transport", &["http1"]),
    ("identity", &["transport"]),
    ("credential", &["transport"]),
    ("portal", &["transport"]),
    ("operation", &["policy", "ledger", "credential", "portal"]),
    (
        "http",
        &["identity", "policy", "operation", "ledger", "http1"],
    ),
    ("admin", &["credential", "ledger", "operation"]),
    ("startup", ALL_BUT_CLI),
    ("fuzzing", ALL_BUT_CLI),
    ("cli", EVERYTHING),
    // Files beside the rooms.
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
    "settings",
    "transport",
];
/// Rooms that all others may import.
const COMMON: [&str; 3] = ["domain", "files", "telemetry"];
/// Rooms that import not even the common ones: the bottom of the house, and the sandbox,
/// which could not contradict the gateway if it shared its code.
const ALONE: [&str; 5] = ["domain", "files", "http1", "lib", "sandbox"];

/// A longer file holds two ideas.
const MAX_LINES: usize = 400;

#[test]
fn every_import_follows_an_arrow() {
    let mut wrong = Vec::new();
    let mut rooms = BTreeSet::new();
    let mut seen = 0;
    for file in &gateway().files {
        rooms.insert(file.room.as_str());
        for (line, target) in file.rooms_named() {
            seen += 1;
            if !may_import(&file.room, &target) {
                wrong.push(format!("{}:{line}: {} -> {target}", file.name, file.room));
            }
        }
    }
    let listed: BTreeSet<&str> = ARROWS.iter().map(|(room, _)| *room).collect();
    assert_eq!(rooms, listed, "the rooms of src/ and those of the table");
    assert!(seen > 50, "only {seen} paths found: the reader is blind");
    assert_none(wrong, "imports against the table");
}

#[test]
fn the_arrows_form_no_circle() {
    let mut rest: BTreeMap<&str, BTreeSet<&str>> = ARROWS
        .iter()
        .map(|(room, targets)| (*room, targets.iter().copied().collect()))
        .collect();
    while !rest.is_empty() {
        let leaf = rest.iter().find(|(_, targets)| targets.is_empty());
        let leaf = leaf.map(|(room, _)| *room);
        let leaf = leaf.unwrap_or_else(|| panic!("a circle among {:?}", rest.keys()));
        rest.remove(leaf);
        for targets in rest.values_mut() {
            targets.remove(leaf);
        }
    }
    assert!(!may_import("credential", "portal") && !may_import("portal", "credential"));
    for (room, targets) in ARROWS {
        let configures = matches!(*room, "cli" | "startup" | "fuzzing");
        assert_eq!(targets.contains(&"settings"), configures, "{room}");
    }
}

#[test]
fn no_two_rooms_share_a_type_name() {
    let mut places: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for file in &gateway().files {
        if file.is_test {
            continue;
        }
        for (line, name) in &file.contents.types {
            let place = format!("{}:{line}", file.name);
            let rooms = places.entry(name.clone()).or_default();
            rooms.insert(file.room.clone(), place);
        }
    }
    places.retain(|_, rooms| rooms.len() > 1);
    let found = places.into_iter().map(|(name, rooms)| {
        let places: Vec<String> = rooms.into_values().collect();
        format!("{name}: {}", places.join(", "))
    });
    assert_none(found.collect(), "type names that two rooms share");
}

#[test]
fn the_files_of_a_room_form_no_circle() {
    let mut found = BTreeMap::new();
    for package in packages() {
        found.extend(package.circles());
    }
    let found = found
        .into_iter()
        .map(|(name, circle)| format!("{name}: {circle}"));
    assert_none(found.collect(), "files in a circle");
}

#[test]
fn a_file_is_small_and_begins_with_what_it_is() {
    let mut wrong = Vec::new();
    for (name, text) in ["src", "crates", "tests", "benches"]
        .map(rust_files)
        .concat()
    {
        let lines = text.lines().count();
        if lines > MAX_LINES {
            wrong.push(format!("{name}: {lines} lines"));
        }
        if !text.starts_with("//! ") {
            wrong.push(format!("{name}: does not begin with `//! `"));
        }
    }
    assert_none(wrong, "files that are too long, or without a head");
}

#[test]
fn every_file_is_compiled() {
    let files = ["src", "crates", "tests", "benches"]
        .map(rust_files)
        .concat();
    let mut wrong = Vec::new();
    for (name, _) in &files {
        let path = name.trim_end_matches(".rs").trim_end_matches("/mod");
        let (directory, module) = path.rsplit_once('/').unwrap();
        if matches!(module, "main" | "lib") || directory == "benches" {
            continue;
        }
        let ends = ["/mod.rs", "/main.rs", "/lib.rs", ".rs"];
        let owners = ends.map(|end| format!("{directory}{end}"));
        let is_declared = |(owner, text): &(String, String)| {
            owners.contains(owner) && text.contains(&format!("mod {module};"))
                || text.contains(&format!("/{module}.rs\"]"))
        };
        if !files.iter().any(is_declared) {
            wrong.push(name.clone());
        }
    }
    assert_none(wrong, "files that no other declares as a module");
}

#[test]
fn only_the_route_table_makes_routes_so_each_is_described() {
    let makers = [
        "resource", "scope", "route", "get", "post", "put", "patch", "delete",
    ];
    let mut wrong = Vec::new();
    for file in gateway().files.iter().filter(|file| file.room == "http") {
        for path in file.contents.all_paths().filter(|path| !path.is_test) {
            let makes = path.segments[0] == "web"
                && path
                    .segments
                    .get(1)
                    .is_some_and(|name| makers.contains(&&**name));
            if makes && !file.is_test && file.name != "src/http/route.rs" {
                wrong.push(format!("{}:{}", file.name, path.line));
            }
        }
    }
    assert_none(wrong, "routes that are not made by the table");
}

#[test]
fn only_the_transport_uses_awc_and_only_the_command_line_prints() {
    let mut wrong = Vec::new();
    for file in &gateway().files {
        for path in file.contents.all_paths() {
            if path.segments[0] == "awc" && file.room != "transport" {
                wrong.push(format!("{}:{}: awc", file.name, path.line));
            }
        }
        for (line, name) in &file.contents.macros {
            // Those of the standard library panic when a pipe's reader has gone.
            let panics = matches!(name.as_str(), "print" | "println" | "eprint" | "eprintln");
            let prints = matches!(name.as_str(), "outln" | "errln");
            if panics || prints && file.room != "cli" {
                wrong.push(format!("{}:{line}: {name}!", file.name));
            }
        }
    }
    assert_none(wrong, "calls outside of their room");
}

#[test]
fn files_are_touched_only_where_no_event_loop_waits_for_them() {
    // `files` does so on threads of its own, the ledger on those of the database, and a command
    // before or instead of serving.
    let allowed = ["files", "ledger", "cli"];
    let mut wrong = Vec::new();
    for file in &gateway().files {
        // A library reads the system's authorities, at start and in a reload, which may wait.
        let is_trust = file.name == "src/transport/trust.rs";
        if file.is_test || is_trust || allowed.contains(&file.room.as_str()) {
            continue;
        }
        for path in file.contents.all_paths().filter(|path| !path.is_test) {
            let names: Vec<&str> = path.segments.iter().map(String::as_str).collect();
            let reads = matches!(names[..], ["std" | "tokio", "fs", ..] | ["File", ..])
                || names.iter().any(|name| name.contains("pem_file"));
            if reads {
                wrong.push(format!("{}:{}: {}", file.name, path.line, names.join("::")));
            }
        }
    }
    assert_none(
        wrong,
        "accesses to files outside of the room that may wait for them",
    );
}

#[test]
fn only_the_policy_makes_a_target_and_only_the_ledger_reads_one_back() {
    for (constructor, makers) in [("permitted", ["policy"]), ("recorded", ["ledger"])] {
        let calls = |file: &&Source| {
            let mut paths = file.contents.all_paths();
            paths.any(|path| {
                path.segments
                    .ends_with(&["Target".into(), constructor.into()])
            })
        };
        let files = gateway().files.iter().filter(calls);
        let found: BTreeSet<&str> = files.map(|file| file.room.as_str()).collect();
        assert_eq!(found, makers.into(), "Target::{constructor}");
    }
}

#[test]
fn the_reader_sees_every_spelling_of_a_path_and_nothing_else() {
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
        #[value(parser = crate::attribute::parse)]
        const JSON: Value = json!({"crate::key": crate::argument::f(), "b": a.crate_method()});
        macro_rules! m { () => { use $crate::{hygienic::f, grouped}; } }
    "##;
    let file = Source::parse("src/room/file.rs", "src", text);
    let mut found: Vec<String> = file
        .rooms_named()
        .into_iter()
        .map(|(_, room)| room)
        .collect();
    let mut expected = [
        "plain",
        "group",
        "nested",
        "nested",
        "third",
        "body",
        "climbed",
        "further",
        "visible",
        "attribute",
        "argument",
        "hygienic",
        "grouped",
    ];
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn circles_are_found_through_what_a_module_passes_on() {
    let read = |name: &str, text: &str| Source::parse(name, "src", text);
    let package = Package::new(vec![
        read("src/lib.rs", "//! x\nmod room;"),
        // Only declares and passes on, so it is part of no circle.
        read(
            "src/room/mod.rs",
            "mod a; mod b; mod c; mod tests; pub use a::A; use b::*;",
        ),
        read("src/room/a.rs", "use super::B; pub struct A(B);"),
        read(
            "src/room/b.rs",
            "pub struct B; fn f() -> u8 { drop::<crate::room::A>() }",
        ),
        read(
            "src/room/c.rs",
            "use super::A; #[cfg(test)] mod tests { use super::super::d::D; }",
        ),
        read("src/room/d/mod.rs", "mod child; pub struct D(child::E);"),
        read(
            "src/room/d/child.rs",
            "pub struct E; impl super::D { fn g(&self) {} }",
        ),
    ]);
    let circles: Vec<String> = package.circles().into_keys().collect();
    let expected = [
        "src/room/a.rs",
        "src/room/b.rs",
        "src/room/d/child.rs",
        "src/room/d/mod.rs",
    ];
    assert_eq!(circles, expected);
}

/// The crates of the repository, the gateway's first.
fn packages() -> &'static [Package] {
    static PACKAGES: OnceLock<Vec<Package>> = OnceLock::new();
    let read = || {
        source::roots()
            .iter()
            .map(|root| Package::read(root))
            .collect()
    };
    PACKAGES.get_or_init(read)
}

fn gateway() -> &'static Package {
    &packages()[0]
}

fn may_import(room: &str, target: &str) -> bool {
    let arrows = ARROWS.iter().find(|(name, _)| *name == room);
    room == target
        || (COMMON.contains(&target) && !ALONE.contains(&room))
        || arrows.is_some_and(|(_, targets)| targets.contains(&target))
}

fn assert_none(wrong: Vec<String>, what: &str) {
    assert!(wrong.is_empty(), "{what}:\n{}", wrong.join("\n"));
}
