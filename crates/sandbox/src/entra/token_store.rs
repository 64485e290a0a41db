//! The tokens issued: which are live, for whom, and in which form the next one is issued. Only
//! hashes are looked up, and a bounded number is kept.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::TokenForge;
use super::resource::PORTAL;
use crate::text::later;

/// Tokens remembered; the oldest are dropped first.
const LIMIT: usize = 100_000;

/// The form of the tokens issued next.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct TokenControls {
    /// Lifetime of a token, in seconds.
    pub(crate) expires_in: u32,
    /// Issue the same token until it expires, even if it was revoked.
    pub(crate) same_token: bool,
}

impl Default for TokenControls {
    fn default() -> Self {
        Self {
            expires_in: 3599,
            same_token: false,
        }
    }
}

/// A token and what its response says about it.
#[derive(Clone)]
pub(crate) struct IssuedToken {
    pub(crate) token: String,
    pub(crate) audience: &'static str,
    pub(crate) not_before: Timestamp,
    pub(crate) expires: Timestamp,
}

/// Why the portal rejects a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("The access token is missing.")]
    OfferError,
    #[error("The access token is invalid.")]
    Unknown,
    #[error("The access token has been obtained for wrong audience or resource.")]
    Audience,
    #[error("The access token has been revoked.")]
    Revoked,
    #[error("The access token expiry UTC time is earlier than current UTC time.")]
    Expired,
}

struct TokenRecord {
    audience: &'static str,
    expires: Timestamp,
    revoked: bool,
}

/// The tokens issued by one sandbox.
pub(crate) struct TokenStore {
    pub(crate) forge: TokenForge,
    pub(crate) controls: TokenControls,
    known: HashMap<[u8; 32], TokenRecord>,
    order: VecDeque<[u8; 32]>,
    last: HashMap<&'static str, IssuedToken>,
    /// How many different tokens were issued.
    pub(crate) issued: u64,
}

impl TokenStore {
    pub(crate) fn new(forge: TokenForge) -> Self {
        Self {
            forge,
            controls: TokenControls::default(),
            known: HashMap::new(),
            order: VecDeque::new(),
            last: HashMap::new(),
            issued: 0,
        }
    }

    /// How many tokens the portal would accept at `now`.
    pub(crate) fn live(&self, now: Timestamp) -> usize {
        let good = |known: &&TokenRecord| !known.revoked && known.expires > now;
        self.known.values().filter(good).count()
    }

    /// A token for `audience`: a new one, or, if the controls say so, the last one until it
    /// expires.
    pub(crate) fn issue(&mut self, audience: &'static str, now: Timestamp) -> IssuedToken {
        if self.controls.same_token {
            let last = self
                .last
                .get(audience)
                .filter(|issued| issued.expires > now);
            if let Some(issued) = last {
                return issued.clone();
            }
        }
        let lifetime = Duration::from_secs(self.controls.expires_in.into());
        let expires = later(now, lifetime);
        let issued = IssuedToken {
            token: self.forge.make(audience, now, expires),
            audience,
            not_before: now,
            expires,
        };
        self.remember(&issued);
        issued
    }

    fn remember(&mut self, issued: &IssuedToken) {
        let hash = hash(&issued.token);
        let known = TokenRecord {
            audience: issued.audience,
            expires: issued.expires,
            revoked: false,
        };
        self.known.insert(hash, known);
        self.order.push_back(hash);
        if self.order.len() > LIMIT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.last.insert(issued.audience, issued.clone());
        self.issued += 1;
    }

    /// Revokes every token issued so far.
    pub(crate) fn revoke_all(&mut self) {
        for known in self.known.values_mut() {
            known.revoked = true;
        }
    }

    /// Whether the portal accepts this bearer token.
    pub(crate) fn check(&self, token: &str, now: Timestamp) -> Result<(), TokenError> {
        match self.known.get(&hash(token)) {
            None => Err(TokenError::Unknown),
            Some(known) if known.revoked => Err(TokenError::Revoked),
            Some(known) if known.expires <= now => Err(TokenError::Expired),
            Some(known) if known.audience != PORTAL => Err(TokenError::Audience),
            Some(_) => Ok(()),
        }
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
