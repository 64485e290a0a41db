//! The requests that reach the vendor: complete, and without headers of the caller.

use serde_json::{Value, json};

use crate::helpers::{NOBODY_KEY, World, spawn, spawn_toml};

/// The only cancel of the offer that the vendor has received.
async fn sent(world: &World, offer: &str) -> Value {
    let mut cancels = world.vendor.cancels(offer).await;
    assert_eq!(cancels.len(), 1, "{cancels:?}");
    cancels.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_body_arrives_as_the_vendors_document_or_empty() {
    let two = r#"{"metadata":{"notification-emails":"a@b.c,d@e.f"}}"#;
    let twenty = vec!["a@b.c"; 20];
    let of_twenty = json!({"metadata": {"notification-emails": twenty.join(",")}}).to_string();
    let longest = format!("{}@b.c", "x".repeat(250));
    let of_longest = json!({"metadata": {"notification-emails": longest}}).to_string();
    let world = spawn().await;
    for (number, (given, expected)) in [
        (String::new(), ""),
        ("{}".into(), ""),
        (r#"{"metadata":{}}"#.into(), ""),
        (r#"{"notificationEmails":[]}"#.into(), ""),
        (
            r#" {"notificationEmails": ["a@b.c", "d@e.f"] } "#.into(),
            two,
        ),
        (two.into(), two),
        (
            r#"{"metadata":{"notification-emails":"a@b.c, d@e.f"}}"#.into(),
            two,
        ),
        (
            json!({"notificationEmails": twenty}).to_string(),
            &of_twenty,
        ),
        (
            json!({"notificationEmails": [longest]}).to_string(),
            &of_longest,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let offer = format!("sync-{number}");
        let path = format!("/offers/{offer}/cancel");
        let json = [("Content-Type", "application/json; charset=utf-8")];
        let answer = world.send_with("POST", &path, &json, &given).await;
        assert_eq!(answer.status, 200, "{given}: {answer:?}");
        let request = sent(&world, &offer).await;
        assert_eq!(request["body"], expected, "{given}");
        assert_eq!(
            request["headers"]["content-length"],
            expected.len().to_string(),
            "{given}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_header_of_the_caller_reaches_the_vendor() {
    let world = spawn().await;
    let hostile: Vec<(&str, &str)> = vec![
        ("Accept", "text/html"),
        ("Accept-Encoding", "gzip, br"),
        ("Accept-Language", "fr"),
        ("Cache-Control", "no-cache"),
        ("Content-Type", "application/json;charset=utf-16"),
        ("Cookie", "session=of-the-caller"),
        ("Expect", "nothing"),
        ("Forwarded", "for=1.2.3.4;host=evil.example"),
        ("Metadata", "true"),
        ("Origin", "https://evil.example"),
        ("Prefer", "respond-async"),
        ("Proxy-Authorization", "Basic x"),
        ("Range", "bytes=0-1"),
        ("Referer", "https://evil.example/"),
        ("TE", "trailers"),
        (
            "Traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("User-Agent", "of-the-caller"),
        ("Via", "1.1 evil"),
        ("X-Forwarded-For", "1.2.3.4"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Http-Method-Override", "DELETE"),
        ("X-Ms-Correlation-Request-Id", "of-the-caller"),
        ("X-Original-Url", "/admin"),
        ("X-Request-Id", "of-the-caller"),
        ("X-Unheard-Of", "of-the-caller"),
    ];
    let body = r#"{"notificationEmails":["a@b.c"]}"#;
    let answer = world
        .send_with("POST", "/offers/sync-1/cancel", &hostile, body)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let request = sent(&world, "sync-1").await;
    let mut headers = request["headers"].as_object().unwrap().clone();
    let mut take = |name: &str| {
        let value = headers.remove(name);
        let value = value.unwrap_or_else(|| panic!("no {name}: {request}"));
        value.as_str().unwrap().to_owned()
    };
    let authorization = take("authorization");
    // The sandbox shows tokens as hashes; it accepted this one as its own.
    assert!(
        authorization.starts_with("Bearer sha256:"),
        "{authorization}"
    );
    assert_eq!(take("content-type"), "application/json");
    assert_eq!(
        take("content-length"),
        request["body"].as_str().unwrap().len().to_string()
    );
    assert_eq!(take("host"), world.vendor.address.to_string());
    assert!(take("user-agent").starts_with("offergate/"));
    assert_eq!(take("accept-encoding"), "gzip, identity");
    // The client's own clock, not the caller's.
    headers.remove("date");
    assert!(
        headers.is_empty(),
        "more than the contract names: {headers:?}"
    );
    assert!(!request.to_string().contains("of-the-caller"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_goes_to_the_vendors_path_with_the_version() {
    let world = spawn().await;
    world.outcome_of("unmigrated-A.b_c").await;
    world.outcome_of("migrated-1").await;
    let base = "/api/publishers/contoso/offers";
    for (path, method) in [
        (format!("{base}/unmigrated-A.b_c/cancel"), "POST"),
        (format!("{base}/unmigrated-A.b_c/submissions"), "GET"),
        (
            "/api/operations/contoso$unmigrated-A.b_c$2$preview".into(),
            "GET",
        ),
        (format!("{base}/migrated-1/submissions"), "GET"),
        (format!("{base}/migrated-1/operations/"), "GET"),
    ] {
        let received = world.vendor.received(&path.replace('$', "%24")).await;
        assert!(!received.is_empty(), "{path}");
        for request in received {
            assert_eq!(request["method"], method, "{path}");
            assert_eq!(request["query"], "api-version=2017-10-31", "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_publisher_is_that_of_the_path_or_the_callers_default() {
    let world = spawn_toml(
        r#"
[[publishers]]
id = "contoso"
credential = "main"
[[publishers]]
id = "fabrikam"
credential = "main"
[[callers]]
name = "pipeline"
default_publisher = "contoso"
api_key_sha256 = ["$pipeline"]
allow = [ { actions = ["cancel"], publishers = ["*"], offers = ["*"] } ]
[[callers]]
name = "homeless"
api_key_sha256 = ["$nobody"]
allow = [ { actions = ["cancel"], publishers = ["fabrikam"], offers = ["*"] } ]
"#,
    )
    .await;
    for (path, publisher) in [
        ("/offers/sync-1/cancel", "contoso"),
        ("/publishers/contoso/offers/sync-2/cancel", "contoso"),
        ("/publishers/fabrikam/offers/sync-3/cancel", "fabrikam"),
    ] {
        let answer = world.send("POST", path, "").await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let operation = answer.json();
        assert_eq!(operation["publisherId"], publisher, "{path}");
        let offer = operation["offerId"].as_str().unwrap();
        assert_eq!(sent(&world, offer).await["publisher"], publisher, "{path}");
    }
    let answer = world
        .send_as(NOBODY_KEY, "POST", "/offers/sync-4/cancel", "")
        .await;
    let problem = answer.problem(400, "invalid-publisher-id");
    assert_eq!(problem["delivered"], "no");
    assert!(world.vendor.cancels("sync-4").await.is_empty());
    let path = "/publishers/fabrikam/offers/sync-4/cancel";
    let answer = world.send_as(NOBODY_KEY, "POST", path, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}
