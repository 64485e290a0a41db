//! Client libraries, unmodified, follow a cancel to each of its ends (`tests/clients`).

use std::process::Command;

use serde_json::{Value, json};

use super::TIMEOUT;
use super::ends::{ENDS, End, Worlds};
use crate::helpers::{KEY, World};
use crate::process::Process;
use crate::tools::{file, node_packages, python_packages, skip};

/// How a library lets its user know that an operation has failed.
#[derive(Clone, Copy, PartialEq)]
enum Failure {
    /// An exception with code and message.
    Raised,
    /// An error whose text has both.
    Text,
    /// None: it hands out what came.
    Value,
}

const PYTHON: [(&str, Failure); 4] = [
    ("azure-core", Failure::Raised),
    ("azure-mgmt-core", Failure::Raised),
    ("httpx-sse", Failure::Value),
    ("sseclient-py", Failure::Value),
];

/// What `follow` prints, one object for each offer.
async fn follow(mut command: Command, world: &World, offers: &[String]) -> Vec<Value> {
    command
        .args(offers)
        .env("OFFERGATE_URL", format!("http://{}", world.address()))
        .env("OFFERGATE_API_KEY", KEY);
    let ended = Process::spawn(&mut command).ended_within(TIMEOUT).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines = ended.stdout.lines();
    let lines: Vec<_> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), offers.len(), "{ended:?}");
    lines
}

/// Whether the library has told what the gateway says.
fn assert_told(library: &str, failure: Failure, end: &End, told: &Value, operation: &Value) {
    let context = format!("{library}: {told}\n{operation}");
    assert_eq!(operation["outcome"], end.outcome, "{context}");
    assert_eq!(operation["error"]["code"].as_str(), end.code, "{context}");
    if end.code.is_none() || failure == Failure::Value {
        assert_eq!(&told["operation"], operation, "{context}");
        assert_eq!(told["raised"], Value::Null, "{context}");
        return;
    }
    let error = &operation["error"];
    let text = || {
        let of = |member: &str| error[member].as_str().unwrap().to_owned();
        format!(
            "The long-running operation has failed. {}. {}",
            of("code"),
            of("message")
        )
    };
    let expected = match failure {
        Failure::Text => json!(text()),
        Failure::Raised | Failure::Value => error.clone(),
    };
    assert_eq!(told["raised"], expected, "{context}");
    assert_eq!(told["operation"], Value::Null, "{context}");
}

/// Every end, in the gateways' own words and in the library's.
async fn reaches_every_end(
    worlds: &Worlds,
    library: &str,
    failure: Failure,
    command: impl Fn() -> Command,
) {
    for gives_up in [false, true] {
        let ends = ENDS.iter().filter(|end| end.gives_up == gives_up);
        let ends: Vec<_> = ends.collect();
        let offers: Vec<_> = ends.iter().map(|end| end.offer(library)).collect();
        let world = worlds.of(ends[0]);
        let told = follow(command(), world, &offers).await;
        for ((end, offer), told) in ends.iter().zip(&offers).zip(told) {
            let rows = world.rows(offer).await;
            assert_eq!(rows.len(), 1, "{library} {offer}");
            let operation = world.operation(&rows[0].2).await;
            assert_told(library, failure, end, &told, &operation);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn libraries_of_python_follow_a_cancel_to_each_end() {
    let python = match python_packages("tests/clients") {
        Ok(python) => python,
        Err(why) => return skip("OFFERGATE_TEST_CLIENTS", &why),
    };
    let worlds = Worlds::start(&PYTHON.map(|(library, _)| library)).await;
    let follow_with = |library: &str| {
        let mut command = Command::new(&python);
        command.arg(file("tests/clients/follow.py")).arg(library);
        command
    };
    let all = PYTHON.map(|(library, failure)| {
        reaches_every_end(&worlds, library, failure, move || follow_with(library))
    });
    futures_util::future::join_all(all).await;

    // What is refused is understood, too: `message` is there for these.
    for (library, _) in &PYTHON[..2] {
        let offers = ["missing", "forbidden"].map(|kind| format!("{kind}-{library}"));
        let told = follow(follow_with(library), &worlds.patient, &offers).await;
        for (told, code) in told
            .iter()
            .zip(["offer-not-found", "publisher-access-denied"])
        {
            assert_eq!(told["raised"]["code"], code, "{library} {told}");
            let message = told["raised"]["message"].as_str();
            assert!(
                message.is_some_and(|text| text.starts_with("The vendor")),
                "{told}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_library_of_node_follows_a_cancel_to_each_end() {
    if let Err(why) = node_packages("tests/clients") {
        return skip("OFFERGATE_TEST_CLIENTS", &why);
    }
    let library = "core-lro";
    let worlds = Worlds::start(&[library]).await;
    let follow = || {
        let mut command = Command::new("node");
        command.arg(file("tests/clients/follow.mjs"));
        command
    };
    reaches_every_end(&worlds, library, Failure::Text, follow).await;
}
