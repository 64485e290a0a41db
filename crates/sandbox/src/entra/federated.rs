//! Federated credentials: assertions of a registered issuer about a registered subject
//! authenticate the application (Entra's workload identity federation). A test hands over the
//! issuer's keys; Entra would fetch them.

use jiff::Timestamp;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use serde_json::{Value, json};

use super::EntraError;
use super::assertion::Assertion;

/// The default of `audience`.
const DEFAULT_AUDIENCE: &str = "api://AzureADTokenExchange";

/// A registration, the body of `PUT /_sandbox/v1/federated`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Federated {
    issuer: String,
    subject: String,
    #[serde(default = "default_audience")]
    audience: String,
    jwks: JwkSet,
    /// Valid assertions so far.
    #[serde(skip)]
    used: u64,
}

fn default_audience() -> String {
    DEFAULT_AUDIENCE.to_owned()
}

impl Federated {
    /// Refuses a registration that could never match.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let asymmetric = |key: &Jwk| !matches!(key.algorithm, AlgorithmParameters::OctetKey(_));
        if self.issuer.is_empty() || self.subject.is_empty() {
            return Err("issuer and subject must not be empty");
        }
        if self.jwks.keys.is_empty() || !self.jwks.keys.iter().all(asymmetric) {
            return Err("jwks must have keys, and none of them may be symmetric");
        }
        Ok(())
    }

    pub(crate) fn to_json(&self) -> Value {
        let keys = self.jwks.keys.iter();
        let ids: Vec<Option<&String>> = keys.map(|key| key.common.key_id.as_ref()).collect();
        json!({
            "issuer": self.issuer,
            "subject": self.subject,
            "audience": self.audience,
            "kids": ids,
            "used": self.used,
        })
    }

    /// Whether one of the issuer's keys made the signature: the one with the header's `kid`, if
    /// there is one.
    fn signed(&self, assertion: &Assertion<'_>) -> bool {
        let alg = assertion.header["alg"].as_str().unwrap_or_default();
        let Ok(algorithm) = alg.parse::<Algorithm>() else {
            return false;
        };
        if algorithm.family() == AlgorithmFamily::Hmac {
            return false;
        }
        let kid = assertion.header["kid"].as_str();
        let named = |key: &&Jwk| kid.is_none_or(|kid| key.common.key_id.as_deref() == Some(kid));
        self.jwks.keys.iter().filter(named).any(|key| {
            DecodingKey::from_jwk(key).is_ok_and(|key| assertion.is_signed_by(&key, algorithm))
        })
    }
}

/// Verifies a workload's assertion as Entra does. Issuer and subject are compared with case.
pub(super) fn check(
    all: &mut [Federated],
    assertion: &Assertion<'_>,
    now: Timestamp,
) -> Result<(), EntraError> {
    let (issuer, subject) = (assertion.text("iss"), assertion.text("sub"));
    let audiences = assertion.audiences();
    let audience = audiences.first().copied().unwrap_or_default();
    if all.is_empty() {
        return Err(EntraError::FederatedNone);
    }
    let mut fitting: Vec<&mut Federated> = all.iter_mut().collect();
    fitting.retain(|known| known.issuer == issuer);
    if fitting.is_empty() {
        return Err(EntraError::FederatedIssuer(issuer.to_owned()));
    }
    fitting.retain(|known| known.subject == subject);
    if fitting.is_empty() {
        return Err(EntraError::FederatedSubject(subject.to_owned()));
    }
    fitting.retain(|known| audiences.contains(&known.audience.as_str()));
    if fitting.is_empty() {
        return Err(EntraError::FederatedAudience(audience.to_owned()));
    }
    let signer = fitting.into_iter().find(|known| known.signed(assertion));
    let signer = signer.ok_or_else(|| EntraError::FederatedSignature(issuer.to_owned()))?;
    assertion.check_times(now)?;
    signer.used += 1;
    Ok(())
}
