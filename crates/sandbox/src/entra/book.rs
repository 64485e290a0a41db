//! The tokens handed out: which are live, for whom, and how a test wants the next one. Only
//! hashes are looked up, and a bounded number is kept.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Mint, PORTAL};
use crate::text::later;

/// Tokens remembered; the oldest go first.
const REMEMBERED: usize = 100_000;

/// How the next tokens are to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Controls {
    /// Lifetime of a token, in seconds.
    pub(crate) expires_in: u32,
    pub(crate) expires_in_form: InForm,
    /// Hand out the same token until its end, even if it was revoked.
    pub(crate) same_token: bool,
}

impl Default for Controls {
    fn default() -> Self {
        Self {
            expires_in: 3599,
            expires_in_form: InForm::Default,
            same_token: false,
        }
    }
}

/// How `expires_in` is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InForm {
    /// A string at v1, a number at v2, as Entra does.
    #[default]
    Default,
    Number,
    String,
    /// Left out, together with `expires_on`.
    Missing,
    /// The number 0, although the token is good.
    Zero,
}

/// A token and what was promised about it.
#[derive(Clone)]
pub(crate) struct Grant {
    pub(crate) token: String,
    pub(crate) audience: &'static str,
    pub(crate) not_before: Timestamp,
    pub(crate) expires: Timestamp,
}

/// Why the portal does not accept a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejected {
    #[error("The access token is missing.")]
    Absent,
    #[error("The access token is invalid.")]
    Unknown,
    #[error("The access token has been obtained for wrong audience or resource.")]
    Audience,
    #[error("The access token has been revoked.")]
    Revoked,
    #[error("The access token expiry UTC time is earlier than current UTC time.")]
    Expired,
}

struct Known {
    audience: &'static str,
    expires: Timestamp,
    revoked: bool,
}

/// The tokens handed out by one sandbox.
pub(crate) struct Book {
    mint: Mint,
    controls: Controls,
    known: HashMap<[u8; 32], Known>,
    order: VecDeque<[u8; 32]>,
    last: HashMap<&'static str, Grant>,
    issued: u64,
}

impl Book {
    pub(crate) fn new(mint: Mint) -> Self {
        Self {
            mint,
            controls: Controls::default(),
            known: HashMap::new(),
            order: VecDeque::new(),
            last: HashMap::new(),
            issued: 0,
        }
    }

    pub(crate) fn mint(&self) -> &Mint {
        &self.mint
    }

    pub(crate) fn controls(&self) -> &Controls {
        &self.controls
    }

    pub(crate) fn set_controls(&mut self, controls: Controls) {
        self.controls = controls;
    }

    /// How many different tokens were handed out.
    pub(crate) fn issued(&self) -> u64 {
        self.issued
    }

    /// How many tokens the portal would accept at `now`.
    pub(crate) fn live(&self, now: Timestamp) -> usize {
        let good = |known: &&Known| !known.revoked && known.expires > now;
        self.known.values().filter(good).count()
    }

    /// A token for `audience`: a new one, or, if `again` or the controls say so, the last
    /// one until its end.
    pub(crate) fn issue(&mut self, audience: &'static str, again: bool, now: Timestamp) -> Grant {
        if again || self.controls.same_token {
            let last = self.last.get(audience).filter(|grant| grant.expires > now);
            if let Some(grant) = last {
                return grant.clone();
            }
        }
        let lifetime = Duration::from_secs(self.controls.expires_in.into());
        let expires = later(now, lifetime);
        let grant = Grant {
            token: self.mint.strike(audience, now, expires),
            audience,
            not_before: now,
            expires,
        };
        self.remember(&grant);
        grant
    }

    fn remember(&mut self, grant: &Grant) {
        let hash = hash(&grant.token);
        let known = Known {
            audience: grant.audience,
            expires: grant.expires,
            revoked: false,
        };
        self.known.insert(hash, known);
        self.order.push_back(hash);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.last.insert(grant.audience, grant.clone());
        self.issued += 1;
    }

    /// Makes every token handed out so far worthless.
    pub(crate) fn revoke_all(&mut self) {
        for known in self.known.values_mut() {
            known.revoked = true;
        }
    }

    /// Whether the portal accepts what stands behind `Bearer`.
    pub(crate) fn check(&self, token: &str, now: Timestamp) -> Result<(), Rejected> {
        match self.known.get(&hash(token)) {
            None => Err(Rejected::Unknown),
            Some(known) if known.revoked => Err(Rejected::Revoked),
            Some(known) if known.expires <= now => Err(Rejected::Expired),
            Some(known) if known.audience != PORTAL => Err(Rejected::Audience),
            Some(_) => Ok(()),
        }
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
