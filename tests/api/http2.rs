//! HTTP/2: several requests at once on one connection, none of them at the expense of
//! another, and none of the limits of HTTP/1.1 undone.

use std::time::Duration;

use actix_web::web::Bytes;
use futures_util::future::join_all;
use h2::Reason;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{Answer, assert_not_delivered};
use crate::helpers::{KEY, World};
use crate::tls::{IMPATIENT, Secured, secured};
use crate::tls_client::{Exchange, HTTP_2, Http2, TlsStream, Wish, connect};

const AS_PIPELINE: &[(&str, &str)] = &[("X-Api-Key", KEY)];

fn path(offer: &str) -> String {
    format!("/offers/{offer}/cancel")
}

/// A cancel of `pipeline`'s whose answer is not waited for yet; with a body to come if
/// so said.
async fn begin(connection: &Http2, offer: &str, bodyless: bool) -> Exchange {
    let path = path(offer);
    let started = connection.start("POST", &path, AS_PIPELINE, bodyless);
    started.await.unwrap()
}

/// A whole cancel of `pipeline`'s.
async fn cancel(connection: &Http2, offer: &str, body: &str) -> Answer {
    let path = path(offer);
    connection.send("POST", &path, AS_PIPELINE, body).await
}

async fn delay(world: &World, offer: &str, ms: u64) {
    let fault = json!({"kind": "delay", "ms": ms});
    let order = json!({"on": "cancel", "offer": offer, "fault": fault});
    world.vendor.order(order).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_request_holds_up_no_other() {
    let Secured { world, ca, .. } = secured("").await;
    let connection = Http2::connect(world.address(), &ca).await;
    delay(&world, "sync-slow", 1200).await;
    let slow = cancel(&connection, "sync-slow", "");
    let others = async {
        world.vendor.receives("sync-slow/cancel", 1).await;
        let offers: Vec<String> = (0..20).map(|n| format!("sync-{n}")).collect();
        let sent = offers.iter().map(|offer| cancel(&connection, offer, ""));
        for answer in join_all(sent).await {
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.guarded();
        }
        // All of them are back while the slow one is still at the vendor.
        assert_eq!(world.rows("sync-slow").await[0].0, "NotStarted");
    };
    let (slow, ()) = tokio::join!(slow, others);
    assert_eq!(slow.json()["outcome"], "canceled");
    let problem = connection.send("POST", &path("sync-1"), &[], "").await;
    assert_not_delivered(&problem.problem(401, "unauthenticated"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_reset_ends_neither_its_siblings_nor_its_cancel() {
    let Secured { world, ca, .. } = secured("").await;
    let connection = Http2::connect(world.address(), &ca).await;
    for offer in ["sync-sibling", "sync-reset", "migrated-reset"] {
        delay(&world, offer, 600).await;
    }
    let sibling = cancel(&connection, "sync-sibling", "");
    let resets = async {
        for offer in ["sync-reset", "migrated-reset"] {
            let mut exchange = begin(&connection, offer, true).await;
            world.vendor.receives(&format!("{offer}/cancel"), 1).await;
            exchange.request.send_reset(Reason::CANCEL);
        }
    };
    let (sibling, ()) = tokio::join!(sibling, resets);
    assert_eq!(sibling.status, 200, "{sibling:?}");
    for offer in ["sync-reset", "migrated-reset"] {
        let rows = world.rows(offer).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        let operation = world.ended(&rows[0].2).await;
        assert_eq!(operation["outcome"], "canceled", "{operation}");
        assert_eq!(world.vendor.cancels(offer).await.len(), 1);
    }
    // And all of the connection at once.
    delay(&world, "sync-gone", 400).await;
    let exchange = begin(&connection, "sync-gone", true).await;
    world.vendor.receives("sync-gone/cancel", 1).await;
    drop((exchange, connection));
    let rows = world.rows("sync-gone").await;
    assert_eq!(world.ended(&rows[0].2).await["outcome"], "canceled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_counts_although_its_length_is_not_announced() {
    let Secured { world, ca, .. } = secured("[server]\nbody_timeout_ms = 300").await;
    let connection = Http2::connect(world.address(), &ca).await;
    let problem = cancel(&connection, "sync-1", "{\"unknown\": 1}").await;
    assert_not_delivered(&problem.problem(400, "invalid-body"));
    let problem = cancel(&connection, "sync-1", &"x".repeat(16_385)).await;
    assert_not_delivered(&problem.problem(413, "body-too-large"));
    let problem = cancel(&connection, "sync-1", &"x".repeat(2 * 1024 * 1024)).await;
    assert_not_delivered(&problem.problem(413, "body-too-large"));
    // One that does not come to its end.
    let mut exchange = begin(&connection, "sync-1", false).await;
    let part = Bytes::from_static(b"{");
    exchange.request.send_data(part, false).unwrap();
    let problem = exchange.answer().await.unwrap();
    assert_not_delivered(&problem.problem(408, "request-timeout"));
    // Nothing of all that has ended the connection.
    let body = "{\"notificationEmails\": [\"a@b.example\"]}";
    assert_eq!(cancel(&connection, "sync-1", body).await.status, 200);
    let sent = world.vendor.cancels("sync-1").await;
    assert_eq!(sent.len(), 1);
    assert!(sent[0].to_string().contains("a@b.example"), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_the_limits_that_it_has_over_http1() {
    let Secured { world, ca, .. } = secured("").await;
    let connection = Http2::connect(world.address(), &ca).await;
    let long = "x".repeat(9000);
    let target = format!("/offers/{long}/cancel");
    let problem = connection.send("POST", &target, AS_PIPELINE, "").await;
    assert_not_delivered(&problem.problem(414, "uri-too-long"));
    let headers = [("x-api-key", KEY), ("x-long", &long), ("x-longer", &long)];
    let problem = connection.send("POST", &path("sync-1"), &headers, "").await;
    assert_not_delivered(&problem.problem(431, "headers-too-large"));
    world.assert_nothing_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_kept_while_one_of_its_requests_is_under_way() {
    let portal = "[portal]\nrequest_timeout_ms = 9000";
    let Secured { world, ca, .. } = secured(&format!("{IMPATIENT}\n{portal}")).await;
    let connection = Http2::connect(world.address(), &ca).await;
    // Longer than any connection may be idle; in the meantime others end.
    delay(&world, "sync-slow", 4500).await;
    delay(&world, "sync-1", 200).await;
    let slow = cancel(&connection, "sync-slow", "");
    let other = async {
        world.vendor.receives("sync-slow/cancel", 1).await;
        let mut reset = begin(&connection, "sync-1", true).await;
        world.vendor.receives("sync-1/cancel", 1).await;
        reset.request.send_reset(Reason::CANCEL);
        cancel(&connection, "sync-2", "").await
    };
    let (slow, other) = tokio::join!(slow, other);
    assert_eq!((slow.status, other.status), (200, 200));
    // And when all have ended, so does it, although its client answers pings.
    let end = timeout(Duration::from_secs(10), connection.closed()).await;
    assert!(end.is_ok(), "an idle connection is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_end_is_not_waited_for() {
    let secured = secured(IMPATIENT).await;
    let mut stream = raw(&secured, &[]).await;
    let half = frame(HEADERS, 1, 1, &A_HEAD[..1]);
    stream.write_all(&half).await.unwrap();
    let mut said = Vec::new();
    let end = timeout(Duration::from_secs(10), stream.read_to_end(&mut said)).await;
    assert!(end.is_ok(), "half a head is waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_no_answers_gets_no_more() {
    let Secured { world, ca, .. } = secured("").await;
    // It lets nobody send it a body.
    let mut greedy = h2::client::Builder::new();
    greedy.initial_window_size(0);
    let connection = Http2::connect_with(world.address(), &ca, &mut greedy).await;
    let mut untaken = Vec::new();
    for n in 1..=257 {
        let started = connection.start("GET", "/problems/conflict", &[], true);
        let (status, body) = started.await.unwrap().head().await.unwrap();
        assert_eq!(status, if n <= 256 { 200 } else { 503 }, "{n}");
        untaken.push(body);
    }
    // Whoever gives some back may go on.
    untaken.truncate(100);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let started = connection.start("GET", "/problems/conflict", &[], true);
        let (status, _body) = started.await.unwrap().head().await.unwrap();
        if status == 200 {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "still {status}");
    }
    // Whoever does not is cut off.
    for n in 0.. {
        assert!(n < 1000, "{n} more, and still connected");
        let Ok(exchange) = connection.start("GET", "/problems/x", &[], true).await else {
            break;
        };
        match exchange.head().await {
            Ok((_, body)) => untaken.push(body),
            Err(_cut_off) => break,
        }
    }
    assert_eq!(world.cancel("sync-1").await.status, 200);
}

/// A frame (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
/// `GET https:/problems/conflict`, and `:authority: x` (RFC 7541).
const A_HEAD: &[u8] = b"\x82\x87\x04\x12/problems/conflict\x01\x01x";

/// A connection on which only the preface and the settings have been said.
async fn raw(secured: &Secured, settings: &[u8]) -> TlsStream<TcpStream> {
    let wish = Wish {
        protocols: &[HTTP_2],
        ..Wish::new(&secured.ca)
    };
    let stream = connect(secured.world.address(), &wish.config()).await;
    let mut stream = stream.unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    let settings = frame(SETTINGS, 0, 0, settings);
    stream.write_all(&settings).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_and_never_reads_is_cut_off() {
    let secured = secured("").await;
    // It lets everybody send it all they have, and takes nothing off the wire.
    let largest = 0x7fff_ffff_u32.to_be_bytes();
    let mut stream = raw(&secured, &[&[0, 4][..], &largest].concat()).await;
    let open = frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes());
    stream.write_all(&open).await.unwrap();
    let asking = async {
        for stream_id in (1..2_000_000).step_by(2) {
            let request = frame(HEADERS, 5, stream_id, A_HEAD);
            if stream.write_all(&request).await.is_err() {
                return stream_id / 2;
            }
        }
        panic!("still connected");
    };
    let asked = timeout(Duration::from_secs(30), asking).await;
    assert!(asked.expect("held up, but not cut off") > 1000);
    assert_eq!(secured.world.cancel("sync-1").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_unpacks_to_megabytes_is_not_unpacked() {
    let secured = secured("").await;
    let mut stream = raw(&secured, &[]).await;
    // A header that is remembered, then named by one byte, again and again.
    let head = [A_HEAD, b"\x40\x01a\x00"].concat();
    let mut bytes = frame(HEADERS, 1, 1, &head);
    for _ in 0..30 {
        bytes.extend(frame(CONTINUATION, 0, 1, &[0xbe; 16_000]));
    }
    let _cut_off = stream.write_all(&bytes).await;
    let mut said = Vec::new();
    // Much sooner than an idle connection.
    let end = timeout(Duration::from_secs(10), stream.read_to_end(&mut said)).await;
    assert!(end.is_ok(), "it is waited for the end of it");
    assert_eq!(secured.world.cancel("sync-1").await.status, 200);
}
