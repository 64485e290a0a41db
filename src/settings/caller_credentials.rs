//! How callers authenticate: API keys, JWTs, client certificates.
//!
//! A credential must identify one caller at most, so that the order of callers never
//! matters. Keys and certificate names are simply compared; a token identifies a caller by
//! some of its claims, and could match two.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::context::Context;
use super::identity::visible;
use super::reader::{At, KeyKind, Named, Reading, Table};
use crate::domain::{ApiKeyHash, ClaimMatch, IDENTIFYING_CLAIMS, San};

/// SHA-256 of nothing: what a script hashes when its key is an unset variable.
pub(super) const HASH_OF_NOTHING: &str =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// SHA-256 of the API key that `config/sandbox.toml` publishes.
pub(super) const HASH_OF_SAMPLE: &str =
    "37995496953476eee0911a9935b737afa27ed49a8909c63ac96663e34c5dab65";

const NO_CALLER: &str = "no credential could identify this caller";

/// The credentials of all callers so far.
#[derive(Default)]
pub(super) struct CallerCredentials {
    keys: HashMap<ApiKeyHash, String>,
    names: HashMap<San, String>,
    /// Of every caller with a token: the place of its claims.
    tokens: Vec<(At, ClaimMatch)>,
}

impl CallerCredentials {
    pub fn api_keys(
        &mut self,
        t: &mut Table<'_, '_>,
        context: &Context,
    ) -> Option<Option<Vec<ApiKeyHash>>> {
        t.texts("api_key_sha256", NO_CALLER, |reading, at, text| {
            let hash = reading.good(at, api_key_hash(text, context.portal_is_local))?;
            reading.unique(&mut self.keys, hash, at);
            Some(hash)
        })
    }

    pub fn certificate_names(
        &mut self,
        t: &mut Table<'_, '_>,
        context: &Context,
    ) -> Option<Option<Vec<San>>> {
        if t.has("certificate_san") && !context.client_certificates {
            t.problem(
                "certificate_san",
                "needs server.tls.client_ca_file: without it no client presents a certificate",
            );
        }
        t.texts("certificate_san", NO_CALLER, |reading, at, text| {
            let name = reading.good(at, San::parse(text))?;
            reading.unique(&mut self.names, name.clone(), at);
            Some(name)
        })
    }

    pub fn jwt(
        &mut self,
        t: &mut Table<'_, '_>,
        context: &mut Context,
    ) -> Option<Option<ClaimMatch>> {
        t.optional_table("jwt", |t| {
            let issuer = t.required("issuer", |text| Ok::<_, &str>(text.to_owned()));
            if let Some(issuer) = &issuer {
                if !context.issuers.may_include(issuer) {
                    t.problem("issuer", "is not the issuer of any [[identity.jwt]]");
                }
                context.issuers.mark_as_named(issuer);
            }
            let claims = claims(t);
            let jwt = ClaimMatch {
                issuer: issuer?,
                claims: claims?,
            };
            self.tokens.push((t.at("claims"), jwt.clone()));
            Some(jwt)
        })
    }

    /// Refuses callers that would match every token of another, once all are known: within
    /// one issuer, a caller that requires only some of another's claims does.
    ///
    /// Callers are grouped by the names of their claims, of which there are few combinations
    /// however many callers there are. So each caller is looked up once per combination, and
    /// not compared with every other.
    pub fn refuse_shared_tokens(&self, reading: &mut Reading<'_>) {
        let mut groups = HashMap::<_, HashMap<Vec<&str>, &At>>::new();
        for (at, jwt) in &self.tokens {
            let names: Vec<&str> = jwt.claims.keys().map(String::as_str).collect();
            let values = jwt.claims.values().map(String::as_str).collect();
            let group = groups.entry((jwt.issuer.as_str(), names)).or_default();
            match group.get(&values) {
                Some(first) => reading.problem(at, format!("are the same as {}", first.key)),
                None => drop(group.insert(values, at)),
            }
        }
        let mut reported = BTreeSet::new();
        for (at, jwt) in &self.tokens {
            for ((issuer, names), wider) in &groups {
                if *issuer != jwt.issuer || names.len() >= jwt.claims.len() {
                    continue;
                }
                let values = names
                    .iter()
                    .map(|name| jwt.claims.get(*name).map(String::as_str));
                // Once each: the widest of all would drown the others.
                if let Some(other) = values
                    .collect::<Option<Vec<_>>>()
                    .and_then(|v| wider.get(&v))
                    && reported.insert(&other.key)
                {
                    let narrower = &at.key;
                    let message = format!(
                        "every token that matches {narrower} matches these too; a token must \
                         identify one caller: add a claim"
                    );
                    reading.problem(other, message);
                }
            }
        }
    }
}

fn api_key_hash(text: &str, portal_is_local: bool) -> Result<ApiKeyHash, String> {
    let hash = ApiKeyHash::parse(text).map_err(|error| error.to_string())?;
    let is = |known: &str| ApiKeyHash::parse(known) == Ok(hash);
    if is(HASH_OF_NOTHING) {
        return Err("is the hash of an empty key".to_owned());
    }
    if is(HASH_OF_SAMPLE) && !portal_is_local {
        return Err(
            "is the hash of a published sample key, which is accepted only while \
             portal.base_url is on loopback; `offergate keys new` makes another"
                .to_owned(),
        );
    }
    Ok(hash)
}

fn claims(t: &mut Table<'_, '_>) -> Option<BTreeMap<String, String>> {
    let names = t.names("claims", KeyKind::Text);
    let names = t.needed("claims", names)?;
    let identifies = |claim: &Named<'_>| IDENTIFYING_CLAIMS.contains(&claim.name);
    let is_identifying = names.iter().any(identifies);
    if !is_identifying {
        let message = format!(
            "must contain at least one of {}: other claims do not identify a client",
            IDENTIFYING_CLAIMS.join(", ")
        );
        t.problem("claims", message);
    }
    let reading = &mut *t.reading;
    let claims: Vec<Option<(String, String)>> = names
        .into_iter()
        .map(|Named { name, at, value }| {
            let good_name = visible(64)(name)
                .map_err(|_| "a claim's name must be 1 to 64 visible ASCII characters");
            let name = reading.good(&at, good_name);
            let text = reading.text(&at, value?);
            let text = text.and_then(|text| reading.good(&at, claim_value(text)));
            name.zip(text)
        })
        .collect();
    claims
        .into_iter()
        .collect::<Option<_>>()
        .filter(|_| is_identifying)
}

fn claim_value(text: &str) -> Result<String, &'static str> {
    let printable = !text.chars().any(char::is_control);
    if (1..=1024).contains(&text.len()) && printable {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 1024 bytes of text without control characters")
    }
}
