//! The health of a credential, with warnings before it fails.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::credential::Handle;
use crate::domain::{EXPIRY_WARNING_DAYS, serialize_optional_time};

/// A credential, and the publishers that it serves.
#[derive(Clone)]
pub struct ServedCredential {
    /// Its token.
    pub handle: Handle,
    /// The publishers that it serves, each with its own handle.
    pub publishers: Vec<(String, Handle)>,
}

/// One credential, as `/readyz` shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialHealth {
    name: String,
    kind: &'static str,
    publishers: Vec<String>,
    /// The age of the current token; null without one.
    token_age_ms: Option<u64>,
    /// The time for which the current token may still be used; null without one.
    token_usable_ms: Option<u64>,
    /// When an attempt to acquire a token last succeeded.
    #[serde(serialize_with = "serialize_optional_time")]
    last_success: Option<Timestamp>,
    /// Why the last attempt failed; none if it succeeded.
    #[serde(skip)]
    failure: Option<String>,
    /// The last failure, kept after later successes, and its time; null if there was none.
    last_failure: Option<String>,
    #[serde(serialize_with = "serialize_optional_time")]
    last_failure_at: Option<Timestamp>,
    /// Why a changed secret, certificate or file is not in use yet; null if no change is
    /// pending.
    rotation_failure: Option<String>,
    /// The status with which the vendor refused the token when it was last used for one
    /// of the publishers; null if it was accepted for all.
    vendor_refusal: Option<u16>,
    /// The publishers that it was refused for, each with the status.
    #[serde(skip)]
    refusals: Vec<(String, u16)>,
    /// When the secret or certificate expires; null if unknown.
    #[serde(serialize_with = "serialize_optional_time")]
    ends: Option<Timestamp>,
    /// Whole days until then, negative afterwards.
    ends_in_days: Option<i64>,
}

impl CredentialHealth {
    /// The present state.
    #[must_use]
    pub fn of(credential: &ServedCredential) -> Self {
        let ServedCredential { handle, publishers } = credential;
        let token = handle.current();
        let status = handle.status();
        let refusals: Vec<(String, u16)> = publishers
            .iter()
            .filter_map(|(publisher, handle)| Some((publisher.clone(), handle.refusal()?)))
            .collect();
        Self {
            name: handle.name().to_owned(),
            kind: status.kind,
            publishers: publishers.iter().map(|(name, _)| name.clone()).collect(),
            token_age_ms: token.as_ref().map(|token| millis(token.age())),
            token_usable_ms: token.as_ref().map(|token| millis(token.usable_for())),
            last_success: status.succeeded_at,
            failure: status.failure.map(|failure| failure.to_string()),
            last_failure_at: status.last_failure.as_ref().map(|(at, _)| *at),
            last_failure: status.last_failure.map(|(_, failure)| failure.to_string()),
            rotation_failure: status.rotation_failure.map(|failure| failure.to_string()),
            vendor_refusal: refusals.first().map(|(_, status)| *status),
            refusals,
            ends: status.expires,
            ends_in_days: status.expires.map(days_until),
        }
    }

    /// Whether it has a usable token.
    #[must_use]
    pub fn works(&self) -> bool {
        self.token_usable_ms.is_some()
    }

    /// Whether it serves any publisher.
    #[must_use]
    pub fn is_used(&self) -> bool {
        !self.publishers.is_empty()
    }

    /// The problem with its token, if there is one.
    #[must_use]
    pub fn token_problem(&self) -> Option<String> {
        let Self { name, failure, .. } = self;
        let publishers = self.served();
        match (self.works(), failure) {
            (true, None) => None,
            (true, Some(failure)) => Some(format!(
                "credential {name}: renewal fails; the current token still serves {publishers}: {failure}"
            )),
            (false, Some(failure)) => Some(format!(
                "credential {name}: no token for {publishers}: {failure}"
            )),
            (false, None) => Some(format!("credential {name}: no token yet for {publishers}")),
        }
    }

    /// Problems that do not stop it from serving yet.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let name = &self.name;
        let rotation = self.rotation_failure.as_ref().map(|failure| {
            format!("credential {name}: no token with the changed credential; the old one stays in use: {failure}")
        });
        let refusals = self.refusals.iter().map(move |(publisher, status)| {
            let remedy = vendor_remedy(*status);
            format!("credential {name}: the vendor refuses its token for {publisher} ({status}): {remedy}")
        });
        let ends = self.ends_in_days.filter(|days| *days < EXPIRY_WARNING_DAYS);
        let ends = ends.map(|days| match days {
            ..0 => format!("credential {name}: its secret or certificate has expired; replace it"),
            0 => format!(
                "credential {name}: its secret or certificate expires within a day; replace it"
            ),
            days => format!(
                "credential {name}: its secret or certificate expires in {days} day(s); replace it"
            ),
        });
        rotation.into_iter().chain(refusals).chain(ends)
    }

    fn served(&self) -> String {
        match self.publishers.as_slice() {
            [] => "no publisher".to_owned(),
            some => some.join(", "),
        }
    }
}

/// The remedy for a token that the vendor refuses.
#[must_use]
pub fn vendor_remedy(status: u16) -> &'static str {
    match status {
        401 => "the token has another audience; check resource or scope, and portal.base_url",
        _ => {
            "add the application to the publisher's account (as service principal, with its object id from Enterprise applications)"
        }
    }
}

/// Whole days from now, rounded down.
#[must_use]
pub fn days_until(end: Timestamp) -> i64 {
    (end.as_second() - Timestamp::now().as_second()).div_euclid(24 * 60 * 60)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
