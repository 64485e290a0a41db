//! `Idempotency-Key`: its syntax, and that it is stored only as a digest.

use crate::helpers::spawn;
use crate::idempotency::{ONE, cancel};

#[tokio::test(flavor = "multi_thread")]
async fn only_one_string_in_quotes_is_a_key() {
    let world = spawn().await;
    let long = format!("\"{}\"", "k".repeat(256));
    for bad in [
        "8e03978e-40d5-43dd-bc93-6894a57f9324",
        "",
        "\"\"",
        "\"open",
        "\"a\", \"b\"",
        "\"a\" \"b\"",
        "'a'",
        "42",
        "?1",
        ":YQ==:",
        "\"t\tab\"",
        "\"\\x\"",
        &long,
    ] {
        let answer = cancel(&world, "sync-1", bad).await;
        let problem = answer.problem(400, "invalid-header");
        assert!(!problem["detail"].as_str().unwrap().contains("kkk"));
    }
    let twice = [("Idempotency-Key", ONE), ("Idempotency-Key", ONE)];
    let path = "/offers/sync-1/cancel";
    let answer = world.send_with("POST", path, &twice, "").await;
    answer.problem(400, "invalid-header");
    let monitor = "/operations/01996b2e-0000-7000-8000-000000000000";
    for path in [monitor, &format!("{monitor}/events")] {
        let key = [("Idempotency-Key", ONE)];
        let answer = world.send_with("GET", path, &key, "").await;
        answer.problem(400, "invalid-header");
    }
    world.assert_nothing_sent().await;
    let longest = format!("\"{}\"", "k".repeat(255));
    for good in [&*longest, "\"a \\\"b\\\" \\\\ c\"", " \"x\" ", "\"y\";v=1"] {
        assert_eq!(cancel(&world, "sync-1", good).await.status, 200, "{good}");
    }
    // Spellings of the same string are the same key.
    let one = cancel(&world, "sync-1", "\"y\"").await;
    assert_eq!(one.header("idempotent-replayed"), Some("true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_stored_only_as_a_digest() {
    let mut world = spawn().await;
    let key = "\"order-4711-of-a-customer\"";
    assert_eq!(cancel(&world, "sync-1", key).await.status, 200);
    world.stop().await;
    let file = std::fs::read(world.directory.path().join("ledger.db")).unwrap();
    let text = String::from_utf8_lossy(&file);
    assert!(text.contains("sync-1"));
    assert!(!text.contains("4711"));
}
