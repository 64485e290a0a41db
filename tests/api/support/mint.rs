//! Makes valid and invalid tokens with own keys and any headers and claims. It shares no code
//! with the gateway's verification.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use aws_lc_rs::{hmac, rsa};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A key that signs tokens.
pub struct Signer {
    pub kid: String,
    pub algorithm: &'static str,
    key: SigningKey,
}

enum SigningKey {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// base64url without padding.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

impl Signer {
    /// A new key for RS256, or for PS256 if that is asked for.
    pub fn rsa(kid: &str, algorithm: &'static str) -> Self {
        let pair = rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8 = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der>::as_der(&pair).unwrap();
        let pair = RsaKeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        Self {
            kid: kid.into(),
            algorithm,
            key: SigningKey::Rsa(Box::new(pair)),
        }
    }

    /// A new key for RS256, and a certificate of it, DER.
    pub fn certified(kid: &str) -> (Self, Vec<u8>) {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate = rcgen::CertificateParams::default()
            .self_signed(&pair)
            .unwrap();
        let signer = Self {
            kid: kid.into(),
            algorithm: "RS256",
            key: SigningKey::Rsa(Box::new(
                RsaKeyPair::from_pkcs8(&pair.serialize_der()).unwrap(),
            )),
        };
        (signer, certificate.der().to_vec())
    }

    /// A new key for ES256.
    pub fn ec(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self {
            kid: kid.into(),
            algorithm: "ES256",
            key: SigningKey::Ec(pair),
        }
    }

    /// A new key for EdDSA.
    pub fn ed(kid: &str) -> Self {
        Self {
            kid: kid.into(),
            algorithm: "EdDSA",
            key: SigningKey::Ed(Ed25519KeyPair::generate().unwrap()),
        }
    }

    /// The public key as a member of a key set.
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.key {
            SigningKey::Rsa(pair) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "n": encode(public.n), "e": encode(public.e)})
            }
            SigningKey::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)})
            }
            SigningKey::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key())})
            }
        };
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk
    }

    /// The modulus, for attacks that use it as a shared secret.
    pub fn public_bytes(&self) -> Vec<u8> {
        match &self.key {
            SigningKey::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            SigningKey::Ec(pair) => pair.public_key().as_ref().to_vec(),
            SigningKey::Ed(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// A token with the usual header.
    pub fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": self.algorithm, "kid": self.kid, "typ": "JWT"});
        self.sign(&header, claims)
    }

    /// A token with this header, signed by this key even if the header names another algorithm.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let random = SystemRandom::new();
        let bytes = message.as_bytes();
        let signature = match &self.key {
            SigningKey::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding: &'static dyn aws_lc_rs::signature::RsaEncoding = match self.algorithm {
                    "PS256" => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                pair.sign(padding, &random, bytes, &mut signature).unwrap();
                signature
            }
            SigningKey::Ec(pair) => pair.sign(&random, bytes).unwrap().as_ref().to_vec(),
            SigningKey::Ed(pair) => pair.sign(bytes).as_ref().to_vec(),
        };
        format!("{message}.{}", encode(signature))
    }
}

/// Header and claims, ready to be signed.
pub fn message(header: &Value, claims: &Value) -> String {
    format!(
        "{}.{}",
        encode(header.to_string()),
        encode(claims.to_string())
    )
}

/// A token signed with a shared secret.
pub fn hs256(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let message = message(header, claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", encode(tag))
}
