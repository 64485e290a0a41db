//! `Prefer: wait=N`: answers that wait for the operation to finish.

use std::time::Duration;

use tokio::time::Instant;

use crate::client::Answer;
use crate::helpers::{World, spawn, spawn_undecided};

async fn ask(world: &World, method: &str, path: &str, prefer: &str) -> Answer {
    world
        .send_with(method, path, &[("Prefer", prefer)], "")
        .await
}

fn monitor(answer: &Answer) -> String {
    format!("/operations/{}", answer.json()["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_action_is_answered_when_it_finishes() {
    let world = spawn_undecided("").await;
    let path = "/offers/migrated-1/cancel";
    let end = async {
        world.vendor.receives("migrated-1/submissions", 2).await;
        world.bite("migrated-1").await;
    };
    let (answer, ()) = tokio::join!(ask(&world, "POST", path, "wait=40"), end);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("preference-applied"), Some("wait=40"));
    assert_eq!(answer.retry_after(), None);
    let operation = answer.json();
    assert_eq!(operation["status"], "Succeeded");
    assert_eq!(operation["outcome"], "canceled");
    assert_eq!(
        operation["operationLocation"].as_str(),
        answer.header("operation-location")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_status_requests_are_answered_when_it_finishes() {
    let world = spawn_undecided("").await;
    let monitor = monitor(&world.cancel("migrated-1").await);
    world.vendor.receives("migrated-1/submissions", 1).await;
    let waits = (0..20).map(|_| ask(&world, "GET", &monitor, "respond-async, wait=40"));
    let all = futures_util::future::join_all(waits);
    let (answers, ()) = tokio::join!(all, world.bite("migrated-1"));
    for answer in answers {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["outcome"], "canceled");
        assert_eq!(answer.header("preference-applied"), Some("wait=40"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_after_the_preferred_or_the_longest_time() {
    let world = spawn_undecided("[server]\nmax_wait_seconds = 1").await;
    let path = "/offers/migrated-1/cancel";
    for (prefer, applied, least) in [
        ("wait=600", "wait=1", 1),
        ("wait=1", "wait=1", 1),
        ("wait=0", "wait=0", 0),
    ] {
        let started = Instant::now();
        let answer = ask(&world, "POST", path, prefer).await;
        assert!(started.elapsed() >= Duration::from_secs(least));
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.json()["status"], "Running");
        assert_eq!(answer.header("preference-applied"), Some(applied));
        assert!(answer.retry_after().is_some());
        let shown = ask(&world, "GET", &monitor(&answer), prefer).await;
        assert_eq!(shown.json()["status"], "Running");
        assert_eq!(shown.header("preference-applied"), Some(applied));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_operations_and_invalid_preferences_do_not_wait() {
    let world = spawn().await;
    let answer = ask(&world, "POST", "/offers/sync-1/cancel", "wait=40").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("preference-applied"), Some("wait=40"));
    let answer = ask(&world, "GET", &monitor(&answer), "wait=40").await;
    assert_eq!(answer.json()["status"], "Succeeded");
    for prefer in ["wait=soon", "return=minimal", "wait"] {
        let answer = ask(&world, "POST", "/offers/migrated-1/cancel", prefer).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.header("preference-applied"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_can_be_switched_off() {
    let world = spawn_undecided("[server]\nmax_wait_seconds = 0").await;
    let answer = ask(&world, "POST", "/offers/migrated-1/cancel", "wait=40").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.header("preference-applied"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_ends_every_wait_at_once() {
    let mut world = spawn_undecided("").await;
    let monitor = monitor(&world.cancel("migrated-1").await);
    let address = world.address();
    let waiting: Vec<_> = (0..50)
        .map(|n| {
            let key = [("X-Api-Key", crate::helpers::KEY), ("Prefer", "wait=40")];
            let (method, path) = match n % 2 {
                0 => ("GET", monitor.clone()),
                _ => ("POST", format!("/offers/migrated-{n}/cancel")),
            };
            let bytes = crate::client::request(address, method, &path, &key, "");
            tokio::spawn(async move { crate::client::send_raw(address, bytes.as_bytes()).await })
        })
        .collect();
    // All of them are there once their cancels are; a GET is faster than those.
    world.vendor.receives("/cancel", 26).await;
    let started = Instant::now();
    world.stop().await;
    for answer in waiting {
        let answer = answer.await.unwrap().expect("not answered");
        assert_eq!(answer.json()["status"], "Running", "{answer:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_caller_that_loses_its_rights_gets_only_that_problem() {
    let world = spawn_undecided("").await;
    let monitor = monitor(&world.cancel("migrated-1").await);
    world.vendor.receives("migrated-1/submissions", 1).await;
    let others = r#"
[[callers]]
name = "reader"
default_publisher = "contoso"
api_key_sha256 = ["$reader"]
allow = [{ actions = ["read"], publishers = ["*"], offers = ["*"] }]
"#;
    let exchange = async {
        // Only a request that already waits is affected.
        let path = "/offers/migrated-2/cancel";
        let posted = ask(&world, "POST", path, "wait=40");
        let reload = async {
            world.vendor.receives("migrated-2/submissions", 2).await;
            world.reload(others).await;
        };
        tokio::join!(posted, reload).0
    };
    let (shown, posted) = tokio::join!(ask(&world, "GET", &monitor, "wait=40"), exchange);
    shown.problem(401, "unauthenticated");
    // The action was executed; the answer has the state known at the time of the request.
    assert_eq!(posted.status, 202, "{posted:?}");
    assert_eq!(posted.json()["status"], "Running");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_confirms_the_wait_of_the_first_request() {
    let mut world = spawn_undecided("[server]\npublic_url = \"https://gateway.test\"").await;
    let path = "/offers/migrated-1/cancel";
    let key = ("Idempotency-Key", "\"one\"");
    let waits = [key, ("Prefer", "wait=1")];
    let first = world.send_with("POST", path, &waits, "").await;
    assert_eq!(first.header("preference-applied"), Some("wait=1"));
    for _ in 0..2 {
        for headers in [&[key][..], &waits, &[key, ("Prefer", "wait=9")]] {
            let again = world.send_with("POST", path, headers, "").await;
            assert_eq!(again.header("idempotent-replayed"), Some("true"));
            assert_eq!(again.header("preference-applied"), Some("wait=1"));
            assert_eq!(again.body, first.body);
        }
        world.restart().await;
    }
}
