//! `GET /operations/{id}`: the members of the status monitor's document, and of a problem
//! document.

use std::time::Duration;

use offergate_sandbox::Options;
use serde_json::{Value, json};

use crate::client::Answer;
use crate::helpers::{Setup, World, spawn, spawn_with};

/// The document without the members that differ between runs, which are checked here.
fn essence(world: &World, answer: &Answer) -> Value {
    let mut document = answer.json();
    let id = document["id"].as_str().unwrap().to_owned();
    let ours = format!("http://{}/operations/{id}", world.address());
    assert_eq!(document["operationLocation"], *ours);
    assert_eq!(answer.header("operation-location"), Some(&*ours));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.guarded();
    let at = |name: &str| {
        let text = document[name].as_str().unwrap();
        assert!(text.ends_with('Z'), "{name} is not UTC: {text}");
        text.parse::<jiff::Timestamp>().unwrap()
    };
    assert!(at("createdAt") <= at("updatedAt"));
    assert!(at("updatedAt") <= jiff::Timestamp::now());
    let correlation = &mut document["portal"]["correlationId"];
    if correlation.is_string() {
        *correlation = json!("…");
    }
    let members = document.as_object_mut().unwrap();
    for name in [
        "id",
        "operationLocation",
        "createdAt",
        "updatedAt",
        "requestId",
    ] {
        assert!(members.remove(name).unwrap().is_string());
    }
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_from_beginning_to_end() {
    let world = spawn_with(Setup {
        vendor: Options {
            cancel_after: Duration::from_secs(600),
            ..Options::default()
        },
        ..Setup::default()
    })
    .await;
    let answer = world.cancel("migrated-1").await;
    let path = "/api/publishers/contoso/offers/migrated-1/operations/";
    let mut started = essence(&world, &answer);
    let portal = format!("http://{}{path}", world.vendor.address);
    let location = started["portal"]["operationLocation"].take();
    assert!(
        location.as_str().unwrap().starts_with(&portal),
        "{location}"
    );
    let expected = json!({
        "action": "cancel",
        "status": "Running",
        "outcome": null,
        "offerId": "migrated-1",
        "publisherId": "contoso",
        "requestedBy": "pipeline",
        "portal": {
            "httpStatus": 202,
            "status": null,
            "operationLocation": null,
            "correlationId": "…",
            "delivered": "yes",
        },
        "error": null,
    });
    assert_eq!(started, expected);
    assert!((1..=2).contains(&answer.retry_after().unwrap()));

    // The vendor's status text appears as soon as it was read; status keeps the gateway's value.
    let monitor = format!("/operations/{}", answer.json()["id"].as_str().unwrap());
    world.vendor.receives("migrated-1/operations/", 2).await;
    let running = loop {
        let answer = world.send("GET", &monitor, "").await;
        if !answer.json()["portal"]["status"].is_null() {
            break answer;
        }
    };
    assert_eq!(running.status, 200);
    assert!((1..=2).contains(&running.retry_after().unwrap()));
    assert_eq!(running.json()["status"], "Running");
    assert_eq!(running.json()["portal"]["status"], "running");
    assert_eq!(running.json()["createdAt"], answer.json()["createdAt"]);

    let finish = "offers/contoso/migrated-1/finish";
    world
        .vendor
        .control("POST", finish, json!({"state": "completed"}))
        .await;
    let id = monitor.rsplit('/').next().unwrap();
    world.ended(id).await;
    let ended = world.send("GET", &monitor, "").await;
    assert_eq!(ended.status, 200);
    assert_eq!(ended.retry_after(), None);
    let mut over = essence(&world, &ended);
    over["portal"]["operationLocation"].take();
    let mut expected = expected;
    expected["status"] = json!("Failed");
    expected["outcome"] = json!("alreadyCompleted");
    expected["portal"]["status"] = over["portal"]["status"].clone();
    expected["error"] = json!({
        "code": "already-completed",
        "message": "The publish completed before the cancel took effect.",
    });
    assert_eq!(over, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_member_of_a_vendor_problem() {
    let world = spawn().await;
    let error = json!({"error": {"code": "BadRequest", "message": "The argument\u{7} is null."}});
    let fault = json!({"kind": "status", "status": 400, "body": error});
    world
        .vendor
        .order(json!({"on": "cancel", "fault": fault}))
        .await;
    let answer = world.cancel("migrated-1").await;
    let received = answer.problem(400, "portal-rejected-request");
    let base = format!("http://{}", world.address());
    let expected = json!({
        "type": format!("{base}/problems/portal-rejected-request"),
        "title": "The vendor rejected the request",
        "status": 400,
        "detail": "The vendor rejected the request; nothing was done.",
            "message": "The vendor rejected the request; nothing was done.",
        "instance": "/offers/migrated-1/cancel",
        "code": "portal-rejected-request",
        "requestId": answer.header("x-request-id").unwrap(),
        "origin": "portal",
        "retryable": false,
        "delivered": "yes",
        "operationLocation": answer.header("operation-location").unwrap(),
        "portal": {
            "httpStatus": 400,
            "code": "BadRequest",
            "message": "The argument is null.",
            "correlationId": received["portal"]["correlationId"],
        },
    });
    assert_eq!(received, expected);
    let id = received["portal"]["correlationId"].as_str().unwrap();
    assert!(uuid::Uuid::try_parse(id).is_ok(), "{id}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_text_is_plain_and_short() {
    let world = spawn().await;
    let long = "é".repeat(5000);
    for (number, (message, expected)) in [
        (
            "<script>alert(1)</script>".to_owned(),
            "<script>alert(1)</script>".to_owned(),
        ),
        (
            "a\r\nSet-Cookie: x\u{0}\u{1b}[31m".into(),
            "aSet-Cookie: x[31m".into(),
        ),
        (
            "right\u{202e}left\u{200b}zero".into(),
            "rightleftzero".into(),
        ),
        (long, "é".repeat(512)),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({"error": {"code": "C", "message": message}});
        let fault = json!({"kind": "status", "status": 409, "body": body});
        world
            .vendor
            .order(json!({"on": "cancel", "fault": fault}))
            .await;
        let answer = world.cancel(&format!("migrated-{number}")).await;
        let problem = answer.problem(409, "conflict");
        assert_eq!(problem["portal"]["message"], expected);
    }
    // An id of an illegal form is not passed on at all.
    let fault = json!({"kind": "reflect", "status": 409});
    world
        .vendor
        .order(json!({"on": "cancel", "fault": fault}))
        .await;
    let problem = world.cancel("migrated-id").await.problem(409, "conflict");
    assert!(problem["portal"]["correlationId"].is_null(), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_cancels_of_one_offer_are_two_operations() {
    let world = spawn().await;
    let (one, two) = tokio::join!(world.cancel("migrated-1"), world.cancel("migrated-1"));
    let ids = [one.json()["id"].clone(), two.json()["id"].clone()];
    assert_ne!(ids[0], ids[1]);
    for id in ids {
        let operation = world.ended(id.as_str().unwrap()).await;
        assert_eq!(operation["outcome"], "canceled", "{operation}");
    }
    assert_eq!(world.vendor.cancels("migrated-1").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_operations_are_polled_concurrently() {
    let world = spawn_with(Setup {
        tune: |settings| settings.callers[0].limits.actions = Some(200),
        ..Setup::default()
    })
    .await;
    let offers: Vec<String> = (0..200).map(|n| format!("migrated-{n}")).collect();
    let cancels = offers.iter().map(|offer| world.cancel(offer));
    let answers = futures_util::future::join_all(cancels).await;
    for answer in answers {
        assert_eq!(answer.status, 202, "{answer:?}");
        let operation = world.ended(answer.json()["id"].as_str().unwrap()).await;
        assert_eq!(operation["outcome"], "canceled", "{operation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_does_not_go_back_after_the_answer() {
    let world = spawn().await;
    for n in 0..20 {
        let answer = world.cancel(&format!("stubborn-{n}")).await;
        assert_eq!(answer.json()["status"], "Running");
        let seen = world.operation(answer.json()["id"].as_str().unwrap()).await;
        assert_eq!(seen["status"], "Running");
    }
}
