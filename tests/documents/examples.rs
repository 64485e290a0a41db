//! Blocks of JSON: they parse, and those that show an answer have the members of a real one.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::assert_same;
use crate::markdown::{Block, page, pages};
use crate::program::{Demo, request};

fn json_blocks(name: &str) -> Vec<Value> {
    let blocks = page(name).blocks().into_iter();
    let blocks = blocks.filter(|block| block.language == "json");
    blocks.map(|block| parse(&block)).collect()
}

fn parse(block: &Block) -> Value {
    let parsed = serde_json::from_str(&block.text);
    parsed.unwrap_or_else(|error| panic!("{}: {error}", block.place))
}

/// The paths of all members.
fn members(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let path = format!("{path}.{name}");
                members(value, &path, found);
                found.insert(path);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| members(value, path, found)),
        _ => {}
    }
}

fn shape(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    members(value, "", &mut found);
    found
}

/// The block that has this member.
fn with(name: &str, member: &str) -> Value {
    let found = json_blocks(name)
        .into_iter()
        .find(|block| block.get(member).is_some());
    found.unwrap_or_else(|| panic!("{name}: no block with {member}"))
}

#[test]
fn every_block_of_json_parses() {
    let blocks: Vec<Block> = pages().iter().flat_map(|page| page.blocks()).collect();
    let count = blocks
        .iter()
        .filter(|block| block.language == "json")
        .map(parse)
        .count();
    assert!(count >= 5, "{count}");
}

#[test]
fn answers_have_the_members_of_real_ones() {
    let demo = Demo::start();
    let headers = [("X-Api-Key", demo.key.as_str())];
    let post = |offer: &str| {
        request(
            "POST",
            &format!("{}/offers/{offer}/cancel", demo.gateway),
            &headers,
            "",
        )
    };
    let operation = post("sync-example");
    assert_eq!(operation.status, 200, "{}", operation.body);
    assert_same(
        "operation",
        shape(&with("docs/api.md", "outcome")),
        shape(&operation.json()),
    );
    let problem = post("forbidden-1");
    assert_same(
        "problem",
        shape(&with("docs/api.md", "retryable")),
        shape(&problem.json()),
    );
    let ready = request("GET", &format!("{}/readyz", demo.admin), &[], "");
    assert_same(
        "readiness",
        shape(&with("docs/operating.md", "ready")),
        shape(&ready.json()),
    );
}

#[test]
fn bodies_of_a_cancel_are_accepted() {
    let demo = Demo::start();
    let bodies = json_blocks("docs/api.md").into_iter();
    let bodies: Vec<Value> = bodies
        .filter(|block| block.to_string().contains('@'))
        .collect();
    assert_eq!(bodies.len(), 2);
    for body in bodies {
        let url = format!("{}/offers/sync-body/cancel", demo.gateway);
        let headers = [
            ("X-Api-Key", demo.key.as_str()),
            ("Content-Type", "application/json"),
        ];
        let answer = request("POST", &url, &headers, &body.to_string());
        assert_eq!(answer.status, 200, "{body}: {}", answer.body);
    }
}
