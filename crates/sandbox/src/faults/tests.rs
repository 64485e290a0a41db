//! Orders: which calls they are for, how often, and how they are read.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::offer::Key;
use crate::options::Options;
use crate::route::{Call, Endpoint};
use crate::wire::{Request, Response};

fn order(document: &Value) -> Result<FaultOrder, String> {
    FaultOrder::parse(document.to_string().as_bytes()).map_err(|error| error.to_string())
}

fn route(offer: &str, call: Call) -> Route {
    Route::Offer {
        key: Key {
            publisher: "contoso".into(),
            offer: offer.into(),
        },
        call,
    }
}

#[test]
fn an_order_affects_as_many_matching_calls_as_it_says() {
    let mut faults = Faults::default();
    let document =
        json!({"on": "cancel", "offer": "a", "times": 2, "skip": 1, "fault": {"kind": "hang"}});
    faults.add(order(&document).unwrap()).unwrap();
    let cancel = route("a", Call::Cancel);
    assert!(faults.take(&route("b", Call::Cancel)).is_none());
    assert!(faults.take(&route("a", Call::Publish)).is_none());
    let taken: Vec<bool> = (0..4).map(|_| faults.take(&cancel).is_some()).collect();
    assert_eq!(taken, [false, true, true, false]);
    assert_eq!(faults.list(), json!([]));
}

#[test]
fn zero_times_means_until_removed() {
    let mut faults = Faults::default();
    let document = json!({"on": "any", "times": 0, "fault": {"kind": "close"}});
    let added = faults.add(order(&document).unwrap()).unwrap();
    let cancel = route("a", Call::Cancel);
    assert!((0..10).all(|_| faults.take(&cancel).is_some()));
    assert_eq!(faults.list()[0]["struck"], 10);
    assert!(faults.remove(added["id"].as_str().unwrap()));
    assert!(faults.take(&cancel).is_none());
}

#[test]
fn acts_may_be_in_the_order_or_its_fault_and_has_a_default() {
    let acts = |document: &Value| {
        let mut faults = Faults::default();
        faults.add(order(document).unwrap()).unwrap();
        faults.take(&route("a", Call::Cancel)).unwrap().acts
    };
    assert!(acts(&json!({"on": "any", "fault": {"kind": "reset"}})));
    assert!(!acts(
        &json!({"on": "any", "fault": {"kind": "status", "status": 503}})
    ));
    assert!(acts(
        &json!({"on": "any", "fault": {"kind": "status", "status": 503, "acts": true}})
    ));
    assert!(!acts(
        &json!({"on": "any", "acts": false, "fault": {"kind": "reset"}})
    ));
}

#[test]
fn an_invalid_order_is_refused_with_the_reason() {
    for (document, why) in [
        (
            json!({"on": "cancle", "fault": {"kind": "hang"}}),
            "unknown variant `cancle`",
        ),
        (
            json!({"on": "cancel", "fault": {"kind": "hung"}}),
            "unknown variant `hung`",
        ),
        (
            json!({"on": "cancel", "fault": {"kind": "hang", "ms": 1}}),
            "unknown field `ms`",
        ),
        (
            json!({"on": "cancel", "fualt": {}}),
            "unknown field `fualt`",
        ),
        (json!({"on": "cancel"}), "missing field `fault`"),
        (
            json!({"on": "cancel", "fault": {"kind": "delay"}}),
            "missing field `ms`",
        ),
        (
            json!({"on": "cancel", "fault": {"kind": "html", "status": 99}}),
            "from 200 to 599",
        ),
        (
            json!({"on": "token", "fault": {"kind": "entra-error", "code": 1}}),
            "7000222",
        ),
        (json!([]), "invalid"),
    ] {
        let refusal = order(&document).unwrap_err();
        assert!(refusal.contains(why), "{document}: {refusal}");
    }
}

#[test]
fn every_kind_has_the_name_in_its_json() {
    for (kind, more) in [
        ("delay", json!({"ms": 1})),
        (
            "status",
            json!({"status": 500, "body": {"a": 1}, "headers": {"X": "y"}}),
        ),
        ("hang", json!({})),
        ("cut-body", json!({"keep": 3})),
        ("cut-chunked", json!({"at": "start"})),
        ("garbage", json!({"bytes": "x"})),
        ("redirect", json!({"location": "https://evil.example/"})),
        ("reset", json!({})),
        ("close", json!({})),
        ("stale", json!({})),
        ("informational", json!({"status": 100, "afterMs": 1})),
        ("unauthorized", json!({})),
        ("throttle", json!({"retryAfterSeconds": 1, "as": "date"})),
        ("internal-error", json!({})),
        ("entra-error", json!({"code": 7000222})),
        ("html", json!({})),
        ("gzip", json!({})),
        ("empty", json!({"status": 202})),
        ("not-json", json!({})),
        ("huge", json!({"bytes": 9, "chunked": true})),
        ("drip", json!({"everyMs": 1})),
        ("no-date", json!({})),
        (
            "location",
            json!({"location": "//evil{operation}", "operationLocation": null}),
        ),
        ("reflect", json!({"status": 200, "part": "slice"})),
    ] {
        let mut fault = more;
        fault["kind"] = kind.into();
        let order = order(&json!({"on": "any", "fault": fault})).unwrap();
        assert_eq!(order.fault.name(), kind);
        assert_eq!(json!(order.fault)["kind"], kind);
    }
}

fn faulty(fault: Value, for_token: bool) -> Response {
    let request = Request {
        method: "POST".into(),
        path: "/".into(),
        query: String::new(),
        headers: vec![(
            "authorization".into(),
            "Bearer the-token-of-the-request".into(),
        )],
        body: b"client_secret=hush".to_vec(),
        framed: true,
        keep_alive: true,
        connection: 1,
        plaintext: false,
    };
    let normal = Response::json(202, &json!({"a": 1})).with("Location", "https://h/api/x?y=z");
    let route = match for_token {
        true => Route::Token {
            tenant: "sandbox".into(),
            endpoint: Endpoint::V1,
        },
        false => route("a", Call::Cancel),
    };
    let kind = serde_json::from_value(fault).unwrap();
    apply_fault(kind, &route, &request, &Options::default(), normal)
}

#[test]
fn a_location_is_replaced_and_the_true_path_is_at_hand() {
    let response = faulty(
        json!({"kind": "location", "operationLocation": "https://evil.example{operation}?a"}),
        false,
    );
    assert_eq!(
        response.header("operation-location"),
        Some("https://evil.example/api/x?a")
    );
    assert_eq!(response.header("location"), None);
}

#[test]
fn a_hostile_vendor_reflects_what_it_was_sent() {
    let response = faulty(json!({"kind": "reflect"}), false);
    let token = "Bearer the-token-of-the-request";
    assert_eq!(response.header("X-Ms-Correlation-Request-Id"), Some(token));
    assert_eq!(response.reason.as_deref(), Some(token));
    assert!(String::from_utf8_lossy(&response.body).contains(token));
    let slice = faulty(json!({"kind": "reflect", "part": "slice"}), false);
    assert_eq!(slice.reason.unwrap().len(), 24);
    let form = faulty(json!({"kind": "reflect"}), true);
    assert_eq!(form.reason.as_deref(), Some("client_secret=hush"));
}

#[test]
fn throttling_says_when_to_come_back() {
    let header = |fault| {
        faulty(fault, false)
            .header("retry-after")
            .map(str::to_owned)
    };
    let seconds = json!({"kind": "throttle", "retryAfterSeconds": 9});
    assert_eq!(header(seconds).as_deref(), Some("9"));
    let date = header(json!({"kind": "throttle", "as": "date"})).unwrap();
    assert!(date.ends_with(" GMT"), "{date}");
    assert_eq!(header(json!({"kind": "throttle", "as": "missing"})), None);
}
