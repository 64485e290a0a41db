//! Callers by JWT: whose token is it, and is it good?
//!
//! A service sends the same token thousands of times, so a good one is remembered
//! for a while: under its SHA-256, never past its end, and only as long as its key
//! is published. What is remembered is who it names; what they may is asked anew.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::Algorithm;
use moka::sync::Cache;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::MAX_LOGGED;
use super::claims::Claims;
use super::jwks::Key;
use super::jwt::{Rules, TokenRefused, Unverified};
use super::keys::{Keys, NoKey};
use crate::domain::{Caller, CallerName, IDENTIFYING_CLAIMS};

/// Tokens that are remembered at a time.
const MAX_REMEMBERED: u64 = 50_000;
/// How long a token is remembered at most.
const REMEMBERED_FOR: Duration = Duration::from_secs(5 * 60);

/// An issuer whose tokens are accepted.
pub struct Issuer {
    /// What its tokens must be like.
    pub rules: Rules,
    /// Its keys.
    pub keys: Arc<Keys>,
}

/// Why nothing is known of what a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotProven {
    /// It is not accepted.
    Refused(TokenRefused),
    /// It cannot be checked: its issuer's keys are not known.
    NoKeys,
}

impl Issuer {
    /// What the token says, if this issuer has signed it and it is valid now, and the
    /// key that proves it. Waits for keys if it must.
    ///
    /// # Errors
    /// [`NotProven`]
    pub async fn prove<'t>(
        &self,
        token: &'t Unverified<'_>,
    ) -> Result<(&'t Claims, Arc<Key>), NotProven> {
        token.check_header(&self.rules)?;
        let (kid, algorithm): (Option<&str>, Algorithm) = token.key();
        let key = self.keys.find(kid, algorithm).await?;
        let claims = token.verify(&key, &self.rules)?;
        Ok((claims, key))
    }
}

impl From<TokenRefused> for NotProven {
    fn from(reason: TokenRefused) -> Self {
        Self::Refused(reason)
    }
}

impl From<NoKey> for NotProven {
    fn from(why: NoKey) -> Self {
        match why {
            NoKey::Unknown => Self::Refused(TokenRefused::Key),
            NoKey::Unavailable => Self::NoKeys,
        }
    }
}

/// Which tokens are a caller's.
#[derive(Debug, Clone)]
pub struct ClaimMatch {
    /// Who must have issued them.
    pub issuer: String,
    /// What they must say. Without one of [`IDENTIFYING_CLAIMS`] they match nothing.
    pub claims: BTreeMap<String, String>,
}

/// What is wrong with a bearer token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotKnown {
    /// It is not accepted.
    Refused(TokenRefused),
    /// It cannot be checked: its issuer's keys are not known.
    NoKeys,
    /// It is good, and nobody's, or more than one caller's.
    Nobody {
        /// Its issuer and subject, for the log.
        mark: Arc<str>,
        /// Whether several callers match.
        several: bool,
    },
}

impl From<NotProven> for NotKnown {
    fn from(why: NotProven) -> Self {
        match why {
            NotProven::Refused(reason) => Self::Refused(reason),
            NotProven::NoKeys => Self::NoKeys,
        }
    }
}

/// Why claims name no caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotOne {
    /// They are nobody's.
    None,
    /// They are these callers', at least two.
    Several(Arc<[CallerName]>),
}

/// What is remembered of a good token.
#[derive(Clone)]
struct Remembered {
    caller: Arc<Caller>,
    /// Its issuer and subject, for the log.
    mark: Arc<str>,
    issuer: usize,
    key: Arc<Key>,
    /// Until then, in seconds since 1970.
    until: u64,
}

/// Every issuer, and whose tokens are whose.
pub struct Tokens {
    issuers: Vec<Issuer>,
    /// By issuer, identifying claim and its value; the rest is compared one by one.
    by_claim: HashMap<(usize, &'static str, String), Vec<Candidate>>,
    remembered: Cache<[u8; 32], Remembered>,
}

struct Candidate {
    claims: BTreeMap<String, String>,
    caller: Arc<Caller>,
}

impl Tokens {
    /// Tokens of these issuers, for these callers. A caller of an issuer that is not
    /// there is left out.
    #[must_use]
    pub fn new(
        issuers: Vec<Issuer>,
        callers: impl IntoIterator<Item = (Arc<Caller>, ClaimMatch)>,
    ) -> Self {
        let mut by_claim: HashMap<_, Vec<Candidate>> = HashMap::new();
        for (caller, wanted) in callers {
            let issuer = issuers.iter().position(|i| i.rules.issuer == wanted.issuer);
            let name = IDENTIFYING_CLAIMS
                .into_iter()
                .find(|name| wanted.claims.contains_key(*name));
            if let (Some(issuer), Some(name)) = (issuer, name) {
                let value = wanted.claims[name].clone();
                let claims = wanted.claims;
                let candidates = by_claim.entry((issuer, name, value)).or_default();
                candidates.push(Candidate { claims, caller });
            }
        }
        Self {
            issuers,
            by_claim,
            remembered: Cache::builder()
                .max_capacity(MAX_REMEMBERED)
                .time_to_live(REMEMBERED_FOR)
                .build(),
        }
    }

    /// Whether any token is accepted at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// The issuers.
    #[must_use]
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// Whose token this is, and its issuer and subject for the log. Waits for keys
    /// if it must.
    ///
    /// # Errors
    /// [`NotKnown`]
    pub async fn authenticate(&self, token: &str) -> Result<(Arc<Caller>, Arc<str>), NotKnown> {
        let hash = <[u8; 32]>::from(Sha256::digest(token));
        let known = match self.recall(&hash, unix_seconds()) {
            Some(known) => known,
            None => self.verify(token, hash).await?,
        };
        Ok((known.caller, known.mark))
    }

    fn recall(&self, hash: &[u8; 32], now: u64) -> Option<Remembered> {
        let known = self.remembered.get(hash)?;
        let keys = &self.issuers.get(known.issuer)?.keys;
        if now < known.until && keys.hold(&known.key) {
            return Some(known);
        }
        self.remembered.invalidate(hash);
        None
    }

    /// Only tokens of callers are remembered: others must not take their room.
    async fn verify(&self, token: &str, hash: [u8; 32]) -> Result<Remembered, NotKnown> {
        let token = Unverified::read(token).map_err(NotKnown::Refused)?;
        let position = self.position(token.issuer());
        let position = position.ok_or(NotKnown::Refused(TokenRefused::Issuer))?;
        let issuer = &self.issuers[position];
        let (claims, key) = issuer.prove(&token).await?;
        let mark = mark(&issuer.rules, claims);
        let caller = match self.whose(token.issuer(), claims) {
            Ok(caller) => caller,
            Err(not_one) => {
                let several = not_one != NotOne::None;
                return Err(NotKnown::Nobody { mark, several });
            }
        };
        let end = claims.get("exp").and_then(seconds).unwrap_or(0);
        let known = Remembered {
            caller,
            mark,
            issuer: position,
            key,
            until: end.min(unix_seconds() + REMEMBERED_FOR.as_secs()),
        };
        self.remembered.insert(hash, known.clone());
        Ok(known)
    }

    /// The one caller whose claims these are, if this issuer has made them. Proves
    /// nothing: that is for [`Issuer::prove`].
    ///
    /// # Errors
    /// [`NotOne`]
    pub fn whose(&self, issuer: &str, claims: &Claims) -> Result<Arc<Caller>, NotOne> {
        let issuer = self.position(issuer).ok_or(NotOne::None)?;
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
            [] => Err(NotOne::None),
            [one] => Ok(Arc::clone(one)),
            _ => {
                let names = found.iter().map(|caller| caller.name.clone());
                Err(NotOne::Several(names.collect()))
            }
        }
    }

    fn position(&self, issuer: &str) -> Option<usize> {
        let mut issuers = self.issuers.iter();
        issuers.position(|known| known.rules.issuer == issuer)
    }
}

impl Candidate {
    fn matches(&self, claims: &Claims) -> bool {
        let has =
            |(name, wanted): (&String, &String)| claims.get(name).is_some_and(|c| says(c, wanted));
        self.claims.iter().all(has)
    }
}

/// A claim says a word if it is that text, or a list of texts with it (`roles`).
fn says(claim: &Value, wanted: &str) -> bool {
    match claim {
        Value::String(text) => text == wanted,
        Value::Array(list) => list.iter().any(|element| element.as_str() == Some(wanted)),
        _ => false,
    }
}

/// Issuer and subject as the log shows them. The subject is what the issuer's users
/// may have chosen: bounded, and without control characters.
fn mark(rules: &Rules, claims: &Claims) -> Arc<str> {
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or("-");
    let subject = &subject[..subject.floor_char_boundary(MAX_LOGGED)];
    let subject = subject.replace(char::is_control, "\u{fffd}");
    format!("jwt {} {subject}", rules.issuer).into()
}

/// A NumericDate, fractions dropped (RFC 7519 section 2).
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
    use crate::domain::CallerName;
    use crate::identity::KeySet;

    #[test]
    fn a_token_is_remembered_until_its_time_and_no_longer_than_its_key() {
        let modulus = "A".repeat(342);
        let document = format!(r#"{{"keys": [{{"kty": "RSA", "n": "{modulus}", "e": "AQAB"}}]}}"#);
        let set = KeySet::parse(document.as_bytes(), None).unwrap();
        let key = Arc::clone(set.find(None, Algorithm::RS256).unwrap());
        let rules = Rules {
            issuer: "i".into(),
            audiences: vec!["a".into()],
            algorithms: vec![Algorithm::RS256],
            typ: None,
        };
        let keys = Keys::fixed("i".into(), set);
        let tokens = Tokens::new(vec![Issuer { rules, keys }], []);
        let remembered = Remembered {
            caller: Arc::new(Caller {
                name: CallerName::parse("release").unwrap(),
                default_publisher: None,
            }),
            mark: "jwt i s".into(),
            issuer: 0,
            key,
            until: 1000,
        };
        let (hash, other) = ([1; 32], [2; 32]);
        tokens.remembered.insert(hash, remembered.clone());
        assert!(tokens.recall(&hash, 999).is_some());
        assert!(tokens.recall(&other, 999).is_none());
        assert!(tokens.recall(&hash, 1000).is_none());
        assert!(tokens.recall(&hash, 999).is_none(), "it is forgotten");
        // The same key, published anew by somebody else, is another key.
        let set = KeySet::parse(document.as_bytes(), None).unwrap();
        let key = Arc::clone(set.find(None, Algorithm::RS256).unwrap());
        tokens
            .remembered
            .insert(hash, Remembered { key, ..remembered });
        assert!(tokens.recall(&hash, 999).is_none());
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
