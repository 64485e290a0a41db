//! Requests that are too large, too slow or cut off: their answers, and that other clients
//! are not affected.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{self, Answer, assert_not_delivered, raw_cancel, read_answer, send_raw};
use crate::helpers::{spawn, spawn_toml};

const CANCEL: &str = "/offers/sync-1/cancel";

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_too_much_can_read_the_refusal() {
    let world = spawn().await;
    let body = "x".repeat(2 * 1024 * 1024);
    let answer = world.send("POST", CANCEL, &body).await;
    assert_not_delivered(&answer.problem(413, "body-too-large"));
    assert_eq!(answer.header("connection"), Some("close"));
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let bytes = raw_cancel("Transfer-Encoding: chunked\r\n", &chunked);
    let answer = send_raw(world.address(), &bytes).await.unwrap();
    assert_not_delivered(&answer.problem(413, "body-too-large"));
    // One byte above the limit, and exactly the limit.
    let padded = |length: usize| format!("{{}}{}", " ".repeat(length - 2));
    let answer = world.send("POST", CANCEL, &padded(16_385)).await;
    assert_not_delivered(&answer.problem(413, "body-too-large"));

    let path = format!("{CANCEL}?{}", "x".repeat(9000));
    let problem = world
        .send("POST", &path, "")
        .await
        .problem(414, "uri-too-long");
    assert_not_delivered(&problem);
    let path = format!("/offers/{}/cancel", "x".repeat(9000));
    assert_not_delivered(
        &world
            .send("POST", &path, "")
            .await
            .problem(414, "uri-too-long"),
    );
    let header = "x".repeat(17_000);
    let answer = world
        .send_with("POST", CANCEL, &[("X-Long", &header)], "")
        .await;
    assert_not_delivered(&answer.problem(431, "headers-too-large"));
    let many: Vec<(&str, &str)> = vec![("X-Many", "0123456789"); 90];
    let huge: Vec<(&str, &str)> = many
        .iter()
        .map(|(name, _)| (*name, &header[..300]))
        .collect();
    let answer = world.send_with("POST", CANCEL, &huge, "").await;
    assert_not_delivered(&answer.problem(431, "headers-too-large"));
    world.assert_nothing_sent().await;
    assert_eq!(
        world.send("POST", CANCEL, &padded(16_384)).await.status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_refused_after_the_time_limit() {
    let world = spawn_toml("[server]\nbody_timeout_ms = 200").await;
    for bytes in [
        raw_cancel("Content-Length: 10\r\n", "{\"a\""),
        raw_cancel("Content-Length: 10\r\n", ""),
        raw_cancel("Transfer-Encoding: chunked\r\n", "5\r\n{\"a\""),
        raw_cancel("Transfer-Encoding: chunked\r\n", ""),
    ] {
        let answer = send_raw(world.address(), &bytes).await.unwrap();
        let problem = answer.problem(408, "request-timeout");
        assert_not_delivered(&problem);
        assert_eq!(problem["retryable"], true);
        assert_eq!(answer.header("connection"), Some("close"));
    }
    // A body that arrives in small pieces.
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    stream
        .write_all(&raw_cancel("Content-Length: 1000\r\n", "{"))
        .await
        .unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let dripping = tokio::spawn(async move {
        while writing.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let answer = read_half(&mut reading).await;
    dripping.abort();
    assert_not_delivered(&answer.problem(408, "request-timeout"));
    world.assert_nothing_sent().await;
}

async fn read_half(reading: &mut tokio::net::tcp::OwnedReadHalf) -> Answer {
    let mut received = Vec::new();
    reading
        .take(64 * 1024)
        .read_to_end(&mut received)
        .await
        .unwrap();
    Answer::parse(&received).expect("no answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_body_is_refused() {
    let world = spawn().await;
    for bytes in [
        raw_cancel("Content-Length: 10\r\n", "{}"),
        raw_cancel("Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n"),
    ] {
        let mut stream = TcpStream::connect(world.address()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        // The client may have closed the connection and miss the answer; nothing is sent to the
        // vendor in any case.
        if let Some(answer) = read_answer(&mut stream).await {
            assert_not_delivered(&answer.problem(400, "invalid-body"));
        }
    }
    world.assert_nothing_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_chunk_is_refused_with_all_that_follows() {
    let world = spawn().await;
    let next = raw_cancel("Content-Length: 2\r\n", "{}");
    for body in [
        "x\r\n",
        "2\n{}\r\n0\r\n\r\n",
        "2\r\n{}2\r\n{}\r\n0\r\n\r\n",
        "10000000000000002\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}\r\n0\r\nA\n\r\n",
        "2\r\n{}\r\n0\r\nA: b\rc\r\n\r\n",
        "2\r\n{}\r\n0\r\nA: \0\r\n\r\n",
    ] {
        let malformed = raw_cancel("Transfer-Encoding: chunked\r\n", body);
        let mut stream = TcpStream::connect(world.address()).await.unwrap();
        let both = [&malformed[..], &next].concat();
        stream.write_all(&both).await.unwrap();
        // The connection may be reset before the answer is read.
        if let Some(answer) = read_answer(&mut stream).await {
            assert_not_delivered(&answer.problem(400, "invalid-body"));
        }
    }
    world.assert_nothing_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expect_continue_is_answered_with_100_or_the_refusal() {
    let world = spawn().await;
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    let head = raw_cancel("Content-Length: 2\r\nExpect: 100-continue\r\n", "");
    stream.write_all(&head).await.unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{}").await.unwrap();
    assert_eq!(read_answer(&mut stream).await.unwrap().status, 200);

    // Too large; a client that sends the whole body can read the answer.
    let length = 8 * 1024 * 1024;
    let headers = format!("Content-Length: {length}\r\nExpect: 100-continue\r\n");
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    stream.write_all(&raw_cancel(&headers, "")).await.unwrap();
    stream.read_exact(&mut go_on).await.unwrap();
    let sent = stream.write_all(&vec![b'x'; length]).await;
    let answer = read_answer(&mut stream).await;
    let answer = answer.unwrap_or_else(|| panic!("unreadable; sending: {sent:?}"));
    assert_not_delivered(&answer.problem(413, "body-too-large"));

    // Announced as too large: refused before the whole body has arrived. (actix
    // sends 100 before the gateway's code runs.)
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    stream.write_all(&raw_cancel(&headers, "")).await.unwrap();
    stream.read_exact(&mut go_on).await.unwrap();
    let answer = read_answer(&mut stream).await.unwrap();
    assert_not_delivered(&answer.problem(413, "body-too-large"));
}

/// The largest limits on a head can be used: nothing below them is refused for another reason.
#[tokio::test(flavor = "multi_thread")]
async fn the_largest_limits_of_a_head_are_those_that_count() {
    const MOST: usize = 64_000;
    let world = spawn_toml("[server]\nmax_uri_bytes = 64000\nmax_header_bytes = 64000").await;
    for (path_bytes, header_bytes, status, code) in [
        (MOST, MOST - 200, 404, "route-not-found"),
        (MOST + 1, 100, 414, "uri-too-long"),
        (100, MOST, 431, "headers-too-large"),
        (100, MOST + 1200, 431, "headers-too-large"),
        (MOST, MOST + 3000, 431, "headers-too-large"),
    ] {
        let path = format!("/{}", "x".repeat(path_bytes - 1));
        let long = "x".repeat(header_bytes);
        let bytes = client::request(world.address(), "GET", &path, &[("X-Long", &long)], "");
        let answer = send_raw(world.address(), bytes.as_bytes()).await;
        let answer = answer.unwrap_or_else(|| panic!("{path_bytes}, {header_bytes}: no answer"));
        let problem = answer.json();
        assert_eq!(
            (answer.status, problem["code"].as_str()),
            (status, Some(code))
        );
        let detail = problem["detail"].as_str().unwrap();
        assert!(status == 404 || detail.contains("server.max_"), "{detail}");
    }
}
