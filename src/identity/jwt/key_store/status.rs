//! What operators are told of an issuer's keys.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::{KeyStore, MAX_AGE, WAIT};
use crate::identity::jwt::jwks::KeySet;
use crate::identity::jwt::verification_key::LeftOutReason;

/// What is known of an issuer's keys.
#[derive(Debug, Clone)]
pub struct KeyStoreStatus {
    /// The issuer.
    pub issuer: String,
    /// The time since the last successful fetch; none before the first.
    pub age: Option<Duration>,
    /// How many of its keys can verify tokens.
    pub usable: usize,
    /// How many were left out, by reason.
    pub left_out: BTreeMap<LeftOutReason, usize>,
}

impl fmt::Display for KeyStoreStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} usable key(s) received", self.usable)?;
        match reasons(&self.left_out, |_| true).as_str() {
            "" => Ok(()),
            reasons => write!(f, "; left out: {reasons}"),
        }
    }
}

impl KeyStore {
    /// A warning for operators if keys are missing or not renewed.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let issuer = &self.shared.source.issuer;
        let failure = self.shared.progress.borrow().failure.clone();
        let cached = self.shared.cached.load();
        let age = cached.as_ref().map(|cached| cached.fetched.elapsed());
        match (age, failure) {
            (Some(age), None) if age > self.shared.refresh * 2 + WAIT * 12 => Some(format!(
                "issuer {issuer}: keys not renewed for {} s",
                age.as_secs()
            )),
            (Some(_), None) => cached
                .as_ref()
                .and_then(|cached| warning_about(&cached.set))
                .map(|warning| format!("issuer {issuer}: {warning}")),
            (Some(age), Some(failure)) if age < MAX_AGE => Some(format!(
                "issuer {issuer}: keys {} s old, renewal fails: {failure}",
                age.as_secs()
            )),
            (_, Some(failure)) => Some(format!(
                "issuer {issuer}: keys not fetched; its tokens are rejected: {failure}"
            )),
            (None, None) => Some(format!("issuer {issuer}: keys not fetched yet")),
        }
    }

    /// What it holds, for an operator.
    #[must_use]
    pub fn status(&self) -> KeyStoreStatus {
        let cached = self.shared.cached.load();
        let cached = cached.as_ref();
        KeyStoreStatus {
            issuer: self.shared.source.issuer.clone(),
            age: cached.map(|cached| cached.fetched.elapsed()),
            usable: cached.map_or(0, |cached| cached.set.count()),
            left_out: cached.map_or_else(Default::default, |c| c.set.left_out().clone()),
        }
    }
}

/// What is wrong with a set that was fetched. Keys for encryption, or of other kinds, are
/// nothing unusual.
fn warning_about(set: &KeySet) -> Option<String> {
    let is_told = |reason: LeftOutReason| set.count() == 0 || !reason.is_expected();
    let reasons = reasons(set.left_out(), is_told);
    match (set.count(), reasons.as_str()) {
        (0, "") => Some("no usable key in its key set; its tokens are rejected".to_owned()),
        (0, _) => Some(format!(
            "no usable key in its key set; its tokens are rejected; left out: {reasons}"
        )),
        (_, "") => None,
        (_, _) => Some(format!(
            "keys left out, so that tokens signed by them are rejected: {reasons}"
        )),
    }
}

fn reasons(
    left_out: &BTreeMap<LeftOutReason, usize>,
    is_told: impl Fn(LeftOutReason) -> bool,
) -> String {
    let told = left_out.iter().filter(|(reason, _)| is_told(**reason));
    let reasons: Vec<String> = told
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    reasons.join("; ")
}
