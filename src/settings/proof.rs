//! How a caller proves who it is: API keys, tokens, certificates.
//!
//! A credential must mean one caller at most, so that who asks is never a matter
//! of order. For keys and certificates that is plain; a token matches a caller by
//! some of its claims, and may match two.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::check::Upstream;
use super::checker::Checker;
use super::field::{Field, Table};
use super::identity::{Issuers, visible};
use super::list::{each, unique};
use super::problem::KeyPath;
use super::{JwtMatch, raw};
use crate::domain::{ApiKeyHash, IDENTIFYING_CLAIMS, San};

/// SHA-256 of nothing: what a script hashes when its key is an unset variable.
pub(super) const HASH_OF_NOTHING: &str =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// SHA-256 of the API key that `config/sandbox.toml` shows to everyone.
pub(super) const HASH_OF_SAMPLE: &str =
    "37995496953476eee0911a9935b737afa27ed49a8909c63ac96663e34c5dab65";

/// What callers are held against.
pub(super) struct Proofs<'a> {
    upstream: &'a Upstream,
    issuers: &'a mut Issuers,
    /// Clients can present a certificate, or it cannot be told whether they can.
    client_certificates: bool,
    keys: HashMap<ApiKeyHash, KeyPath>,
    names: HashMap<San, KeyPath>,
    /// Of every caller with a token, the place of its claims.
    tokens: Vec<(KeyPath, JwtMatch)>,
}

/// How one caller proves who it is; at least one of the three is there.
pub(super) struct Proof {
    pub(super) api_key_sha256: Vec<ApiKeyHash>,
    pub(super) jwt: Option<JwtMatch>,
    pub(super) certificate_san: Vec<San>,
}

impl<'a> Proofs<'a> {
    pub(super) fn new(
        upstream: &'a Upstream,
        issuers: &'a mut Issuers,
        client_certificates: bool,
    ) -> Self {
        Self {
            upstream,
            issuers,
            client_certificates,
            keys: HashMap::new(),
            names: HashMap::new(),
            tokens: Vec::new(),
        }
    }

    /// The proofs of the caller at `at`.
    pub(super) fn of(
        &mut self,
        c: &mut Checker<'_>,
        at: &KeyPath,
        hashes: raw::List<Field<String>>,
        jwt: raw::Section<raw::JwtMatch>,
        names: raw::List<Field<String>>,
    ) -> Option<Proof> {
        let hashes = self.api_keys(c, &at.key("api_key_sha256"), hashes);
        let jwt = self.jwt(c, &at.key("jwt"), jwt);
        let names = self.certificate_names(c, &at.key("certificate_san"), names);
        let (hashes, jwt, names) = (hashes?, jwt?, names?);
        if hashes.is_none() && jwt.is_none() && names.is_none() {
            c.problem(
                at,
                "nobody could be this caller: one of api_key_sha256, jwt and certificate_san is \
                 required",
            );
            return None;
        }
        Some(Proof {
            api_key_sha256: hashes.unwrap_or_default(),
            jwt,
            certificate_san: names.unwrap_or_default(),
        })
    }

    fn api_keys(
        &mut self,
        c: &mut Checker<'_>,
        key: &KeyPath,
        field: raw::List<Field<String>>,
    ) -> Option<Option<Vec<ApiKeyHash>>> {
        let (upstream, seen) = (self.upstream, &mut self.keys);
        some(c, key, field, |c, key, text| {
            let hash = c.parse(key, text, |text| api_key_hash(text, upstream))?;
            unique(c, seen, hash, key);
            Some(hash)
        })
    }

    fn certificate_names(
        &mut self,
        c: &mut Checker<'_>,
        key: &KeyPath,
        field: raw::List<Field<String>>,
    ) -> Option<Option<Vec<San>>> {
        if !self.client_certificates && matches!(field, Field::Set(_)) {
            c.problem(
                key,
                "needs server.tls.client_ca_file: nobody could present a certificate",
            );
        }
        let seen = &mut self.names;
        some(c, key, field, |c, key, text| {
            let name = c.parse(key, text, San::parse)?;
            unique(c, seen, name.clone(), key);
            Some(name)
        })
    }

    fn jwt(
        &mut self,
        c: &mut Checker<'_>,
        at: &KeyPath,
        raw: raw::Section<raw::JwtMatch>,
    ) -> Option<Option<JwtMatch>> {
        let Some(Table(raw)) = c.optional(at, raw)? else {
            return Some(None);
        };
        let issuer_key = at.key("issuer");
        let issuer = c.required(&issuer_key, raw.issuer);
        if let Some(issuer) = &issuer
            && !self.issuers.name(issuer)
        {
            c.problem(&issuer_key, "is the issuer of none of the [[identity.jwt]]");
        }
        let claims_key = at.key("claims");
        let claims = claims(c, &claims_key, raw.claims);
        let (issuer, claims) = (issuer?, claims?);
        let jwt = JwtMatch { issuer, claims };
        self.tokens.push((claims_key, jwt.clone()));
        Some(Some(jwt))
    }

    /// Refuses callers of which one gets every token of another, once all are known.
    pub(super) fn refuse_shared_tokens(&self, c: &mut Checker<'_>) {
        let mut by_issuer: HashMap<&str, Vec<(&KeyPath, &JwtMatch)>> = HashMap::new();
        for (key, jwt) in &self.tokens {
            by_issuer.entry(&jwt.issuer).or_default().push((key, jwt));
        }
        for callers in by_issuer.values() {
            shared_tokens(c, callers);
        }
    }
}

/// A list that is not empty if it is there.
fn some<T>(
    c: &mut Checker<'_>,
    key: &KeyPath,
    field: raw::List<Field<String>>,
    mut look: impl FnMut(&mut Checker<'_>, &KeyPath, &str) -> Option<T>,
) -> Option<Option<Vec<T>>> {
    let Some(list) = c.optional(key, field)? else {
        return Some(None);
    };
    if list.is_empty() {
        c.problem(key, "must not be empty: nobody could be this caller");
        return None;
    }
    each(list, key, |key, field| {
        let text = c.required(key, field)?;
        look(c, key, &text)
    })
    .map(Some)
}

fn api_key_hash(text: &str, upstream: &Upstream) -> Result<ApiKeyHash, String> {
    let hash = ApiKeyHash::parse(text).map_err(|error| error.to_string())?;
    let is = |known: &str| ApiKeyHash::parse(known) == Ok(hash);
    if is(HASH_OF_NOTHING) {
        return Err("is the hash of an empty key".to_owned());
    }
    if is(HASH_OF_SAMPLE) && !upstream.loopback {
        return Err(
            "is the hash of a published sample key; it is good for a portal on loopback only"
                .to_owned(),
        );
    }
    Ok(hash)
}

fn claims(
    c: &mut Checker<'_>,
    at: &KeyPath,
    raw: raw::Named<Field<String>>,
) -> Option<BTreeMap<String, String>> {
    let table = c.required(at, raw)?;
    if !table
        .keys()
        .any(|name| IDENTIFYING_CLAIMS.contains(&name.as_str()))
    {
        c.problem(
            at,
            format!(
                "must name at least one of {}: the others do not say who somebody is",
                IDENTIFYING_CLAIMS.join(", ")
            ),
        );
    }
    let mut claims = Some(BTreeMap::new());
    for (name, value) in table {
        let key = at.key(&name);
        // Both are looked at: a bad name must not hide a bad value.
        let good_name = visible(&name, 64).is_ok();
        if !good_name {
            c.problem(
                &key,
                "a claim's name must be 1 to 64 visible ASCII characters",
            );
        }
        let value = c.parsed(&key, value, claim_value);
        claims = claims.zip(value).map(|(mut claims, value)| {
            claims.insert(name, value);
            claims
        });
        claims = claims.filter(|_| good_name);
    }
    claims.filter(|claims| {
        claims
            .keys()
            .any(|name| IDENTIFYING_CLAIMS.contains(&name.as_str()))
    })
}

fn claim_value(text: &str) -> Result<String, &'static str> {
    let printable = !text.chars().any(char::is_control);
    if (1..=1024).contains(&text.len()) && printable {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 1024 bytes of text without control characters")
    }
}

/// Within one issuer: whoever asks for some of another's claims, and for no more,
/// gets each of its tokens as well.
///
/// Callers are grouped by the names of their claims, of which there are a few kinds
/// however many callers there are. So each caller is looked up once per kind, and
/// not held against every other.
fn shared_tokens(c: &mut Checker<'_>, callers: &[(&KeyPath, &JwtMatch)]) {
    let mut kinds: HashMap<Vec<&str>, HashMap<Vec<&str>, &KeyPath>> = HashMap::new();
    for (key, jwt) in callers {
        let names = jwt.claims.keys().map(String::as_str).collect();
        let values = jwt.claims.values().map(String::as_str).collect();
        let same_names = kinds.entry(names).or_default();
        match same_names.get(&values) {
            Some(first) => c.problem(key, format!("are the same as {first}")),
            None => {
                same_names.insert(values, key);
            }
        }
    }
    let mut told = BTreeSet::new();
    for (key, jwt) in callers {
        for (names, wider) in &kinds {
            let narrower = names.len() < jwt.claims.len();
            let values = || names.iter().map(|name| jwt.claims.get(*name));
            let values: Option<Vec<&str>> = narrower
                .then(|| values().map(|value| value.map(String::as_str)).collect())
                .flatten();
            let Some(other) = values.and_then(|values| wider.get(&values)) else {
                continue;
            };
            // Once each: the widest of all would drown the rest.
            if told.insert(*other) {
                c.problem(
                    other,
                    format!("every token of {key} matches these too; it must be one caller's"),
                );
            }
        }
    }
}
