//! How a credential fares, and what to do about it before it hurts.

use jiff::Timestamp;
use serde::Serialize;

use super::{CredentialVitals, millis};

/// A secret or certificate that ends within this many days is a warning: time enough
/// to get another one.
const WARN_DAYS: i64 = 30;

/// One credential, as `/readyz` shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialHealth {
    name: String,
    kind: &'static str,
    publishers: Vec<String>,
    /// How long ago the current token was granted; null without one.
    token_age_ms: Option<u64>,
    /// For how long the current token may still be used; null without one.
    token_usable_ms: Option<u64>,
    /// When the last attempt to get a token went well.
    last_success: Option<Timestamp>,
    /// Why the present attempts to get a token fail.
    #[serde(skip)]
    failure: Option<String>,
    /// Why an attempt to get a token last failed, also if others have gone well since,
    /// and when that was; null if none did.
    last_failure: Option<String>,
    last_failure_at: Option<Timestamp>,
    /// Why a changed secret, certificate or file is not in use yet; null if there is
    /// no such.
    rotation_failure: Option<String>,
    /// The status with which the vendor refused the token the last time that it was
    /// used for one of the publishers; null if it did for none of them.
    vendor_refusal: Option<u16>,
    /// For which publishers, and with which status.
    #[serde(skip)]
    refusals: Vec<(String, u16)>,
    /// When the secret or certificate ends; null if it does not, or it is not known.
    ends: Option<Timestamp>,
    /// Whole days until then, negative afterwards.
    ends_in_days: Option<i64>,
}

impl CredentialHealth {
    /// As it is now.
    #[must_use]
    pub fn of(vitals: &CredentialVitals) -> Self {
        let CredentialVitals { handle, publishers } = vitals;
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

    /// Whether there is a token to work with.
    #[must_use]
    pub fn works(&self) -> bool {
        self.token_usable_ms.is_some()
    }

    /// Whether any publisher is served with it.
    #[must_use]
    pub fn is_used(&self) -> bool {
        !self.publishers.is_empty()
    }

    /// What is wrong with its token.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let Self { name, failure, .. } = self;
        let publishers = self.served();
        match (self.works(), failure) {
            (true, None) => None,
            (true, Some(failure)) => Some(format!(
                "credential {name}: renewing fails, the present token still serves {publishers}: {failure}"
            )),
            (false, Some(failure)) => Some(format!(
                "credential {name}: no token for {publishers}: {failure}"
            )),
            (false, None) => Some(format!("credential {name}: no token yet for {publishers}")),
        }
    }

    /// What keeps nobody from being served, as yet.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let name = &self.name;
        let rotation = self.rotation_failure.as_ref().map(|failure| {
            format!("credential {name}: it has changed, but the old one stays in use: {failure}")
        });
        let refusals = self.refusals.iter().map(move |(publisher, status)| {
            let remedy = vendor_remedy(*status);
            format!("credential {name}: the vendor refuses its token for {publisher} ({status}): {remedy}")
        });
        let ends = self.ends_in_days.filter(|days| *days < WARN_DAYS);
        let ends = ends.map(|days| match days {
            ..0 => format!("credential {name}: its secret or certificate has ended; replace it"),
            0 => format!(
                "credential {name}: its secret or certificate ends within a day; replace it"
            ),
            days => format!(
                "credential {name}: its secret or certificate ends in {days} day(s); replace it"
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

/// What to do when the vendor refuses a token that was granted.
#[must_use]
pub fn vendor_remedy(status: u16) -> &'static str {
    match status {
        401 => {
            "the token is not meant for the vendor; check resource or scope, and portal.base_url"
        }
        _ => {
            "add the application to the publisher's account (as service principal, with its object id from Enterprise applications)"
        }
    }
}

/// Whole days from now on, rounded down.
#[must_use]
pub fn days_until(end: Timestamp) -> i64 {
    (end.as_second() - Timestamp::now().as_second()).div_euclid(24 * 60 * 60)
}
