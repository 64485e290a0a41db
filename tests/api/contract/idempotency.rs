//! `Idempotency-Key`: a repeated request gets the first answer, and the action is executed
//! once.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::client::{self, Answer, assert_not_delivered};
use crate::config::write_config;
use crate::helpers::{KEY, READER_KEY, Setup, World, spawn, spawn_toml, spawn_with};
use crate::process::Process;
use crate::vendor::Vendor;

pub const ONE: &str = "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"";
const OTHER: &str = "\"another\"";

pub async fn cancel(world: &World, offer: &str, key: &str) -> Answer {
    let path = format!("/offers/{offer}/cancel");
    world
        .send_with("POST", &path, &[("Idempotency-Key", key)], "")
        .await
}

fn id(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// The parts of an answer that do not depend on the single request.
fn essence(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    // `Retry-After` says when to ask next, as of now.
    let own = ["date", "x-request-id", "idempotent-replayed", "retry-after"];
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| !own.contains(&&**name));
    headers.sort();
    (answer.status, headers, answer.body.clone())
}

#[track_caller]
fn assert_replay(again: &Answer, first: &Answer) {
    assert_eq!(first.header("idempotent-replayed"), None, "{first:?}");
    assert_eq!(
        again.header("idempotent-replayed"),
        Some("true"),
        "{again:?}"
    );
    assert_eq!(essence(again), essence(first));
    assert_eq!(again.retry_after().is_some(), first.retry_after().is_some());
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_answer_is_replayed_after_later_changes() {
    // Each start has another port.
    let mut world = spawn_toml("[server]\npublic_url = \"https://gateway.test\"").await;
    let sync = cancel(&world, "sync-1", ONE).await;
    assert_eq!(sync.status, 200, "{sync:?}");
    let followed = cancel(&world, "migrated-1", OTHER).await;
    assert_eq!(followed.status, 202, "{followed:?}");
    assert!(followed.retry_after().is_some());
    assert_replay(&cancel(&world, "migrated-1", OTHER).await, &followed);
    world.ended(&id(&followed)).await;
    for _ in 0..2 {
        assert_replay(&cancel(&world, "sync-1", ONE).await, &sync);
        assert_replay(&cancel(&world, "migrated-1", OTHER).await, &followed);
        world.restart().await;
    }
    assert_eq!(world.vendor.cancels("sync-1").await.len(), 1);
    assert_eq!(world.vendor.cancels("migrated-1").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_caused_by_the_vendor_is_replayed() {
    let world = spawn().await;
    for (offer, status, code) in [
        ("migrated-404", 404, "offer-not-found"),
        ("migrated-500", 502, "portal-failed"),
    ] {
        let vendors = offer.rsplit('-').next().unwrap();
        let fault =
            json!({"kind": "status", "status": vendors.parse::<u16>().unwrap(), "body": "no"});
        let order = json!({"on": "cancel", "offer": offer, "fault": fault});
        world.vendor.order(order).await;
        let key = format!("\"{offer}\"");
        let first = cancel(&world, offer, &key).await;
        first.problem(status, code);
        assert_replay(&cancel(&world, offer, &key).await, &first);
        assert_eq!(world.vendor.cancels(offer).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_without_effect_leaves_the_key_free() {
    let world = spawn().await;
    let closed = json!({"kind": "throttle", "retryAfterSeconds": 1, "as": "seconds"});
    let order = json!({"on": "cancel", "offer": "sync-busy", "fault": closed});
    world.vendor.order(order).await;
    let throttled = cancel(&world, "sync-busy", ONE).await;
    assert_eq!(
        throttled.problem(429, "portal-throttled")["retryable"],
        true
    );
    let done = cancel(&world, "sync-busy", ONE).await;
    assert_eq!(
        (done.status, done.header("idempotent-replayed")),
        (200, None)
    );
    assert_replay(&cancel(&world, "sync-busy", ONE).await, &done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_could_not_be_reached_leaves_the_key_free() {
    let mut world = spawn().await;
    // The token is fetched before the vendor stops.
    assert_eq!(world.cancel("sync-1").await.status, 200);
    world.vendor.stop().await;
    let first = cancel(&world, "sync-1", ONE).await;
    first.problem(502, "portal-failed");
    let again = cancel(&world, "sync-1", ONE).await;
    again.problem(502, "portal-failed");
    assert_ne!(
        first.header("operation-location"),
        again.header("operation-location")
    );
    // Also after a restart, when the ledger alone remembers.
    world.restart().await;
    let later = cancel(&world, "sync-1", ONE).await;
    assert!(later.status >= 502, "{later:?}");
    assert_eq!(later.header("idempotent-replayed"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_token_before_a_lost_vendor_leaves_the_key_free() {
    let world = spawn().await;
    assert_eq!(world.cancel("sync-1").await.status, 200);
    // The vendor received a request and did nothing; a newer token is not available.
    world
        .vendor
        .control("POST", "token/revoke", json!({}))
        .await;
    let fault = json!({"kind": "entra-error", "code": 7000215});
    world.vendor.lasting_fault("token", fault).await;
    let refused = cancel(&world, "sync-2", ONE).await;
    let problem = refused.problem(503, "credential-unavailable");
    assert_eq!(problem["delivered"], "yes");
    world.vendor.heal().await;
    world.readiness(200).await;
    let done = loop {
        let answer = cancel(&world, "sync-2", ONE).await;
        if answer.status != 503 {
            break answer;
        }
    };
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(done.header("idempotent-replayed"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_by_the_gateway_leave_the_key_free() {
    let world = spawn().await;
    let path = "/offers/sync-1/cancel";
    let key = [("Idempotency-Key", ONE)];
    for (method, path, body, status) in [
        ("POST", "/offers/sync-1/cancel?x=1", "", 400),
        ("POST", path, "nonsense", 400),
        ("POST", "/publishers/unknown/offers/sync-1/cancel", "", 403),
    ] {
        let refused = world.send_with(method, path, &key, body).await;
        assert_eq!(refused.status, status, "{refused:?}");
    }
    assert_eq!(cancel(&world, "sync-1", ONE).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_after_the_key_was_claimed_leave_it_free() {
    let world = spawn_with(Setup {
        toml: "[server]\nmax_in_flight_actions = 1".into(),
        tune: |settings| settings.callers[0].limits.actions = Some(10),
        ..Setup::default()
    })
    .await;
    let slow = json!({"kind": "delay", "ms": 1500});
    let order = json!({"on": "cancel", "offer": "sync-slow", "fault": slow});
    world.vendor.order(order).await;
    let refused = async {
        world.vendor.receives("sync-slow/cancel", 1).await;
        cancel(&world, "sync-1", ONE).await
    };
    let (slow, refused) = tokio::join!(world.cancel("sync-slow"), refused);
    assert_eq!(slow.status, 200);
    refused.problem(503, "overloaded");
    let done = cancel(&world, "sync-1", ONE).await;
    assert_eq!(
        (done.status, done.header("idempotent-replayed")),
        (200, None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_payload_under_the_same_key_is_refused() {
    let world = spawn().await;
    let first = cancel(&world, "sync-1", ONE).await;
    let path = "/offers/sync-1/cancel";
    let key = [("Idempotency-Key", ONE)];
    let body = r#"{"notificationEmails":["a@b.c"]}"#;
    for (path, body) in [("/offers/sync-2/cancel", ""), (path, body)] {
        let other = world.send_with("POST", path, &key, body).await;
        let problem = other.problem(422, "idempotency-key-reused");
        assert_eq!(
            (&problem["delivered"], &problem["retryable"]),
            (&json!("no"), &json!(false))
        );
    }
    // Another spelling of the same payload counts as the same.
    for (path, body) in [
        (path, "{}"),
        (path, r#"{"metadata":{}}"#),
        ("/publishers/contoso/offers/sync-1/cancel", ""),
    ] {
        assert_replay(&world.send_with("POST", path, &key, body).await, &first);
    }
    assert_eq!(world.vendor.received("/cancel").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_its_caller() {
    let world = spawn_toml(
        r#"
[[callers]]
name = "pipeline"
default_publisher = "contoso"
api_key_sha256 = ["$pipeline"]
allow = [{ actions = ["cancel", "read"], publishers = ["*"], offers = ["*"] }]
[[callers]]
name = "reader"
default_publisher = "contoso"
api_key_sha256 = ["$reader"]
allow = [{ actions = ["cancel"], publishers = ["*"], offers = ["*"] }]
"#,
    )
    .await;
    let key = ("Idempotency-Key", ONE);
    let mut ids = Vec::new();
    for caller in [KEY, READER_KEY] {
        let headers = [("X-Api-Key", caller), key];
        let path = "/offers/sync-1/cancel";
        let answer = client::send(world.address(), "POST", path, &headers, "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        ids.push(id(&answer));
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_during_the_first_request_gets_409() {
    let world = spawn().await;
    let slow = json!({"kind": "delay", "ms": 600_000});
    let order = json!({"on": "cancel", "offer": "sync-slow", "times": 1, "fault": slow});
    world.vendor.order(order).await;
    // The client disconnects during the action, which continues.
    tokio::select! {
        answer = cancel(&world, "sync-slow", ONE) => panic!("{answer:?}"),
        _ = world.vendor.receives("sync-slow/cancel", 1) => (),
    }
    let again = cancel(&world, "sync-slow", ONE).await;
    let problem = again.problem(409, "idempotency-key-in-use");
    assert_eq!(problem["retryable"], true);
    assert_eq!(again.retry_after(), Some(1));
    let path = "/offers/sync-other/cancel";
    let other = world
        .send_with("POST", path, &[("Idempotency-Key", ONE)], "")
        .await;
    other.problem(422, "idempotency-key-reused");
    assert_eq!(world.vendor.received("/cancel").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_repeats_execute_once() {
    let world = spawn().await;
    let ask = || cancel(&world, "migrated-1", ONE);
    let answers = futures_util::future::join_all((0..50).map(|_| ask())).await;
    let (accepted, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 202);
    let first: Vec<_> = accepted
        .iter()
        .filter(|a| a.header("idempotent-replayed").is_none())
        .collect();
    assert_eq!(first.len(), 1);
    for answer in refused {
        answer.problem(409, "idempotency-key-in-use");
    }
    for answer in &accepted {
        assert_eq!(id(answer), id(accepted[0]));
    }
    assert_eq!(world.vendor.cancels("migrated-1").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_kept_as_long_as_configured() {
    let mut world = spawn_with(Setup {
        tune: |settings| settings.ledger.idempotency = Duration::ZERO,
        ..Setup::default()
    })
    .await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        for _ in 0..2 {
            let answer = cancel(&world, "sync-1", ONE).await;
            assert_eq!(
                (answer.status, answer.header("idempotent-replayed")),
                (200, None)
            );
            ids.push(id(&answer));
        }
        world.restart().await;
    }
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_leaves_the_key_with_its_operation() {
    let setup = Setup {
        toml: "[operations]\npoll_seconds = 1\nsettle_seconds = 1\ngive_up_seconds = 60".into(),
        ..Setup::default()
    };
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let slow = json!({"kind": "delay", "ms": 600_000});
    // So that it has not ended when the gateway is asked again.
    for on in ["cancel", "submissions"] {
        let order = json!({"on": on, "offer": "migrated-1", "fault": slow});
        vendor.order(order).await;
    }
    let directory = TempDir::new().unwrap();
    write_config(&directory, vendor.address, &setup);
    let headers = [("X-Api-Key", KEY), ("Idempotency-Key", ONE)];
    let ask = async |address| {
        let path = "/offers/migrated-1/cancel";
        let bytes = client::request(address, "POST", path, &headers, "");
        client::attempt(address, bytes.as_bytes()).await
    };

    let mut process = Process::serve(directory.path());
    let (address, _) = process.listens().await;
    let crash = async {
        vendor.receives("migrated-1/cancel", 1).await;
        process.killed().await
    };
    let (unanswered, _) = tokio::join!(ask(address), crash);
    assert!(unanswered.is_none(), "{unanswered:?}");

    let mut process = Process::serve(directory.path());
    let (address, _) = process.listens().await;
    let first = ask(address).await.unwrap();
    assert_eq!(first.status, 202, "{first:?}");
    assert_eq!(first.header("idempotent-replayed"), Some("true"));
    assert_eq!(first.json()["portal"]["delivered"], "unknown");
    // This was the first answer, so it is replayed from now on.
    let again = ask(address).await.unwrap();
    assert_eq!(essence(&again), essence(&first));
    assert_eq!(vendor.cancels("migrated-1").await.len(), 1);
    process.signal("TERM");
    let log = process.ended().await.stdout;
    assert_eq!(log.matches("\"replayed\":true").count(), 2, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_has_a_ceiling_of_its_own() {
    let toml = "[[callers]]\nname = \"pipeline\"\ndefault_publisher = \"contoso\"\n\
        api_key_sha256 = [\"$pipeline\"]\nmax_idempotency_keys = 2\n\
        allow = [ { actions = [\"*\"], publishers = [\"contoso\"], offers = [\"*\"] } ]\n\
        [[callers]]\nname = \"reader\"\ndefault_publisher = \"contoso\"\n\
        api_key_sha256 = [\"$reader\"]\n\
        allow = [ { actions = [\"*\"], publishers = [\"contoso\"], offers = [\"*\"] } ]";
    let mut world = spawn_toml(toml).await;
    for key in ["\"1\"", "\"2\""] {
        assert_eq!(cancel(&world, "sync-1", key).await.status, 200);
    }
    for _ in 0..2 {
        let refused = cancel(&world, "sync-1", "\"3\"").await;
        let problem = refused.problem(429, "rate-limited");
        assert_not_delivered(&problem);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("max_idempotency_keys = 2"), "{detail}");
        assert!(refused.retry_after().is_some());
        // Its own keys, requests without one, and other callers are not affected.
        let again = cancel(&world, "sync-1", "\"2\"").await;
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(world.cancel("sync-1").await.status, 200);
        let headers = [("X-Api-Key", READER_KEY), ("Idempotency-Key", "\"3\"")];
        let path = "/offers/sync-1/cancel";
        let other = client::send(world.address(), "POST", path, &headers, "").await;
        assert_eq!(other.status, 200, "{other:?}");
        // The count is the same after a restart.
        world.restart().await;
    }
}
