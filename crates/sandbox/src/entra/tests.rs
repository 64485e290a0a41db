//! The token endpoint's answers, and the tokens' lives.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

mod certificate;
mod federated;
mod managed;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::resource::PORTAL;
use super::*;
use crate::options::Options;
use crate::route::Endpoint;
use crate::text::later;
use crate::wire::Request;

fn post(form: &[(&str, &str)]) -> Request {
    Request {
        method: "POST".into(),
        path: "/".into(),
        query: String::new(),
        headers: vec![(
            "content-type".into(),
            "application/x-www-form-urlencoded".into(),
        )],
        body: serde_urlencoded::to_string(form).unwrap().into_bytes(),
        framed: true,
        keep_alive: true,
        connection: 1,
        plaintext: false,
    }
}

/// What an application of its own makes of a form.
fn ask(form: &[(&str, &str)], tenant: &str, endpoint: Endpoint) -> (u16, Value) {
    let mut application = Application::new(&Options::default());
    ask_at(&mut application, form, tenant, endpoint)
}

fn ask_at(
    application: &mut Application,
    form: &[(&str, &str)],
    tenant: &str,
    endpoint: Endpoint,
) -> (u16, Value) {
    let now = Timestamp::now();
    let mut request = post(form);
    request
        .headers
        .push(("host".into(), "127.0.0.1:7070".into()));
    let mut tokens = TokenStore::new(TokenForge::new(&Options::default()));
    let judged = validate_token_request(&request, tenant, endpoint, application, now);
    let response = token_response(judged, endpoint, &mut tokens, now);
    (
        response.status,
        serde_json::from_slice(&response.body).unwrap(),
    )
}

/// The code that an assertion is refused with; null if it is good.
fn present(application: &mut Application, assertion: &str) -> Value {
    presented(application, assertion)["error_codes"][0].clone()
}

/// The words that an assertion is refused with.
fn why(application: &mut Application, assertion: &str) -> String {
    let body = presented(application, assertion);
    body["error_description"].as_str().unwrap().to_owned()
}

fn presented(application: &mut Application, assertion: &str) -> Value {
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let form = [
        GOOD[0],
        GOOD[1],
        GOOD[3],
        ("client_assertion_type", kind),
        ("client_assertion", assertion),
    ];
    let (status, body) = ask_at(application, &form, "sandbox", Endpoint::V1);
    assert_eq!(status == 200, body["access_token"].is_string());
    assert!(!body.to_string().contains(assertion));
    body
}

const GOOD: [(&str, &str); 5] = [
    ("grant_type", "client_credentials"),
    ("client_id", "offergate"),
    ("client_secret", "sandbox-secret"),
    ("resource", PORTAL),
    ("scope", "https://cloudpartner.azure.com/.default"),
];

#[test]
fn v1_speaks_in_strings_and_v2_in_numbers() {
    let (status, v1) = ask(&GOOD, "sandbox", Endpoint::V1);
    assert_eq!((status, &v1["expires_in"]), (200, &json!("3599")));
    for member in ["expires_on", "ext_expires_in", "not_before"] {
        assert!(v1[member].is_string(), "{member}");
    }
    assert_eq!(v1["resource"], PORTAL);
    let (status, v2) = ask(&GOOD, "SANDBOX", Endpoint::V2);
    assert_eq!((status, &v2["expires_in"]), (200, &json!(3599)));
    assert_eq!(v2["token_type"], "Bearer");
    assert!(v2["resource"].is_null() && v2["expires_on"].is_null());
}

#[test]
fn every_refusal_has_its_code_error_and_status() {
    let with = |name: &str, value: &'static str| {
        let mut form = GOOD.to_vec();
        form.retain(|(key, _)| *key != name);
        form.push((GOOD.iter().find(|(key, _)| *key == name).unwrap().0, value));
        form
    };
    for (form, tenant, code, error, status) in [
        (
            with("client_secret", "x"),
            "sandbox",
            7000215,
            "invalid_client",
            401,
        ),
        (
            with("client_secret", ""),
            "sandbox",
            7000216,
            "invalid_client",
            401,
        ),
        (
            with("client_id", "x"),
            "sandbox",
            700016,
            "unauthorized_client",
            400,
        ),
        (GOOD.to_vec(), "x", 90002, "invalid_request", 400),
        (
            with("resource", "https://x"),
            "sandbox",
            500011,
            "invalid_resource",
            400,
        ),
        (
            with("resource", ""),
            "sandbox",
            900144,
            "invalid_request",
            400,
        ),
        (
            with("grant_type", ""),
            "sandbox",
            900144,
            "invalid_request",
            400,
        ),
        (
            with("grant_type", "password"),
            "sandbox",
            70003,
            "unsupported_grant_type",
            400,
        ),
    ] {
        let (got, body) = ask(&form, tenant, Endpoint::V1);
        assert_eq!((got, &body["error"]), (status, &json!(error)), "{code}");
        assert_eq!(body["error_codes"], json!([code]));
        let description = body["error_description"].as_str().unwrap();
        assert!(
            description.starts_with(&format!("AADSTS{code}: ")),
            "{description}"
        );
        for member in ["timestamp", "trace_id", "correlation_id", "error_uri"] {
            assert!(body[member].is_string(), "{member}");
        }
        assert!(!body.to_string().contains("sandbox-secret"));
    }
    let (status, body) = ask(&with("scope", PORTAL), "sandbox", Endpoint::V2);
    assert_eq!((status, &body["error_codes"]), (400, &json!([1002012])));
}

#[test]
fn the_portal_accepts_only_live_tokens_for_itself() {
    let mut tokens = TokenStore::new(TokenForge::new(&Options::default()));
    let now = Timestamp::now();
    let token = tokens.issue(PORTAL, now).token;
    let other = tokens.issue("https://graph.microsoft.com", now).token;
    assert_eq!(tokens.check(&token, now), Ok(()));
    assert_eq!(tokens.check("x", now), Err(TokenError::Unknown));
    assert_eq!(tokens.check(&other, now), Err(TokenError::Audience));
    let end = later(now, Duration::from_secs(3599));
    assert_eq!(tokens.check(&token, end), Err(TokenError::Expired));
    tokens.revoke_all();
    assert_eq!(tokens.check(&token, now), Err(TokenError::Revoked));
    assert_eq!((tokens.issued, tokens.live(now)), (2, 0));
}

#[test]
fn the_same_token_is_handed_out_until_its_end() {
    let mut tokens = TokenStore::new(TokenForge::new(&Options::default()));
    let now = Timestamp::now();
    let first = tokens.issue(PORTAL, now).token;
    assert!(tokens.issue(PORTAL, now).token != first);
    tokens.controls = TokenControls {
        same_token: true,
        ..TokenControls::default()
    };
    let again = tokens.issue(PORTAL, now).token;
    tokens.revoke_all();
    assert!(tokens.issue(PORTAL, now).token == again, "even if revoked");
    let end = later(now, Duration::from_secs(3600));
    assert!(tokens.issue(PORTAL, end).token != again);
}

#[test]
fn several_secrets_are_good_until_they_are_removed() {
    let mut application = Application::new(&Options::default());
    let mut code = |secrets: &[(&str, bool)]| {
        let secrets = secrets.iter().map(|(text, old)| Secret::new(text, *old));
        application.secrets = secrets.collect();
        let (_, body) = ask_at(&mut application, &GOOD, "sandbox", Endpoint::V1);
        body["error_codes"][0].clone()
    };
    assert_eq!(
        code(&[("new", false), ("sandbox-secret", false)]),
        Value::Null
    );
    assert_eq!(code(&[("new", false), ("sandbox-secret", true)]), 7000222);
    assert_eq!(code(&[("new", false)]), 7000215);
    assert_eq!(code(&[]), 7000215);
    application.reset(&Options::default());
    let (status, _) = ask_at(&mut application, &GOOD, "sandbox", Endpoint::V1);
    assert_eq!(status, 200);
    assert_eq!(json!(application.secrets)[0]["used"], 1);
    assert!(
        !json!(application.secrets)
            .to_string()
            .contains("sandbox-secret")
    );
}

#[test]
fn a_call_beyond_the_allowance_is_refused() {
    let mut allowance = Allowance::default();
    assert!((0..9).all(|_| allowance.count().is_ok()));
    allowance = Allowance::of(Some(2));
    let counted: Vec<bool> = (0..3).map(|_| allowance.count().is_ok()).collect();
    assert_eq!(counted, [true, true, false]);
    let surplus = allowance.count().unwrap_err();
    assert!(surplus.to_string().contains("Call 4"), "{surplus}");
    assert_eq!(surplus.response().status, 400);
    let expected = json!({"calls": 2, "made": 4, "surplus": 2});
    assert_eq!(allowance.to_json(), expected);
}
