//! Access by API key: requests without a key, without a rule, or for another caller's
//! operation are refused and do not reach the vendor.

use serde_json::Value;

use crate::client::{self, Answer, assert_not_delivered};
use crate::helpers::{KEY, NOBODY_KEY, READER_KEY, World, spawn, spawn_toml};

const CANCEL: &str = "/offers/sync-1/cancel";

async fn with_headers(world: &World, path: &str, headers: &[(&str, &str)]) -> Answer {
    let method = if path == CANCEL { "POST" } else { "GET" };
    client::send(world.address(), method, path, headers, "").await
}

/// The problem without what differs from request to request.
fn essence(mut problem: Value) -> Value {
    for member in ["requestId", "instance"] {
        problem.as_object_mut().unwrap().remove(member);
    }
    problem
}

#[tokio::test(flavor = "multi_thread")]
async fn every_invalid_key_gets_the_same_answer() {
    let world = spawn().await;
    let long = "x".repeat(257);
    let padded = format!("{KEY}x");
    let upper = KEY.to_uppercase();
    let hash = "1".repeat(64);
    let basic = format!("ApiKey {KEY}");
    let mut seen: Option<Value> = None;
    for headers in [
        vec![("X-Api-Key", "")],
        vec![("X-Api-Key", "short")],
        vec![("X-Api-Key", "fifteen-letters")],
        vec![("X-Api-Key", "an-unknown-key-0123456789")],
        vec![("X-Api-Key", &KEY[1..])],
        vec![("X-Api-Key", &KEY[..KEY.len() - 1])],
        vec![("X-Api-Key", &*padded)],
        vec![("X-Api-Key", &*upper)],
        vec![("X-Api-Key", &*hash)],
        vec![("X-Api-Key", &*long)],
        vec![("X-Api-Key", "pipeline key 0123456789")],
        vec![("X-Api-Key", "schl\u{fc}ssel-0123456789")],
        vec![("Authorization", KEY)],
        vec![("Authorization", &*basic)],
    ] {
        for path in [CANCEL, "/operations/01996b2e-0000-7000-8000-000000000000"] {
            let answer = with_headers(&world, path, &headers).await;
            let problem = answer.problem(401, "unauthenticated");
            assert_not_delivered(&problem);
            assert_eq!(problem["retryable"], false);
            assert_eq!(
                answer.header("www-authenticate"),
                Some("ApiKey header=\"X-Api-Key\""),
                "{headers:?}"
            );
            assert_eq!(problem["instance"], path);
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("sent is not accepted"), "{detail}");
            let problem = essence(problem);
            assert_eq!(*seen.get_or_insert(problem.clone()), problem, "{headers:?}");
        }
    }
    world.assert_nothing_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_is_told_from_one_that_is_not_accepted() {
    let world = spawn().await;
    for headers in [
        vec![],
        vec![("X-Api-Keys", KEY)],
        vec![("X_Api_Key", KEY)],
        vec![("Cookie", "X-Api-Key=pipeline-key-0123456789")],
    ] {
        let answer = with_headers(&world, CANCEL, &headers).await;
        let problem = answer.problem(401, "unauthenticated");
        let detail = "Authentication required: the request has no credential. Send an API key in \
                      the X-Api-Key header.";
        assert_eq!(problem["detail"], detail, "{headers:?}");
        let challenge = "ApiKey header=\"X-Api-Key\"";
        assert_eq!(
            answer.header("www-authenticate"),
            Some(challenge),
            "{headers:?}"
        );
    }
    // OAuth clients look for the error code (RFC 6750 section 3.1).
    for value in ["Bearer x.y.z", "bearer", "BEARER  a b", "Bearer \u{e9}"] {
        let answer = with_headers(&world, CANCEL, &[("Authorization", value)]).await;
        let problem = answer.problem(401, "unauthenticated");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("sent is not accepted"), "{value}: {detail}");
        let challenge = "ApiKey header=\"X-Api-Key\", Bearer error=\"invalid_token\"";
        assert_eq!(
            answer.header("www-authenticate"),
            Some(challenge),
            "{value}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unauthenticated_requests_are_not_validated_further() {
    let world = spawn().await;
    let mut seen: Option<Value> = None;
    for (path, headers, body) in [
        ("/offers/sync-1/cancel", vec![], ""),
        ("/offers/%2e%2e/cancel", vec![], ""),
        ("/publishers/-$-/offers/sync-1/cancel", vec![], ""),
        ("/offers/sync-1/cancel?x=1", vec![], ""),
        (
            "/offers/sync-1/cancel",
            vec![("Idempotency-Key", "\"x\"")],
            "",
        ),
        (
            "/offers/sync-1/cancel",
            vec![("Content-Type", "text/plain")],
            "nonsense",
        ),
    ] {
        let answer = client::send(world.address(), "POST", path, &headers, body).await;
        let problem = essence(answer.problem(401, "unauthenticated"));
        assert_eq!(*seen.get_or_insert(problem.clone()), problem, "{path}");
    }
    world.assert_nothing_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_rule_is_denied() {
    let world = spawn_toml(
        r#"
[[callers]]
name = "pipeline"
default_publisher = "contoso"
api_key_sha256 = ["$pipeline"]
allow = [
  { actions = ["cancel"], publishers = ["contoso"], offers = ["sync-*"] },
  { actions = ["read", "publish", "go-live", "write"], publishers = ["*"], offers = ["*"] },
]
[[callers]]
name = "reader"
default_publisher = "contoso"
api_key_sha256 = ["$reader"]
allow = [ { actions = ["read"], publishers = ["*"], offers = ["*"] } ]
[[callers]]
name = "nobody"
default_publisher = "contoso"
api_key_sha256 = ["$nobody"]
"#,
    )
    .await;
    let mut seen: Option<Value> = None;
    for (key, path) in [
        (NOBODY_KEY, "/offers/sync-1/cancel"),
        (NOBODY_KEY, "/publishers/contoso/offers/sync-1/cancel"),
        (READER_KEY, "/offers/sync-1/cancel"),
        (KEY, "/offers/migrated-1/cancel"),
        (KEY, "/offers/sync/cancel"),
        (KEY, "/offers/Sync-1/cancel"),
        (KEY, "/offers/a-sync-1/cancel"),
        (KEY, "/publishers/fabrikam/offers/sync-1/cancel"),
        (KEY, "/publishers/Contoso/offers/sync-1/cancel"),
        (KEY, "/publishers/no-such-publisher/offers/sync-1/cancel"),
    ] {
        let answer = world.send_as(key, "POST", path, "").await;
        let problem = answer.problem(403, "caller-not-allowed");
        assert_not_delivered(&problem);
        assert_eq!(problem["retryable"], false);
        let problem = essence(problem);
        assert_eq!(*seen.get_or_insert(problem.clone()), problem, "{path}");
    }
    world.assert_nothing_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_of_another_caller_is_not_found() {
    let world = spawn().await;
    let answer = world.cancel("sync-1").await;
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(world.operation(&id).await["requestedBy"], "pipeline");
    let upper = id.to_uppercase();
    let simple = id.replace('-', "");
    let mut seen: Option<Value> = None;
    for (key, id) in [
        (READER_KEY, id.as_str()),
        (NOBODY_KEY, &id),
        (READER_KEY, "01996b2e-0000-7000-8000-000000000000"),
        (KEY, "01996b2e-0000-7000-8000-000000000000"),
        (KEY, &simple),
        (KEY, "x"),
        (KEY, "%2e%2e"),
        (KEY, "00000000-0000-0000-0000-000000000000"),
    ] {
        let path = format!("/operations/{id}");
        let answer = world.send_as(key, "GET", &path, "").await;
        let problem = essence(answer.problem(404, "operation-not-found"));
        assert_eq!(*seen.get_or_insert(problem.clone()), problem, "{id}");
    }
    let answer = world.send("GET", &format!("/operations/{upper}"), "").await;
    assert_eq!(answer.json()["id"], id, "case does not count in a UUID");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_may_have_two_keys_while_one_is_replaced() {
    let world = spawn_toml(
        r#"
[[callers]]
name = "pipeline"
default_publisher = "contoso"
api_key_sha256 = ["$pipeline", "$reader"]
allow = [ { actions = ["cancel"], publishers = ["contoso"], offers = ["*"] } ]
"#,
    )
    .await;
    let mut ids = Vec::new();
    for (key, offer) in [(KEY, "sync-1"), (READER_KEY, "sync-2")] {
        let path = format!("/offers/{offer}/cancel");
        let answer = world.send_as(key, "POST", &path, "").await;
        assert_eq!(answer.json()["requestedBy"], "pipeline");
        ids.push(answer.json()["id"].as_str().unwrap().to_owned());
    }
    // An operation belongs to the caller, not to the key that requested it.
    for key in [KEY, READER_KEY] {
        for id in &ids {
            let path = format!("/operations/{id}");
            assert_eq!(world.send_as(key, "GET", &path, "").await.status, 200);
        }
    }
}
