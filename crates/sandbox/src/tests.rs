//! The sandbox over real TCP, as a client sees it.
#![allow(clippy::unwrap_used, clippy::panic)]

mod client;
mod credentials;
pub(super) mod signer;
mod tls;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use client::{MARK, V, start};

#[tokio::test]
async fn a_cancel_is_accepted_followed_and_bites() {
    let sandbox = start().await;
    assert!(sandbox.token.contains(MARK));
    let offer = "/publishers/contoso/offers/contoso-vm";
    let got = sandbox.cancel("contoso-vm").await;
    assert_eq!(got.status, 202, "{got:?}");
    assert!(got.header("date").is_some() && got.header("x-ms-correlation-request-id").is_some());
    let location = got.header("location").unwrap().to_owned();
    let named = location.split(['/', '?']).nth(7).unwrap().to_owned();

    let until = "offers/contoso/contoso-vm?until=canceled&timeout_ms=10000";
    let truth = sandbox.control("GET", until, &Value::Null).await.json();
    assert_eq!(truth["cancels"][0]["became"], "canceled");
    assert_eq!(truth["cancels"][0]["met"], named);

    let list = sandbox
        .call("GET", &format!("{offer}/submissions/"))
        .await
        .json();
    assert_eq!(list[0]["submissionState"], "canceled");
    assert_eq!(list[0]["id"], named);
    let none = sandbox
        .call("GET", &format!("{offer}/submissions?status=running"))
        .await;
    assert_eq!(none.json(), json!([]));
    let operation = sandbox
        .send("GET", &location, &sandbox.bearer(), "")
        .await
        .json();
    assert_eq!(operation["status"], "canceled");
    assert_eq!(operation["steps"][1]["status"], "canceled");
    sandbox.stop().await;
}

#[tokio::test]
async fn the_portal_refuses_in_the_order_and_words_of_the_vendor() {
    let sandbox = start().await;
    let path = "/api/publishers/contoso/offers/migrated/status";
    let none = sandbox.send("GET", path, "", "").await;
    assert_eq!(none.status, 401);
    assert!(
        none.header("www-authenticate")
            .unwrap()
            .starts_with("Bearer ")
    );
    let no_version = sandbox.send("GET", path, &sandbox.bearer(), "").await;
    assert_eq!(no_version.json()["error"]["code"], "InvalidAPIVersion");
    let foreign = sandbox
        .call("GET", "/publishers/adatum/offers/migrated")
        .await;
    assert_eq!(
        (foreign.status, &foreign.json()["error"]["code"]),
        (403, &json!("Forbidden"))
    );
    let missing = sandbox
        .call("GET", "/publishers/contoso/offers/nothing")
        .await;
    assert_eq!(missing.status, 404);
    assert!(missing.json().is_string());
    let method = sandbox.call("DELETE", "/publishers").await;
    assert_eq!((method.status, method.header("allow")), (405, Some("GET")));
    let invalid = sandbox
        .call("POST", "/publishers/contoso/offers/invalid/publish")
        .await;
    assert_eq!((invalid.status, invalid.json().is_string()), (422, true));
    let revoked = sandbox.control("POST", "token/revoke", &Value::Null).await;
    assert_eq!((revoked.status, &revoked.json()["live"]), (200, &json!(0)));
    assert_eq!(sandbox.call("GET", "/publishers").await.status, 401);
    sandbox.stop().await;
}

#[tokio::test]
async fn an_offer_is_written_under_the_rules_of_its_etag() {
    let sandbox = start().await;
    let target = format!("/api/publishers/contoso/offers/brand-new?{V}");
    let body = json!({"offerTypeId": "vm", "definition": {"displayText": "One"}}).to_string();
    let put = async |tag: &str, body: &str| {
        let headers = format!("{}{tag}", sandbox.bearer());
        sandbox.send("PUT", &target, &headers, body).await
    };
    assert_eq!(put("If-Match: *\r\n", &body).await.status, 412);
    let null = put("", "{}").await;
    assert!(
        null.body.contains("'OfferTypeId' cannot be null or empty"),
        "{null:?}"
    );
    let new = put("", &body).await;
    assert_eq!(new.status, 201);
    let tag = format!("If-Match: {}\r\n", new.header("etag").unwrap());
    assert_eq!(put("", &body).await.status, 409);
    assert_eq!(put(&tag, &body).await.status, 200);
    assert_eq!(put(&tag, &body).await.status, 412, "it is stale now");
    assert_eq!(put("If-Match: *\r\n", &body).await.json()["version"], 3);
    let offer = "/publishers/contoso/offers/brand-new";
    for (path, status) in [
        ("versions/2", 200),
        ("slot/draft", 200),
        ("slot/Preview", 404),
    ] {
        assert_eq!(
            sandbox.call("GET", &format!("{offer}/{path}")).await.status,
            status
        );
    }
    let filter = "/publishers/contoso/offers?$filter=status%20eq%20'neverPublished'";
    assert_eq!(
        sandbox.call("GET", filter).await.json()[0]["id"],
        "brand-new"
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn faults_break_the_answer_and_the_truth_stays_known() {
    let sandbox = start().await;
    let spoilt = [
        (json!({"kind": "cut-body", "keep": 1}), "HTTP/1.1 200"),
        (json!({"kind": "cut-chunked", "at": "end"}), "HTTP/1.1 200"),
        (
            json!({"kind": "garbage", "bytes": "SSH-2.0-x\r\n"}),
            "SSH-2.0-x",
        ),
        (json!({"kind": "reset"}), "ConnectionReset"),
        (
            json!({"kind": "informational"}),
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200",
        ),
        (json!({"kind": "huge", "bytes": 300_000}), "HTTP/1.1 200"),
        (json!({"kind": "gzip"}), "HTTP/1.1 200"),
        (json!({"kind": "drip", "everyMs": 0}), "HTTP/1.1 200"),
    ];
    for (number, (fault, expected)) in spoilt.into_iter().enumerate() {
        let offer = format!("sync-object-{number}");
        sandbox.order("cancel", &offer, fault.clone()).await;
        let target = format!("/api/publishers/contoso/offers/{offer}/cancel?{V}");
        let bytes = sandbox.raw("POST", &target, &sandbox.bearer(), "").await;
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with(expected), "{fault}: {text}");
        let truth = sandbox.truth(&offer).await;
        assert_eq!(truth["cancels"][0]["became"], "canceled", "{fault}");
    }
    let closed = json!({"kind": "close", "acts": false});
    sandbox.order("cancel", "sync-x", closed).await;
    let target = format!("/api/publishers/contoso/offers/sync-x/cancel?{V}");
    assert!(
        sandbox
            .raw("POST", &target, &sandbox.bearer(), "")
            .await
            .is_empty()
    );
    assert_eq!(sandbox.truth("sync-x").await["cancels"], json!([]));
    let unknown = json!({"on": "cancel", "fault": {"kind": "sulk"}});
    let refused = sandbox.control("POST", "faults", &unknown).await;
    assert!(
        refused.status == 400 && refused.body.contains("cut-chunked"),
        "{refused:?}"
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn the_journal_is_awaited_and_shows_no_secret() {
    let sandbox = start().await;
    sandbox
        .order("cancel", "nowhere", json!({"kind": "hang"}))
        .await;
    let wait = "journal?method=POST&offer=nowhere&at_least=1&timeout_ms=10000";
    let awaited = async {
        let got = sandbox.control("GET", wait, &Value::Null).await;
        assert_eq!(got.header("x-sandbox-journal-dropped"), Some("0"));
        got.json()
    };
    let entries = tokio::select! {
        got = sandbox.cancel("nowhere") => panic!("a hanging call was answered: {got:?}"),
        entries = awaited => entries,
    };
    assert_eq!(
        (&entries[0]["answered"], &entries[0]["fault"]),
        (&Value::Null, &json!("hang"))
    );
    let hash = super::text::sha256_hex(sandbox.token.as_bytes());
    assert_eq!(
        entries[0]["headers"]["authorization"],
        format!("Bearer sha256:{hash}")
    );

    let all = sandbox.control("GET", "journal", &Value::Null).await;
    assert!(all.body.contains("client_secret=sha256:"));
    for secret in [MARK, "sandbox-secret", sandbox.token.as_str()] {
        assert!(!all.body.contains(secret));
    }
    assert_eq!(
        sandbox
            .control("DELETE", "journal", &Value::Null)
            .await
            .status,
        204
    );
    assert_eq!(
        sandbox.control("GET", "journal", &Value::Null).await.json(),
        json!([])
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn connections_are_kept_and_requests_may_be_chunked_or_pipelined() {
    let sandbox = start().await;
    let mut stream = TcpStream::connect(sandbox.address).await.unwrap();
    let target = format!("/api/publishers/contoso/offers/migrated-kept/cancel?{V}");
    let bearer = sandbox.bearer();
    let body = r#"{"metadata":{"notification-emails":"a@b.c"}}"#;
    let (one, two) = body.split_at(2);
    let (first, second) = (one.len(), two.len());
    let requests = format!(
        "POST {target} HTTP/1.1\r\n{bearer}Transfer-Encoding: chunked\r\n\r\n\
         {first:x}\r\n{one}\r\n{second:X};x=y\r\n{two}\r\n0\r\n\r\n\
         POST {target} HTTP/1.1\r\n{bearer}Connection: close\r\n\r\n"
    );
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 202 Accepted\r\n"), "{text}");
    assert!(text.contains("HTTP/1.1 411 Length Required\r\n"), "{text}");
    let truth = sandbox.truth("migrated-kept").await;
    assert_eq!(truth["submissions"][0]["emails"], "a@b.c");
    sandbox.stop().await;
}

#[tokio::test]
async fn a_thousand_cancels_at_once_are_all_carried_out() {
    let sandbox = start().await;
    let calls = (0..1_000).map(|number| {
        let offer = format!("relative-{number}");
        let sandbox = &sandbox;
        async move { sandbox.cancel(&offer).await.status }
    });
    let statuses = futures_util::future::join_all(calls).await;
    assert!(statuses.iter().all(|status| *status == 202));
    let path = "journal?method=POST&path=/cancel&at_least=1000";
    let entries = sandbox.control("GET", path, &Value::Null).await;
    assert_eq!(entries.header("x-sandbox-journal-entries"), Some("1000"));
    sandbox.stop().await;
}

#[tokio::test]
async fn the_help_page_names_every_control() {
    let sandbox = start().await;
    let help = sandbox.control("GET", "", &Value::Null).await;
    for word in [
        "own-operation",
        "cut-chunked",
        "at_least",
        "/_sandbox/v1/token/revoke",
        "/_sandbox/v1/token/allowance",
        "/_sandbox/v1/token/secrets",
        "/_sandbox/v1/certificates",
        "/_sandbox/v1/federated",
        "/_sandbox/v1/identity",
    ] {
        assert!(help.body.contains(word), "{word}");
    }
    for path in ["/_sandbox/journal", "/_sandbox/", "/_sandbox"] {
        let unversioned = sandbox.send("GET", path, "", "").await;
        assert_eq!(unversioned.status, 404, "{path}");
        let versioned = path
            .trim_end_matches('/')
            .replacen("/_sandbox", "/_sandbox/v1", 1);
        assert!(unversioned.body.contains(&versioned), "{unversioned:?}");
    }
    let browser = sandbox
        .send("GET", "/_sandbox/v1/journal", "Origin: http://x\r\n", "")
        .await;
    assert_eq!(browser.status, 403);
    sandbox.stop().await;
}
