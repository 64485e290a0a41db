//! Certificate assertions: a good one, and each way in which one can be bad.

use super::*;
use crate::tests::signer::{Signer, first, second};

/// An application that knows the first signer's certificate.
fn application() -> Application {
    let mut application = Application::new(&Options::default());
    application
        .certificates
        .set(Certificate::parse_all(first().pem()).unwrap());
    application
}

#[test]
fn a_good_assertion_is_taken_in_either_manner() {
    let mut application = application();
    for (alg, print) in [
        ("PS256", "x5t#S256"),
        ("RS256", "x5t#S256"),
        ("PS256", "x5t"),
    ] {
        let header = first().header(alg, print);
        let assertion = first().sign(&header, &Signer::claims());
        assert_eq!(
            present(&mut application, &assertion),
            Value::Null,
            "{alg} {print}"
        );
    }
    assert_eq!(application.certificates.to_json()[0]["used"], 3);
}

#[test]
fn every_claim_is_looked_at() {
    let now = Timestamp::now().as_second();
    let header = first().header("PS256", "x5t#S256");
    for (claim, value, code) in [
        (
            "aud",
            json!("http://127.0.0.1:7070/sandbox/oauth2/token"),
            Value::Null,
        ),
        (
            "aud",
            json!("http://127.0.0.1:7070/sandbox/v2.0"),
            json!(700023),
        ),
        (
            "aud",
            json!("http://127.0.0.1:7070/other/oauth2/token"),
            json!(700023),
        ),
        (
            "aud",
            json!("https://login.microsoftonline.com/sandbox/oauth2/token"),
            json!(700023),
        ),
        ("aud", Value::Null, json!(700023)),
        ("iss", json!("other"), json!(700021)),
        ("sub", json!("other"), json!(700021)),
        ("exp", json!(now - 301), json!(700024)),
        ("exp", json!(now + 660), json!(700024)),
        ("exp", Value::Null, json!(50027)),
        ("nbf", json!(now + 360), json!(700024)),
        ("nbf", Value::Null, json!(50027)),
        ("iat", json!(now - 360), json!(700024)),
        ("iat", Value::Null, json!(50027)),
        ("jti", json!(""), json!(50027)),
        ("jti", Value::Null, json!(50027)),
    ] {
        let mut claims = Signer::claims();
        claims[claim] = value.clone();
        let assertion = first().sign(&header, &claims);
        assert_eq!(
            present(&mut application(), &assertion),
            code,
            "{claim} {value}"
        );
    }
}

#[test]
fn every_header_is_looked_at() {
    let good = first().header("PS256", "x5t#S256");
    for (name, value, code) in [
        ("alg", json!("none"), 700027),
        // The signature is made in the one manner, and said to be in the other.
        ("alg", json!("RS256"), 700027),
        ("typ", json!("at+jwt"), 700027),
        ("x5t#S256", Value::Null, 50027),
        ("x5t#S256", json!("c2hvcnQ"), 50027),
    ] {
        let mut header = good.clone();
        header[name] = value.clone();
        let assertion = first().sign_as("PS256", &header, &Signer::claims());
        assert_eq!(
            present(&mut application(), &assertion),
            code,
            "{name} {value}"
        );
    }
    assert_eq!(present(&mut application(), "not a token"), 50027);
    assert_eq!(present(&mut application(), "e30.e30."), 50027);
}

#[test]
fn the_signature_is_verified_with_the_certificate_that_is_named() {
    let one = first().header("PS256", "x5t#S256");
    let two = second().header("PS256", "x5t#S256");
    let claims = Signer::claims();
    let good = first().sign(&one, &claims);
    // The claims of one, with the signature of another.
    let mut changed = claims.clone();
    changed["jti"] = json!("another");
    let other = first().sign(&one, &changed);
    let (message, _) = good.rsplit_once('.').unwrap();
    let (_, signature) = other.rsplit_once('.').unwrap();
    let mixed = format!("{message}.{signature}");
    let none = Application::new(&Options::default());
    for (mut application, assertion, words) in [
        (none, &good, "The key was not found"),
        (
            application(),
            &second().sign(&two, &claims),
            "The key was not found",
        ),
        (
            application(),
            &second().sign(&one, &claims),
            "verify the signature failed",
        ),
        (application(), &mixed, "verify the signature failed"),
    ] {
        let refusal = why(&mut application, assertion);
        let right = refusal.starts_with("AADSTS700027: ") && refusal.contains(words);
        assert!(right, "{refusal}");
    }
}

#[test]
fn an_assertion_is_good_once() {
    let mut application = application();
    let header = first().header("PS256", "x5t#S256");
    let assertion = first().sign(&header, &Signer::claims());
    // What is no good spends nothing, not even with the same `jti`.
    let mut claims = Signer::claims();
    claims["jti"] = json!("once");
    let forged = second().sign(&header, &claims);
    assert_eq!(present(&mut application, &forged), 700027);
    assert_eq!(
        present(&mut application, &first().sign(&header, &claims)),
        Value::Null
    );
    assert_eq!(present(&mut application, &assertion), Value::Null);
    assert_eq!(present(&mut application, &assertion), 50013);
    // A new signature makes no new assertion.
    assert_eq!(
        present(&mut application, &first().sign(&header, &claims)),
        50013
    );
    application.reset(&Options::default());
    application
        .certificates
        .set(Certificate::parse_all(first().pem()).unwrap());
    assert_eq!(present(&mut application, &assertion), 50013);
}

#[test]
fn an_expired_certificate_signs_nothing() {
    let mut application = Application::new(&Options::default());
    let old = first().certificate(2001, 2002);
    application
        .certificates
        .set(Certificate::parse_all(&old.pem()).unwrap());
    let mut header = first().header("PS256", "x5t#S256");
    header["x5t#S256"] = application.certificates.to_json()[0]["x5t#S256"].clone();
    let assertion = first().sign(&header, &Signer::claims());
    let refusal = why(&mut application, &assertion);
    let right = refusal.starts_with("AADSTS700027: ") && refusal.contains("key used is expired");
    assert!(right, "{refusal}");
    assert_eq!(
        application.certificates.to_json()[0]["notAfter"],
        "2002-01-01T00:00:00Z"
    );
}

#[test]
fn certificates_rotate_without_a_gap() {
    let mut application = application();
    let mut ask = |signer: &Signer, change: fn(&mut Application)| {
        change(&mut application);
        let header = signer.header("PS256", "x5t#S256");
        present(&mut application, &signer.sign(&header, &Signer::claims()))
    };
    let both = |application: &mut Application| {
        application
            .certificates
            .add(Certificate::parse_all(second().pem()).unwrap());
    };
    let new = |application: &mut Application| {
        application
            .certificates
            .set(Certificate::parse_all(second().pem()).unwrap());
    };
    assert_eq!(ask(second(), |_| ()), 700027);
    assert_eq!(ask(second(), both), Value::Null);
    assert_eq!(ask(first(), both), Value::Null);
    assert_eq!(ask(second(), new), Value::Null);
    assert_eq!(ask(first(), new), 700027);
    let listed = application.certificates.to_json();
    assert_eq!(
        (listed.as_array().unwrap().len(), &listed[0]["used"]),
        (1, &json!(2))
    );
}

#[test]
fn what_is_no_certificate_is_not_registered() {
    for (pem, why) in [
        ("", CertificateError::None),
        ("hello", CertificateError::None),
        (&first().private_pem(), CertificateError::PrivateKey),
    ] {
        assert_eq!(Certificate::parse_all(pem).unwrap_err(), why);
    }
    let broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    assert!(Certificate::parse_all(broken).is_err());
}
