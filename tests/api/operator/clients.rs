//! What an operator sees of clients: their addresses, those that left, and those that do not
//! speak HTTP or TLS.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::certs::Ca;
use crate::client::{self, read_answer};
use crate::helpers::{KEY, Setup};
use crate::process::Served;
use crate::tls;
use crate::vendor::Vendor;

async fn served(toml: &str) -> (Served, Vendor) {
    let setup = Setup {
        toml: toml.to_owned(),
        ..Setup::default()
    };
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let served = Served::start(&vendor, &setup).await;
    (served, vendor)
}

/// The first line whose JSON is as wished.
async fn line(served: &mut Served, is_it: impl Fn(&Value) -> bool) -> Value {
    let parse = |line: &str| serde_json::from_str(line).ok().filter(|line| is_it(line));
    served.process.wait_for_line(parse).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_in_front_of_a_trusted_proxy_is_logged() {
    for (trusted, client, peer) in [
        ("127.0.0.1", "198.51.100.7", true),
        ("10.0.0.1", "127.0.0.1", false),
    ] {
        let toml = format!("[server]\ntrusted_proxies = [\"{trusted}\"]");
        let (mut served, _vendor) = served(&toml).await;
        let headers = [
            ("X-Api-Key", KEY),
            ("X-Forwarded-For", "6.6.6.6, 198.51.100.7"),
            ("X-Request-Id", "forwarded-1"),
        ];
        let path = "/operations/none";
        let answer = client::send(served.address, "GET", path, &headers, "").await;
        assert_eq!(answer.status, 404);
        let line = line(&mut served, |line| line["request_id"] == "forwarded-1").await;
        assert_eq!(line["client_address"], client, "{line}");
        assert_eq!(line["peer"].is_string(), peer, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_and_no_tls_is_logged() {
    let (mut plain, _vendor) = served("").await;
    let answer = client::send_raw(plain.address, b"nonsense\r\n\r\n")
        .await
        .unwrap();
    let problem = answer.json();
    assert_eq!(
        (answer.status, &problem["code"]),
        (400, &json!("invalid-header"))
    );
    assert!(problem.get("instance").is_none(), "no path was read");
    let line_of = |line: &Value| line["request_id"] == problem["requestId"];
    let found = line(&mut plain, line_of).await;
    assert_eq!(
        (&found["status"], &found["problem"]),
        (&json!(400), &json!("invalid-header"))
    );
    // The peer may be a proxy: who the client is, only a head that is read can say.
    let peer = found["peer"].as_str().unwrap();
    assert!(peer.starts_with("127.0.0.1:"), "{found}");
    assert!(found.get("client_address").is_none(), "{found}");

    let ca = Ca::new("servers");
    let files = tempfile::TempDir::new().unwrap();
    ca.server().write(files.path(), "server");
    let (mut secure, _vendor) = served(&tls::toml(files.path(), "")).await;
    let mut stream = TcpStream::connect(secure.address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let found = line(&mut secure, |line| {
        line["message"] == "TLS handshake failed"
    })
    .await;
    assert!(
        found["error"].is_string() && found["peer"].is_string(),
        "{found}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_during_an_action_is_logged_at_once() {
    let (mut served, vendor) = served("[portal]\nrequest_timeout_ms = 60000").await;
    vendor
        .lasting_fault("cancel", json!({"kind": "delay", "ms": 60_000}))
        .await;
    for (number, key) in [None, Some("\"left\"")].into_iter().enumerate() {
        let id = format!("left-{number}");
        let mut headers = vec![("X-Api-Key", KEY), ("X-Request-Id", &id)];
        headers.extend(key.map(|key| ("Idempotency-Key", key)));
        let path = format!("/offers/sync-{number}/cancel");
        let bytes = client::request(served.address, "POST", &path, &headers, "");
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        vendor.receives(&format!("sync-{number}/cancel"), 1).await;
        drop(stream);
        let left = Instant::now();
        let line = line(&mut served, |line| {
            line["request_id"] == id && line["status"] == 499
        })
        .await;
        assert!(left.elapsed() < Duration::from_secs(5), "{line}");
        assert_eq!(line["route"], "/offers/{offerId}/cancel");
        assert!(line["operation"].is_string(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_one_descriptor() {
    let (served, _vendor) = served("").await;
    let count = || {
        let path = format!("/proc/{}/fd", served.process.id());
        std::fs::read_dir(path).unwrap().count()
    };
    let before = count();
    let mut streams = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let get = b"GET /problems/conflict HTTP/1.1\r\nHost: x\r\n\r\n";
        stream.write_all(get).await.unwrap();
        assert_eq!(read_answer(&mut stream).await.unwrap().status, 200);
        streams.push(stream);
    }
    let opened = count() - before;
    assert!((50..55).contains(&opened), "{opened}");
}
