//! Attempts to bypass authorization that succeeded against similar software, each under the
//! name of its advisory. None may reach the vendor, as its journal shows. Tokens are in
//! `forged.rs`.

use crate::client::{Answer, send, send_raw};
use crate::helpers::{KEY, READER_KEY, World, spawn, spawn_toml};

const CANCEL: &str = "/offers/sync-1/cancel";

/// A raw request line and headers, without a body.
async fn raw(world: &World, target: &str, headers: &str) -> Option<Answer> {
    let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: 0\r\n\r\n");
    send_raw(world.address(), head.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_not_a_credential() {
    let world = spawn().await;
    let key = |name: &str| format!("{name}: {KEY}\r\n");
    let table = [
        ("CVE-2015-0219 Django: underscore for dash", key("X_Api_Key")),
        ("CVE-2025-64484 oauth2-proxy: underscore for dash", key("X-Api_Key")),
        ("nginx: a name in another script", key("X-\u{410}pi-Key")),
        ("Envoy CVE-2019-18802: space around the name", key("X-Api-Key ")),
        ("folded header (RFC 9112 section 5.2)", format!("X-A: b\r\n X-Api-Key: {KEY}\r\n")),
        ("key in a cookie", format!("Cookie: X-Api-Key={KEY}\r\n")),
        ("key as user", "Authorization: Basic cGlwZWxpbmUta2V5\r\n".to_owned()),
        ("CVE-2025-29927 Next.js: internal header", "X-Middleware-Subrequest: middleware\r\n".to_owned()),
        ("CVE-2026-40575 oauth2-proxy: forwarded path", "X-Forwarded-Uri: /problems/conflict\r\n".to_owned()),
        ("CVE-2023-27487 Envoy: original path", "X-Envoy-Original-Path: /problems/conflict\r\nX-Original-Url: /problems/conflict\r\nX-Rewrite-Url: /healthz\r\n".to_owned()),
        ("forwarded identity", "X-Forwarded-User: pipeline\r\nX-Auth-Request-User: pipeline\r\nX-Remote-User: pipeline\r\n".to_owned()),
        ("forwarded certificate", "X-Forwarded-Client-Cert: By=spiffe://x;URI=spiffe://pipeline\r\nX-SSL-Client-Verify: SUCCESS\r\n".to_owned()),
        ("forwarded address", "X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nForwarded: for=127.0.0.1;proto=https\r\n".to_owned()),
        ("CVE-2026-34457 oauth2-proxy: health check's agent", "User-Agent: GoogleHC/1.0\r\n".to_owned()),
        ("health check's agent", "User-Agent: kube-probe/1.31\r\n".to_owned()),
        ("health check's agent", "User-Agent: ELB-HealthChecker/2.0\r\n".to_owned()),
        ("oauth2-proxy issue 649: no agent", "User-Agent: \r\n".to_owned()),
        ("preflight request", "Origin: https://x\r\nAccess-Control-Request-Method: POST\r\n".to_owned()),
        ("CVE-2025-48865 Fabio: hop-by-hop key", format!("Connection: X-Api-Key\r\n{}", key("X-Api-Key"))),
        ("CVE-2022-31813 httpd: hop-by-hop key among others", format!("Connection: close, x-api-key\r\n{}", key("X-Api-Key"))),
        ("duplicate key", key("X-Api-Key").repeat(2)),
        ("two keys, one good", format!("{}X-Api-Key: {READER_KEY}\r\n", key("X-Api-Key"))),
        ("keys in one header", format!("X-Api-Key: {KEY}, {READER_KEY}\r\n")),
        ("key and token", format!("{}Authorization: Bearer x\r\n", key("X-Api-Key"))),
        ("NUL in the key", format!("X-Api-Key: {KEY}\0\r\n")),
    ];
    for (name, headers) in table {
        let answer = raw(&world, CANCEL, &headers).await;
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        assert!([400, 401].contains(&status), "{name}: {answer:?}");
    }
    world.assert_nothing_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_paths() {
    // The caller may cancel `sync-*` of contoso, and nothing else.
    let world = spawn_toml(
        r#"
[[callers]]
name = "pipeline"
default_publisher = "contoso"
api_key_sha256 = ["$pipeline"]
allow = [ { actions = ["cancel"], publishers = ["contoso"], offers = ["sync-*"] } ]
"#,
    )
    .await;
    let table = [
        (
            "CVE-2021-41773 httpd: encoded dots",
            "/offers/sync-1/%2e%2e/sync/cancel",
        ),
        (
            "CVE-2021-42013 httpd: doubly encoded dots",
            "/offers/sync-1%252f..%252fsync/cancel",
        ),
        (
            "CVE-2021-29492 Envoy: encoded slash",
            "/offers/sync-1%2fcancel/cancel",
        ),
        (
            "CVE-2021-29492 Envoy: encoded backslash",
            "/offers/sync-1%5c..%5csync/cancel",
        ),
        (
            "CVE-2019-9901 Envoy: dot segments",
            "/offers/sync-1/../sync/cancel",
        ),
        ("merged slashes", "//offers/sync-1/cancel"),
        ("merged slashes inside", "/offers//sync-1/cancel"),
        (
            "CVE-2020-5902 BIG-IP: path parameter",
            "/offers/sync-1;/cancel",
        ),
        ("path parameter up", "/offers/..;/sync-1/cancel"),
        (
            "CVE-2026-41059 oauth2-proxy: fragment",
            "/offers/sync/cancel#/../../sync-1/cancel",
        ),
        ("CVE-2021-32779 Envoy: fragment", "/offers/sync-1#/cancel"),
        // The HTTP parser removes a fragment. The rest is both authorized and executed.
        (
            "a fragment that looks like a route",
            "/problems/conflict#/offers/sync-1/cancel",
        ),
        ("encoded fragment", "/offers/sync-1%23/cancel"),
        ("NUL", "/offers/sync-1%00/cancel"),
        ("line break", "/offers/sync-1%0d%0aX:y/cancel"),
        ("encoded query", "/offers/sync-1%3fx/cancel"),
        ("overlong encoding", "/offers/sync-1%c0%af/cancel"),
        ("broken encoding", "/offers/sync-1%/cancel"),
        ("case of the route", "/OFFERS/sync-1/CANCEL"),
        ("slash at the end", "/offers/sync-1/cancel/"),
        (
            "other publisher in the path",
            "/publishers/fabrikam/offers/sync-1/cancel",
        ),
        ("publisher up", "/publishers/%2e%2e/offers/sync-1/cancel"),
        ("case of the id", "/offers/SYNC-1/cancel"),
        (
            "authority in the path",
            "http://evil.example/offers/sync/cancel",
        ),
    ];
    for (name, target) in table {
        let answer = raw(&world, target, &format!("X-Api-Key: {KEY}\r\n")).await;
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        assert!([400, 403, 404, 405].contains(&status), "{name}: {answer:?}");
    }
    world.assert_nothing_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn method_overrides() {
    let world = spawn().await;
    for header in [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
    ] {
        for method in ["GET", "HEAD", "PUT", "OPTIONS", "TRACE", "post"] {
            let answer = world
                .send_with(method, CANCEL, &[(header, "POST")], "")
                .await;
            assert_eq!(answer.status, 405, "{header} {method}: {answer:?}");
        }
    }
    let path = format!("{CANCEL}?_method=POST");
    let answer = world.send("GET", &path, "").await;
    answer.problem(405, "method-not-allowed");
    world.assert_nothing_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_smuggling() {
    let world = spawn().await;
    let hidden = format!(
        "POST /offers/sync-hidden/cancel HTTP/1.1\r\nHost: x\r\nX-Api-Key: {KEY}\r\nContent-Length: 0\r\n\r\n"
    );
    let table = [
        (
            "CVE-2021-38512 actix-http: length and chunks",
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        ),
        (
            "the other way round",
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        ),
        (
            "CVE-2021-40346 HAProxy: two lengths",
            "Content-Length: 0\r\nContent-Length: 150\r\n",
        ),
        (
            "chunks under a folded name",
            "Transfer-Encoding:\r\n chunked\r\n",
        ),
        (
            "chunks with a bad coding",
            "Transfer-Encoding: chunked, identity\r\n",
        ),
    ];
    for (name, headers) in table {
        let head = format!(
            "POST {CANCEL} HTTP/1.1\r\nHost: x\r\nX-Api-Key: {KEY}\r\n{headers}\r\n0\r\n\r\n{hidden}"
        );
        let answer = send_raw(world.address(), head.as_bytes()).await;
        assert_eq!(
            answer.as_ref().map_or(0, |a| a.status),
            400,
            "{name}: {answer:?}"
        );
    }
    world.assert_nothing_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_of_other_callers_and_removed_keys() {
    let world = spawn().await;
    let id = world.cancel("sync-1").await.json()["id"].to_string();
    let path = format!("/operations/{}", id.trim_matches('"'));
    let theirs = world.send_as(READER_KEY, "GET", &path, "").await;
    theirs.problem(404, "operation-not-found");
    // A key that was removed from the configuration.
    world
        .reload(
            r#"
[[callers]]
name = "pipeline"
default_publisher = "contoso"
api_key_sha256 = ["$nobody"]
allow = [ { actions = ["*"], publishers = ["contoso"], offers = ["*"] } ]
"#,
        )
        .await;
    for (method, path) in [("POST", CANCEL), ("GET", &*path)] {
        let headers = [("X-Api-Key", KEY)];
        let answer = send(world.address(), method, path, &headers, "").await;
        answer.problem(401, "unauthenticated");
    }
    let received = world.vendor.received("/api/").await;
    assert_eq!(received.len(), 1, "{received:?}");
}
