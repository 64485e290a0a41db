//! Tokens of an independent implementation: oidc-provider checks the secret (RFC 6749,
//! 2.3.1) and the certificate's assertion (RFC 7523), with its own errors.
//!
//! The emulated vendor does not accept these tokens, so `/readyz` and `token show` report
//! whether they were acquired.

use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize, SigningKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Answer;
use crate::helpers::{World, spawn_toml};
use crate::issuer::{BY_CERTIFICATE, BY_SECRET, Issuer, SECRET, TENANT};
use crate::mint::{encode, now};
use crate::process::run;

/// oidc-provider's error for a client whose authentication fails.
const REFUSED: &str = "401, invalid_client";
const RESOURCE: &str = "https://cloudpartner.azure.com";

/// A gateway's table for a credential of this issuer's, which serves contoso.
fn toml(issuer: &Issuer, client: &str, kind: &str, proof: &str) -> String {
    format!(
        "[credentials.oidc]\nkind = \"{kind}\"\nauthority = \"{}\"\ntenant_id = \"{TENANT}\"\n\
         client_id = \"{client}\"\n{proof}\nwait_ms = 100\n\
         [[publishers]]\nid = \"contoso\"\ncredential = \"oidc\"",
        issuer.url
    )
}

fn with_secret(issuer: &Issuer, secret: &str) -> String {
    let proof = format!("client_secret = \"{secret}\"");
    toml(issuer, BY_SECRET, "client-secret", &proof)
}

/// A key that an application signs with, and its certificate.
struct Application {
    key: KeyPair,
    certificate: String,
}

impl Application {
    fn new() -> Self {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let certificate = CertificateParams::new([]).unwrap().self_signed(&key);
        Self {
            certificate: certificate.unwrap().pem(),
            key,
        }
    }

    /// A gateway that signs with this key, and where its files are.
    async fn spawn(&self, issuer: &Issuer, algorithm: &str) -> (World, TempDir) {
        let files = TempDir::new().unwrap();
        let write = |name: &str, text: &str| -> PathBuf {
            let path = files.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let proof = format!(
            "certificate_file = '{}'\nkey_file = '{}'\nassertion_algorithm = \"{algorithm}\"",
            write("application.pem", &self.certificate).display(),
            write("application.key", &self.key.serialize_pem()).display(),
        );
        let toml = toml(issuer, BY_CERTIFICATE, "client-certificate", &proof);
        (spawn_toml(&toml).await, files)
    }

    /// An RS256 assertion of the test's own.
    fn assertion(&self, claims: &Value) -> String {
        let header = json!({"alg": "RS256", "typ": "JWT"}).to_string();
        let message = format!("{}.{}", encode(header), encode(claims.to_string()));
        let signature = self.key.sign(message.as_bytes()).unwrap();
        format!("{message}.{}", encode(signature))
    }
}

/// How `/readyz` shows the credential once it is as wished.
async fn shows(world: &World, wished: impl Fn(&Value) -> bool) -> Value {
    let find = |ready: &Value| -> Value {
        let all = ready["credentials"].as_array().unwrap();
        let found = all.iter().find(|shown| shown["name"] == "oidc");
        found.unwrap().clone()
    };
    find(&world.readiness_until(|ready| wished(&find(ready))).await)
}

/// Checks that the gateway has a token of the issuer with the expected claims, and that the
/// token is not printed.
async fn assert_granted(world: &World, kind: &str, client: &str) {
    let shown = shows(world, |shown| !shown["lastSuccess"].is_null()).await;
    assert_eq!(shown["kind"], kind);
    let usable = shown["tokenUsableMs"].as_u64().unwrap();
    // An hour less the margin and the duration of this test.
    assert!((3_400_000..=3_570_000).contains(&usable), "{shown}");
    world.readiness(200).await;

    let arguments = [
        "token",
        "show",
        "oidc",
        "--config",
        ".",
        "--profile",
        "test",
    ];
    let ended = run(world.directory.path(), &arguments).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for (name, value) in [
        ("kind", kind),
        ("audience", RESOURCE),
        ("application", client),
        ("tenant", TENANT),
        ("roles", "Offers.Cancel"),
    ] {
        let line = format!("{name:12} {value}\n");
        assert!(ended.stdout.contains(&line), "{line}: {ended:?}");
    }
    // The beginning of every JWT.
    assert!(!format!("{ended:?}").contains("eyJ"), "{ended:?}");
}

/// Checks that no token was acquired, and that every output names the endpoint's refusal.
async fn assert_refused(world: &World) {
    let shown = shows(world, |shown| !shown["lastFailure"].is_null()).await;
    let failure = shown["lastFailure"].as_str().unwrap();
    assert!(failure.contains(REFUSED), "{shown}");
    assert_eq!(shown["tokenUsableMs"], Value::Null, "{shown}");
    assert_eq!(shown["lastSuccess"], Value::Null, "{shown}");
    let ready = world.readiness(503).await;
    let reasons = ready["reasons"].to_string();
    assert!(reasons.contains("no token for contoso"), "{ready}");
    let answer = world.cancel("sync-1").await;
    answer.problem(503, "credential-unavailable");
    assert!(world.vendor.received("/api/").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_acquires_a_token() {
    let Some(issuer) = Issuer::start().await else {
        return;
    };
    let world = spawn_toml(&with_secret(&issuer, SECRET)).await;
    assert_granted(&world, "client-secret", BY_SECRET).await;
    // One for the gateway, one for `token show`.
    assert_eq!(issuer.counts().await.tokens, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_acquires_a_token_with_either_algorithm() {
    let Some(issuer) = Issuer::start_for_assertions().await else {
        return;
    };
    let application = Application::new();
    issuer.register(&application.certificate).await;
    for algorithm in ["PS256", "RS256"] {
        let (world, _files) = application.spawn(&issuer, algorithm).await;
        assert_granted(&world, "client-certificate", BY_CERTIFICATE).await;
    }
    assert_eq!(issuer.counts().await.tokens, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_refused_until_it_is_corrected() {
    let Some(issuer) = Issuer::start().await else {
        return;
    };
    let world = spawn_toml(&with_secret(&issuer, "0123456789-wrong")).await;
    assert_refused(&world).await;
    world.reload(&with_secret(&issuer, SECRET)).await;
    assert_granted(&world, "client-secret", BY_SECRET).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_refused_until_its_certificate_is_registered() {
    let Some(issuer) = Issuer::start_for_assertions().await else {
        return;
    };
    let (application, other) = (Application::new(), Application::new());
    issuer.register(&other.certificate).await;
    for algorithm in ["PS256", "RS256"] {
        let (world, _files) = application.spawn(&issuer, algorithm).await;
        assert_refused(&world).await;
    }
    let (world, _files) = application.spawn(&issuer, "PS256").await;
    assert_refused(&world).await;
    let both = format!("{}{}", other.certificate, application.certificate);
    issuer.register(&both).await;
    assert_granted(&world, "client-certificate", BY_CERTIFICATE).await;
}

/// The emulated vendor refuses the token, and so the gateway fetches another at once.
/// With the jti of the first it would be refused: see the next test.
#[tokio::test(flavor = "multi_thread")]
async fn every_assertion_differs() {
    let Some(issuer) = Issuer::start_for_assertions().await else {
        return;
    };
    let application = Application::new();
    issuer.register(&application.certificate).await;
    let (world, _files) = application.spawn(&issuer, "PS256").await;
    let first = shows(&world, |shown| !shown["lastSuccess"].is_null()).await;
    assert_eq!(issuer.counts().await.tokens, 1);

    world
        .cancel("sync-1")
        .await
        .problem(502, "portal-rejected-credential");
    let second = shows(&world, |shown| shown["lastSuccess"] != first["lastSuccess"]).await;
    assert_eq!(issuer.counts().await.tokens, 2);
    assert_eq!(second["lastFailure"], Value::Null, "{second}");
    assert!(second["tokenUsableMs"].is_u64(), "{second}");
    assert_eq!(second["vendorRefusal"], 401, "{second}");
}

/// The fixture itself: what the tests above rely on.
#[tokio::test]
async fn the_endpoint_checks_assertions() {
    let Some(issuer) = Issuer::start_for_assertions().await else {
        return;
    };
    let (application, other) = (Application::new(), Application::new());
    issuer.register(&application.certificate).await;
    let claims = |id: &str, changes: Value| {
        let mut claims = json!({
            "aud": issuer.token_url(), "iss": BY_CERTIFICATE, "sub": BY_CERTIFICATE,
            "jti": id, "exp": now() + 300,
        });
        let changes = changes.as_object().unwrap().clone();
        claims.as_object_mut().unwrap().extend(changes);
        claims
    };
    let scope = format!("{RESOURCE}/.default");
    let ask = async |assertion: String| -> Answer {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", BY_CERTIFICATE),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", &assertion),
            ("scope", &scope),
        ];
        issuer.answer_to(&form).await
    };
    let good = application.assertion(&claims("1", json!({})));
    let bad = [
        other.assertion(&claims("2", json!({}))),
        application.assertion(&claims("3", json!({"aud": "https://login.test/token"}))),
        application.assertion(&claims("4", json!({"exp": now() - 60}))),
        application.assertion(&claims("5", json!({"iss": "another"}))),
        application.assertion(&claims("6", json!({"jti": null}))),
    ];
    assert_eq!(ask(good.clone()).await.status, 200);
    for assertion in bad.into_iter().chain([good]) {
        let answer = ask(assertion.clone()).await;
        assert_eq!(answer.status, 401, "{assertion}: {answer:?}");
        assert_eq!(answer.json()["error"], "invalid_client", "{answer:?}");
    }
    let answer = ask(application.assertion(&claims("7", json!({})))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}
