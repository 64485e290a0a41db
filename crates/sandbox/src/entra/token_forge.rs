//! Makes tokens that look like Entra's: a JWT of some 1,200 characters with the claims that a
//! client may look at. The signature cannot be verified: it is random or, when a mark is set,
//! made of the mark, so that a leaked token can be found by grep.

use std::iter;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::options::Options;

/// An RS256 signature is 256 bytes, 342 characters in base64url.
const SIGNATURE_BYTES: usize = 256;
const SIGNATURE_CHARACTERS: usize = 342;
/// Random characters between two marks.
const GAP: usize = 4;

/// What all tokens of a tenant and application have in common.
#[derive(Debug)]
pub(crate) struct TokenForge {
    pub(crate) tenant: Uuid,
    object: Uuid,
    pub(super) client: String,
    key: String,
    mark: Option<String>,
}

impl TokenForge {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            tenant: tenant_id(&options.tenant),
            object: stable_guid("service principal", &options.client_id),
            client: options.client_id.clone(),
            key: random(20),
            mark: options.token_mark.clone(),
        }
    }

    /// A new token for `audience`.
    pub(super) fn make(&self, audience: &str, from: Timestamp, until: Timestamp) -> String {
        let header = json!({"typ": "JWT", "alg": "RS256", "x5t": self.key, "kid": self.key});
        let tenant = self.tenant;
        let claims = json!({
            "aud": audience,
            "iss": format!("https://sts.windows.net/{tenant}/"),
            "iat": from.as_second(),
            "nbf": from.as_second(),
            "exp": until.as_second(),
            "aio": random(48),
            "appid": self.client,
            "appidacr": "1",
            "idp": format!("https://sts.windows.net/{tenant}/"),
            "idtyp": "app",
            "oid": self.object,
            "rh": format!("1.{}.", random(32)),
            "sub": self.object,
            "tid": tenant,
            "uti": random(16),
            "jti": Uuid::new_v4(),
            "ver": "1.0",
        });
        let encode = |part: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        format!(
            "{}.{}.{}",
            encode(&header),
            encode(&claims),
            self.signature()
        )
    }

    fn signature(&self) -> String {
        let Some(mark) = &self.mark else {
            return random(SIGNATURE_BYTES);
        };
        let mut signature = String::with_capacity(SIGNATURE_CHARACTERS + mark.len() + GAP);
        while signature.len() < SIGNATURE_CHARACTERS {
            signature.push_str(mark);
            signature.push_str(&random(GAP * 3 / 4));
        }
        signature
    }
}

/// A tenant's GUID: the same for the same name in every sandbox.
pub(super) fn tenant_id(name: &str) -> Uuid {
    stable_guid("tenant", &name.to_ascii_lowercase())
}

/// That many random bytes in base64url. The tokens guard nothing, so that a generator which
/// cannot fail will do.
fn random(count: usize) -> String {
    let bytes: Vec<u8> = iter::repeat_with(|| fastrand::u8(..)).take(count).collect();
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A GUID derived from a name.
fn stable_guid(space: &str, name: &str) -> Uuid {
    let digest = Sha256::digest(format!("offergate sandbox/{space}/{name}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_random_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn token(mark: Option<&str>) -> String {
        let options = Options {
            token_mark: mark.map(str::to_owned),
            ..Options::default()
        };
        let from = Timestamp::now();
        TokenForge::new(&options).make("https://x", from, from)
    }

    #[test]
    fn a_token_is_a_jwt_with_the_usual_claims() {
        let token = token(None);
        assert!((1_000..1_400).contains(&token.len()), "{}", token.len());
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!(parts.len(), 3);
        let claims = BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        for claim in [
            "aud", "iss", "appid", "tid", "oid", "iat", "nbf", "exp", "ver", "jti",
        ] {
            assert!(!claims[claim].is_null(), "{claim}");
        }
    }

    #[test]
    fn every_window_of_a_marked_signature_contains_the_mark() {
        for mark in ["X", "LEAKED", "a-mark-that-is-longer-than-the-window"] {
            let token = token(Some(mark));
            let signature = token.rsplit('.').next().unwrap();
            assert!(signature.contains(mark));
            let period = mark.len() + GAP;
            let marked: Vec<bool> = (0..signature.len())
                .map(|at| at % period < mark.len())
                .collect();
            assert!(marked.windows(16).all(|window| window.contains(&true)));
        }
    }

    #[test]
    fn no_two_tokens_are_the_same() {
        assert_ne!(token(Some("X")), token(Some("X")));
    }
}
