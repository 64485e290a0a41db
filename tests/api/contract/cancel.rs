//! `POST /offers/{offerId}/cancel`: the gateway's answer to each answer of the vendor, and the
//! resulting record in the ledger.

use std::time::Duration;

use futures_util::future::join_all;
use offergate_sandbox::Options;
use serde_json::{Value, json};

use crate::client::Answer;
use crate::helpers::{Setup, World, spawn, spawn_with};

/// The expected result of a cancel.
#[derive(Debug, Clone, Copy)]
enum Becomes {
    /// 200, canceled.
    Done,
    /// 202, polled, with the vendor's status and `delivered`.
    Followed(Option<u16>, &'static str),
    /// A problem with a finished operation: status, code, vendor's status.
    Refused(u16, &'static str, u16),
    /// A problem with an operation that is polled: status, code, vendor's
    /// status, `delivered`.
    Open(u16, &'static str, Option<u16>, &'static str),
}
use Becomes::{Done, Followed, Open, Refused};

/// One row: the kind of offer, the vendor's fault, and the expected result.
type Row = (&'static str, Value, Becomes);

/// Sets the row's fault, cancels, and compares everything observable with the expected result.
/// Returns the answer for checks of single rows.
async fn check(world: &World, number: usize, (kind, fault, becomes): &Row) -> Answer {
    let offer = format!("{kind}-{number}");
    let name = format!("{offer} {fault} → {becomes:?}");
    if !fault.is_null() {
        world
            .vendor
            .order(json!({"on": "cancel", "offer": offer, "fault": fault}))
            .await;
    }
    let answer = world.cancel(&offer).await;
    let location = answer
        .header("operation-location")
        .unwrap_or_else(|| panic!("{name}: no Operation-Location: {answer:?}"));
    let (base, id) = location.split_once("/operations/").unwrap();
    assert_eq!(base, format!("http://{}", world.address()), "{name}");
    let operation = world.recorded(id).await;
    assert_eq!(operation["id"], id);
    match *becomes {
        Done | Followed(..) => {
            answer.guarded();
            let answered = answer.json();
            for member in ["id", "action", "offerId", "publisherId", "requestedBy"] {
                assert_eq!(answered[member], operation[member], "{name}");
            }
        }
        Refused(status, code, http) | Open(status, code, Some(http), _) => {
            let problem = answer.problem(status, code);
            assert_eq!(problem["origin"], "portal", "{name}");
            assert_eq!(problem["portal"]["httpStatus"], http, "{name}: {problem}");
            assert!(problem["portal"]["correlationId"].is_string(), "{name}");
            assert_eq!(problem["retryable"], status == 429, "{name}");
        }
        Open(status, code, None, _) => {
            let problem = answer.problem(status, code);
            assert_eq!(problem["origin"], "portal", "{name}");
            assert_eq!(problem["retryable"], false, "{name}");
        }
    }
    let (status, finished, http, delivered) = match *becomes {
        Done => (200, Some("Succeeded"), Some(200), "yes"),
        Followed(http, delivered) => (202, None, http, delivered),
        Refused(status, _, http) => (status, Some("Failed"), Some(http), "yes"),
        Open(status, _, http, delivered) => (status, None, http, delivered),
    };
    assert_eq!(answer.status, status, "{name}: {answer:?}");
    match finished {
        Some(state) => assert_eq!(operation["status"], state, "{name}: {operation}"),
        // The operation may have ended since; its recorded answer stays.
        None if status == 202 => assert_eq!(answer.json()["status"], "Running", "{name}"),
        None => {}
    }
    assert_eq!(answer.retry_after().is_some(), [202, 429].contains(&status));
    assert_eq!(operation["portal"]["httpStatus"], json!(http), "{name}");
    assert_eq!(operation["portal"]["delivered"], delivered, "{name}");
    if status >= 400 {
        assert_eq!(answer.json()["delivered"], delivered, "{name}");
    }
    if let Refused(_, code, _) = becomes {
        assert_eq!(operation["error"]["code"], *code, "{name}");
        assert!(operation["outcome"].is_null(), "{name}: {operation}");
    }
    let sent = world.vendor.cancels(&offer).await;
    assert_eq!(sent.len(), 1, "{name}: {sent:?}");
    answer
}

/// Concurrently: the rows must not influence each other.
async fn check_all(world: &World, rows: &[Row]) -> Vec<Answer> {
    let rows = rows.iter().enumerate();
    join_all(rows.map(|(number, row)| check(world, number, row))).await
}

fn status(status: u16, body: Value) -> Value {
    json!({"kind": "status", "status": status, "body": body})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_2xx_finishes_the_operation_or_is_polled() {
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("sync", Value::Null, Done),
        ("sync-object", Value::Null, Done),
        ("sync-object", json!({"kind": "gzip"}), Done),
        ("sync-object", json!({"kind": "no-date"}), Done),
        ("migrated", status(200, Value::Null), Done),
        ("migrated", status(200, json!({})), Done),
        ("migrated", Value::Null, Followed(Some(202), "yes")),
        ("migrated", json!({"kind": "gzip"}), Followed(Some(202), "yes")),
        ("migrated", json!({"kind": "stale"}), Followed(Some(202), "yes")),
        ("migrated", status(202, json!({})), Followed(Some(202), "yes")),
        ("migrated", status(200, json!({"Status": "CANCELED"})), Done),
        ("migrated", status(200, json!({"properties": {"provisioningState": "Cancelled"}})), Done),
        ("migrated", status(200, json!({"Status": "Running"})), Followed(Some(200), "yes")),
        ("migrated", status(200, json!({"status": "succeeded"})), Followed(Some(200), "yes")),
        ("migrated", status(200, json!({"status": 3})), Followed(Some(200), "yes")),
        ("migrated", status(200, json!({"errors": [{"code": "Busy"}]})), Followed(Some(200), "yes")),
        ("migrated", status(200, json!({"properties": {"provisioningState": "InProgress"}})), Followed(Some(200), "yes")),
        ("migrated", status(200, json!({"status": "canceled", "operationId": "7"})), Followed(Some(200), "yes")),
        ("migrated", status(200, json!([])), Followed(Some(200), "yes")),
        ("migrated", status(200, json!("\"done\"")), Followed(Some(200), "yes")),
        ("migrated", status(200, json!("done")), Followed(Some(200), "yes")),
        ("migrated", status(200, json!("null")), Followed(Some(200), "yes")),
        ("migrated", status(200, json!(" ")), Followed(Some(200), "yes")),
        ("migrated", status(201, json!({})), Followed(Some(201), "yes")),
        ("migrated", status(204, Value::Null), Followed(Some(204), "yes")),
        ("sync-object", json!({"kind": "not-json"}), Followed(Some(200), "yes")),
        ("sync-object", json!({"kind": "html", "status": 200}), Followed(Some(200), "yes")),
        ("sync-object", json!({"kind": "huge", "bytes": 300_000}), Followed(Some(200), "yes")),
        ("sync-object", json!({"kind": "huge", "bytes": 300_000, "chunked": true}), Followed(Some(200), "yes")),
    ];
    let world = spawn().await;
    let answers = check_all(&world, rows).await;
    for (row, answer) in rows.iter().zip(answers) {
        let operation = answer.json();
        match row.2 {
            Done => {
                assert_eq!(operation["status"], "Succeeded", "{row:?}");
                assert_eq!(operation["outcome"], "canceled", "{row:?}");
                assert!(operation["error"].is_null(), "{row:?}");
            }
            _ => {
                assert!(operation["outcome"].is_null(), "{row:?}: {operation}");
                assert!((1..=2).contains(&answer.retry_after().unwrap()), "{row:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_answer_is_polled_and_never_final() {
    let cut = |at: &str| json!({"kind": "cut-chunked", "at": at});
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("sync-object", json!({"kind": "cut-body"}), Followed(Some(200), "unknown")),
        ("sync-object", json!({"kind": "cut-body", "keep": 0}), Followed(Some(200), "unknown")),
        ("sync", json!({"kind": "cut-body"}), Followed(Some(200), "unknown")),
        ("migrated", json!({"kind": "cut-body"}), Followed(Some(202), "unknown")),
    ];
    let world = spawn().await;
    check_all(&world, rows).await;
    // Some HTTP clients cannot detect a cut chunked answer; the gateway must not treat it as
    // final.
    for (number, at) in ["start", "middle"].into_iter().enumerate() {
        let offer = format!("sync-object-chunked-{number}");
        world
            .vendor
            .order(json!({"on": "cancel", "offer": offer, "fault": cut(at)}))
            .await;
        let operation = world.outcome_of(&offer).await;
        assert_eq!(operation["outcome"], "canceled", "{at}: {operation}");
        assert_eq!(world.vendor.cancels(&offer).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_its_problem_and_final() {
    let bare = json!("\"Microsoft.Ingestion.Api.Common.Exceptions.Http404Exception: no\"");
    let error = json!({"error": {"code": "Nope", "message": "That will not do."}});
    let throttle = |form: &str| json!({"kind": "throttle", "retryAfterSeconds": 40, "as": form});
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("migrated", status(400, error.clone()), Refused(400, "portal-rejected-request", 400)),
        ("migrated", status(403, error.clone()), Refused(403, "publisher-access-denied", 403)),
        ("forbidden", Value::Null, Refused(403, "publisher-access-denied", 403)),
        ("migrated", status(404, bare.clone()), Refused(404, "offer-not-found", 404)),
        ("missing", Value::Null, Refused(404, "offer-not-found", 404)),
        ("migrated", status(409, error.clone()), Refused(409, "conflict", 409)),
        ("migrated", status(412, Value::Null), Refused(412, "precondition-failed", 412)),
        ("migrated", status(422, bare), Refused(422, "portal-validation-failed", 422)),
        ("migrated", throttle("seconds"), Refused(429, "portal-throttled", 429)),
        ("migrated", throttle("date"), Refused(429, "portal-throttled", 429)),
        ("migrated", json!({"kind": "throttle", "retryAfterSeconds": u32::MAX}), Refused(429, "portal-throttled", 429)),
    ];
    let world = spawn().await;
    let answers = check_all(&world, rows).await;
    let portal = |at: usize| answers[at].json()["portal"].clone();
    assert_eq!(portal(0)["code"], "Nope");
    assert_eq!(portal(0)["message"], "That will not do.");
    let message = portal(3)["message"].clone();
    assert!(
        message.as_str().unwrap().contains("Http404Exception"),
        "{message}"
    );
    assert!(portal(6)["code"].is_null() && portal(6)["message"].is_null());
    assert_eq!(answers[8].retry_after(), Some(40));
    let until_date = answers[9].retry_after().unwrap();
    assert!((35..=41).contains(&until_date), "{until_date}");
    // However long the vendor asks for, callers are told an hour at most.
    assert_eq!(answers[10].retry_after(), Some(3600));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_offer_does_not_block_another() {
    let world = spawn().await;
    let throttle = json!({"kind": "throttle", "retryAfterSeconds": 600});
    world
        .vendor
        .order(json!({"on": "cancel", "offer": "migrated-1", "fault": throttle}))
        .await;
    world
        .cancel("migrated-1")
        .await
        .problem(429, "portal-throttled");
    assert_eq!(world.outcome_of("migrated-2").await["outcome"], "canceled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_failure_is_a_problem_and_is_polled() {
    let acted = |mut fault: Value| {
        fault["acts"] = json!(true);
        fault
    };
    let html = |status: u16| json!({"kind": "html", "status": status});
    let redirect = |status: u16| {
        json!({"kind": "redirect", "status": status,
               "location": "/api/publishers/contoso/offers/migrated-elsewhere/cancel"})
    };
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("migrated", acted(json!({"kind": "internal-error"})), Open(502, "portal-failed", Some(500), "yes")),
        ("migrated", acted(html(502)), Open(502, "portal-failed", Some(502), "yes")),
        ("migrated", acted(html(503)), Open(502, "portal-failed", Some(503), "yes")),
        ("migrated", status(504, Value::Null), Open(502, "portal-failed", Some(504), "yes")),
        ("migrated", acted(redirect(302)), Open(502, "portal-bad-response", Some(302), "yes")),
        ("migrated", acted(redirect(307)), Open(502, "portal-bad-response", Some(307), "yes")),
        ("migrated", acted(redirect(308)), Open(502, "portal-bad-response", Some(308), "yes")),
        ("migrated", status(418, Value::Null), Open(502, "portal-bad-response", Some(418), "yes")),
        ("migrated", json!({"kind": "garbage"}), Open(502, "portal-bad-response", None, "unknown")),
    ];
    let world = spawn().await;
    let answers = check_all(&world, rows).await;
    let variant = answers[0].json();
    let message = variant["portal"]["message"].as_str().unwrap();
    assert!(message.starts_with("snapshot()"), "{variant}");
    let page = answers[1].json().to_string();
    assert!(
        !page.contains("<html") && !page.contains("<script"),
        "{page}"
    );
    assert!(world.vendor.cancels("migrated-elsewhere").await.is_empty());
    // Polling finds each cancel that the vendor carried out despite its answer.
    for number in [0, 1, 2, 4, 5, 6, 8] {
        let operation = world.ended(id_of(&answers[number])).await;
        assert_eq!(operation["outcome"], "canceled", "{number}: {operation}");
        assert_eq!(operation["status"], "Succeeded");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_answer_is_accepted_and_polled() {
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("migrated", json!({"kind": "delay", "ms": 3000}), Followed(None, "unknown")),
        ("migrated", json!({"kind": "hang"}), Followed(None, "unknown")),
        ("migrated", json!({"kind": "drip", "everyMs": 700}), Followed(Some(202), "yes")),
        ("migrated", json!({"kind": "reset"}), Followed(None, "unknown")),
        ("migrated", json!({"kind": "close"}), Followed(None, "unknown")),
        ("migrated", json!({"kind": "informational"}), Followed(Some(202), "yes")),
        ("migrated", json!({"kind": "informational", "status": 100, "afterMs": 50}), Followed(Some(202), "yes")),
        ("migrated", json!({"kind": "informational", "afterMs": 3000}), Followed(None, "unknown")),
        ("sync-object", json!({"kind": "drip", "everyMs": 700}), Followed(Some(200), "unknown")),
    ];
    // The publish still runs at the gateway's deadline.
    let world = spawn_with(Setup {
        vendor: Options {
            cancel_after: Duration::from_millis(2500),
            ..Options::default()
        },
        toml: "[portal]\nrequest_timeout_ms = 700".into(),
        ..Setup::default()
    })
    .await;
    for answer in check_all(&world, rows).await {
        let operation = world.ended(id_of(&answer)).await;
        assert_eq!(operation["outcome"], "canceled", "{operation}");
        assert_eq!(operation["status"], "Succeeded");
    }
    // The broken connections do not affect the next request.
    assert_eq!(
        world.outcome_of("migrated-after").await["outcome"],
        "canceled"
    );
}

fn id_of(answer: &Answer) -> &str {
    let location = answer.header("operation-location").unwrap();
    location.rsplit('/').next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_location_leads_to_the_true_outcome() {
    let world = spawn().await;
    let table = [
        ("absolute-1", true),
        ("relative-1", true),
        ("migrated-1", true),
        ("unmigrated-1", true),
        ("in-body-1", true),
        ("nowhere-1", false),
        ("own-operation-1", true),
        ("no-date-1", true),
        ("no-zone-1", true),
    ];
    let operations = world.outcomes_of(&table.map(|row| row.0)).await;
    for ((offer, located), operation) in table.into_iter().zip(operations) {
        assert_eq!(operation["outcome"], "canceled", "{offer}: {operation}");
        assert_eq!(operation["status"], "Succeeded");
        assert_eq!(operation["portal"]["httpStatus"], 202);
        assert_eq!(
            operation["portal"]["operationLocation"].is_string(),
            located,
            "{offer}"
        );
    }
}
