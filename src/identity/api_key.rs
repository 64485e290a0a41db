//! Callers by API key. A key is hashed as presented, looked up by its hash and compared
//! in constant time; known and unknown keys take the same steps.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::authenticated::{AuthenticatedCaller, AuthenticationError};
use crate::domain::{ApiKeyHash, Caller};

/// The shortest key that is looked up, in characters.
pub const MIN_KEY: usize = 16;
/// The longest key that is looked up, in characters.
pub const MAX_KEY: usize = 256;

/// Two callers have the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the same API key hash is configured twice")]
pub struct DuplicateKey;

/// The hash that the configuration holds of a key. Generated keys have 256 random bits,
/// so SHA-256 is slow enough.
#[must_use]
pub fn hash(key: &[u8]) -> ApiKeyHash {
    ApiKeyHash::from(<[u8; 32]>::from(Sha256::digest(key)))
}

/// Every API key's hash, with its caller.
pub struct ApiKeys {
    by_hash: HashMap<ApiKeyHash, AuthenticatedCaller>,
}

impl ApiKeys {
    /// Indexes the callers by the hashes of their keys.
    ///
    /// # Errors
    /// [`DuplicateKey`] if a hash occurs twice.
    pub fn new(
        callers: impl IntoIterator<Item = (Arc<Caller>, Vec<ApiKeyHash>)>,
    ) -> Result<Self, DuplicateKey> {
        let mut by_hash = HashMap::new();
        for (caller, hashes) in callers {
            for hash in hashes {
                let owner = AuthenticatedCaller {
                    caller: Arc::clone(&caller),
                    credential_label: format!("key {}", hash.prefix()).into(),
                };
                if by_hash.insert(hash, owner).is_some() {
                    return Err(DuplicateKey);
                }
            }
        }
        Ok(Self { by_hash })
    }

    /// Whether no caller has a key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// The caller that a key belongs to. The log names the key by the beginning of its
    /// hash.
    ///
    /// # Errors
    /// [`AuthenticationError::Rejected`] for a key of an illegal form and for an unknown
    /// one, without telling the two apart.
    pub fn authenticate(
        &self,
        presented: &[u8],
    ) -> Result<AuthenticatedCaller, AuthenticationError> {
        let legal = (MIN_KEY..=MAX_KEY).contains(&presented.len())
            && presented.iter().all(u8::is_ascii_graphic);
        let hash = hash(presented);
        let stand_in = ApiKeyHash::from([0; 32]);
        let found = self.by_hash.get_key_value(&hash);
        // The map has compared already, but not in constant time.
        let known = found.map_or(&stand_in, |(known, _)| known);
        let equal = bool::from(known.as_bytes().ct_eq(hash.as_bytes()));
        match found {
            Some((_, owner)) if equal && legal => Ok(owner.clone()),
            _ => Err(AuthenticationError::Rejected("unknown-key")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::CallerName;

    fn caller() -> Arc<Caller> {
        Arc::new(Caller {
            name: CallerName::parse("pipeline").unwrap(),
            default_publisher: None,
        })
    }

    #[test]
    fn a_known_key_names_its_caller() {
        let keys = ApiKeys::new([(caller(), vec![hash(b"0123456789abcdef")])]).unwrap();
        let found = keys.authenticate(b"0123456789abcdef").unwrap();
        assert_eq!(found.caller.name.as_str(), "pipeline");
        assert_eq!(&*found.credential_label, "key 9f9f5111");
    }

    #[test]
    fn every_other_key_is_rejected() {
        let long = [b'x'; MAX_KEY + 1];
        let known: Vec<ApiKeyHash> = [&b"short"[..], &long, b"with space 0123456789"]
            .map(hash)
            .to_vec();
        let keys = ApiKeys::new([(caller(), known)]).unwrap();
        for key in [
            &b""[..],
            b"short",
            &long,
            b"with space 0123456789",
            b"0123456789abcdeF",
            "schl\u{fc}ssel-0123456789".as_bytes(),
        ] {
            let rejected = Err(AuthenticationError::Rejected("unknown-key"));
            assert_eq!(keys.authenticate(key), rejected);
        }
    }

    #[test]
    fn two_callers_cannot_share_a_key() {
        let shared = hash(b"0123456789abcdef");
        let twice = [(caller(), vec![shared]), (caller(), vec![shared])];
        assert_eq!(ApiKeys::new(twice).err(), Some(DuplicateKey));
    }

    #[test]
    fn the_hash_is_sha256() {
        assert_eq!(format!("{:?}", hash(b"abc")), "ba7816bf…");
    }
}
