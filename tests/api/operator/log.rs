//! The format of the log: two complete lines, with placeholders for values that differ.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client;
use crate::helpers::{KEY, Setup};
use crate::process::Served;
use crate::vendor::Vendor;

/// The line with a placeholder for each value that differs between runs.
fn steady(line: &str) -> String {
    let mut line = line.to_owned();
    for member in ["timestamp", "operation", "duration_us", "upstream_us"] {
        let name = format!("\"{member}\":");
        if let Some(at) = line.find(&name) {
            let from = at + name.len();
            let length = line[from..].find([',', '}']).unwrap();
            line.replace_range(from..from + length, "…");
        }
    }
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_an_event_inside_it_have_their_form() {
    let setup = Setup::default();
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let mut served = Served::start(&vendor, &setup).await;
    let fault = json!({"kind": "reset"});
    vendor.order(json!({"on": "cancel", "fault": fault})).await;
    let headers = [("X-Api-Key", KEY), ("X-Request-Id", "build-7")];
    let path = "/offers/migrated-1/cancel";
    let answer = client::send(served.address, "POST", path, &headers, "").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let mut line_with = async |text: &str| {
        let found = served
            .process
            .wait_for_line(|line| line.contains(text).then(|| line.to_owned()));
        steady(&found.await)
    };
    insta::assert_snapshot!(
        line_with("\"message\":\"request\"").await,
        @r#"{"timestamp":…,"level":"INFO","message":"request","method":"POST","route":"/offers/{offerId}/cancel","status":202,"client_address":"127.0.0.1","caller":"pipeline","credential":"key 19d9efb6","publisher":"contoso","offer":"migrated-1","operation":…,"request_id":"build-7","duration_us":…,"upstream_us":…,"target":"offergate::http::access_log"}"#
    );
    // The event comes from the action's own task.
    insta::assert_snapshot!(
        line_with("no answer from the vendor").await,
        @r#"{"timestamp":…,"level":"WARN","message":"no answer from the vendor; polling the operation","operation":…,"lost":"the connection was closed without an answer","target":"offergate::operation::answer","span":{"name":"request","request_id":"build-7"}}"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_anonymous_requests_are_limited_and_counted() {
    const ANONYMOUS: usize = 600;
    let setup = Setup::default();
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let served = Served::start(&vendor, &setup).await;
    let known = [("X-Api-Key", KEY), ("X-Request-Id", "known")];
    let wrong = [("X-Api-Key", "not-a-key-of-anyone")];
    let address = served.address;
    for number in 0..ANONYMOUS / 20 {
        let requests = (0..20).map(|_| client::send(address, "GET", "/operations/x", &wrong, ""));
        for answer in futures_util::future::join_all(requests).await {
            assert_eq!(answer.status, 401, "{answer:?}");
        }
        let path = format!("/operations/{number}");
        client::send(address, "GET", &path, &known, "")
            .await
            .problem(404, "operation-not-found");
    }
    let lines = |output: &str| {
        let lines = output
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        lines.collect::<Vec<Value>>()
    };
    // Every line, and every one that was left out.
    let seen = |output: &str| {
        let lines = lines(output);
        let refused = lines
            .iter()
            .filter(|line| line["refused"] == "unknown-key")
            .count();
        let of_kind = lines
            .iter()
            .filter(|line| line["kind"] == "anonymous requests");
        let left_out: u64 = of_kind.map(|line| line["left_out"].as_u64().unwrap()).sum();
        (refused, usize::try_from(left_out).unwrap())
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    let (refused, left_out) = loop {
        // The count is written a second later.
        let (refused, left_out) = seen(&served.process.stdout());
        if refused + left_out == ANONYMOUS {
            break (refused, left_out);
        }
        assert!(Instant::now() < deadline, "{refused} {left_out}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(
        (100..=300).contains(&refused) && left_out > 0,
        "{refused} {left_out}"
    );
    let output = served.process.stdout();
    let lines = lines(&output);
    let known = lines.iter().filter(|line| line["request_id"] == "known");
    assert_eq!(
        known.count(),
        ANONYMOUS / 20,
        "a caller's lines are never left out"
    );
    served.process.signal("TERM");
}
