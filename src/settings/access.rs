//! Publishers, callers and rules: who may do what to whose offers.
//!
//! Whatever is left out is not allowed, and whatever could never apply is
//! refused: a rule that matches nothing is a rule that somebody relies on.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use super::checker::Checker;
use super::field::{Field, Table};
use super::list::{each, unique};
use super::problem::KeyPath;
use super::proof::Proofs;
use super::{Allow, Caller, Publisher, RateLimit, raw};
use crate::domain::{Action, CallerName, Glob, PublisherId, Rule};

/// Of a caller's own limits.
const LIMITS: RangeInclusive<u64> = 1..=100_000;

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
    mut proofs: Proofs<'_>,
) -> Option<Vec<Caller>> {
    let at = KeyPath::of("callers");
    let list = c.optional(&at, raw)?.unwrap_or_default();
    if list.is_empty() {
        c.warning(&at, "there are none: nobody may do anything");
    }
    let mut names = HashMap::new();
    let callers = each(list, &at, |at, raw| {
        let raw = c.section(at, raw)?;
        let name_key = at.key("name");
        let name = c.parsed(&name_key, raw.name, CallerName::parse);
        if let Some(name) = &name {
            unique(c, &mut names, name.clone(), &name_key);
        }
        let default_key = at.key("default_publisher");
        let default_publisher =
            default_publisher(c, &default_key, raw.default_publisher, publishers);
        let proof = proofs.of(c, at, raw.api_key_sha256, raw.jwt, raw.certificate_san);
        let rate_limit = rate_limit(c, &at.key("rate_limit"), raw.rate_limit);
        let mut limit = |key, field| match field {
            Field::Absent => Some(None),
            field => c.count(&at.key(key), field, LIMITS).map(Some),
        };
        let max_in_flight_actions = limit("max_in_flight_actions", raw.max_in_flight_actions);
        let max_waits = limit("max_waits", raw.max_waits);
        let allow = allow(c, &at.key("allow"), raw.allow, publishers);
        let proof = proof?;
        Some(Caller {
            name: name?,
            default_publisher: default_publisher?,
            api_key_sha256: proof.api_key_sha256,
            jwt: proof.jwt,
            certificate_san: proof.certificate_san,
            rate_limit: rate_limit?,
            max_in_flight_actions: max_in_flight_actions?,
            max_waits: max_waits?,
            allow: allow?,
        })
    });
    proofs.refuse_shared_tokens(c);
    callers
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

fn rate_limit(
    c: &mut Checker<'_>,
    at: &KeyPath,
    raw: raw::Section<raw::RateLimit>,
) -> Option<Option<RateLimit>> {
    let Some(Table(raw)) = c.optional(at, raw)? else {
        return Some(None);
    };
    let mut number = |key, field| {
        let number = c.number(&at.key(key), field, LIMITS)?;
        NonZeroU32::new(u32::try_from(number).ok()?)
    };
    let per_second = number("per_second", raw.per_second);
    let burst = number("burst", raw.burst);
    Some(Some(RateLimit {
        per_second: per_second?,
        burst: burst?,
    }))
}

fn allow(
    c: &mut Checker<'_>,
    key: &KeyPath,
    field: raw::List<raw::Section<raw::Rule>>,
    publishers: Option<&[PublisherId]>,
) -> Option<Vec<Allow>> {
    let rules = c.optional(key, field)?.unwrap_or_default();
    if rules.is_empty() {
        c.warning(key, "there are no rules: this caller may do nothing");
    }
    each(rules, key, |at, raw| {
        let rule = rule(c, at, raw, publishers)?;
        let place = format!("{}: {at}", c.place(at));
        Some(Allow { rule, place })
    })
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
