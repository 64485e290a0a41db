//! Publishers, callers and rules: who may do what to whose offers.
//!
//! Whatever is left out is not allowed, and whatever could never apply is
//! refused: a rule that matches nothing is a rule that somebody relies on.

use std::collections::{BTreeSet, HashMap};

use super::check::Upstream;
use super::checker::Checker;
use super::field::Field;
use super::list::{each, unique};
use super::problem::KeyPath;
use super::{Allow, Caller, Publisher, raw};
use crate::domain::{Action, ApiKeyHash, CallerName, Glob, PublisherId, Rule};

/// SHA-256 of nothing: what a script hashes when its key is an unset variable.
pub(super) const HASH_OF_NOTHING: &str =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// SHA-256 of the API key that `config/sandbox.toml` shows to everyone.
pub(super) const HASH_OF_SAMPLE: &str =
    "37995496953476eee0911a9935b737afa27ed49a8909c63ac96663e34c5dab65";

/// The ids, if all of them are good, and the publishers, if nothing else is wrong
/// with them either.
pub(super) fn publishers(
    c: &mut Checker<'_>,
    raw: raw::List<raw::Section<raw::Publisher>>,
    credentials: &BTreeSet<String>,
) -> (Option<Vec<PublisherId>>, Option<Vec<Publisher>>) {
    let at = KeyPath::of("publishers");
    let Some(list) = c.optional(&at, raw) else {
        return (None, None);
    };
    let list = list.unwrap_or_default();
    if list.is_empty() {
        c.problem(&at, "at least one publisher is required");
        return (None, None);
    }
    let mut used = BTreeSet::new();
    let mut seen = HashMap::new();
    let mut publisher = |at: &KeyPath, raw: raw::Section<raw::Publisher>| {
        let Some(raw) = c.section(at, raw) else {
            return (None, None);
        };
        let id = c.parsed(&at.key("id"), raw.id, PublisherId::parse);
        if let Some(id) = &id {
            // The vendor does not mind the case, so these would be one account.
            let id = id.as_str().to_ascii_lowercase();
            unique(c, &mut seen, id, &at.key("id"));
        }
        let key = at.key("credential");
        let credential = c.required(&key, raw.credential);
        if let Some(name) = &credential {
            if credentials.contains(name) {
                used.insert(name.clone());
            } else {
                c.problem(&key, "names nothing under [credentials]");
            }
        }
        let publisher = id.clone().zip(credential);
        (
            id,
            publisher.map(|(id, credential)| Publisher { id, credential }),
        )
    };
    let looked = list.into_iter().enumerate();
    let (ids, publishers): (Vec<_>, Vec<_>) = looked
        .map(|(index, raw)| publisher(&at.index(index), raw))
        .unzip();
    for name in credentials.difference(&used) {
        let key = KeyPath::of("credentials").key(name);
        c.warning(&key, "is not used by any publisher");
    }
    (ids.into_iter().collect(), publishers.into_iter().collect())
}

/// The callers, if all of them are good. `publishers` is none if those are not.
pub(super) fn callers(
    c: &mut Checker<'_>,
    raw: raw::List<raw::Section<raw::Caller>>,
    publishers: Option<&[PublisherId]>,
    upstream: &Upstream,
) -> Option<Vec<Caller>> {
    let at = KeyPath::of("callers");
    let list = c.optional(&at, raw)?.unwrap_or_default();
    if list.is_empty() {
        c.warning(&at, "there are none: nobody may do anything");
    }
    let mut names = HashMap::new();
    let mut keys = HashMap::new();
    each(list, &at, |at, raw| {
        let raw = c.section(at, raw)?;
        let name_key = at.key("name");
        let name = c.parsed(&name_key, raw.name, CallerName::parse);
        if let Some(name) = &name {
            unique(c, &mut names, name.clone(), &name_key);
        }
        let default_key = at.key("default_publisher");
        let default_publisher =
            default_publisher(c, &default_key, raw.default_publisher, publishers);
        let hashes_key = at.key("api_key_sha256");
        let api_key_sha256 = api_keys(c, &hashes_key, raw.api_key_sha256, &mut keys, upstream);
        let allow_key = at.key("allow");
        let allow = c.optional(&allow_key, raw.allow).and_then(|rules| {
            let rules = rules.unwrap_or_default();
            if rules.is_empty() {
                c.warning(&allow_key, "there are no rules: this caller may do nothing");
            }
            each(rules, &allow_key, |at, raw| {
                let rule = rule(c, at, raw, publishers)?;
                let place = format!("{}: {at}", c.place(at));
                Some(Allow { rule, place })
            })
        });
        Some(Caller {
            name: name?,
            default_publisher: default_publisher?,
            api_key_sha256: api_key_sha256?,
            jwt: None,
            certificate_san: Vec::new(),
            rate_limit: None,
            max_in_flight_actions: None,
            allow: allow?,
        })
    })
}

fn default_publisher(
    c: &mut Checker<'_>,
    key: &KeyPath,
    field: Field<String>,
    publishers: Option<&[PublisherId]>,
) -> Option<Option<PublisherId>> {
    let Some(text) = c.optional(key, field)? else {
        return Some(None);
    };
    let id = c.parse(key, &text, PublisherId::parse)?;
    if publishers.is_some_and(|all| !all.contains(&id)) {
        c.problem(key, "is none of the [[publishers]] (case counts)");
    }
    Some(Some(id))
}

/// `seen` holds the keys of the callers before: a key is one caller's only.
fn api_keys(
    c: &mut Checker<'_>,
    key: &KeyPath,
    field: raw::List<Field<String>>,
    seen: &mut HashMap<ApiKeyHash, KeyPath>,
    upstream: &Upstream,
) -> Option<Vec<ApiKeyHash>> {
    let hashes = c.required(key, field)?;
    if hashes.is_empty() {
        c.problem(key, "must not be empty: nobody could be this caller");
    }
    each(hashes, key, |key, field| {
        let hash = c.parsed(key, field, |text| api_key_hash(text, upstream))?;
        unique(c, seen, hash, key);
        Some(hash)
    })
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

fn rule(
    c: &mut Checker<'_>,
    at: &KeyPath,
    raw: raw::Section<raw::Rule>,
    publishers: Option<&[PublisherId]>,
) -> Option<Rule> {
    let raw = c.section(at, raw)?;
    let actions = several(c, &at.key("actions"), raw.actions, |_, _, text| {
        if text == "*" {
            return Ok(Action::ALL.to_vec());
        }
        match text.parse() {
            Ok(action) => Ok(vec![action]),
            Err(_) => Err("must be one of read, cancel, publish, go-live, write, or *"),
        }
    });
    let patterns = several(c, &at.key("publishers"), raw.publishers, |c, key, text| {
        let pattern = Glob::parse(text)?;
        let matches = |id: &PublisherId| pattern.matches(id.as_str());
        if publishers.is_some_and(|all| !all.iter().any(matches)) {
            c.problem(key, "matches none of the [[publishers]] (case counts)");
        }
        Ok::<_, crate::domain::InvalidGlob>(pattern)
    });
    let offers = several(c, &at.key("offers"), raw.offers, |_, _, text| {
        Glob::parse(text)
    });
    let mut actions: Vec<Action> = actions?.into_iter().flatten().collect();
    actions.sort_unstable();
    actions.dedup();
    Some(Rule {
        actions,
        publishers: patterns?,
        offers: offers?,
    })
}

/// A required list of texts that is not empty.
fn several<T, E: std::fmt::Display>(
    c: &mut Checker<'_>,
    key: &KeyPath,
    field: raw::List<Field<String>>,
    mut parse: impl FnMut(&mut Checker<'_>, &KeyPath, &str) -> Result<T, E>,
) -> Option<Vec<T>> {
    let list = c.required(key, field)?;
    if list.is_empty() {
        c.problem(key, "must not be empty: the rule could never apply");
    }
    each(list, key, |key, field| {
        let text = c.required(key, field)?;
        match parse(c, key, &text) {
            Ok(value) => Some(value),
            Err(error) => {
                c.problem(key, error.to_string());
                None
            }
        }
    })
}
