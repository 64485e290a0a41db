//! The vendor refuses the token or cannot be reached: what was sent, how often, and the
//! answers to callers.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::client::Answer;
use crate::helpers::{World, spawn, spawn_toml};

/// The problem must be about an operation that has ended, and agree with it.
async fn ended_operation(world: &World, answer: &Answer, code: &str) -> Value {
    let problem = answer.json();
    let location = problem["operationLocation"].as_str().unwrap();
    let operation = world.operation(location.rsplit('/').next().unwrap()).await;
    assert_eq!(operation["status"], "Failed", "{operation}");
    assert_eq!(operation["error"]["code"], code);
    assert!(operation["outcome"].is_null());
    assert_eq!(operation["portal"]["delivered"], problem["delivered"]);
    operation
}

async fn token_requests(world: &World) -> usize {
    world.vendor.received("/oauth2/").await.len()
}

fn unauthorized(times: u32) -> Value {
    json!({"on": "cancel", "times": times, "fault": {"kind": "unauthorized"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_refused_once_is_replaced_and_the_request_sent_again() {
    let world = spawn().await;
    world.vendor.order(unauthorized(1)).await;
    let operation = world.outcome_of("migrated-1").await;
    assert_eq!(operation["outcome"], "canceled");
    let sent = world.vendor.cancels("migrated-1").await;
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert_ne!(
        sent[0]["headers"]["authorization"],
        sent[1]["headers"]["authorization"]
    );
    assert_eq!(token_requests(&world).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_refused_twice_is_final() {
    let world = spawn().await;
    world.vendor.order(unauthorized(0)).await;
    let answer = world.cancel("migrated-1").await;
    let problem = answer.problem(502, "portal-rejected-credential");
    assert_eq!(problem["origin"], "portal");
    assert_eq!(problem["retryable"], false);
    assert_eq!(problem["delivered"], "yes");
    assert_eq!(problem["portal"]["httpStatus"], 401);
    assert_eq!(answer.retry_after(), None);
    ended_operation(&world, &answer, "portal-rejected-credential").await;
    assert_eq!(world.vendor.cancels("migrated-1").await.len(), 2);
    // Continued refusals do not cause token requests in a loop.
    for _ in 0..5 {
        let answer = world.cancel("migrated-2").await;
        answer.problem(502, "portal-rejected-credential");
    }
    assert_eq!(world.vendor.cancels("migrated-2").await.len(), 5);
    assert_eq!(token_requests(&world).await, 2);
}

/// An address that refuses connections.
async fn refusing_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// An address where connecting takes forever, as behind a firewall that drops: a
/// listener whose queue is full. Keep what is returned.
async fn nowhere() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    loop {
        let connect = TcpStream::connect(address);
        let limit = std::time::Duration::from_millis(300);
        match tokio::time::timeout(limit, connect).await {
            Ok(stream) => waiting.push(stream.unwrap()),
            Err(_elapsed) => return (address, listener, waiting),
        }
        assert!(waiting.len() < 100, "the queue does not fill");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsent_request_is_reported_as_not_delivered() {
    let (dropping, _listener, _waiting) = nowhere().await;
    for (base, status, code) in [
        (
            format!("http://{}", refusing_address().await),
            502,
            "portal-failed",
        ),
        (
            format!("https://{}", refusing_address().await),
            502,
            "portal-failed",
        ),
        (format!("http://{dropping}"), 504, "portal-timeout"),
    ] {
        let toml = format!("[portal]\nbase_url = \"{base}\"\nconnect_timeout_ms = 400");
        let world = spawn_toml(&toml).await;
        let answer = world.cancel("migrated-1").await;
        let problem = answer.problem(status, code);
        assert_eq!(problem["delivered"], "no", "{base}");
        assert_eq!(problem["origin"], "portal");
        assert_eq!(problem["retryable"], true);
        assert_eq!(answer.retry_after(), Some(5));
        let is_late = problem["detail"]
            .as_str()
            .unwrap()
            .contains("portal.connect_timeout_ms");
        assert_eq!(is_late, status == 504, "{problem}");
        let operation = ended_operation(&world, &answer, code).await;
        assert!(operation["portal"]["httpStatus"].is_null());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_without_tls_receives_nothing() {
    let vendor = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = vendor.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = vendor.accept().await {
            use tokio::io::AsyncWriteExt;
            let _gone = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let world = spawn_toml(&format!("[portal]\nbase_url = \"https://{base}\"")).await;
    let answer = world.cancel("migrated-1").await;
    let problem = answer.problem(502, "portal-failed");
    assert_eq!(problem["delivered"], "no");
    assert_eq!(problem["retryable"], true);
    assert!(answer.retry_after().is_some());
    ended_operation(&world, &answer, "portal-failed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_stops_breaks_pooled_connections() {
    let mut world = spawn().await;
    assert_eq!(world.outcome_of("migrated-1").await["outcome"], "canceled");
    world.vendor.stop().await;
    // Connections of the pool are dead now; the second attempt makes a new one.
    let first = world.cancel("migrated-2").await;
    assert!([202, 502].contains(&first.status), "{first:?}");
    for _ in 0..4 {
        let answer = world.cancel("migrated-2").await;
        if answer.status == 502 {
            assert_eq!(answer.problem(502, "portal-failed")["delivered"], "no");
            return;
        }
        assert_eq!(answer.json()["portal"]["delivered"], "unknown");
    }
    panic!("the gateway never noticed that the vendor is gone");
}
