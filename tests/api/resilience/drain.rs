//! Shutdown: running actions finish and are answered, new ones are refused, and the process
//! ends by itself.

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::client;
use crate::helpers::Setup;
use crate::process::Served;
use crate::vendor::Vendor;

/// A gateway whose vendor is slow with `sync-slow`.
async fn served(delay_ms: u64, toml: &str) -> (Vendor, Served) {
    let setup = Setup {
        toml: format!("[portal]\nrequest_timeout_ms = 60000\n{toml}"),
        ..Setup::default()
    };
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let fault = json!({"kind": "delay", "ms": delay_ms});
    let order = json!({"on": "cancel", "offer": "sync-slow", "fault": fault});
    vendor.order(order).await;
    let served = Served::start(&vendor, &setup).await;
    (vendor, served)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_action_is_answered_and_new_ones_are_refused() {
    let (vendor, served) = served(2500, "").await;
    let asked = served.cancel("migrated-1").await;
    let location = format!("/operations/{}", asked.json()["id"].as_str().unwrap());
    // An idle keep-alive connection must not delay the shutdown.
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    let slow = served.cancel("sync-slow");
    let meanwhile = async {
        vendor.receives("sync-slow/cancel", 1).await;
        served.process.signal("TERM");
        while served.admin("/readyz").await.status == 200 {
            tokio::task::yield_now().await;
        }
        let readiness = served.admin("/readyz").await;
        let reasons = readiness.json()["reasons"].to_string();
        assert!(reasons.contains("draining"), "{reasons}");
        assert_eq!(served.admin("/healthz").await.status, 200);
        for _ in 0..3 {
            let answer = served.cancel("sync-new").await;
            let problem = answer.problem(503, "draining");
            client::assert_not_delivered(&problem);
            assert_eq!(problem["retryable"], true);
            assert!(answer.retry_after().is_some());
        }
        // Reading is still possible.
        let answer = served.send("GET", &location).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    let (slow, ()) = tokio::join!(slow, meanwhile);
    assert_eq!(slow.status, 200, "{slow:?}");
    assert_eq!(slow.json()["outcome"], "canceled");
    let address = served.address;
    let ended = served.process.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stderr, "");
    assert!(TcpStream::connect(address).await.is_err());
    assert_eq!(idle.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert!(vendor.cancels("sync-new").await.is_empty());
    assert_eq!(vendor.cancels("sync-slow").await.len(), 1);
    for line in ended.stdout.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(
            line["level"].is_string() && line["timestamp"].is_string(),
            "{line}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_beyond_drain_seconds_is_resumed_by_the_next_start() {
    let (vendor, served) = served(600_000, "[server]\ndrain_seconds = 1").await;
    let slow = served.cancel("sync-slow");
    let meanwhile = async {
        vendor.receives("sync-slow/cancel", 1).await;
        served.process.signal("INT");
    };
    let address = served.address;
    let bytes = client::request(
        address,
        "POST",
        "/offers/sync-slow/cancel",
        &[("X-Api-Key", crate::helpers::KEY)],
        "",
    );
    drop(slow);
    let (answer, ()) = tokio::join!(client::send_raw(address, bytes.as_bytes()), meanwhile);
    // The answer, if any, does not report an end.
    if let Some(answer) = answer {
        assert!(answer.status >= 500, "{answer:?}");
    }
    let Served {
        process, directory, ..
    } = served;
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let rows = crate::helpers::rows(&directory.path().join("offergate.db"), "sync-slow").await;
    assert_eq!(rows.len(), 1);
    assert!(["NotStarted", "Running"].contains(&&*rows[0].0), "{rows:?}");
    assert_eq!(rows[0].1, "unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_at_once() {
    let (vendor, served) = served(600_000, "").await;
    let slow = tokio::spawn({
        let address = served.address;
        let key = [("X-Api-Key", crate::helpers::KEY)];
        let bytes = client::request(address, "POST", "/offers/sync-slow/cancel", &key, "");
        async move { client::send_raw(address, bytes.as_bytes()).await }
    });
    vendor.receives("sync-slow/cancel", 1).await;
    served.process.signal("TERM");
    while served.admin("/readyz").await.status == 200 {
        tokio::task::yield_now().await;
    }
    served.process.signal("TERM");
    let ended = served.process.ended().await;
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(slow.await.unwrap().is_none());
}
