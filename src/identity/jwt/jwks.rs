//! An issuer's JSON Web Key Set (RFC 7517), and which of its keys a token may be signed with.
//!
//! Each key is read separately, so a malformed one does not affect the others. What cannot
//! verify signatures is left out, and counted.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::key_hint::KeyHint;
use super::verification_key::{LeftOutReason, VerificationKey, key_id};
use crate::domain::parse_json_leniently;

/// Keys after this many are left out; no issuer publishes more.
const MAX_KEYS: usize = 64;
/// Signatures that are verified for one token at most: anyone can ask for that.
const MAX_CANDIDATES: usize = 8;

/// The usable keys of an issuer.
#[derive(Default)]
pub struct KeySet {
    keys: Vec<Arc<VerificationKey>>,
    left_out: BTreeMap<LeftOutReason, usize>,
    /// The ids of those that were left out.
    unusable: HashSet<String>,
}

/// The document is not a JSON Web Key Set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the document is not a JSON Web Key Set")]
pub struct InvalidKeySet;

/// The keys that may have signed a token.
pub struct Candidates {
    /// At most eight.
    pub keys: Vec<Arc<VerificationKey>>,
    /// Whether the set has the key that the token names, or the token names none: another
    /// fetch would bring nothing new.
    pub are_final: bool,
}

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
        let document: KeySetDocument = parse_json_leniently(document).map_err(|_| InvalidKeySet)?;
        let earlier = earlier.map_or(&[][..], |set| &set.keys);
        let mut set = Self::default();
        for (number, jwk) in document.keys.iter().enumerate() {
            let read = match number {
                ..MAX_KEYS => VerificationKey::read(jwk),
                _ => Err(LeftOutReason::Excess),
            };
            match read {
                Ok(key) => {
                    let known = earlier.iter().find(|known| known.is_same(&key));
                    set.keys
                        .push(known.cloned().unwrap_or_else(|| Arc::new(key)));
                }
                Err(reason) => {
                    *set.left_out.entry(reason).or_default() += 1;
                    let kid = jwk.as_object().and_then(key_id);
                    set.unusable.extend(kid.map(str::to_owned));
                }
            }
        }
        Ok(set)
    }

    /// The keys that may have signed a token: of those that can sign with its algorithm, the
    /// ones that it names by `kid` (optional: RFC 7515 section 4.1.4), else by thumbprint,
    /// else all whose id does not contradict.
    #[must_use]
    pub fn candidates(&self, hint: &KeyHint<'_>) -> Candidates {
        let fitting = || self.keys.iter().filter(|key| key.fits(hint.algorithm));
        let mut named: Vec<_> = fitting()
            .filter(|key| hint.kid.is_some() && key.kid() == hint.kid)
            .collect();
        if named.is_empty() {
            let thumbprints = hint.thumbprints();
            named = fitting()
                .filter(|key| key.has_thumbprint(hint, &thumbprints))
                .collect();
        }
        let names_none = hint.kid.is_none() && hint.x5t.is_none() && hint.x5t_s256.is_none();
        let are_final = !named.is_empty() || names_none || self.has_id(hint.kid);
        if named.is_empty() {
            // A thumbprint of a renewed certificate says nothing against an old key.
            named = fitting()
                .filter(|key| hint.kid.is_none() || key.kid().is_none())
                .collect();
        }
        named.truncate(MAX_CANDIDATES);
        Candidates {
            keys: named.into_iter().cloned().collect(),
            are_final,
        }
    }

    /// Whether it has a key with this id, even if that one cannot verify the token.
    #[must_use]
    pub fn has_id(&self, kid: Option<&str>) -> bool {
        kid.is_some_and(|kid| {
            self.unusable.contains(kid) || self.keys.iter().any(|key| key.kid() == Some(kid))
        })
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

    /// How many keys are left out, by reason.
    #[must_use]
    pub fn left_out(&self) -> &BTreeMap<LeftOutReason, usize> {
        &self.left_out
    }

    /// Whether this and `other` contain the same keys, and leave out as many.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.keys.len() == other.keys.len()
            && self.keys.iter().all(|key| other.contains(key))
            && self.left_out == other.left_out
    }
}

#[cfg(test)]
mod tests;
