//! README.md, docs/ and config/ against the code, both ways: what stands there is so, and what
//! there is stands there. Facts come from the program at run time where it can tell them, else
//! from its sources.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commands;
mod examples;
mod links;
mod markdown;
mod messages;
mod problems;
mod program;
mod prose;
mod routes;
mod runnable;
mod sandbox;
mod settings;
mod sources;
mod toml_blocks;

use std::collections::BTreeSet;
use std::fmt::Debug;

/// Fails with what is only documented, and what is not documented.
#[track_caller]
fn assert_same<T: Ord + Debug>(what: &str, documented: BTreeSet<T>, real: BTreeSet<T>) {
    let only_documented: Vec<&T> = documented.difference(&real).collect();
    let missing: Vec<&T> = real.difference(&documented).collect();
    assert!(
        only_documented.is_empty() && missing.is_empty(),
        "{what}: documented, but not so: {only_documented:#?}; not documented: {missing:#?}"
    );
    assert!(!real.is_empty(), "{what}: nothing was found");
}

/// Fails with these findings.
#[track_caller]
fn assert_none(what: &str, findings: Vec<String>) {
    assert!(findings.is_empty(), "{what}:\n{}", findings.join("\n"));
}
