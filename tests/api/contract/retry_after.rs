//! `Retry-After` of an unfinished operation: when the gateway will know more.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::helpers::{Setup, World, spawn_with};

async fn world() -> World {
    spawn_with(Setup {
        tune: |settings| settings.operations.poll = Duration::from_secs(1),
        ..Setup::default()
    })
    .await
}

/// How many polls of this offer the vendor has received since then.
async fn polls_since(world: &World, offer: &str, since: Timestamp) -> usize {
    let path = format!("offers/{offer}/submissions");
    let entries = world.vendor.received(&path).await;
    let time = |entry: &Value| entry["at"].as_str().unwrap().parse::<Timestamp>();
    let times = entries.iter().map(|entry| time(entry).unwrap());
    times.filter(|at| *at >= since).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_at_retry_after_comes_after_the_next_poll() {
    let world = world().await;
    let mut answer = world.cancel("stubborn-1").await;
    let path = format!("/operations/{}", answer.json()["id"].as_str().unwrap());
    let mut waits = Vec::new();
    for _ in 0..4 {
        // One that is in flight counts, too: it brings news.
        let since = Timestamp::now() - SignedDuration::from_millis(200);
        let wait = answer.retry_after().unwrap();
        waits.push(wait);
        tokio::time::sleep(Duration::from_secs(wait)).await;
        answer = world.send("GET", &path, "").await;
        let polls = polls_since(&world, "stubborn-1", since).await;
        assert!(polls > 0, "{waits:?}: no poll since the last answer");
    }
    // The first poll comes at once after the action, or has been made already. Then up to
    // four seconds: the rest of a pause of one to two, rounded up, and one.
    assert!((1..=3).contains(&waits[0]), "{waits:?}");
    assert!(waits.iter().sum::<u64>() > 6, "{waits:?}");
    assert!(
        waits[1..].iter().all(|wait| (1..=4).contains(wait)),
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
