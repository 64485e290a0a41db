//! Clients that disconnect, are slow, numerous or malformed: nothing is lost, and other
//! clients are not affected.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{self, assert_not_delivered, read_answer, send_raw};
use crate::helpers::{KEY, Setup, World, spawn, spawn_toml, spawn_with};

async fn delay(world: &World, offer: &str, ms: u64) {
    let fault = json!({"kind": "delay", "ms": ms});
    let order = json!({"on": "cancel", "offer": offer, "fault": fault});
    world.vendor.order(order).await;
}

fn cancel_bytes(world: &World, offer: &str) -> Vec<u8> {
    let path = format!("/offers/{offer}/cancel");
    client::request(world.address(), "POST", &path, &[("X-Api-Key", KEY)], "").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnected_client_does_not_stop_its_action() {
    let world = spawn().await;
    for (offer, outcome) in [
        ("sync-fin", "canceled"),
        ("sync-rst", "canceled"),
        ("migrated-rst", "canceled"),
        ("forbidden-rst", ""),
    ] {
        delay(&world, offer, 400).await;
        let mut stream = TcpStream::connect(world.address()).await.unwrap();
        stream
            .write_all(&cancel_bytes(&world, offer))
            .await
            .unwrap();
        world.vendor.receives(&format!("{offer}/cancel"), 1).await;
        if offer.ends_with("rst") {
            stream.set_zero_linger().unwrap();
        }
        drop(stream);
        let rows = world.rows(offer).await;
        assert_eq!(rows.len(), 1, "{offer}: {rows:?}");
        let operation = world.ended(&rows[0].2).await;
        let actual = operation["outcome"].as_str().unwrap_or_default();
        assert_eq!(actual, outcome, "{operation}");
        assert_eq!(operation["portal"]["delivered"], "yes");
        assert_eq!(world.vendor.cancels(offer).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_above_the_limit_are_refused_and_reads_are_not() {
    let world = spawn_with(Setup {
        toml: "[server]\nmax_in_flight_actions = 2".into(),
        tune: |settings| settings.callers[0].limits.actions = Some(10),
        ..Setup::default()
    })
    .await;
    let known = world.cancel("sync-0").await.json();
    for offer in ["sync-1", "sync-2"] {
        delay(&world, offer, 1200).await;
    }
    let meanwhile = async {
        world.vendor.receives("/cancel", 3).await;
        let answer = world.cancel("sync-3").await;
        let problem = answer.problem(503, "overloaded");
        assert_not_delivered(&problem);
        assert_eq!(problem["retryable"], true);
        assert!(answer.retry_after().is_some());
        world.operation(known["id"].as_str().unwrap()).await;
        assert_eq!(world.admin("/readyz").await.status, 200);
    };
    let (one, two, ()) = tokio::join!(world.cancel("sync-1"), world.cancel("sync-2"), meanwhile);
    assert_eq!((one.status, two.status), (200, 200));
    assert!(world.vendor.cancels("sync-3").await.is_empty());
    assert_eq!(world.cancel("sync-3").await.status, 200);
}

/// Waits until the other side has closed; returns what it sent before.
async fn closed(mut stream: TcpStream, limit: Duration) -> Option<Vec<u8>> {
    let mut received = Vec::new();
    let end = timeout(limit, stream.read_to_end(&mut received)).await;
    end.ok().map(|_closed_or_reset| received)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_is_closed_after_the_time_limit() {
    let world = spawn_toml(IMPATIENT).await;
    let limit = Duration::from_secs(20);
    let half = format!("POST /offers/sync-1/cancel HTTP/1.1\r\nX-Api-Key: {KEY}\r\nX-");
    for start in ["", "P", &half] {
        let mut stream = TcpStream::connect(world.address()).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let received = closed(stream, limit).await;
        let received = received.unwrap_or_else(|| panic!("{start:?} is still waited for"));
        assert_late(&received, start.is_empty());
    }
    // A head that arrives in small pieces.
    let stream = TcpStream::connect(world.address()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let dripping = tokio::spawn(async move {
        let drops = half.bytes().chain(std::iter::repeat(b'x'));
        for drop in drops {
            if writing.write_all(&[drop]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut received = Vec::new();
    let end = timeout(limit, reading.read_to_end(&mut received)).await;
    assert!(end.is_ok(), "a dripping head is waited for");
    assert_late(&received, false);
    dripping.abort();
    world.assert_nothing_sent().await;
}

/// What comes before the end of a connection must be an answer that says why; nothing comes
/// where nothing was asked.
#[track_caller]
fn assert_late(received: &[u8], is_idle: bool) {
    let received = String::from_utf8_lossy(received);
    if is_idle {
        assert_eq!(received, "");
        return;
    }
    let (head, body) = received.split_once("\r\n\r\n").expect("no answer");
    assert!(head.starts_with("HTTP/1.1 408 "), "{received}");
    assert!(head.contains("connection: close"), "{received}");
    let problem: Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["code"], "request-timeout");
    assert_eq!(
        (&problem["delivered"], &problem["retryable"]),
        (&"no".into(), &true.into())
    );
}

/// Whether a connection is closed on which one request was answered and then this
/// much of another was sent.
async fn is_closed_after(world: &World, second: &str) -> bool {
    end_after(world, second).await.is_some()
}

/// What is received then before the end; none if there is no end.
async fn end_after(world: &World, second: &str) -> Option<Vec<u8>> {
    let first = "GET /problems/conflict HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    stream.write_all(first.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut stream).await.unwrap().status, 200);
    stream.write_all(second.as_bytes()).await.unwrap();
    closed(stream, Duration::from_secs(8)).await
}

const IMPATIENT: &str = "[server]\nhead_timeout_ms = 1000\nkeep_alive_seconds = 1";

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed() {
    let world = spawn_toml(IMPATIENT).await;
    assert_late(&end_after(&world, "").await.unwrap(), true);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed_after_a_long_request_too() {
    let world = spawn_toml(IMPATIENT).await;
    // It outlasts the time limit of the idle connection, whose timer has fired by its end.
    delay(&world, "sync-1", 1500).await;
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    let first = b"GET /problems/conflict HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(first).await.unwrap();
    assert_eq!(read_answer(&mut stream).await.unwrap().status, 200);
    let long = format!(
        "POST /offers/sync-1/cancel HTTP/1.1\r\nHost: x\r\nX-Api-Key: {KEY}\r\n\
         Content-Length: 0\r\n\r\n"
    );
    stream.write_all(long.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut stream).await.unwrap().status, 200);
    assert!(closed(stream, Duration::from_secs(8)).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_second_head_is_answered_and_closed_after_the_time_limit() {
    let world = spawn_toml(IMPATIENT).await;
    let received = end_after(&world, "POST /offers/sync-1/canc").await;
    assert_late(&received.unwrap(), false);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwanted_body_is_read_only_briefly() {
    let world = spawn_toml(IMPATIENT).await;
    let no_key = "POST /offers/sync-1/cancel HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n";
    assert!(is_closed_after(&world, no_key).await);
    world.assert_nothing_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_no_answers_is_disconnected() {
    let world = spawn_toml(&format!("{IMPATIENT}\nevents_beat_seconds = 1")).await;
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    let more = "GET /problems/conflict HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    let asking = async { while stream.write_all(more.as_bytes()).await.is_ok() {} };
    timeout(Duration::from_secs(60), asking)
        .await
        .expect("still connected");
    assert_eq!(world.cancel("sync-1").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_refused_in_plain_text() {
    let world = spawn().await;
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &settings].concat();
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    stream.write_all(&preface).await.unwrap();
    let received = closed(stream, Duration::from_secs(20)).await;
    let received = received.expect("still open");
    assert!(received.starts_with(b"HTTP/1.1 400 "), "{received:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_connections_are_survived() {
    let world = spawn_toml("[server]\nmax_connections = 16").await;
    let mut crowd = Vec::new();
    // As many as wait in the queue of a listener, and no more.
    for _ in 0..100 {
        crowd.push(TcpStream::connect(world.address()).await.unwrap());
    }
    assert_eq!(world.admin("/healthz").await.status, 200);
    assert_eq!(world.admin("/readyz").await.status, 200);
    drop(crowd);
    let offers: Vec<String> = (0..50).map(|n| format!("sync-{n}")).collect();
    for answer in join_all(offers.iter().map(|offer| world.cancel(offer))).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused() {
    let world = spawn().await;
    let long_line = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(200_000));
    let long_head = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(300));
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nA\0: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        long_line.as_bytes(),
        long_head.as_bytes(),
        many.as_bytes(),
    ] {
        let mut stream = TcpStream::connect(world.address()).await.unwrap();
        let _refused = stream.write_all(bytes).await;
        let _refused = stream.shutdown().await;
        if let Some(answer) = read_answer(&mut stream).await {
            assert!((400..500).contains(&answer.status), "{answer:?}");
        }
    }
    world.assert_nothing_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_may_follow_each_other_on_one_connection() {
    let world = spawn().await;
    let one = |offer: &str| {
        String::from_utf8(cancel_bytes(&world, offer))
            .unwrap()
            .replace("Connection: close\r\n", "")
    };
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    // Two at once, answered in their order.
    let both = one("sync-1") + &one("forbidden-1");
    stream.write_all(both.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    let mut buffer = [0; 16 * 1024];
    while String::from_utf8_lossy(&received)
        .matches("\"requestId\"")
        .count()
        < 2
    {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "closed early");
        received.extend_from_slice(&buffer[..count]);
    }
    let text = String::from_utf8(received).unwrap();
    let second = text[1..].find("HTTP/1.1 ").unwrap() + 1;
    assert!(text.starts_with("HTTP/1.1 200 ") && text[second..].starts_with("HTTP/1.1 403 "));
    stream.write_all(one("sync-2").as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut stream).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_location_does_not_depend_on_the_host_header() {
    let world = spawn().await;
    let evil = "evil.example";
    for (number, head) in [
        format!("/offers/sync-0/cancel HTTP/1.1\r\nHost: {evil}"),
        format!("http://{evil}/offers/sync-1/cancel HTTP/1.1\r\nHost: {evil}"),
        format!("/offers/sync-2/cancel HTTP/1.1\r\nHost: x\r\nX-Forwarded-Host: {evil}"),
        format!("/offers/sync-3/cancel HTTP/1.1\r\nHost: x\r\nForwarded: host={evil};proto=https"),
        "/offers/sync-4/cancel HTTP/1.0".into(),
    ]
    .into_iter()
    .enumerate()
    {
        let bytes = format!("POST {head}\r\nX-Api-Key: {KEY}\r\nContent-Length: 0\r\n\r\n");
        let answer = send_raw(world.address(), bytes.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 200, "{head}: {answer:?}");
        let ours = format!("http://{}/operations/", world.address());
        let location = answer.header("operation-location").unwrap();
        assert!(location.starts_with(&ours), "{head}: {location}");
        assert!(!answer.body.contains(evil), "{}", answer.body);
        assert_eq!(
            world.vendor.cancels(&format!("sync-{number}")).await.len(),
            1
        );
    }
}
