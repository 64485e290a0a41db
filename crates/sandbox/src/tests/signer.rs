//! Keys that sign assertions as a gateway and an issuer would. RSA keys take their time to be
//! made, so that all tests share two.

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use jiff::Timestamp;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, date_time_ymd};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use uuid::Uuid;

static FIRST: LazyLock<Signer> = LazyLock::new(Signer::new);
static SECOND: LazyLock<Signer> = LazyLock::new(Signer::new);

pub(crate) fn first() -> &'static Signer {
    &FIRST
}

pub(crate) fn second() -> &'static Signer {
    &SECOND
}

/// A key and a certificate for it.
pub(crate) struct Signer {
    pair: KeyPair,
    key: RsaKeyPair,
    pem: String,
    der: Vec<u8>,
}

impl Signer {
    fn new() -> Self {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let key = RsaKeyPair::from_pkcs8(&pair.serialize_der()).unwrap();
        let certificate = certificate(&pair, 2001, 2101);
        Self {
            pem: certificate.pem(),
            der: certificate.der().to_vec(),
            pair,
            key,
        }
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn private_pem(&self) -> String {
        self.pair.serialize_pem()
    }

    /// Another certificate for the same key, from one New Year's Day to another.
    pub(crate) fn certificate(&self, from: i32, until: i32) -> rcgen::Certificate {
        certificate(&self.pair, from, until)
    }

    /// The header that names the certificate by `print`.
    pub(crate) fn header(&self, alg: &str, print: &str) -> Value {
        let hash = match print {
            "x5t" => BASE64_URL_SAFE_NO_PAD.encode(<Sha1 as sha1::Digest>::digest(&self.der)),
            _ => BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&self.der)),
        };
        json!({"alg": alg, "typ": "JWT", print: hash})
    }

    /// Claims that are good for ten minutes, a `jti` of their own among them.
    pub(crate) fn claims() -> Value {
        let now = Timestamp::now().as_second();
        json!({
            "aud": "http://127.0.0.1:7070/sandbox/oauth2/v2.0/token",
            "iss": "offergate", "sub": "offergate", "jti": Uuid::new_v4(),
            "nbf": now, "iat": now, "exp": now + 600,
        })
    }

    /// A JWT, signed as its header says.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_as(header["alg"].as_str().unwrap(), header, claims)
    }

    /// A JWT, signed as `alg` says, whatever its header says.
    pub(crate) fn sign_as(&self, alg: &str, header: &Value, claims: &Value) -> String {
        let padding: &dyn RsaEncoding = match alg {
            "PS256" => &RSA_PSS_SHA256,
            _ => &RSA_PKCS1_SHA256,
        };
        let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        let random = SystemRandom::new();
        let signed = self
            .key
            .sign(padding, &random, message.as_bytes(), &mut signature);
        signed.unwrap();
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(&signature))
    }

    /// The public key, as an issuer publishes it.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let public = self.key.public_key();
        let modulus = public.modulus();
        let n = BASE64_URL_SAFE_NO_PAD.encode(modulus.big_endian_without_leading_zero());
        let exponent = public.exponent();
        let e = BASE64_URL_SAFE_NO_PAD.encode(exponent.big_endian_without_leading_zero());
        json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": n, "e": e})
    }
}

fn certificate(pair: &KeyPair, from: i32, until: i32) -> rcgen::Certificate {
    let mut params = CertificateParams::new(["gateway.example".to_owned()]).unwrap();
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params.self_signed(pair).unwrap()
}
