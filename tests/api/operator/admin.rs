//! `/healthz` and `/readyz`: liveness, and readiness with its reasons. Reasons that need a
//! broken token endpoint, ledger or shutdown are tested with those.

use jiff::Timestamp;
use serde_json::json;

use crate::client;
use crate::helpers::{KEY, Setup, spawn, spawn_with};

#[tokio::test(flavor = "multi_thread")]
async fn alive_and_ready() {
    let world = spawn().await;
    assert_eq!(world.cancel("sync-1").await.status, 200);
    let alive = world.admin("/healthz").await;
    assert_eq!(
        (alive.status, alive.json()),
        (200, json!({"status": "alive"}))
    );
    let ready = world.admin("/readyz").await;
    assert_eq!(ready.status, 200);
    for answer in [&alive, &ready] {
        for (name, value) in [
            ("cache-control", "no-store"),
            ("content-type", "application/json"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'"),
        ] {
            assert_eq!(answer.header(name), Some(value));
        }
    }
    let mut readiness = ready.json();
    let usable = readiness["credentials"][0]["tokenUsableMs"]
        .as_u64()
        .unwrap();
    assert!((3_400_000..3_600_000).contains(&usable), "{readiness}");
    let age = readiness["credentials"][0]["tokenAgeMs"].as_u64().unwrap();
    assert!(age < 60_000, "{readiness}");
    let success: Timestamp = readiness["credentials"][0]["lastSuccess"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("{readiness}"));
    let since = Timestamp::now().duration_since(success).as_secs();
    assert!((0..60).contains(&since), "{readiness}");
    for name in ["tokenAgeMs", "tokenUsableMs", "lastSuccess"] {
        readiness["credentials"][0][name] = json!("…");
    }
    let expected = json!({
        "ready": true,
        "reasons": [],
        "warnings": [],
        "credentials": [{
            "name": "main",
            "kind": "client-secret",
            "publishers": ["contoso"],
            "tokenAgeMs": "…",
            "tokenUsableMs": "…",
            "lastSuccess": "…",
            "lastFailure": null,
            "lastFailureAt": null,
            "rotationFailure": null,
            "vendorRefusal": null,
            "ends": null,
            "endsInDays": null,
        }],
        "issuers": [],
    });
    assert_eq!(readiness, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn not_ready_before_there_is_a_token_but_alive() {
    let hang = json!({"on": "token", "fault": {"kind": "delay", "ms": 1500}});
    let world = spawn_with(Setup {
        prepare: vec![("faults", hang)],
        ..Setup::default()
    })
    .await;
    let readiness = world.admin("/readyz").await;
    assert_eq!(readiness.status, 503);
    assert_eq!(readiness.header("cache-control"), Some("no-store"));
    let expected = json!({
        "ready": false,
        "reasons": ["credential main: no token yet for contoso"],
        "warnings": [],
        "credentials": [{
            "name": "main",
            "kind": "client-secret",
            "publishers": ["contoso"],
            "tokenAgeMs": null,
            "tokenUsableMs": null,
            "lastSuccess": null,
            "lastFailure": null,
            "lastFailureAt": null,
            "rotationFailure": null,
            "vendorRefusal": null,
            "ends": null,
            "endsInDays": null,
        }],
        "issuers": [],
    });
    assert_eq!(readiness.json(), expected);
    assert_eq!(world.admin("/healthz").await.status, 200);
    world.readiness(200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_and_operators_have_separate_listeners() {
    let world = spawn().await;
    let key = [("X-Api-Key", KEY)];
    let admin = world.admin_address();
    for (method, path) in [
        ("POST", "/offers/sync-1/cancel"),
        ("GET", "/operations/01996b2e-0000-7000-8000-000000000000"),
        ("GET", "/problems/conflict"),
        ("GET", "/"),
    ] {
        let answer = client::send(admin, method, path, &key, "").await;
        assert_eq!(answer.status, 404, "{path}");
    }
    world.assert_nothing_sent().await;
}
