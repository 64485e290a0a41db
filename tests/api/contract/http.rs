//! What every route has in common: methods, HTTP versions, and the form of documents.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{self, Answer};
use crate::helpers::{KEY, World, spawn, spawn_undecided};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Everything that comes until the connection is closed.
async fn all_of(world: &World, address: std::net::SocketAddr, head: &str) -> String {
    let _world = world;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let bytes = format!("{head}\r\nX-Api-Key: {KEY}\r\n\r\n");
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut all = String::new();
    let read = timeout(TIMEOUT, stream.read_to_string(&mut all)).await;
    read.expect("still open").unwrap();
    all
}

/// The headers but those that differ between any two answers.
fn steady(answer: &Answer) -> Vec<(String, String)> {
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| !["date", "x-request-id", "content-length"].contains(&&**name));
    headers.sort();
    headers
}

#[tokio::test(flavor = "multi_thread")]
async fn head_is_answered_as_get_without_a_body() {
    let world = spawn().await;
    let done = world.cancel("sync-1").await.json();
    let monitor = format!("/operations/{}", done["id"].as_str().unwrap());
    let unknown = "/operations/01996b2e-0000-7000-8000-000000000000";
    for (address, path, status) in [
        (world.address(), &*monitor, 200),
        (world.address(), unknown, 404),
        (world.address(), "/problems/conflict", 200),
        (world.address(), "/problems/none", 404),
        (world.address(), "/openapi.json", 200),
        (world.address(), "/docs", 200),
        (world.admin_address(), "/healthz", 200),
        (world.admin_address(), "/readyz", 200),
    ] {
        let get = client::send(address, "GET", path, &[("X-Api-Key", KEY)], "").await;
        let head = format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close");
        let head = all_of(&world, address, &head).await;
        let head = Answer::parse(head.as_bytes()).unwrap();
        assert_eq!((head.status, &*head.body), (status, ""), "{path}");
        assert_eq!(get.status, status, "{path}");
        assert_eq!(steady(&head), steady(&get), "{path}");
        let length: usize = head.header("content-length").unwrap().parse().unwrap();
        // Ages in /readyz may have a digit more.
        assert!(length.abs_diff(get.body.len()) <= 4, "{path}: {length}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_of_a_stream_ends_at_once() {
    let world = spawn_undecided("").await;
    let id = world.cancel("migrated-1").await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let head = format!("HEAD /operations/{id}/events HTTP/1.1\r\nHost: x\r\nConnection: close");
    let head = all_of(&world, world.address(), &head).await;
    let head = Answer::parse(head.as_bytes()).unwrap();
    assert_eq!((head.status, &*head.body), (200, ""));
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert_eq!(head.header("content-length"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_405_with_allow() {
    let world = spawn().await;
    for (address, path, allow) in [
        (world.address(), "/offers/sync-1/cancel", "POST"),
        (
            world.address(),
            "/publishers/contoso/offers/sync-1/cancel",
            "POST",
        ),
        (world.address(), "/operations/x", "GET, HEAD"),
        (world.address(), "/operations/x/events", "GET, HEAD"),
        (world.address(), "/problems/conflict", "GET, HEAD"),
        (world.address(), "/openapi.json", "GET, HEAD"),
        (world.address(), "/docs", "GET, HEAD"),
        (world.admin_address(), "/healthz", "GET, HEAD"),
        (world.admin_address(), "/readyz", "GET, HEAD"),
    ] {
        for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "QUERY"] {
            let answer = client::send(address, method, path, &[("X-Api-Key", KEY)], "").await;
            assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
            assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
            assert_eq!(answer.json()["code"], "method-not-allowed");
            assert_eq!(answer.json()["message"], answer.json()["detail"]);
        }
    }
    let unknown = world.admin("/nothing").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.json()["code"], "route-not-found");
    world.assert_nothing_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_document_ends_with_a_newline_and_times_have_six_digits() {
    let world = spawn().await;
    let first = world.cancel("sync-1").await;
    let id = first.json()["id"].as_str().unwrap().to_owned();
    let monitor = world.send("GET", &format!("/operations/{id}"), "").await;
    let ready = world.admin("/readyz").await;
    for answer in [
        &first,
        &monitor,
        &ready,
        &world.admin("/healthz").await,
        &world.admin("/nothing").await,
        &world.cancel("..").await,
        &world.send("GET", "/nothing", "").await,
    ] {
        assert!(answer.body.ends_with("}\n"), "{answer:?}");
    }
    let is_full = |time: &serde_json::Value| {
        let time = time.as_str().unwrap();
        let (_, fraction) = time.split_once('.').unwrap();
        fraction.len() == 7 && fraction.ends_with('Z')
    };
    for document in [first.json(), monitor.json()] {
        assert!(is_full(&document["createdAt"]), "{document}");
        assert!(is_full(&document["updatedAt"]), "{document}");
    }
    let ready = ready.json();
    assert!(is_full(&ready["credentials"][0]["lastSuccess"]), "{ready}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_to_a_client_of_http_1_0_end_by_closing() {
    let world = spawn().await;
    let id = world.cancel("sync-1").await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for connection in ["close", "keep-alive"] {
        let head = format!("GET /operations/{id}/events HTTP/1.0\r\nConnection: {connection}");
        let all = all_of(&world, world.address(), &head).await;
        let (head, body) = all.split_once("\r\n\r\n").unwrap();
        let head = head.to_ascii_lowercase();
        assert!(!head.contains("transfer-encoding"), "{head}");
        assert!(!head.contains("keep-alive"), "{head}");
        assert!(body.starts_with("retry: 2000\nid: "), "{body}");
        assert!(body.ends_with("}\n\n"), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_answered_with_a_problem_document() {
    let world = spawn().await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let long_head = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "x".repeat(200_000)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
        "X: y\r\n".repeat(300)
    );
    // The library panics at a header's name of 64 KiB.
    let name = format!(
        "GET / HTTP/1.1\r\nHost: x\r\n{}: y\r\n\r\n",
        "x".repeat(70_000)
    );
    let good = "GET /problems/conflict HTTP/1.1\r\nHost: x\r\n\r\n";
    for address in [world.address(), world.admin_address()] {
        for (bytes, status, code) in [
            ("nonsense\r\n\r\n", 400, "invalid-header"),
            ("GET / HTTP/1.1\r\n\r\n", 400, "invalid-header"),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                400,
                "invalid-header",
            ),
            (
                "\x16\x03\x01\x02\x00\x01\x00\x01\n\n",
                400,
                "invalid-header",
            ),
            (preface, 400, "invalid-header"),
            (&long_head, 431, "headers-too-large"),
            (&many, 431, "headers-too-large"),
            (&name, 431, "headers-too-large"),
        ] {
            for first in ["", good] {
                let mut stream = TcpStream::connect(address).await.unwrap();
                let bytes = format!("{first}{bytes}");
                let _refused = stream.write_all(bytes.as_bytes()).await;
                let mut all = String::new();
                let read = timeout(TIMEOUT, stream.read_to_string(&mut all)).await;
                read.expect("still open").unwrap();
                let last = &all[all.rfind("HTTP/1.1 4").unwrap()..];
                let answer = Answer::parse(last.as_bytes()).unwrap();
                let problem = answer.problem_of_no_request(status, code);
                assert_eq!(problem["delivered"], "no");
                assert!(problem.get("instance").is_none(), "{problem}");
                assert_eq!(answer.header("connection"), Some("close"));
                let length = answer.body.len().to_string();
                assert_eq!(answer.header("content-length"), Some(&*length));
            }
        }
    }
    world.assert_nothing_sent().await;
}
