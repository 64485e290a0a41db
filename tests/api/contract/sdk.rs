//! Pollers of Azure's SDKs follow an action to its end: the choices that azure-mgmt-core
//! 1.6 (`ARMPolling`) and azure-core 1.36 (`LROBasePolling`) make, step by step.

use std::time::Duration;

use serde_json::{Value, json};

use super::idempotency;
use crate::client::Answer;
use crate::helpers::{Setup, World, spawn, spawn_with};

/// What the poller of an SDK looks for in the first answer, in this order.
const AZURE_CORE: &[&str] = &["operation-location", "location"];
const AZURE_MGMT_CORE: &[&str] = &["azure-asyncoperation", "location"];

/// How the poller takes a status from an answer, by the header that it has found.
fn status_of(header: Option<&str>, answer: &Answer) -> String {
    match header {
        // `OperationResourcePolling`, `AzureAsyncOperationPolling`
        Some("operation-location" | "azure-asyncoperation") => {
            answer.json()["status"].as_str().unwrap().to_lowercase()
        }
        // `LocationPolling`
        Some("location") if answer.status == 202 => "inprogress".to_owned(),
        // `StatusCheckPolling` does not poll.
        Some(_) | None => "succeeded".to_owned(),
    }
}

/// Runs a poller from the first answer to the final state, with these pauses instead of
/// `Retry-After`; also the number of its requests.
async fn follow(world: &World, headers: &[&str], first: &Answer) -> (Value, usize) {
    let path = |url: &str| {
        let base = format!("http://{}", world.address());
        url.strip_prefix(&base).unwrap().to_owned()
    };
    let found = headers.iter().find(|name| first.header(name).is_some());
    let found = found.copied();
    assert!((200..=204).contains(&first.status), "{first:?}");
    let mut url = found.and_then(|name| first.header(name)).map(path);
    let mut location = first.header("location").map(path);
    let (mut last, mut requests) = (first.clone(), 0);
    while !["succeeded", "failed", "canceled"].contains(&&*status_of(found, &last)) {
        assert!(last.retry_after().is_some(), "{last:?}");
        tokio::time::sleep(Duration::from_millis(30)).await;
        last = world.send("GET", url.as_ref().unwrap(), "").await;
        requests += 1;
        for (name, known) in [(found, &mut url), (Some("location"), &mut location)] {
            if let Some(changed) = name.and_then(|name| last.header(name)) {
                *known = Some(path(changed));
            }
        }
    }
    // `final-state-via`: a POST ends with a GET of its Location, if it has had one.
    if let Some(location) = location.filter(|_| status_of(found, &last) == "succeeded") {
        last = world.send("GET", &location, "").await;
    }
    (last.json(), requests)
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_pollers_follow_a_cancel_to_its_end() {
    let world = spawn().await;
    for (number, headers) in [AZURE_CORE, AZURE_MGMT_CORE].iter().enumerate() {
        for (kind, status) in [
            ("migrated", "Succeeded"),
            ("fails", "Succeeded"),
            ("completes", "Failed"),
            ("sync", "Succeeded"),
        ] {
            let offer = format!("{kind}-{number}");
            let key = format!("\"{offer}\"");
            let first = idempotency::cancel(&world, &offer, &key).await;
            // A repeated request is answered like the first.
            let replay = idempotency::cancel(&world, &offer, &key).await;
            assert_eq!(replay.header("idempotent-replayed"), Some("true"));
            for first in [first, replay] {
                let (end, requests) = follow(&world, headers, &first).await;
                assert_eq!(end["status"], status, "{offer} {end}");
                assert!(requests > 0 || first.status == 200, "{offer} {first:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_answer_says_in_three_headers_where_to_ask() {
    let world = spawn_with(Setup {
        toml: "[server]\nmax_wait_seconds = 1".into(),
        vendor: offergate_sandbox::Options {
            cancel_after: Duration::from_secs(600),
            ..offergate_sandbox::Options::default()
        },
        ..Setup::default()
    })
    .await;
    let cancel = async |offer: &str, headers: &[(&str, &str)]| {
        let path = format!("/offers/{offer}/cancel");
        world.send_with("POST", &path, headers, "").await
    };
    let key = ("Idempotency-Key", "\"one\"");
    let waits = ("Prefer", "wait=1");
    for headers in [&[][..], &[waits], &[key], &[key], &[key, waits]] {
        let answer = cancel("migrated-1", headers).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let address = answer.header("operation-location").unwrap();
        assert_eq!(answer.header("location"), Some(address));
        assert_eq!(answer.header("azure-asyncoperation"), Some(address));
        assert_eq!(answer.json()["operationLocation"], address);
        assert!(answer.retry_after().is_some());
        // The status monitor is where they lead, and needs only its own.
        let path = format!("/operations/{}", answer.json()["id"].as_str().unwrap());
        let shown = world.send("GET", &path, "").await;
        assert_eq!(shown.header("operation-location"), Some(address));
        assert_eq!(shown.header("location"), None);
        assert_eq!(shown.header("azure-asyncoperation"), None);
    }
    // What has ended, was refused, or may have acted but failed, is not to be polled so.
    let fault = json!({"kind": "status", "status": 500});
    let order = json!({"on": "cancel", "offer": "migrated-2", "fault": fault});
    world.vendor.order(order).await;
    for (offer, status) in [("sync-1", 200), ("missing-1", 404), ("migrated-2", 502)] {
        let answer = cancel(offer, &[]).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.header("operation-location").is_some());
        assert_eq!(answer.header("location"), None);
        assert_eq!(answer.header("azure-asyncoperation"), None);
        assert_eq!(answer.retry_after(), None);
    }
}
