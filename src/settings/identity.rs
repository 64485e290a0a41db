//! `[[identity.jwt]]`: issuers of JWTs, which signatures count, and where their keys are.
//!
//! An attacker who can replace an issuer's keys on their way to the gateway can be any
//! caller. So keys come over https or from this machine, whatever the portal may do, and
//! symmetric or missing signatures are never accepted.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::Algorithm;

use super::files::RereadContent;
use super::reader::{At, Reading, Table, all, limited, one_of};
use super::url::{self, HttpUrl, Query};
use crate::domain::{JWT_ALGORITHMS, TokenRules};

/// Between two fetches of an issuer's keys, in seconds.
const DEFAULT_REFRESH_SECONDS: u64 = 300;

/// An issuer of JWTs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtIssuerSettings {
    /// What its tokens must be like.
    pub rules: TokenRules,
    /// Where its keys are; none: where its OpenID discovery document says.
    pub jwks_url: Option<String>,
    /// PEM certificates to trust besides the system's when keys are fetched.
    pub ca_file: Option<PathBuf>,
    /// A file with the bearer token for the keys' address, read at each fetch.
    pub bearer_token_file: Option<PathBuf>,
    /// Between two fetches of the keys.
    pub refresh: Duration,
}

/// The issuers that callers can name.
#[derive(Default)]
pub(super) struct Issuers {
    /// Each with the place where it is configured.
    configured: Vec<(String, At)>,
    /// Every issuer could be read, so any other does not exist.
    complete: bool,
    named: HashSet<String>,
}

impl Issuers {
    /// Whether there is such an issuer, as far as that is known.
    pub fn may_include(&self, issuer: &str) -> bool {
        !self.complete || self.configured.iter().any(|(text, _)| text == issuer)
    }

    /// Notes that a caller names this issuer.
    pub fn mark_as_named(&mut self, issuer: &str) {
        self.named.insert(issuer.to_owned());
    }

    /// Warns of issuers that no caller names.
    pub fn warn_of_unnamed(&self, reading: &mut Reading<'_>) {
        for (issuer, at) in &self.configured {
            if !self.named.contains(issuer) {
                reading.warn(at, "no caller names it: its tokens are refused");
            }
        }
    }
}

pub fn read(t: &mut Table<'_, '_>, known: &mut Issuers) -> Option<Vec<JwtIssuerSettings>> {
    let mut complete = true;
    let mut seen = HashMap::new();
    let issuers = t.tables("jwt", |t| {
        let text = t.required("issuer", visible(1024));
        complete &= text.is_some();
        if let Some(text) = &text {
            let at = t.at("issuer");
            t.reading.unique(&mut seen, text.clone(), &at);
            known.configured.push((text.clone(), at));
        }
        Some(issuer(t, text))
    })?;
    known.complete = complete;
    issuers.into_iter().collect()
}

fn issuer(t: &mut Table<'_, '_>, text: Option<String>) -> Option<JwtIssuerSettings> {
    if let Some(text) = &text {
        // The text itself stays as it is: a slash at its end is part of it.
        let url = url::parse_resource(text, Query::Refused);
        if !t.has("jwks_url") && !url.is_ok_and(|url| keeps_keys_safe(&url)) {
            t.problem(
                "issuer",
                "must be https:// (http:// on loopback only), without user, query or fragment, \
                 because its keys are discovered below it; or set jwks_url",
            );
        }
    }
    let rules = all!(TokenRules {
        issuer: text,
        audiences: audiences(t),
        algorithms: algorithms(t),
        typ: t.optional("typ", visible(64)),
    });
    let refresh = t.optional_number("refresh_seconds", 10..=86_400);
    all!(JwtIssuerSettings {
        rules,
        jwks_url: jwks_url(t),
        ca_file: t.openable("ca_file"),
        bearer_token_file: t.reread("bearer_token_file", RereadContent::Assertion),
        refresh: refresh.map(|s| Duration::from_secs(s.unwrap_or(DEFAULT_REFRESH_SECONDS))),
    })
}

fn keeps_keys_safe(url: &HttpUrl) -> bool {
    url.secure || url.is_loopback()
}

fn audiences(t: &mut Table<'_, '_>) -> Option<Vec<String>> {
    let mut seen = HashMap::new();
    let found = t.text_or_texts("audience", NO_TOKEN, |reading, at, text| {
        let audience = reading.good(at, visible(1024)(text))?;
        reading.unique(&mut seen, audience.clone(), at);
        Some(audience)
    });
    t.needed("audience", found)
}

fn jwks_url(t: &mut Table<'_, '_>) -> Option<Option<String>> {
    let url = t.optional("jwks_url", |text| url::parse_resource(text, Query::Allowed))?;
    if url.as_ref().is_some_and(|url| !keeps_keys_safe(url)) {
        t.problem(
            "jwks_url",
            "must be https: an attacker who replaces the keys on their way can be any caller \
             (exempt is loopback alone; portal.allow_plain_http does not apply)",
        );
    }
    Some(url.map(|url| url.text))
}

fn algorithms(t: &mut Table<'_, '_>) -> Option<Vec<Algorithm>> {
    let mut seen = HashMap::new();
    let found = t.texts("algorithms", NO_TOKEN, |reading, at, text| {
        let algorithm = reading.good(at, algorithm(text))?;
        reading.unique(&mut seen, algorithm, at);
        Some(algorithm)
    })?;
    Some(found.unwrap_or_else(|| vec![Algorithm::RS256]))
}

const NO_TOKEN: &str = "no token could be accepted";

fn algorithm(text: &str) -> Result<Algorithm, String> {
    one_of(&JWT_ALGORITHMS)(text).map_err(|message| {
        let lower = text.to_ascii_lowercase();
        if lower == "none" || lower.starts_with("hs") {
            format!("{message}; symmetric and unsigned tokens are never accepted")
        } else {
            message
        }
    })
}

/// Parses text without spaces and control characters.
pub fn visible(max: usize) -> impl Fn(&str) -> Result<String, String> {
    limited(max, |b| b.is_ascii_graphic(), "visible ASCII characters")
}
