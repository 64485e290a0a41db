//! Waiting or streaming clients that disconnect: their resources are released at once.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::client::{self, Answer};
use crate::helpers::{KEY, World, spawn_toml};
use crate::tls::{Secured, secured};
use crate::tls_client::{TlsClientOptions, connect};

const TIMEOUT: Duration = Duration::from_secs(30);
/// One caller with one slot for waiting.
const ONE_WAIT: &str = r#"
[[callers]]
name = "pipeline"
default_publisher = "contoso"
api_key_sha256 = ["$pipeline"]
max_waits = 1
allow = [{ actions = ["cancel", "read"], publishers = ["*"], offers = ["*"] }]
"#;

/// Repeats a cancel under its key until the key is no longer in use: the first request has
/// then been abandoned.
async fn once_free(world: &World, headers: &[(&str, &str)]) -> Answer {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let path = "/offers/stubborn-1/cancel";
        let answer = world.send_with("POST", path, headers, "").await;
        if answer.status != 409 {
            return answer;
        }
        assert!(Instant::now() < deadline, "still in use");
        sleep(Duration::from_millis(20)).await;
    }
}

/// An operation that does not end by itself.
async fn stubborn(world: &World, offer: &str) -> String {
    let answer = world.cancel(offer).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    format!("/operations/{}", answer.json()["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_wait_releases_its_key() {
    let world = spawn_toml("").await;
    let headers = [
        ("X-Api-Key", KEY),
        ("Idempotency-Key", "\"one\""),
        ("Prefer", "wait=50"),
    ];
    let bytes = client::request(
        world.address(),
        "POST",
        "/offers/stubborn-1/cancel",
        &headers,
        "",
    );
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    world.vendor.receives("stubborn-1/submissions", 1).await;
    // An ordinary close without a reset, as after a client's timeout.
    drop(stream);
    let again = once_free(&world, &headers[1..2]).await;
    assert_eq!(again.status, 202, "{again:?}");
    assert_eq!(again.json()["status"], "Running");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(world.vendor.cancels("stubborn-1").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_after_a_wait_is_replayed_unchanged() {
    let world = spawn_toml("").await;
    let key = ("Idempotency-Key", "\"one\"");
    let path = "/offers/stubborn-1/cancel";
    let waited = [key, ("Prefer", "wait=1")];
    let first = world.send_with("POST", path, &waited, "").await;
    assert_eq!(first.status, 202, "{first:?}");
    assert_eq!(first.header("preference-applied"), Some("wait=1"));
    let finish = "offers/contoso/stubborn-1/finish";
    let state = json!({"state": "failed"});
    world.vendor.control("POST", finish, state).await;
    world.ended(first.json()["id"].as_str().unwrap()).await;
    let again = world.send_with("POST", path, &[key], "").await;
    assert_eq!((again.status, &again.body), (202, &first.body));
    assert_eq!(again.header("preference-applied"), Some("wait=1"));
    // An operation that finished during its wait stays finished.
    let over = [("Idempotency-Key", "\"two\""), ("Prefer", "wait=20")];
    let path = "/offers/migrated-1/cancel";
    let first = world.send_with("POST", path, &over, "").await;
    assert_eq!(first.status, 200, "{first:?}");
    let again = world.send_with("POST", path, &over, "").await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    assert_eq!(again.header("preference-applied"), Some("wait=20"));
    assert_eq!(world.vendor.cancels("migrated-1").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_wait_over_tls_releases_its_key() {
    let Secured { world, ca, .. } = secured("").await;
    let key = ("Idempotency-Key", "\"one\"");
    let headers = [("X-Api-Key", KEY), key, ("Prefer", "wait=50")];
    let mut stream = connect(world.address(), &TlsClientOptions::new(&ca).config())
        .await
        .unwrap();
    let path = "/offers/stubborn-1/cancel";
    let bytes = client::request(world.address(), "POST", path, &headers, "");
    stream.write_all(bytes.as_bytes()).await.unwrap();
    world.vendor.receives("stubborn-1/submissions", 1).await;
    drop(stream);
    let again = once_free(&world, &[key]).await;
    assert_eq!(again.status, 202, "{again:?}");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_waits_than_allowed_are_answered_at_once_and_streams_refused() {
    let world = spawn_toml(ONE_WAIT).await;
    let monitor = stubborn(&world, "stubborn-1").await;
    let events = format!("{monitor}/events");
    let key = [("X-Api-Key", KEY)];
    let bytes = client::request(world.address(), "GET", &events, &key, "");
    let mut listening = TcpStream::connect(world.address()).await.unwrap();
    listening.write_all(bytes.as_bytes()).await.unwrap();
    assert_eq!(head(&mut listening).await.status, 200);
    let refused = world.send("GET", &events, "").await;
    let problem = refused.problem(429, "rate-limited");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("(callers.max_waits = 1)"), "{detail}");
    assert_eq!(refused.retry_after(), Some(5));
    let wait = [("Prefer", "wait=50")];
    let at_once = world.send_with("GET", &monitor, &wait, "").await;
    assert_eq!(at_once.status, 200);
    assert_eq!(at_once.header("preference-applied"), None);
    // Its slot is free after it has disconnected.
    drop(listening);
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let short = [("Prefer", "wait=1")];
        let answer = world.send_with("GET", &monitor, &short, "").await;
        if answer.header("preference-applied").is_some() {
            break;
        }
        assert!(Instant::now() < deadline, "{answer:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The head of an answer whose body continues.
async fn head(stream: &mut TcpStream) -> Answer {
    use tokio::io::AsyncReadExt;
    let mut bytes = Vec::new();
    loop {
        let read = stream.read_buf(&mut bytes).await.unwrap();
        if let Some(answer) = Answer::parse(&bytes) {
            return answer;
        }
        assert_ne!(read, 0, "no head");
    }
}
