//! The credentials of an Entra application, and the sandbox's counts of token requests and of
//! accepted ones.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use crate::client;
use crate::helpers::World;
use crate::mint::{Signer, now};
use crate::vendor::Vendor;

/// Requests at the moment of the start.
const CROWD: usize = 200;
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A key and its self-signed certificate, in PEM.
pub struct Certified {
    pub pem: String,
    pub key_pem: String,
}

/// RSA keys take their time to be made: all tests share two.
static FIRST: LazyLock<Certified> = LazyLock::new(|| Certified::ending_in(400));
static SECOND: LazyLock<Certified> = LazyLock::new(|| Certified::ending_in(400));

impl Certified {
    pub fn first() -> &'static Self {
        &FIRST
    }

    pub fn second() -> &'static Self {
        &SECOND
    }

    /// A new one, which ends after so many days and an hour.
    pub fn ending_in(days: u32) -> Self {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let mut params = CertificateParams::new(["gateway.example".to_owned()]).unwrap();
        params.not_before = (SystemTime::now() - HOUR).into();
        params.not_after = (SystemTime::now() + HOUR * (days * 24 + 1)).into();
        Self {
            pem: params.self_signed(&key).unwrap().pem(),
            key_pem: key.serialize_pem(),
        }
    }

    /// As the gateway's files.
    pub fn files(&self) -> Vec<(&'static str, String)> {
        vec![
            ("app.pem", self.pem.clone()),
            ("app.key", self.key_pem.clone()),
        ]
    }

    /// Registers these, and no others, for the sandbox's application.
    pub async fn register(vendor: &Vendor, all: &[&Self]) {
        let pem: String = all.iter().map(|one| one.pem.as_str()).collect();
        let path = "/_sandbox/v1/certificates";
        let answer = client::send(vendor.address, "PUT", path, &[], &pem).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

/// The sandbox's application, proven in this way.
pub fn application(kind: &str, proof: &str) -> String {
    format!(
        "kind = \"{kind}\"\nauthority = \"http://$vendor\"\ntenant_id = \"$tenant\"\n\
         client_id = \"$client_id\"\nwait_ms = 3000\n{proof}"
    )
}

/// By its certificate.
pub fn by_certificate(more: &str) -> String {
    let files = "certificate_file = \"app.pem\"\nkey_file = \"app.key\"";
    application("client-certificate", &format!("{files}\n{more}"))
}

/// Makes the sandbox trust this key for these subjects.
pub async fn trust(vendor: &Vendor, signer: &Signer, subjects: &[&str]) {
    let trusted = subjects.iter().map(|subject| {
        json!({
            "issuer": "https://cluster.example",
            "subject": subject,
            "jwks": {"keys": [signer.jwk()]},
        })
    });
    let body = trusted.collect();
    vendor.control("PUT", "federated", body).await;
}

/// The platform's assertion for a workload.
pub fn platform_token(signer: &Signer, subject: &str) -> String {
    signer.token(&json!({
        "iss": "https://cluster.example",
        "sub": subject,
        "aud": "api://AzureADTokenExchange",
        "iat": now(),
        "nbf": now(),
        "exp": now() + 3600,
    }))
}

/// How often each registered credential was accepted.
pub async fn used(vendor: &Vendor, path: &str) -> Vec<u64> {
    let listed = vendor.control("GET", path, Value::Null).await;
    let listed = listed.as_array().unwrap().iter();
    listed.map(|one| one["used"].as_u64().unwrap()).collect()
}

/// From now on the sandbox issues this many tokens and refuses further requests.
pub async fn allow(vendor: &Vendor, calls: u32) {
    let calls = json!({"calls": calls});
    vendor.control("PUT", "token/allowance", calls).await;
}

/// Checks that the allowance is used up and was not exceeded.
pub async fn assert_all_used(vendor: &Vendor, calls: u32) {
    let allowance = vendor.control("GET", "token/allowance", Value::Null).await;
    assert_eq!(
        allowance,
        json!({"calls": calls, "made": calls, "surplus": 0})
    );
}

/// A sandbox that issues a single token, after a delay.
pub async fn prepare_for_one(vendor: &Vendor) {
    allow(vendor, 1).await;
    let slow = json!({"on": "token", "fault": {"kind": "delay", "ms": 500}});
    vendor.order(slow).await;
}

/// Many requests before and after the token is acquired: all succeed with that one.
pub async fn assert_one_serves_all(world: &World) {
    let offers: Vec<String> = (0..CROWD).map(|n| format!("sync-{n}")).collect();
    for answer in join_all(offers.iter().map(|offer| world.cancel(offer))).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    for offer in &offers[..20] {
        assert_eq!(world.cancel(offer).await.status, 200);
    }
    assert_all_used(&world.vendor, 1).await;
}
