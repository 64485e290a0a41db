//! Issuers of JWTs: whose signatures count, and where their keys are.
//!
//! Whoever can change a key on its way to us can be anyone. So keys come over
//! https or from this machine, whatever the portal may do, and a signature that
//! the gateway could make itself, or none at all, is never enough.

use std::collections::{HashMap, HashSet};

use jsonwebtoken::Algorithm;

use super::checker::Checker;
use super::field::{Field, OneOrMore};
use super::files::{self, Holds};
use super::list::{each, unique};
use super::problem::KeyPath;
use super::{JwtIssuer, raw, url};

/// Between two fetches of an issuer's keys, in seconds.
const DEFAULT_REFRESH_SECONDS: u64 = 300;

const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// What callers need to know about the issuers.
pub(super) struct Issuers {
    by_text: HashMap<String, KeyPath>,
    /// Every issuer could be read, so one that is not here does not exist.
    complete: bool,
    named: HashSet<String>,
}

impl Issuers {
    /// Whether a caller may name this one; from then on somebody does.
    pub(super) fn name(&mut self, issuer: &str) -> bool {
        if self.by_text.contains_key(issuer) {
            self.named.insert(issuer.to_owned());
            return true;
        }
        !self.complete
    }

    /// Notes the issuers that nobody named.
    pub(super) fn warn_of_unnamed(&self, c: &mut Checker<'_>) {
        for (issuer, key) in &self.by_text {
            if !self.named.contains(issuer) {
                c.warning(key, "no caller names it: its tokens are nobody's");
            }
        }
    }
}

/// The issuers, if all of them are good.
pub(super) fn jwt_issuers(
    c: &mut Checker<'_>,
    raw: raw::Section<raw::Identity>,
) -> (Issuers, Option<Vec<JwtIssuer>>) {
    let mut known = Issuers {
        by_text: HashMap::new(),
        complete: false,
        named: HashSet::new(),
    };
    let at = KeyPath::of("identity");
    let Some(raw) = c.section(&at, raw) else {
        return (known, None);
    };
    let at = at.key("jwt");
    let Some(list) = c.optional(&at, raw.jwt) else {
        return (known, None);
    };
    known.complete = true;
    let issuers = each(list.unwrap_or_default(), &at, |at, raw| {
        let raw = c.section(at, raw);
        known.complete &= raw.is_some();
        jwt_issuer(c, at, raw?, &mut known)
    });
    (known, issuers)
}

fn jwt_issuer(
    c: &mut Checker<'_>,
    at: &KeyPath,
    raw: raw::JwtIssuer,
    known: &mut Issuers,
) -> Option<JwtIssuer> {
    let discovered = matches!(raw.jwks_url, Field::Absent);
    let issuer = issuer(c, &at.key("issuer"), raw.issuer, discovered, known);
    let audiences = audiences(c, &at.key("audience"), raw.audience);
    let jwks_url = jwks_url(c, &at.key("jwks_url"), raw.jwks_url);
    let algorithms = algorithms(c, &at.key("algorithms"), raw.algorithms);
    let typ_key = at.key("typ");
    let typ = match c.optional(&typ_key, raw.typ) {
        Some(Some(text)) => c.parse(&typ_key, &text, |text| visible(text, 64)).map(Some),
        other => other,
    };
    let ca_file = files::openable(c, &at.key("ca_file"), raw.ca_file);
    let bearer_key = at.key("bearer_token_file");
    let bearer = raw.bearer_token_file;
    let bearer_token_file = files::reread(c, &bearer_key, bearer, Holds::Assertion);
    let refresh_seconds = match raw.refresh_seconds {
        Field::Absent => Field::Set(DEFAULT_REFRESH_SECONDS),
        field => field,
    };
    let refresh = c.seconds(&at.key("refresh_seconds"), refresh_seconds, 10..=86_400);
    Some(JwtIssuer {
        issuer: issuer?,
        audiences: audiences?,
        jwks_url: jwks_url?,
        algorithms: algorithms?,
        typ: typ?,
        ca_file: ca_file?,
        bearer_token_file: bearer_token_file?,
        refresh: refresh?,
    })
}

/// The text stays as it is: a slash at its end is part of it.
fn issuer(
    c: &mut Checker<'_>,
    key: &KeyPath,
    field: Field<String>,
    discovered: bool,
    known: &mut Issuers,
) -> Option<String> {
    let text = c.parsed(key, field, |text| visible(text, 1024));
    known.complete &= text.is_some();
    let text = text?;
    unique(c, &mut known.by_text, text.clone(), key);
    let safe = |url: url::HttpUrl| url.secure || url.is_loopback();
    if discovered && !url::parse_resource(&text, url::Query::Refused).is_ok_and(safe) {
        c.problem(
            key,
            "must be https:// (http:// on loopback only), without user, query or fragment, as \
             there is no jwks_url: the keys are looked for below it",
        );
        return None;
    }
    Some(text)
}

fn audiences(c: &mut Checker<'_>, key: &KeyPath, field: Field<OneOrMore>) -> Option<Vec<String>> {
    let list = match c.required(key, field)? {
        OneOrMore::One(text) => {
            let audience = c.parse(key, &text, |text| visible(text, 1024))?;
            return Some(vec![audience]);
        }
        OneOrMore::More(list) => list,
    };
    if list.is_empty() {
        c.problem(key, "must not be empty: no token could be accepted");
        return None;
    }
    let mut seen = HashMap::new();
    each(list, key, |key, field| {
        let audience = c.parsed(key, field, |text| visible(text, 1024))?;
        unique(c, &mut seen, audience.clone(), key);
        Some(audience)
    })
}

fn jwks_url(c: &mut Checker<'_>, key: &KeyPath, field: Field<String>) -> Option<Option<String>> {
    let Some(text) = c.optional(key, field)? else {
        return Some(None);
    };
    let url = c.parse(key, &text, |text| {
        url::parse_resource(text, url::Query::Allowed)
    })?;
    if !url.secure && !url.is_loopback() {
        c.problem(
            key,
            "must be https: whoever can change the keys on their way can be anyone (only \
             loopback may do without; portal.allow_plain_http does not count here)",
        );
        return None;
    }
    Some(Some(url.text))
}

fn algorithms(
    c: &mut Checker<'_>,
    key: &KeyPath,
    field: raw::List<Field<String>>,
) -> Option<Vec<Algorithm>> {
    let Some(list) = c.optional(key, field)? else {
        return Some(vec![Algorithm::RS256]);
    };
    if list.is_empty() {
        c.problem(key, "must not be empty: no token could be accepted");
        return None;
    }
    let mut seen = HashMap::new();
    each(list, key, |key, field| {
        let algorithm = c.parsed(key, field, algorithm)?;
        unique(c, &mut seen, algorithm, key);
        Some(algorithm)
    })
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    if let Some((_, algorithm)) = ALGORITHMS.iter().find(|(name, _)| *name == text) {
        return Ok(*algorithm);
    }
    let lower = text.to_ascii_lowercase();
    let names = ALGORITHMS.map(|(name, _)| name).join(", ");
    Err(if lower == "none" || lower.starts_with("hs") {
        format!("must be one of {names}: symmetric or unsigned tokens are never accepted")
    } else {
        format!("must be one of {names}")
    })
}

/// A text without spaces and control characters.
pub(super) fn visible(text: &str, max: usize) -> Result<String, String> {
    if (1..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(format!("must be 1 to {max} visible ASCII characters"))
    }
}
