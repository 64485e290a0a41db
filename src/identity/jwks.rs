//! An issuer's keys (RFC 7517), as far as they may verify tokens.
//!
//! A key set is read liberally and used strictly: keys of unknown kinds, for
//! encryption, too short or symmetric are left out, and never spoil the rest.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// No issuer publishes more keys; what comes after is not looked at.
const MAX_KEYS: usize = 64;
/// RSA moduli below 2,048 bits are not used (RFC 7518 section 3.3).
const MIN_RSA_BYTES: usize = 256;

/// A member of `keys`, as far as it matters (RFC 7517 section 4, RFC 7518 section 6).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// A public key that may have signed a token.
pub struct Key {
    jwk: Jwk,
    decoding: DecodingKey,
    algorithms: &'static [Algorithm],
}

impl Key {
    fn new(jwk: Jwk) -> Option<Self> {
        let is_for_signatures = jwk.r#use.as_deref().is_none_or(|word| word == "sig")
            && jwk
                .key_ops
                .as_ref()
                .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !is_for_signatures {
            return None;
        }
        let (algorithms, decoding) = material(&jwk)?;
        Some(Self {
            decoding,
            algorithms,
            jwk,
        })
    }

    /// What signatures are checked with.
    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    fn fits(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        let named = |alg: &String| alg.parse() == Ok(algorithm);
        kid.is_none_or(|kid| self.jwk.kid.as_deref() == Some(kid))
            && self.algorithms.contains(&algorithm)
            && self.jwk.alg.as_ref().is_none_or(named)
    }
}

/// The kinds of key that are used, and what each may have signed with.
fn material(jwk: &Jwk) -> Option<(&'static [Algorithm], DecodingKey)> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => {
            let (n, e) = (jwk.n.as_deref()?, jwk.e.as_deref()?);
            // Four characters of base64 are three bytes.
            if n.len() / 4 * 3 < MIN_RSA_BYTES - 2 {
                return None;
            }
            let key = DecodingKey::from_rsa_components(n, e).ok()?;
            Some((&[RS256, RS384, RS512, PS256, PS384, PS512], key))
        }
        ("EC", Some(curve)) => {
            let algorithms: &[Algorithm] = match curve {
                "P-256" => &[ES256],
                "P-384" => &[ES384],
                _ => return None,
            };
            let (x, y) = (jwk.x.as_deref()?, jwk.y.as_deref()?);
            Some((algorithms, DecodingKey::from_ec_components(x, y).ok()?))
        }
        ("OKP", Some("Ed25519")) => {
            let key = DecodingKey::from_ed_components(jwk.x.as_deref()?).ok()?;
            Some((&[EdDSA], key))
        }
        _ => None,
    }
}

/// The usable keys of an issuer.
#[derive(Default)]
pub struct KeySet {
    keys: Vec<Arc<Key>>,
}

/// A document that is no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no JSON Web Key Set")]
pub struct NoKeySet;

impl KeySet {
    /// Reads a key set. A key that was in `earlier` already stays the same one. A set
    /// without a usable key is one too: its issuer has withdrawn them all.
    ///
    /// # Errors
    /// [`NoKeySet`]
    pub fn parse(document: &[u8], earlier: Option<&Self>) -> Result<Self, NoKeySet> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document = serde_json::from_slice(document).map_err(|_| NoKeySet)?;
        let earlier = earlier.map_or(&[][..], |set| &set.keys);
        let read = |value: Value| {
            let jwk: Jwk = serde_json::from_value(value).ok()?;
            let known = earlier.iter().find(|key| key.jwk == jwk);
            known.cloned().or_else(|| Key::new(jwk).map(Arc::new))
        };
        let keys = document.keys.into_iter().take(MAX_KEYS).filter_map(read);
        Ok(Self {
            keys: keys.collect(),
        })
    }

    /// The key that a token names. A token without `kid` is served by the only key
    /// that fits its algorithm, if there is exactly one.
    #[must_use]
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&Arc<Key>> {
        let mut fitting = self.keys.iter().filter(|key| key.fits(kid, algorithm));
        let found = fitting.next()?;
        (kid.is_some() || fitting.next().is_none()).then_some(found)
    }

    /// Whether this very key is still published.
    #[must_use]
    pub fn holds(&self, key: &Arc<Key>) -> bool {
        self.keys.iter().any(|held| Arc::ptr_eq(held, key))
    }

    /// How many keys are usable.
    #[must_use]
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// Whether this and `other` hold the same keys.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.keys.len() == other.keys.len() && self.keys.iter().all(|key| other.holds(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rsa(kid: &str, modulus_characters: usize) -> Value {
        json!({"kty": "RSA", "kid": kid, "n": "A".repeat(modulus_characters), "e": "AQAB"})
    }

    fn with(mut key: Value, member: &str, value: Value) -> Value {
        key[member] = value;
        key
    }

    fn set(keys: Value) -> Result<KeySet, NoKeySet> {
        KeySet::parse(&serde_json::to_vec(&json!({"keys": keys})).unwrap(), None)
    }

    fn ec(curve: &str) -> Value {
        let coordinate = "A".repeat(43);
        json!({"kty": "EC", "kid": "ec", "crv": curve, "x": coordinate, "y": coordinate})
    }

    #[test]
    fn only_keys_that_may_verify_are_taken() {
        let good = rsa("good", 342);
        let unusable = [
            with(good.clone(), "use", json!("enc")),
            with(good.clone(), "key_ops", json!(["sign"])),
            with(good.clone(), "kty", json!("oct")),
            with(good.clone(), "kty", json!(7)),
            with(good.clone(), "n", json!("not base64!")),
            rsa("short", 171),
            ec("secp256k1"),
            json!({"kty": "oct", "k": "c2VjcmV0"}),
            json!({"kty": "OKP", "crv": "X25519", "x": "AAAA"}),
            json!({}),
            json!("text"),
        ];
        for key in unusable {
            assert_eq!(set(json!([key])).unwrap().count(), 0, "{key}");
            assert_eq!(set(json!([key, good])).unwrap().count(), 1, "{key}");
        }
        for document in [&b""[..], b"{}", b"[]", b"{\"keys\": {}}", b"<html>"] {
            let read = KeySet::parse(document, None);
            assert_eq!(read.err(), Some(NoKeySet));
        }
    }

    #[test]
    fn a_key_verifies_only_what_it_may_have_signed() {
        use Algorithm::{ES256, ES384, EdDSA, HS256, PS256, RS256};
        let ed = json!({"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": "A".repeat(43)});
        let tied = with(rsa("tied", 342), "alg", json!("PS256"));
        let set = set(json!([rsa("free", 342), tied, ec("P-256"), ed])).unwrap();
        let table = [
            ("free", RS256, true),
            ("free", PS256, true),
            ("free", ES256, false),
            ("free", HS256, false),
            ("tied", PS256, true),
            ("tied", RS256, false),
            ("ec", ES256, true),
            ("ec", ES384, false),
            ("ec", RS256, false),
            ("ed", EdDSA, true),
            ("ed", ES256, false),
            ("other", RS256, false),
        ];
        for (kid, algorithm, found) in table {
            let key = set.find(Some(kid), algorithm);
            assert_eq!(key.is_some(), found, "{kid} {algorithm:?}");
        }
    }

    #[test]
    fn without_a_kid_there_must_be_one_key_only() {
        let two = set(json!([rsa("a", 342), rsa("b", 342), ec("P-256")])).unwrap();
        assert!(two.find(None, Algorithm::RS256).is_none());
        assert!(two.find(None, Algorithm::ES256).is_some());
    }

    #[test]
    fn a_key_that_stays_is_the_same_key() {
        let document = |keys: Value| serde_json::to_vec(&json!({"keys": keys})).unwrap();
        let first = KeySet::parse(&document(json!([rsa("a", 342)])), None).unwrap();
        let key = Arc::clone(first.find(Some("a"), Algorithm::RS256).unwrap());
        let both = document(json!([rsa("b", 342), rsa("a", 342)]));
        let second = KeySet::parse(&both, Some(&first)).unwrap();
        assert!(second.holds(&key) && !second.is_same(&first));
        // The same id with other material is another key.
        let exchanged = document(json!([with(rsa("a", 342), "e", json!("Aw"))]));
        let third = KeySet::parse(&exchanged, Some(&second)).unwrap();
        assert!(!third.holds(&key));
    }
}
