//! Callers by JWT.
//!
//! A service sends the same token thousands of times, so the caller of a verified token
//! is cached for a while: under the token's SHA-256, never past its expiry, and only as
//! long as its key is published. What the caller may do is decided anew for each request.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use moka::sync::Cache;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::claims::Claims;
use super::key_store::{KeyLookupError, KeyStore};
use super::token::UnverifiedToken;
use super::token_error::TokenError;
use super::verification_key::VerificationKey;
use crate::domain::{Caller, CallerName, ClaimMatch, IDENTIFYING_CLAIMS, TokenRules};
use crate::identity::authenticated::{
    AuthenticatedCaller, AuthenticationError, MAX_LOGGED, NO_CALLER, SEVERAL_CALLERS,
};

/// Tokens that are cached at a time.
const MAX_CACHED: u64 = 50_000;
/// How long a token is cached at most.
const CACHED_FOR: Duration = Duration::from_secs(5 * 60);

/// An issuer whose tokens are accepted.
pub struct Issuer {
    /// The rules for its tokens.
    pub rules: TokenRules,
    /// Its keys.
    pub keys: Arc<KeyStore>,
}

/// Why a token is not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyError {
    /// It is not accepted.
    Rejected(TokenError),
    /// It cannot be checked: its issuer's keys are not available.
    NoKeys,
}

impl From<TokenError> for VerifyError {
    fn from(reason: TokenError) -> Self {
        Self::Rejected(reason)
    }
}

impl From<KeyLookupError> for VerifyError {
    fn from(why: KeyLookupError) -> Self {
        match why {
            KeyLookupError::Unknown => Self::Rejected(TokenError::Key),
            KeyLookupError::Unavailable => Self::NoKeys,
        }
    }
}

impl From<VerifyError> for AuthenticationError {
    fn from(why: VerifyError) -> Self {
        match why {
            VerifyError::Rejected(reason) => Self::Rejected(reason.code()),
            VerifyError::NoKeys => Self::Unavailable,
        }
    }
}

impl Issuer {
    /// The token's claims and the key that has signed it, if this issuer has issued it and
    /// it is valid now. Waits for keys if need be.
    ///
    /// # Errors
    /// [`VerifyError`]
    pub async fn verify<'t>(
        &self,
        token: &'t UnverifiedToken<'_>,
    ) -> Result<(&'t Claims, Arc<VerificationKey>), VerifyError> {
        token.check_header(&self.rules)?;
        let hint = token.key_hint();
        let candidates = self.keys.find(&hint).await?;
        let key = match token.signer(&candidates.keys)? {
            Some(key) => Arc::clone(key),
            None if candidates.are_final => return Err(TokenError::Signature.into()),
            None => {
                let named = self.keys.find_named(&hint).await?;
                let signer = token.signer(&named.keys)?;
                Arc::clone(signer.ok_or(TokenError::Signature)?)
            }
        };
        Ok((token.claims_in_force(&self.rules)?, key))
    }
}

/// The callers that match a token's claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerMatch {
    /// Exactly this one.
    One(Arc<Caller>),
    /// No caller.
    None,
    /// At least two.
    Several(Arc<[CallerName]>),
}

/// A verified token.
#[derive(Clone)]
struct CachedToken {
    /// The caller, with the token's issuer and subject as the label.
    found: AuthenticatedCaller,
    issuer: usize,
    key: Arc<VerificationKey>,
    /// In seconds since 1970.
    until: u64,
}

/// Every issuer, and the callers that its tokens belong to.
pub struct Tokens {
    issuers: Vec<Issuer>,
    /// By issuer, identifying claim and its value; the rest is compared one by one.
    by_claim: HashMap<(usize, &'static str, String), Vec<ClaimedCaller>>,
    cache: Cache<[u8; 32], CachedToken>,
}

struct ClaimedCaller {
    claims: BTreeMap<String, String>,
    caller: Arc<Caller>,
}

impl Tokens {
    /// Tokens of these issuers, for these callers. Callers of other issuers are ignored.
    #[must_use]
    pub fn new(
        issuers: Vec<Issuer>,
        callers: impl IntoIterator<Item = (Arc<Caller>, ClaimMatch)>,
    ) -> Self {
        let mut by_claim: HashMap<_, Vec<ClaimedCaller>> = HashMap::new();
        for (caller, wanted) in callers {
            let issuer = issuers.iter().position(|i| i.rules.issuer == wanted.issuer);
            let name = IDENTIFYING_CLAIMS
                .into_iter()
                .find(|name| wanted.claims.contains_key(*name));
            if let (Some(issuer), Some(name)) = (issuer, name) {
                let value = wanted.claims[name].clone();
                let claims = wanted.claims;
                let candidates = by_claim.entry((issuer, name, value)).or_default();
                candidates.push(ClaimedCaller { claims, caller });
            }
        }
        Self {
            issuers,
            by_claim,
            cache: Cache::builder()
                .max_capacity(MAX_CACHED)
                .time_to_live(CACHED_FOR)
                .build(),
        }
    }

    /// Whether there is no issuer, so that every token is rejected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// The issuers.
    #[must_use]
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// The caller that a token belongs to. Waits for keys if need be.
    ///
    /// # Errors
    /// [`AuthenticationError`]
    pub async fn authenticate(
        &self,
        token: &str,
    ) -> Result<AuthenticatedCaller, AuthenticationError> {
        let hash = <[u8; 32]>::from(Sha256::digest(token));
        match self.cached(&hash, unix_seconds()) {
            Some(cached) => Ok(cached.found),
            None => self.verify(token, hash).await,
        }
    }

    /// The cached token, unless it or its key is not valid any more; that one is dropped.
    fn cached(&self, hash: &[u8; 32], now: u64) -> Option<CachedToken> {
        let cached = self.cache.get(hash)?;
        let keys = &self.issuers.get(cached.issuer)?.keys;
        if now < cached.until && keys.contains(&cached.key) {
            return Some(cached);
        }
        self.cache.invalidate(hash);
        None
    }

    /// Only callers' tokens are cached, so that other tokens cannot displace them.
    async fn verify(
        &self,
        token: &str,
        hash: [u8; 32],
    ) -> Result<AuthenticatedCaller, AuthenticationError> {
        let token = UnverifiedToken::read(token).map_err(VerifyError::Rejected)?;
        let position = self.position(token.issuer());
        let position = position.ok_or(VerifyError::Rejected(TokenError::Issuer))?;
        let issuer = &self.issuers[position];
        let (claims, key) = issuer.verify(&token).await?;
        let credential_label = label(&issuer.rules, claims);
        let no_caller = |reason| AuthenticationError::NoCaller {
            credential_label: Arc::clone(&credential_label),
            reason,
        };
        let caller = match self.find_caller(token.issuer(), claims) {
            CallerMatch::One(caller) => caller,
            CallerMatch::None => return Err(no_caller(NO_CALLER)),
            CallerMatch::Several(_) => return Err(no_caller(SEVERAL_CALLERS)),
        };
        let expiry = claims.get("exp").and_then(seconds).unwrap_or(0);
        let found = AuthenticatedCaller {
            caller,
            credential_label,
        };
        let cached = CachedToken {
            found: found.clone(),
            issuer: position,
            key,
            until: expiry.min(unix_seconds() + CACHED_FOR.as_secs()),
        };
        self.cache.insert(hash, cached);
        Ok(found)
    }

    /// The callers with these claims, if this issuer has issued them. Does not verify
    /// the token; see [`Issuer::verify`].
    #[must_use]
    pub fn find_caller(&self, issuer: &str, claims: &Claims) -> CallerMatch {
        let Some(issuer) = self.position(issuer) else {
            return CallerMatch::None;
        };
        let mut found = Vec::new();
        for name in IDENTIFYING_CLAIMS {
            let Some(Value::String(value)) = claims.get(name) else {
                continue;
            };
            let key = (issuer, name, value.clone());
            let candidates = self.by_claim.get(&key).map_or(&[][..], Vec::as_slice);
            let matching = candidates.iter().filter(|c| c.matches(claims));
            found.extend(matching.map(|candidate| &candidate.caller));
        }
        match found[..] {
            [] => CallerMatch::None,
            [one] => CallerMatch::One(Arc::clone(one)),
            _ => CallerMatch::Several(found.iter().map(|caller| caller.name.clone()).collect()),
        }
    }

    fn position(&self, issuer: &str) -> Option<usize> {
        let mut issuers = self.issuers.iter();
        issuers.position(|known| known.rules.issuer == issuer)
    }
}

impl ClaimedCaller {
    fn matches(&self, claims: &Claims) -> bool {
        let has = |(name, wanted): (&String, &String)| {
            claims.get(name).is_some_and(|c| claim_matches(c, wanted))
        };
        self.claims.iter().all(has)
    }
}

/// A claim matches a text if it is that text, or a list with it (`roles`).
fn claim_matches(claim: &Value, wanted: &str) -> bool {
    match claim {
        Value::String(text) => text == wanted,
        Value::Array(list) => list.iter().any(|element| element.as_str() == Some(wanted)),
        _ => false,
    }
}

/// Issuer and subject for the log. The issuer's users may have chosen the subject, so its
/// length is bounded and control characters are replaced.
fn label(rules: &TokenRules, claims: &Claims) -> Arc<str> {
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or("-");
    let subject = &subject[..subject.floor_char_boundary(MAX_LOGGED)];
    let subject = subject.replace(char::is_control, "\u{fffd}");
    format!("jwt {} {subject}", rules.issuer).into()
}

/// A NumericDate without its fraction (RFC 7519 section 2).
fn seconds(value: &Value) -> Option<u64> {
    let whole = |float: f64| {
        let rest = (0.0..9e15).contains(&float).then_some(float.trunc())?;
        format!("{rest:.0}").parse().ok()
    };
    value.as_u64().or_else(|| value.as_f64().and_then(whole))
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(u64::MAX, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::KeySet;
    use crate::identity::jwt::key_hint::KeyHint;
    use jsonwebtoken::Algorithm;

    #[test]
    fn a_token_is_cached_until_it_expires_and_no_longer_than_its_key() {
        let modulus = format!("{}w", "_".repeat(341));
        let document = format!(r#"{{"keys": [{{"kty": "RSA", "n": "{modulus}", "e": "AQAB"}}]}}"#);
        let any = KeyHint {
            kid: None,
            x5t: None,
            x5t_s256: None,
            algorithm: Algorithm::RS256,
        };
        let set = KeySet::parse(document.as_bytes(), None).unwrap();
        let key = set.candidates(&any).keys.remove(0);
        let rules = TokenRules {
            issuer: "i".into(),
            audiences: vec!["a".into()],
            algorithms: vec![Algorithm::RS256],
            typ: None,
        };
        let keys = KeyStore::fixed("i".into(), set);
        let tokens = Tokens::new(vec![Issuer { rules, keys }], []);
        let cached = CachedToken {
            found: AuthenticatedCaller {
                caller: Arc::new(Caller {
                    name: CallerName::parse("release").unwrap(),
                    default_publisher: None,
                }),
                credential_label: "jwt i s".into(),
            },
            issuer: 0,
            key,
            until: 1000,
        };
        let (hash, other) = ([1; 32], [2; 32]);
        tokens.cache.insert(hash, cached.clone());
        assert!(tokens.cached(&hash, 999).is_some());
        assert!(tokens.cached(&other, 999).is_none());
        assert!(tokens.cached(&hash, 1000).is_none());
        assert!(
            tokens.cached(&hash, 999).is_none(),
            "the expired token is dropped"
        );
        // Equal material in another key set is another key.
        let set = KeySet::parse(document.as_bytes(), None).unwrap();
        let key = set.candidates(&any).keys.remove(0);
        tokens.cache.insert(hash, CachedToken { key, ..cached });
        assert!(tokens.cached(&hash, 999).is_none());
    }

    #[test]
    fn numeric_dates_lose_their_fractions() {
        let table = [
            (serde_json::json!(1700000000), Some(1_700_000_000)),
            (serde_json::json!(1700000000.9), Some(1_700_000_000)),
            (serde_json::json!(-1), None),
            (serde_json::json!(1e300), None),
            (serde_json::json!("1700000000"), None),
        ];
        for (value, expected) in table {
            assert_eq!(seconds(&value), expected, "{value}");
        }
    }
}
