//! The contract's table of answers, row by row.

use std::sync::Arc;

use super::*;

use actix_web::http::header::HeaderValue;
use actix_web::web::Bytes;
use proptest::prelude::*;
use serde_json::json;

const PATH: &str =
    "/api/publishers/contoso/offers/vm/operations/56615b67-2185-49fe-80d2-c4ddf77bb2e8";

fn target() -> Target {
    Target::sample("contoso", "vm")
}

fn whole(text: &str) -> Body {
    Body::Whole(Bytes::copy_from_slice(text.as_bytes()))
}

fn heard(status: u16, headers: &[(&'static str, &str)], body: &Body) -> Answer {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    action_answer(
        status,
        &map,
        body,
        &target(),
        &Redactor::default(),
        Timestamp::UNIX_EPOCH,
    )
}

fn meaning(status: u16, body: &Body) -> Meaning {
    heard(status, &[], body).meaning
}

#[test]
fn the_table_of_answers() {
    use Meaning::{Accepted, BadResponse, Cut, Failed, Finished, Unauthorized};
    let empty = || whole("");
    let chunked = |text: &'static str| Body::Unverified(Bytes::from_static(text.as_bytes()));
    let table = [
        (200, empty(), Finished),
        (200, whole("{}"), Finished),
        (200, whole(r#"{"status":"canceled"}"#), Finished),
        (200, chunked("{}"), Finished),
        (200, chunked(""), Accepted),
        (200, chunked(r#"{"status":"#), Accepted),
        (200, whole(r#"{"status":"running"}"#), Accepted),
        (200, whole(r#"{"Status":"Running"}"#), Accepted),
        (200, whole(r#"{"status":"completed"}"#), Accepted),
        (200, whole(r#"{"status":3}"#), Accepted),
        (200, whole(r#"{"error":{"code":"x"}}"#), Accepted),
        (200, whole("[]"), Accepted),
        (200, whole("\"ok\""), Accepted),
        (200, whole("<html>"), Accepted),
        (200, Body::Unreadable, Accepted),
        (200, Body::Cut, Cut),
        (201, empty(), Accepted),
        (202, empty(), Accepted),
        (202, Body::Cut, Cut),
        (204, empty(), Accepted),
        (302, empty(), BadResponse),
        (400, empty(), Meaning::Refused(Refusal::BadRequest)),
        (401, empty(), Unauthorized),
        (403, Body::Cut, Meaning::Refused(Refusal::Forbidden)),
        (404, empty(), Meaning::Refused(Refusal::NotFound)),
        (405, empty(), BadResponse),
        (409, empty(), Meaning::Refused(Refusal::Conflict)),
        (412, empty(), Meaning::Refused(Refusal::PreconditionFailed)),
        (418, empty(), BadResponse),
        (422, empty(), Meaning::Refused(Refusal::Unprocessable)),
        (429, empty(), Meaning::Refused(Refusal::Throttled(None))),
        (500, empty(), Failed),
        (503, Body::Cut, Failed),
        (599, empty(), Failed),
        (600, empty(), BadResponse),
    ];
    for (status, body, expected) in table {
        assert_eq!(meaning(status, &body), expected, "{status}");
    }
}

#[test]
fn an_odd_member_costs_no_other() {
    for odd in ["1e999", r#""\ud83d""#] {
        let error = format!(r#"{{"x":{odd},"error":{{"code":"Busy","message":"no","x":{odd}}}}}"#);
        let said = heard(409, &[], &whole(&error)).said;
        assert_eq!(said.code.as_deref(), Some("Busy"), "{odd}");
        assert_eq!(said.message.as_deref(), Some("no"), "{odd}");
        let accepted = format!(r#"{{"x":{odd},"link":"{PATH}"}}"#);
        let location = heard(202, &[], &whole(&accepted)).location;
        assert!(matches!(location, Some(Location::Operation(_))), "{odd}");
        // What is not read as it is written is no evidence of an end.
        let canceled = format!(r#"{{"status":"canceled","x":{odd}}}"#);
        assert_eq!(meaning(200, &whole(&canceled)), Meaning::Accepted, "{odd}");
    }
    let half = heard(400, &[], &whole(r#"{"error":"busy \ud83d"}"#)).said;
    assert_eq!(half.message.as_deref(), Some("busy \u{fffd}"));
}

#[test]
fn finds_the_location_wherever_it_is() {
    let absolute = format!("https://cloudpartner.azure.com{PATH}");
    let in_body = format!(r#"{{"operation":{{"link":"{PATH}"}}}}"#);
    for (headers, body) in [
        (vec![("operation-location", absolute.as_str())], ""),
        (vec![("operation-location", PATH)], ""),
        (vec![("location", PATH)], ""),
        (
            vec![("operation-location", "/nonsense"), ("location", PATH)],
            "",
        ),
        (vec![], in_body.as_str()),
    ] {
        let answer = heard(202, &headers, &whole(body));
        assert!(
            matches!(answer.location, Some(Location::Operation(_))),
            "{headers:?}"
        );
    }
    assert_eq!(heard(202, &[], &whole("")).location, None);
}

#[test]
fn a_200_that_names_an_operation_is_not_synchronous() {
    for location in [PATH, "/api/publishers/contoso/offers/other/operations/1"] {
        for name in ["operation-location", "azure-asyncoperation", "location"] {
            for body in ["", "{}", r#"{"status":"canceled"}"#] {
                let answer = heard(200, &[(name, location)], &whole(body));
                assert_eq!(answer.meaning, Meaning::Accepted, "{name}: {location}");
            }
        }
    }
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let wait = |value| match heard(429, &[("retry-after", value)], &whole("")).meaning {
        Meaning::Refused(Refusal::Throttled(wait)) => wait,
        other => panic!("{other:?}"),
    };
    assert_eq!(wait("7"), Some(Duration::from_secs(7)));
    assert_eq!(
        wait("Thu, 01 Jan 1970 00:01:00 GMT"),
        Some(Duration::from_secs(60))
    );
    assert_eq!(wait("Wed, 31 Dec 1969 00:01:00 GMT"), Some(Duration::ZERO));
    assert_eq!(wait("soon"), None);
    // Both dates of an answer come from the vendor's clock; the gateway's is not used.
    let dated = [
        ("date", "Thu, 13 Sep 2018 10:11:12 GMT"),
        ("retry-after", "Thu, 13 Sep 2018 10:11:42 GMT"),
    ];
    let half_a_minute = Some(Duration::from_secs(30));
    assert_eq!(
        heard(429, &dated, &whole("")).meaning,
        Meaning::Refused(Refusal::Throttled(half_a_minute))
    );
}

#[test]
fn a_reflected_token_is_cut_out() {
    let redactor = Arc::new(Redactor::default());
    let token = "abcdefghijklmnopqrstuvwxyz0123456789";
    redactor.token_history("a").remember(token);
    let hidden: String = token.chars().flat_map(|c| [c, '\u{ad}']).collect();
    assert_eq!(status_text(&hidden, &redactor), "[redacted]");
    let as_guid = Uuid::from_slice(&token.as_bytes()[3..19])
        .unwrap()
        .to_string();
    let path = format!("/api/publishers/contoso/offers/vm/operations/{as_guid}");
    for id in [token, &as_guid] {
        let mut headers = HeaderMap::new();
        headers.insert(CORRELATION_ID, HeaderValue::from_str(id).unwrap());
        headers.insert(OPERATION_LOCATION, HeaderValue::from_str(&path).unwrap());
        let body = whole(&json!({"error": {"code": id, "message": hidden}}).to_string());
        let now = Timestamp::UNIX_EPOCH;
        let answer = action_answer(400, &headers, &body, &target(), &redactor, now);
        assert_eq!(answer.correlation_id.as_deref(), Some("[redacted]"));
        assert_eq!(answer.location, None);
        assert_eq!(answer.said.code.as_deref(), Some("[redacted]"));
        assert_eq!(answer.said.message.as_deref(), Some("[redacted]"));
    }
    let harmless = "56615b67-2185-49fe-80d2-c4ddf77bb2e8";
    let mut headers = HeaderMap::new();
    headers.insert(CORRELATION_ID, HeaderValue::from_static(harmless));
    let id = correlation_id(&headers, &redactor);
    assert_eq!(id.as_deref(), Some(harmless));
}

proptest! {
    #[test]
    fn vendor_text_comes_out_as_one_short_line(text in ".{0,2000}") {
        let clean = status_text(&text, &Redactor::default());
        prop_assert!(clean.len() <= MAX_STATUS);
        prop_assert!(!clean.chars().any(char::is_control));
    }

    #[test]
    fn no_answer_makes_it_panic(status in 100_u16..1000, body in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = heard(status, &[], &Body::Whole(body.into()));
    }
}
