//! Requests that the gateway refuses: each gets a problem, and none of them reaches the
//! vendor.

use offergate::domain::ProblemCode;
use serde_json::json;

use crate::client::{self, assert_not_delivered, raw_cancel, send_raw};
use crate::helpers::{KEY, spawn};

const CANCEL: &str = "/offers/sync-1/cancel";

#[tokio::test(flavor = "multi_thread")]
async fn malformed_ids() {
    let world = spawn().await;
    let long = "x".repeat(129);
    for id in [
        ".",
        "..",
        "%2e",
        "%2E%2e",
        "%2e.",
        "..%2f",
        "a%2Fb",
        "a%5Cb",
        "a%252Fb",
        "%2Fa",
        "a%2f..%2fb",
        "a;b",
        "a;x=1",
        "a%00",
        "%00",
        "a%0d%0aX-Evil:1",
        "a%20b",
        "a+b",
        "a$b",
        "a@b",
        "a:b",
        "a,b",
        "~a",
        "a%",
        "a%zz",
        "%C3%A9",
        "%c0%ae",
        "a%EF%BC%8Fb",
        "*",
        "'a'",
        "a%3fb",
        "a%23b",
        &long,
    ] {
        let path = format!("/offers/{id}/cancel");
        let problem = world
            .send("POST", &path, "")
            .await
            .problem(400, "invalid-offer-id");
        assert_not_delivered(&problem);
        let path = format!("/publishers/{id}/offers/sync-1/cancel");
        let problem = world
            .send("POST", &path, "")
            .await
            .problem(400, "invalid-publisher-id");
        assert_not_delivered(&problem);
    }
    // Refused by the HTTP parser, with its own status.
    for id in [
        "a\0b", "a b", "a\tb", "a\u{7f}b", "\u{e9}", "a\"b", "<a>", "a\\b", "a|b", "a^b", "{a}",
    ] {
        let path = format!("/offers/{id}/cancel");
        let answer = world.send("POST", &path, "").await;
        assert_eq!(answer.status, 400, "{id:?}: {answer:?}");
    }
    let head =
        format!("POST /offers/a\r\nb/cancel HTTP/1.1\r\nHost: x\r\nX-Api-Key: {KEY}\r\n\r\n");
    let answer = send_raw(world.address(), head.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 400, "{answer:?}");
    world.assert_nothing_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_routes_and_methods() {
    let world = spawn().await;
    for path in [
        "/",
        "/offers",
        "/offers/sync-1",
        "/offers/sync-1/cancel/",
        "/offers//cancel",
        "/offers/sync-1/../sync-2/cancel",
        "//offers/sync-1/cancel",
        "/Offers/sync-1/cancel",
        "/offers/sync-1/cancel%2f",
        "/operations/",
        "/publishers/contoso/cancel",
        "/healthz",
        "/readyz",
        "/metrics",
        "/_sandbox/v1/journal",
        "/problems/no-such-problem",
        "/%2e%2e/etc/passwd",
    ] {
        let method = if path.starts_with("/problems") {
            "GET"
        } else {
            "POST"
        };
        let problem = world
            .send(method, path, "")
            .await
            .problem(404, "route-not-found");
        assert_not_delivered(&problem);
        assert_eq!(problem["instance"], path);
    }
    let operation = "/operations/01996b2e-0000-7000-8000-000000000000";
    for (path, methods, allowed) in [
        (
            CANCEL,
            &["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"][..],
            "POST",
        ),
        (
            "/publishers/contoso/offers/a/cancel",
            &["GET", "PUT"],
            "POST",
        ),
        (operation, &["POST", "PUT", "DELETE"], "GET, HEAD"),
        (
            &format!("{operation}/events"),
            &["POST", "PUT"],
            "GET, HEAD",
        ),
        ("/problems/conflict", &["POST"], "GET, HEAD"),
    ] {
        for method in methods {
            let answer = world.send(method, path, "").await;
            let problem = answer.problem(405, "method-not-allowed");
            assert_not_delivered(&problem);
            assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
        }
    }
    world.assert_nothing_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_and_queries_that_would_change_the_meaning() {
    let world = spawn().await;
    for (name, value) in [
        ("Idempotency-Key", ""),
        ("idempotency-key", "x"),
        ("If-Match", "*"),
    ] {
        let answer = world.send_with("POST", CANCEL, &[(name, value)], "").await;
        assert_not_delivered(&answer.problem(400, "invalid-header"));
    }
    for query in [
        "force=true",
        "api-version=2017-10-31",
        "%00",
        "slot=draft&x",
    ] {
        let answer = world.send("POST", &format!("{CANCEL}?{query}"), "").await;
        let problem = answer.problem(400, "invalid-query");
        assert_not_delivered(&problem);
        assert_eq!(problem["instance"], CANCEL, "a query is not repeated");
    }
    world.assert_nothing_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_bodies() {
    let world = spawn().await;
    let one_too_many = json!({"notificationEmails": vec!["a@b.c"; 21]}).to_string();
    let list_of_21 = json!({"metadata": {"notification-emails": vec!["a@b.c"; 21].join(",")}});
    let address = |text: &str| json!({"notificationEmails": [text]}).to_string();
    let too_long = address(&format!("{}@b.c", "x".repeat(251)));
    for body in [
        "null",
        "[]",
        "\"\"",
        "{",
        "{}{}",
        "x",
        " ",
        "\u{feff}{}",
        "{\"a\":1}",
        r#"{"notificationEmails":null,"reason":"x"}"#,
        r#"{"notificationEmails":"a@b.c"}"#,
        r#"{"notificationEmails":[1]}"#,
        r#"{"notificationEmails":["a@b.c"],"notificationEmails":[]}"#,
        r#"{"notificationEmails":[],"metadata":{}}"#,
        r#"{"metadata":{"notification-emails":["a@b.c"]}}"#,
        r#"{"metadata":{"notificationEmails":"a@b.c"}}"#,
        r#"{"metadata":{"notification-emails":"a@b.c;d@e.f"}}"#,
        &one_too_many,
        &list_of_21.to_string(),
        &too_long,
        &address(""),
        &address("a"),
        &address("a@b@c"),
        &address("a@b.c,d@e.f"),
        &address("a@b.c;x"),
        &address("a b@c"),
        &address("a@b.c\r\nBcc: d@e.f"),
        &address("a@b.c\0"),
        &address("é@b.c"),
    ] {
        let answer = world.send("POST", CANCEL, body).await;
        let problem = answer.problem(400, "invalid-body");
        assert_not_delivered(&problem);
        assert!(
            !problem["detail"].as_str().unwrap().contains("Bcc"),
            "{problem}"
        );
    }
    for (name, value) in [
        ("Content-Type", "text/plain"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Content-Type", "application/jsonp"),
        ("Content-Type", "text/json, application/json"),
        ("Content-Type", ""),
        ("Content-Encoding", "gzip"),
        ("Content-Encoding", "identity"),
    ] {
        let answer = world
            .send_with("POST", CANCEL, &[(name, value)], "{}")
            .await;
        assert_not_delivered(&answer.problem(415, "unsupported-media-type"));
    }
    world.assert_nothing_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicting_lengths_are_refused() {
    let world = spawn().await;
    for headers in [
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: +2\r\n",
        "Content-Length: 2, 2\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
    ] {
        // Followed by a second request, which must not be parsed.
        let hidden = format!(
            "0\r\n\r\nPOST /offers/sync-hidden/cancel HTTP/1.1\r\nHost: x\r\nX-Api-Key: {KEY}\r\nContent-Length: 0\r\n\r\n"
        );
        let answer = send_raw(world.address(), &raw_cancel(headers, &hidden)).await;
        let answer = answer.unwrap_or_else(|| panic!("{headers}: no answer"));
        assert_eq!(answer.status, 400, "{headers}: {answer:?}");
    }
    world.assert_nothing_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_code_has_a_page() {
    let world = spawn().await;
    let answer = client::send(world.address(), "POST", CANCEL, &[], "").await;
    let problem = answer.problem(401, "unauthenticated");
    let kind = problem["type"].as_str().unwrap();
    let base = format!("http://{}", world.address());
    let path = kind.strip_prefix(&base).unwrap_or_else(|| panic!("{kind}"));
    let answer = client::send(world.address(), "GET", path, &[], "").await;
    assert_eq!(answer.status, 200);
    answer.guarded();
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert!(answer.body.contains("X-Api-Key"), "{}", answer.body);
    let page = async |code: &str| {
        let path = format!("/problems/{code}");
        let answer = client::send(world.address(), "GET", &path, &[], "").await;
        assert_eq!(answer.status, 200, "{code}");
        answer.body
    };
    for code in ProblemCode::ALL {
        let (text, page) = (code.as_str(), page(code.as_str()).await);
        let where_to = match text {
            "already-completed" | "not-canceled" | "outcome-unknown" => {
                "error.code of an operation".to_owned()
            }
            _ => code.status().to_string(),
        };
        assert!(page.starts_with(&format!("{text} ({where_to}")), "{page}");
        assert!(page.contains(code.title()) && page.contains(code.help()));
    }
}
