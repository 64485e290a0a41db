//! `[[callers]]`: who may call, and what each of them may do.
//!
//! What is left out is not allowed. A rule that could never apply is refused, since its
//! author relies on it.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::caller_credentials::CallerCredentials;
use super::context::Context;
use super::reader::{Table, all};
use crate::domain::{
    Action, ApiKeyHash, CallerLimits, CallerName, ClaimMatch, Glob, PublisherId, RateLimit, Rule,
    San,
};

/// A caller's own limits.
const LIMITS: RangeInclusive<u64> = 1..=100_000;
/// A caller's idempotency keys; there can be a million in all.
const KEYS: RangeInclusive<u64> = 1..=1_000_000;

/// A team or a pipeline that may call the gateway.
#[derive(Debug, Clone)]
pub struct CallerSettings {
    /// The name that operations and log lines carry.
    pub name: CallerName,
    /// The publisher meant by a route that names none; one of the configured publishers.
    pub default_publisher: Option<PublisherId>,
    /// The hashes of its API keys.
    pub api_key_sha256: Vec<ApiKeyHash>,
    /// Which JWTs authenticate it.
    pub jwt: Option<ClaimMatch>,
    /// Subject alternative names; a client certificate with one of them authenticates it.
    pub certificate_san: Vec<San>,
    /// Its own limits.
    pub limits: CallerLimits,
    /// What it may do. Empty: nothing.
    pub allow: Vec<AllowRule>,
}

/// A rule, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowRule {
    /// What it allows.
    pub rule: Rule,
    /// Its file and key, as in `config/base.toml: callers[0].allow[1]`.
    pub place: String,
}

pub fn read(root: &mut Table<'_, '_>, context: &mut Context) -> Option<Vec<CallerSettings>> {
    let mut names = HashMap::new();
    let mut credentials = CallerCredentials::default();
    let callers = root.tables("callers", |t| {
        let name = t.required("name", CallerName::parse);
        if let Some(name) = &name {
            let at = t.at("name");
            t.reading.unique(&mut names, name.clone(), &at);
        }
        let api_key_sha256 = credentials.api_keys(t, context);
        let jwt = credentials.jwt(t, context);
        let certificate_san = credentials.certificate_names(t, context);
        if let (Some(None), Some(None), Some(None)) = (&api_key_sha256, &jwt, &certificate_san) {
            let at = t.at.clone();
            t.reading.problem(
                &at,
                "cannot authenticate: one of api_key_sha256, jwt and certificate_san is required",
            );
        }
        all!(CallerSettings {
            name,
            default_publisher: default_publisher(t, context),
            api_key_sha256: api_key_sha256.map(Option::unwrap_or_default),
            jwt,
            certificate_san: certificate_san.map(Option::unwrap_or_default),
            limits: limits(t),
            allow: allow(t, context),
        })
    });
    if callers.as_ref().is_some_and(Vec::is_empty) {
        root.warn("callers", "there are no callers: every request is refused");
    }
    credentials.refuse_shared_tokens(root.reading);
    callers
}

fn default_publisher(t: &mut Table<'_, '_>, context: &Context) -> Option<Option<PublisherId>> {
    let id = t.optional("default_publisher", PublisherId::parse)?;
    if let (Some(id), Some(all)) = (&id, &context.publishers)
        && !all.contains(id)
    {
        t.problem(
            "default_publisher",
            "is not one of the [[publishers]] (case counts)",
        );
    }
    Some(id)
}

fn limits(t: &mut Table<'_, '_>) -> Option<CallerLimits> {
    let rate = t.optional_table("rate_limit", |t| {
        all!(RateLimit {
            per_second: positive(t, "per_second"),
            burst: positive(t, "burst"),
        })
    });
    all!(CallerLimits {
        rate,
        actions: limit(t, "max_in_flight_actions", LIMITS),
        waits: limit(t, "max_waits", LIMITS),
        idempotency_keys: limit(t, "max_idempotency_keys", KEYS),
    })
}

fn positive(t: &mut Table<'_, '_>, name: &'static str) -> Option<NonZeroU32> {
    NonZeroU32::new(u32::try_from(t.number(name, LIMITS)?).ok()?)
}

fn limit(
    t: &mut Table<'_, '_>,
    name: &'static str,
    range: RangeInclusive<u64>,
) -> Option<Option<usize>> {
    let limit = t.optional_number(name, range)?;
    Some(limit.and_then(|limit| usize::try_from(limit).ok()))
}

fn allow(t: &mut Table<'_, '_>, context: &Context) -> Option<Vec<AllowRule>> {
    let rules = t.tables("allow", |t| {
        let place = format!("{}: {}", t.reading.layer(&t.at), t.at.key);
        let rule = rule(t, context)?;
        Some(AllowRule { rule, place })
    })?;
    if rules.is_empty() {
        t.warn("allow", "there are no rules: this caller may do nothing");
    }
    Some(rules)
}

fn rule(t: &mut Table<'_, '_>, context: &Context) -> Option<Rule> {
    const NEVER: &str = "the rule could never apply";
    let actions = t.texts("actions", NEVER, |reading, at, text| {
        if text == "*" {
            return Some(Action::ALL.to_vec());
        }
        let action = Action::from_str(text).map_err(|words| format!("{words}, or *"));
        let action = reading.good(at, action)?;
        Some(vec![action])
    });
    let publishers = t.texts("publishers", NEVER, |reading, at, text| {
        let pattern = reading.good(at, Glob::parse(text))?;
        let matches = |id: &PublisherId| pattern.matches(id.as_str());
        if context
            .publishers
            .as_ref()
            .is_some_and(|all| !all.iter().any(matches))
        {
            reading.problem(at, "matches none of the [[publishers]] (case counts)");
        }
        Some(pattern)
    });
    let offers = t.texts("offers", NEVER, |reading, at, text| {
        reading.good(at, Glob::parse(text))
    });
    let actions = t.needed("actions", actions);
    let publishers = t.needed("publishers", publishers);
    let offers = t.needed("offers", offers);
    let mut actions: Vec<Action> = actions?.into_iter().flatten().collect();
    actions.sort_unstable();
    actions.dedup();
    Some(Rule {
        actions,
        publishers: publishers?,
        offers: offers?,
    })
}
