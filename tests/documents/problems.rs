//! Problem codes and outcomes.

use std::collections::BTreeSet;

use offergate::domain::{Outcome, ProblemCode};

use crate::assert_same;
use crate::markdown::{only_code, page};

#[test]
fn every_problem_has_its_status_and_meaning() {
    let rows = page("docs/api.md").rows("status | code | meaning | retryable");
    let documented = rows.iter().map(|row| {
        // Some codes are retryable under a condition.
        let retryable = match row[3].split(' ').next().unwrap() {
            "if" => "no",
            "while" => "yes",
            plain => plain,
        };
        [&row[0], only_code(&row[1]), &row[2], retryable].map(str::to_owned)
    });
    let real = ProblemCode::ALL
        .iter()
        .filter(|code| !code.is_of_operation());
    let real = real.map(|code| {
        let retryable = if code.is_retryable() { "yes" } else { "no" };
        let status = code.status().to_string();
        [&status, code.as_str(), code.title(), retryable].map(str::to_owned)
    });
    assert_same("problems", documented.collect(), real.collect());
}

#[test]
fn every_code_of_an_operation_is_listed() {
    let rows = page("docs/api.md").rows("code | meaning");
    let documented = rows
        .iter()
        .map(|row| [only_code(&row[0]), &row[1]].map(str::to_owned));
    let real = ProblemCode::ALL
        .iter()
        .filter(|code| code.is_of_operation());
    let real = real.map(|code| [code.as_str(), code.title()].map(str::to_owned));
    assert_same("codes of operations", documented.collect(), real.collect());
}

#[test]
fn every_outcome_has_its_status() {
    let rows = page("docs/api.md").rows("outcome | status | meaning");
    let documented = rows
        .iter()
        .map(|row| [only_code(&row[0]), &row[1]].map(str::to_owned));
    let all = [
        Outcome::Canceled,
        Outcome::NothingToCancel,
        Outcome::AlreadyFailed,
        Outcome::AlreadyCompleted,
        Outcome::NotCanceled,
        Outcome::Unknown,
    ];
    // A further outcome is a compiler's error here.
    let is_listed = |outcome: Outcome| match outcome {
        Outcome::Canceled
        | Outcome::NothingToCancel
        | Outcome::AlreadyFailed
        | Outcome::AlreadyCompleted
        | Outcome::NotCanceled
        | Outcome::Unknown => true,
    };
    assert!(all.into_iter().all(is_listed));
    let real = all.map(|outcome| [outcome.as_str(), outcome.status().as_str()].map(str::to_owned));
    assert_same("outcomes", documented.collect(), real.into_iter().collect());
}

#[test]
fn operators_find_every_problem_that_they_can_mend() {
    let page = page("docs/operating.md");
    let table = page
        .tables()
        .into_iter()
        .find(|table| table.heading == "Callers get errors");
    let codes = table.unwrap().rows;
    let codes = codes.iter().flat_map(|row| crate::markdown::code(&row[0]));
    let codes: BTreeSet<&str> = codes.filter(|code| *code != "delivered").collect();
    for code in &codes {
        let is_word = matches!(*code, "no" | "operationLocation");
        assert!(is_word || ProblemCode::from_name(code).is_some(), "{code}");
    }
    for code in ProblemCode::ALL {
        if code.status() >= 500 && *code != ProblemCode::Draining {
            assert!(
                codes.contains(code.as_str()),
                "{} is missing",
                code.as_str()
            );
        }
    }
}
