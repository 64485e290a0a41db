//! The format of the log: two complete lines, with placeholders for values that differ.

use serde_json::json;

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
        @r#"{"timestamp":…,"level":"INFO","message":"request","method":"POST","route":"/offers/{offerId}/cancel","status":202,"caller":"pipeline","credential":"key 19d9efb6","publisher":"contoso","offer":"migrated-1","operation":…,"request_id":"build-7","duration_us":…,"upstream_us":…,"target":"offergate::http::access_log"}"#
    );
    // The event comes from the action's own task.
    insta::assert_snapshot!(
        line_with("no answer from the vendor").await,
        @r#"{"timestamp":…,"level":"WARN","message":"no answer from the vendor; polling the operation","operation":…,"lost":"the connection was closed without an answer","target":"offergate::operation::answer","span":{"request_id":"build-7","name":"request"}}"#
    );
}
