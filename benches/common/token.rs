//! An issuer's key, and tokens of the size and shape of Entra's that it signs.

use std::io::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// As long as Entra's.
pub const ID: &str = "nV1c7d0aQkWq3l8YQbYqAA";
/// Who issues the tokens. Its keys are elsewhere, so nobody asks it.
pub const ISSUER: &str =
    "https://login.microsoftonline.com/9a3c5b7e-6f3d-4a58-9c0f-1d2e3f405162/v2.0";
/// Whom the tokens are for.
pub const AUDIENCE: &str = "api://offergate.contoso.example";
/// The application that they were issued to, by which its caller is known.
pub const AZP: &str = "2f1f0c6a-8d54-4f0e-9a57-6f0d2b7c1e94";

const KID: &str = "Mc7l3Iz93g7uwgNeEmmw_WYGPko";
const LIFETIME_SECONDS: u64 = 60 * 60;

/// An RSA key of 2,048 bits, as Entra's are.
pub struct Signer(pub RsaKeyPair);

impl Signer {
    /// Another one each time.
    pub fn new() -> Result<Self, Error> {
        let pair = rsa::KeyPair::generate(KeySize::Rsa2048).map_err(Error::other)?;
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(Error::other)?;
        let pair = RsaKeyPair::from_pkcs8(pkcs8.as_ref()).map_err(Error::other)?;
        Ok(Self(pair))
    }

    /// Modulus and exponent.
    pub fn public(&self) -> PublicKeyComponents<Vec<u8>> {
        self.0.public_key().into()
    }

    /// The key set (RFC 7517) that the issuer publishes.
    pub fn key_set(&self) -> String {
        let PublicKeyComponents { n, e } = self.public();
        let key = json!({
            "kty": "RSA", "use": "sig", "kid": KID, "n": encode(n), "e": encode(e),
        });
        json!({"keys": [key]}).to_string()
    }

    /// An application's token with this id, good for an hour.
    pub fn token(&self, id: &str) -> Result<String, Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_err(Error::other)?.as_secs();
        let header = json!({"typ": "JWT", "alg": "RS256", "kid": KID});
        let message = format!("{}.{}", part(&header), part(&claims(id, now)));
        let mut signature = vec![0; self.0.public_modulus_len()];
        let random = SystemRandom::new();
        self.0
            .sign(
                &RSA_PKCS1_SHA256,
                &random,
                message.as_bytes(),
                &mut signature,
            )
            .map_err(Error::other)?;
        Ok(format!("{message}.{}", encode(signature)))
    }
}

/// Those that Entra puts into an application's token of version 2.0.
fn claims(id: &str, now: u64) -> Value {
    json!({
        "aud": AUDIENCE,
        "iss": ISSUER,
        "iat": now,
        "nbf": now,
        "exp": now + LIFETIME_SECONDS,
        "aio": "k2RgYPhn4mv8e0HkVY2jR9Zfr7S8t2Wf0mJ7uK3bXh1cP5yZAwA=",
        "azp": AZP,
        "azpacr": "2",
        "oid": "6c1d6e0b-6b6e-4a0c-8a7d-0e6d7a3f5b21",
        "rh": "1.AXQAflvDmj1vWEqcDx0uP0BRYmoMHy9UjQ5Pmldv0NK3wemUAAB0AA.",
        "roles": ["Offers.Read", "Offers.Cancel"],
        "sub": "6c1d6e0b-6b6e-4a0c-8a7d-0e6d7a3f5b21",
        "tid": "9a3c5b7e-6f3d-4a58-9c0f-1d2e3f405162",
        "uti": id,
        "ver": "2.0",
        "xms_ftd": "u3m0d0Jq2oZp6w1yJtT9kq8a4Xh5cW7bE2fR6sV1nLgBZXVyb3Bld2VzdC1kc21z",
    })
}

fn part(json: &Value) -> String {
    encode(json.to_string())
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
