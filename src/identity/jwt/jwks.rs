//! An issuer's JSON Web Key Set (RFC 7517), as far as it may verify tokens.
//!
//! Each key is parsed separately, so a malformed one does not affect the others. Keys of unsupported
//! types, for encryption, too short or symmetric are left out.

use std::sync::Arc;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// Keys after this many are ignored; no issuer publishes more.
const MAX_KEYS: usize = 64;
/// RSA moduli below 2,048 bits are not accepted (RFC 7518 section 3.3).
const MIN_RSA_BYTES: usize = 256;

/// A public key that may have signed a token.
pub struct VerificationKey {
    jwk: Jwk,
    decoding: DecodingKey,
    algorithms: &'static [Algorithm],
}

impl VerificationKey {
    /// None if the key cannot or must not verify signatures.
    fn new(jwk: Jwk) -> Option<Self> {
        let declared_use = jwk.common.public_key_use.as_ref();
        let operations = jwk.common.key_operations.as_ref();
        let is_for_signatures = declared_use.is_none_or(|it| *it == PublicKeyUse::Signature)
            && operations.is_none_or(|all| all.contains(&KeyOperations::Verify));
        if !is_for_signatures {
            return None;
        }
        Some(Self {
            algorithms: algorithms(&jwk.algorithm)?,
            decoding: DecodingKey::from_jwk(&jwk).ok()?,
            jwk,
        })
    }

    /// The key as signatures are verified with it.
    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    fn fits(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        let common = &self.jwk.common;
        kid.is_none_or(|kid| common.key_id.as_deref() == Some(kid))
            && self.algorithms.contains(&algorithm)
            && common.key_algorithm.is_none_or(|it| it == algorithm.into())
    }
}

/// The algorithms that a key of this type may have signed with; none for a type that is
/// not supported.
fn algorithms(parameters: &AlgorithmParameters) -> Option<&'static [Algorithm]> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match parameters {
        // Four characters of base64 are three bytes.
        AlgorithmParameters::RSA(rsa) if rsa.n.len() / 4 * 3 >= MIN_RSA_BYTES - 2 => {
            Some(&[RS256, RS384, RS512, PS256, PS384, PS512])
        }
        AlgorithmParameters::EllipticCurve(ec) => match ec.curve {
            EllipticCurve::P256 => Some(&[ES256]),
            EllipticCurve::P384 => Some(&[ES384]),
            _ => None,
        },
        AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => {
            Some(&[EdDSA])
        }
        _ => None,
    }
}

/// The usable keys of an issuer.
#[derive(Default)]
pub struct KeySet {
    keys: Vec<Arc<VerificationKey>>,
}

/// The document is not a JSON Web Key Set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the document is not a JSON Web Key Set")]
pub struct InvalidKeySet;

impl KeySet {
    /// Reads a key set. A key that was in `earlier` already stays the same object. A set
    /// without usable keys is valid: its issuer has withdrawn them all.
    ///
    /// # Errors
    /// [`InvalidKeySet`]
    pub fn parse(document: &[u8], earlier: Option<&Self>) -> Result<Self, InvalidKeySet> {
        #[derive(Deserialize)]
        struct KeySetDocument {
            keys: Vec<Value>,
        }
        let document: KeySetDocument =
            serde_json::from_slice(document).map_err(|_| InvalidKeySet)?;
        let earlier = earlier.map_or(&[][..], |set| &set.keys);
        let read = |mut value: Value| {
            // Certificates are not used: a malformed one must not cost its key.
            let members = value.as_object_mut()?;
            members.retain(|name, _| !name.starts_with("x5"));
            let jwk: Jwk = serde_json::from_value(value).ok()?;
            let known = earlier.iter().find(|key| key.jwk == jwk);
            let known = known.cloned();
            known.or_else(|| VerificationKey::new(jwk).map(Arc::new))
        };
        let keys = document.keys.into_iter().take(MAX_KEYS).filter_map(read);
        Ok(Self {
            keys: keys.collect(),
        })
    }

    /// The key that a token names. A token without `kid` is served by the only key that
    /// fits its algorithm, if there is exactly one.
    #[must_use]
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&Arc<VerificationKey>> {
        let mut fitting = self.keys.iter().filter(|key| key.fits(kid, algorithm));
        let found = fitting.next()?;
        (kid.is_some() || fitting.next().is_none()).then_some(found)
    }

    /// Whether it contains this very key.
    #[must_use]
    pub fn contains(&self, key: &Arc<VerificationKey>) -> bool {
        self.keys.iter().any(|other| Arc::ptr_eq(other, key))
    }

    /// The number of usable keys.
    #[must_use]
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// Whether this and `other` contain the same keys.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.keys.len() == other.keys.len() && self.keys.iter().all(|key| other.contains(key))
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

    fn set(keys: Value) -> Result<KeySet, InvalidKeySet> {
        KeySet::parse(&serde_json::to_vec(&json!({"keys": keys})).unwrap(), None)
    }

    fn ec(curve: &str) -> Value {
        let coordinate = "A".repeat(43);
        json!({"kty": "EC", "kid": "ec", "crv": curve, "x": coordinate, "y": coordinate})
    }

    #[test]
    fn only_keys_that_may_verify_are_used() {
        let good = rsa("good", 342);
        let unusable = [
            with(good.clone(), "use", json!("enc")),
            with(good.clone(), "key_ops", json!(["sign"])),
            with(good.clone(), "kty", json!("oct")),
            with(good.clone(), "kty", json!(7)),
            with(good.clone(), "n", json!("not base64!")),
            rsa("short", 171),
            ec("secp256k1"),
            with(good.clone(), "alg", json!(7)),
            json!({"kty": "oct", "k": "c2VjcmV0"}),
            json!({"kty": "OKP", "crv": "X25519", "x": "AAAA"}),
            json!({}),
            json!("text"),
        ];
        for key in unusable {
            assert_eq!(set(json!([key])).unwrap().count(), 0, "{key}");
            assert_eq!(set(json!([key, good])).unwrap().count(), 1, "{key}");
        }
        for member in ["x5c", "x5t", "x5u"] {
            let key = with(good.clone(), member, json!(7));
            assert_eq!(set(json!([key])).unwrap().count(), 1, "{key}");
        }
        for document in [&b""[..], b"{}", b"[]", b"{\"keys\": {}}", b"<html>"] {
            let read = KeySet::parse(document, None);
            assert_eq!(read.err(), Some(InvalidKeySet));
        }
    }

    #[test]
    fn a_key_serves_only_its_own_algorithms() {
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
    fn a_key_that_stays_is_the_same_object() {
        let document = |keys: Value| serde_json::to_vec(&json!({"keys": keys})).unwrap();
        let first = KeySet::parse(&document(json!([rsa("a", 342)])), None).unwrap();
        let key = Arc::clone(first.find(Some("a"), Algorithm::RS256).unwrap());
        let both = document(json!([rsa("b", 342), rsa("a", 342)]));
        let second = KeySet::parse(&both, Some(&first)).unwrap();
        assert!(second.contains(&key) && !second.is_same(&first));
        // The same id with other material is another key.
        let exchanged = document(json!([with(rsa("a", 342), "e", json!("Aw"))]));
        let third = KeySet::parse(&exchanged, Some(&second)).unwrap();
        assert!(!third.contains(&key));
    }
}
