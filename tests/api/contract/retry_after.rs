//! `Retry-After` of an unfinished operation: when the gateway will know more.

use std::time::Duration;

use serde_json::json;

use crate::helpers::{Setup, World, spawn_with};

async fn world() -> World {
    spawn_with(Setup {
        tune: |settings| settings.operations.poll = Duration::from_secs(1),
        ..Setup::default()
    })
    .await
}

async fn polls(world: &World, offer: &str) -> usize {
    let path = format!("offers/{offer}/submissions");
    world.vendor.received(&path).await.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_at_retry_after_comes_after_the_next_poll() {
    let world = world().await;
    let mut answer = world.cancel("stubborn-1").await;
    let path = format!("/operations/{}", answer.json()["id"].as_str().unwrap());
    let mut before = 0;
    let mut waits = Vec::new();
    for _ in 0..4 {
        let wait = answer.retry_after().unwrap();
        waits.push(wait);
        tokio::time::sleep(Duration::from_secs(wait)).await;
        answer = world.send("GET", &path, "").await;
        let after = polls(&world, "stubborn-1").await;
        assert!(after > before, "{waits:?}: no poll since the last answer");
        before = after;
    }
    // At once after the action, then two to four seconds: the rest of a pause of one to
    // two, rounded up, and one.
    assert_eq!(waits[0], 1, "{waits:?}");
    assert!(
        waits[1..].iter().all(|wait| (2..=4).contains(wait)),
        "{waits:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_the_vendor_demands_is_part_of_it() {
    let world = world().await;
    let fault = json!({"kind": "throttle", "retryAfterSeconds": 12});
    world.vendor.lasting_fault("submissions", fault).await;
    let answer = world.cancel("stubborn-1").await;
    world.vendor.receives("stubborn-1/submissions", 1).await;
    let path = format!("/operations/{}", answer.json()["id"].as_str().unwrap());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let wait = world.send("GET", &path, "").await.retry_after().unwrap();
        if (12..=14).contains(&wait) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{wait}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
