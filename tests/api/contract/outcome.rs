//! Outcomes of cancels: the status monitor agrees with the sandbox's record of the truth.

use std::time::Duration;

use offergate_sandbox::Options;
use serde_json::{Value, json};

use crate::helpers::{Setup, World, spawn, spawn_with};

/// A world whose vendor takes `delay` for a cancel, and whose gateway gives up soon.
async fn impatient(delay: Duration) -> World {
    spawn_with(Setup {
        vendor: Options {
            cancel_after: delay,
            ..Options::default()
        },
        tune: |settings| settings.operations.give_up = Duration::from_millis(1500),
        ..Setup::default()
    })
    .await
}

/// A world in which a cancel never takes effect by itself.
async fn undecided() -> World {
    spawn_with(Setup {
        vendor: Options {
            cancel_after: Duration::from_secs(600),
            ..Options::default()
        },
        ..Setup::default()
    })
    .await
}

/// Advances an offer of contoso, or creates it.
async fn offer(world: &World, method: &str, path: &str, body: Value) -> Value {
    let path = format!("offers/contoso/{path}");
    world.vendor.control(method, &path, body).await
}

fn assert_ended(operation: &Value, outcome: &str, code: Option<&str>) {
    let status = match outcome {
        "canceled" | "nothingToCancel" | "alreadyFailed" => "Succeeded",
        _ => "Failed",
    };
    assert_eq!(operation["outcome"], outcome, "{operation}");
    assert_eq!(operation["status"], status, "{operation}");
    assert_eq!(operation["error"]["code"].as_str(), code, "{operation}");
    let message = operation["error"]["message"].as_str().unwrap_or_default();
    assert_eq!(message.is_empty(), code.is_none(), "{operation}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_ends_with_its_true_outcome() {
    let world = spawn().await;
    let table = [
        ("idle", "nothingToCancel", None),
        ("empty", "nothingToCancel", None),
        ("already-canceled", "nothingToCancel", None),
        ("completes", "alreadyCompleted", Some("already-completed")),
        ("fails", "alreadyFailed", None),
        ("staging-done", "canceled", None),
        ("sign-off", "canceled", None),
        ("sign-off-unmigrated", "canceled", None),
        ("own-operation", "canceled", None),
        ("operation-in-array", "canceled", None),
        ("unmigrated", "canceled", None),
        ("no-zone", "canceled", None),
        ("no-date", "canceled", None),
    ];
    let operations = world.outcomes_of(&table.map(|row| row.0)).await;
    for ((offer, outcome, code), operation) in table.into_iter().zip(operations) {
        assert_ended(&operation, outcome, code);
        assert_eq!(operation["portal"]["delivered"], "yes");
        // The sandbox agrees.
        let path = format!("offers/contoso/{offer}");
        let truth = world.vendor.control("GET", &path, Value::Null).await;
        let became = truth["cancels"][0]["became"]
            .as_str()
            .unwrap_or_else(|| panic!("{truth}"));
        let expected = match outcome {
            "canceled" => "canceled",
            "nothingToCancel" => "nothing-running",
            "alreadyCompleted" => "completed-first",
            _ => "failed-first",
        };
        assert_eq!(became, expected, "{offer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_does_not_stop_is_not_canceled_for_any_location() {
    let world = impatient(Duration::from_millis(300)).await;
    let stubborn = json!({"location": "unmigrated", "cancel": "stubborn", "submissions": [{}]});
    offer(&world, "PUT", "mule", stubborn).await;
    let word = json!({"kind": "status", "status": 200, "body": {"status": "Canceled <b>\u{7}"}});
    world
        .vendor
        .order(json!({"on": "operations", "offer": "mule", "times": 0, "fault": word}))
        .await;
    let operations = world.outcomes_of(&["stubborn", "mule"]).await;
    for operation in &operations {
        assert_ended(operation, "notCanceled", Some("not-canceled"));
    }
    assert_eq!(operations[1]["portal"]["status"], "Canceled <b>");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_failed_is_not_reported_to_have_accepted_the_cancel() {
    let world = impatient(Duration::from_millis(300)).await;
    for (name, acts) in [("stubborn-no", false), ("stubborn-yes", true)] {
        let fault = json!({"kind": "status", "status": 503});
        let order = json!({"on": "cancel", "offer": name, "acts": acts, "fault": fault});
        world.vendor.order(order).await;
        let problem = world.cancel(name).await.problem(502, "portal-failed");
        let location = problem["operationLocation"].as_str().unwrap();
        let id = location.rsplit('/').next().unwrap();
        let operation = world.ended(id).await;
        assert_ended(&operation, "notCanceled", Some("not-canceled"));
        assert_eq!(operation["portal"]["delivered"], "yes");
        let message = operation["error"]["message"].as_str().unwrap();
        assert!(message.contains("did not confirm"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_evidence_the_outcome_is_unknown() {
    let world = impatient(Duration::from_millis(300)).await;
    let faults = [
        json!({"kind": "internal-error"}),
        json!({"kind": "not-json"}),
        json!({"kind": "cut-body"}),
        json!({"kind": "cut-chunked", "at": "middle"}),
        json!({"kind": "status", "status": 200, "body": {"value": []}}),
        json!({"kind": "status", "status": 404, "body": "gone"}),
        json!({"kind": "redirect", "location": "/api/publishers"}),
        json!({"kind": "reset"}),
    ];
    let mut names: Vec<String> = vec!["undated".into()];
    for (number, fault) in faults.into_iter().enumerate() {
        let name = format!("migrated-{number}");
        let order = json!({"on": "submissions", "offer": name, "times": 0, "fault": fault});
        world.vendor.order(order).await;
        names.push(name);
    }
    // Ended before the first poll, and not dated: it could have ended long ago.
    let undated = json!({"date": false, "cancelSeconds": 0, "submissions": [{}]});
    offer(&world, "PUT", "undated", undated).await;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for operation in world.outcomes_of(&names).await {
        assert_ended(&operation, "unknown", Some("outcome-unknown"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn observations_after_an_outage_decide() {
    let world = spawn().await;
    for on in ["submissions", "operations"] {
        let fault = json!({"kind": "internal-error"});
        world
            .vendor
            .order(json!({"on": on, "times": 3, "fault": fault}))
            .await;
    }
    assert_ended(&world.outcome_of("migrated-1").await, "canceled", None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_ended_after_the_cancel_was_met() {
    let world = spawn().await;
    let at_once = json!({"cancelSeconds": 0, "zone": false, "submissions": [{}]});
    offer(&world, "PUT", "quick", at_once).await;
    assert_ended(&world.outcome_of("quick").await, "canceled", None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_starts_later_never_counts() {
    let world = undecided().await;
    let submissions_of = |offer: &str| format!("offers/{offer}/submissions");

    // The publish that the cancel applied to ends; another continues.
    let answer = world.cancel("migrated-1").await;
    let truth = offer(&world, "GET", "migrated-1", Value::Null).await;
    let met = truth["submissions"][0]["id"].clone();
    world
        .vendor
        .receives(&submissions_of("migrated-1"), 2)
        .await;
    offer(&world, "POST", "migrated-1/publish", json!({})).await;
    offer(
        &world,
        "POST",
        "migrated-1/finish",
        json!({"id": met, "state": "canceled"}),
    )
    .await;
    let operation = world.ended(answer.json()["id"].as_str().unwrap()).await;
    assert_ended(&operation, "canceled", None);

    // The publish that the cancel applied to continues; another is canceled.
    let answer = world.cancel("migrated-2").await;
    let polls = world
        .vendor
        .receives(&submissions_of("migrated-2"), 2)
        .await
        .len();
    offer(&world, "POST", "migrated-2/publish", json!({})).await;
    offer(
        &world,
        "POST",
        "migrated-2/finish",
        json!({"state": "canceled"}),
    )
    .await;
    world
        .vendor
        .receives(&submissions_of("migrated-2"), polls + 3)
        .await;
    let operation = world.operation(answer.json()["id"].as_str().unwrap()).await;
    assert_eq!(operation["status"], "Running", "{operation}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_starts_while_nothing_runs_does_not_count_either() {
    let world = spawn_with(Setup {
        tune: |settings| settings.operations.settle = Duration::from_millis(1500),
        ..Setup::default()
    })
    .await;
    let answer = world.cancel("idle-1").await;
    // The first poll has finished when the second is made.
    let polls = "offers/idle-1/submissions";
    let before = world.vendor.receives(polls, 2).await.len();
    // By the vendor's clock, whose dates count whole seconds, surely later.
    let later = json!({"changedTime": "2099-01-01T00:00:00Z"});
    offer(&world, "POST", "idle-1/publish", later).await;
    let operation = world.ended(answer.json()["id"].as_str().unwrap()).await;
    assert_ended(&operation, "nothingToCancel", None);
    let after = world.vendor.received(polls).await.len();
    assert!(after > before + 2, "it was never polled while it ran");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_right_after_an_observation_of_nothing_does_not_count() {
    let world = spawn_with(Setup {
        tune: |settings| settings.operations.settle = Duration::from_millis(1500),
        ..Setup::default()
    })
    .await;
    for (name, ends) in [("idle-1", false), ("empty-1", true), ("idle-2", true)] {
        let answer = world.cancel(name).await;
        // The first poll has finished when the second is made.
        let polls = format!("offers/{name}/submissions");
        world.vendor.receives(&polls, 2).await;
        // By the vendor's clock its time may equal that of the answer.
        offer(&world, "POST", &format!("{name}/publish"), json!({})).await;
        if ends {
            let end = json!({"state": "completed"});
            offer(&world, "POST", &format!("{name}/finish"), end).await;
        }
        let operation = world.ended(answer.json()["id"].as_str().unwrap()).await;
        assert_ended(&operation, "nothingToCancel", None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_does_not_change_the_outcome() {
    let mut world = undecided().await;
    let answer = world.cancel("migrated-1").await;
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    world.vendor.receives("migrated-1/submissions", 2).await;
    world.recorded(&id).await;
    world.restart().await;
    let operation = world.operation(&id).await;
    assert_eq!(operation["status"], "Running");
    assert_eq!(operation["createdAt"], answer.json()["createdAt"]);
    // The pinned publish survives the restart, although another is newer now.
    let truth = offer(&world, "GET", "migrated-1", Value::Null).await;
    let met = truth["submissions"][0]["id"].clone();
    offer(&world, "POST", "migrated-1/publish", json!({})).await;
    offer(
        &world,
        "POST",
        "migrated-1/finish",
        json!({"id": met, "state": "failed"}),
    )
    .await;
    let operation = world.ended(&id).await;
    assert_ended(&operation, "alreadyFailed", None);
    world.restart().await;
    let mut again = world.operation(&id).await;
    // The restarted gateway has another port.
    again["operationLocation"] = operation["operationLocation"].clone();
    assert_eq!(again, operation);
    assert_eq!(world.vendor.cancels("migrated-1").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_without_a_result_is_polled_and_never_sent_again() {
    use offergate::domain::Durability;
    use offergate::domain::{
        Action, Caller, CallerName, Glob, OfferId, Operation, PublisherId, RequestId, Rule,
    };
    use offergate::ledger::{Ledger, LedgerOptions, Retention};
    use offergate::policy::{Cancel, Policy};
    let mut world = spawn_with(Setup {
        tune: |settings| settings.operations.give_up = Duration::from_secs(3),
        ..Setup::default()
    })
    .await;
    world.stop().await;
    let ledger = Ledger::open(LedgerOptions {
        path: world.directory.path().join("ledger.db"),
        durability: Durability::Full,
        retention: Retention {
            operations: Duration::from_secs(1_000_000),
            keys: Duration::from_secs(1_000),
        },
    })
    .await
    .unwrap();
    let publisher = PublisherId::parse("contoso").unwrap();
    let pipeline = Caller {
        name: CallerName::parse("pipeline").unwrap(),
        default_publisher: None,
    };
    let any = || vec![Glob::parse("*").unwrap()];
    let rule = Rule {
        actions: vec![Action::Cancel],
        publishers: any(),
        offers: any(),
    };
    let policy = Policy::new([(pipeline.name.clone(), vec![rule])], [publisher.clone()]);
    let mut ids = Vec::new();
    for offer in ["migrated-arrived", "migrated-lost", "idle-either"] {
        let offer = OfferId::parse(offer).unwrap();
        let permit = policy.permit::<Cancel>(&pipeline, &publisher, &offer);
        let intent = Operation::intent(
            Action::Cancel,
            permit.unwrap().target().clone(),
            pipeline.name.clone(),
            RequestId::generate(),
        );
        ids.push(intent.id.to_string());
        ledger.save(intent).await.unwrap();
    }
    ledger.close().await.unwrap();
    world.restart().await;
    // As if the vendor had received the first request.
    world
        .vendor
        .receives("migrated-arrived/submissions", 2)
        .await;
    offer(
        &world,
        "POST",
        "migrated-arrived/finish",
        json!({"state": "canceled"}),
    )
    .await;
    for (id, outcome, code) in [
        (&ids[0], "canceled", None),
        (&ids[1], "notCanceled", Some("not-canceled")),
        (&ids[2], "unknown", Some("outcome-unknown")),
    ] {
        let operation = world.ended(id).await;
        assert_ended(&operation, outcome, code);
        assert_eq!(operation["portal"]["delivered"], "unknown");
        assert!(operation["portal"]["httpStatus"].is_null());
    }
    assert!(world.vendor.received("/cancel").await.is_empty());
}
