//! The token endpoint's answers, and the tokens' lives.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;
use crate::sandbox::route::Host;
use crate::sandbox::text::{base64url, later};

const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

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
    }
}

fn ask(form: &[(&str, &str)], tenant: &str, endpoint: Endpoint) -> (u16, Value) {
    let options = Options::default();
    let mut book = Book::new(Mint::new(&options));
    let answer = token(&post(form), tenant, endpoint, &options, &mut book, false);
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
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

fn assertion(header: &Value, claims: &Value) -> String {
    let encode = |part: &Value| base64url(part.to_string().as_bytes());
    format!("{}.{}.c2ln", encode(header), encode(claims))
}

fn ask_with(assertion: &str) -> Value {
    let form = [
        GOOD[0],
        GOOD[1],
        GOOD[3],
        ("client_assertion_type", KIND),
        ("client_assertion", assertion),
    ];
    let (_, body) = ask(&form, "sandbox", Endpoint::V1);
    body["error_codes"][0].clone()
}

#[test]
fn an_assertion_is_judged_by_everything_but_its_signature() {
    let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": base64url(&[7; 32])});
    let now = Timestamp::now().as_second();
    let claims = json!({
        "iss": "offergate", "sub": "offergate", "jti": "1", "nbf": now, "iat": now,
        "exp": now + 600, "aud": "https://127.0.0.1:1/sandbox/oauth2/v2.0/token",
    });
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        assertion(&header, &claims)
    };
    assert_eq!(ask_with(&assertion(&header, &claims)), Value::Null);
    assert_eq!(
        ask_with(&with("aud", json!("https://x/y/oauth2/token"))),
        700023
    );
    assert_eq!(ask_with(&with("sub", json!("x"))), 700021);
    assert_eq!(ask_with(&with("exp", json!(now - 301))), 700024);
    assert_eq!(ask_with(&with("exp", json!(now + 3_600))), 700024);
    assert_eq!(ask_with(&with("nbf", json!(now + 3_600))), 700024);
    assert_eq!(
        ask_with(&assertion(&json!({"alg": "none"}), &claims)),
        700027
    );
    assert_eq!(ask_with("not a token"), 50027);
}

#[test]
fn a_workload_identity_brings_an_assertion_of_its_own() {
    let header = json!({"alg": "RS256", "kid": "1"});
    let claims = |audience: &str| {
        let exp = Timestamp::now().as_second() + 3_600;
        json!({"iss": "https://oidc", "sub": "system:serviceaccount:a:b", "aud": [audience], "exp": exp})
    };
    let good = claims("api://AzureADTokenExchange");
    assert_eq!(ask_with(&assertion(&header, &good)), Value::Null);
    assert_eq!(ask_with(&assertion(&header, &claims("x"))), 700023);
}

#[test]
fn the_portal_accepts_only_live_tokens_for_itself() {
    let mut book = Book::new(Mint::new(&Options::default()));
    let now = Timestamp::now();
    let token = book.issue(PORTAL, false, now).token;
    let other = book.issue("https://graph.microsoft.com", false, now).token;
    assert_eq!(book.check(&token, now), Ok(()));
    assert_eq!(book.check("x", now), Err(Rejected::Unknown));
    assert_eq!(book.check(&other, now), Err(Rejected::Audience));
    let end = later(now, Duration::from_secs(3599));
    assert_eq!(book.check(&token, end), Err(Rejected::Expired));
    book.revoke_all();
    assert_eq!(book.check(&token, now), Err(Rejected::Revoked));
    assert_eq!((book.issued(), book.live(now)), (2, 0));
}

#[test]
fn the_same_token_is_handed_out_until_its_end() {
    let mut book = Book::new(Mint::new(&Options::default()));
    let now = Timestamp::now();
    let first = book.issue(PORTAL, false, now).token;
    assert!(book.issue(PORTAL, true, now).token == first);
    assert!(book.issue(PORTAL, false, now).token != first);
    book.set_controls(Controls {
        same_token: true,
        ..Controls::default()
    });
    let again = book.issue(PORTAL, false, now).token;
    book.revoke_all();
    assert!(
        book.issue(PORTAL, false, now).token == again,
        "even if revoked"
    );
    let end = later(now, Duration::from_secs(3600));
    assert!(book.issue(PORTAL, false, end).token != again);
}

#[test]
fn expires_in_is_written_as_ordered() {
    let mut book = Book::new(Mint::new(&Options::default()));
    let now = Timestamp::now();
    let grant = book.issue(PORTAL, false, now);
    for (form, expected) in [
        (InForm::Number, json!(3599)),
        (InForm::String, json!("3599")),
        (InForm::Zero, json!(0)),
        (InForm::Missing, Value::Null),
    ] {
        let controls = Controls {
            expires_in_form: form,
            ..Controls::default()
        };
        let body = document(&grant, Endpoint::V1, &controls, now);
        assert_eq!(body["expires_in"], expected);
    }
}

#[test]
fn a_managed_identity_wants_its_header_and_version() {
    let options = Options::default();
    let mut book = Book::new(Mint::new(&options));
    let mut ask = |host, header: &str, query: &str| {
        let mut request = post(&[]);
        request.method = "GET".into();
        request.query = query.into();
        request.headers = vec![(header.into(), "true".into())];
        let identity = Identity {
            host,
            options: &options,
            again: false,
        };
        let answer = managed_identity(&request, &identity, &mut book);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        (answer.status, body["expires_on"].is_string())
    };
    let machine = "api-version=2018-02-01&resource=https://cloudpartner.azure.com";
    assert_eq!(ask(Host::VirtualMachine, "metadata", machine), (200, true));
    assert_eq!(ask(Host::VirtualMachine, "x", machine), (400, false));
    let service = "api-version=2019-08-01&resource=https://cloudpartner.azure.com/";
    assert_eq!(
        ask(Host::AppService, "x-identity-header", service),
        (200, true)
    );
    assert_eq!(
        ask(Host::AppService, "x-identity-header", machine),
        (400, false)
    );
    assert_eq!(ask(Host::AppService, "metadata", service), (401, false));
}
