//! Workload identity: whose assertions are accepted, and which of them.

use super::*;
use crate::tests::signer::{Signer, first, second};

const ISSUER: &str = "https://oidc.example/";
const SUBJECT: &str = "system:serviceaccount:release:gateway";

fn registration(signer: &Signer) -> Value {
    json!({"issuer": ISSUER, "subject": SUBJECT, "jwks": {"keys": [signer.jwk("one")]}})
}

fn federated(document: Value) -> Federated {
    serde_json::from_value(document).unwrap()
}

fn application() -> Application {
    let mut application = Application::new(&Options::default());
    application.federated = vec![federated(registration(first()))];
    application
}

fn claims() -> Value {
    let now = Timestamp::now().as_second();
    json!({
        "iss": ISSUER, "sub": SUBJECT, "aud": ["api://AzureADTokenExchange"],
        "iat": now, "nbf": now, "exp": now + 3600,
    })
}

fn header() -> Value {
    json!({"alg": "RS256", "kid": "one"})
}

#[test]
fn a_registered_workload_has_its_token_again_and_again() {
    let mut application = application();
    let assertion = first().sign(&header(), &claims());
    for _ in 0..2 {
        assert_eq!(present(&mut application, &assertion), Value::Null);
    }
    let nameless = first().sign(&json!({"alg": "PS256"}), &claims());
    assert_eq!(present(&mut application, &nameless), Value::Null);
    assert_eq!(application.federated[0].to_json()["used"], 3);
    assert_eq!(application.federated[0].to_json()["kids"], json!(["one"]));
}

#[test]
fn what_matches_no_registration_is_refused() {
    let now = Timestamp::now().as_second();
    for (claim, value, code) in [
        ("iss", json!("https://oidc.example"), 700211),
        (
            "sub",
            json!("System:serviceaccount:release:gateway"),
            700213,
        ),
        ("sub", Value::Null, 700213),
        ("aud", json!("https://kubernetes.default.svc"), 700212),
        ("exp", json!(now - 301), 700024),
        ("nbf", json!(now + 360), 700024),
    ] {
        let mut claims = claims();
        claims[claim] = value.clone();
        let assertion = first().sign(&header(), &claims);
        assert_eq!(
            present(&mut application(), &assertion),
            code,
            "{claim} {value}"
        );
    }
    let mut none = Application::new(&Options::default());
    assert_eq!(
        present(&mut none, &first().sign(&header(), &claims())),
        70021
    );
}

#[test]
fn the_signature_is_verified_with_the_issuers_keys() {
    let by = |signer: &Signer, header: Value| signer.sign_as("RS256", &header, &claims());
    for assertion in [
        by(second(), header()),
        by(first(), json!({"alg": "RS256", "kid": "two"})),
        by(first(), json!({"alg": "PS256", "kid": "one"})),
        by(first(), json!({"alg": "HS256", "kid": "one"})),
        by(first(), json!({"alg": "none"})),
    ] {
        assert_eq!(present(&mut application(), &assertion), 7000272);
    }
    let mut rotated = application();
    rotated.federated.push(federated(registration(second())));
    assert_eq!(present(&mut rotated, &by(second(), header())), Value::Null);
    rotated.federated = vec![federated(registration(second()))];
    assert_eq!(present(&mut rotated, &by(first(), header())), 7000272);
}

#[test]
fn another_audience_can_be_registered() {
    let mut document = registration(first());
    document["audience"] = json!("api://other");
    let mut application = Application::new(&Options::default());
    application.federated = vec![federated(document)];
    let mut claims = claims();
    assert_eq!(
        present(&mut application, &first().sign(&header(), &claims)),
        700212
    );
    claims["aud"] = json!("api://other");
    assert_eq!(
        present(&mut application, &first().sign(&header(), &claims)),
        Value::Null
    );
}

#[test]
fn keys_that_prove_nothing_are_not_registered() {
    let mut document = registration(first());
    assert!(federated(document.clone()).check().is_ok());
    document["jwks"] = json!({"keys": [{"kty": "oct", "k": "aHVzaA"}]});
    assert!(federated(document.clone()).check().is_err());
    document["jwks"] = json!({"keys": []});
    assert!(federated(document).check().is_err());
}
