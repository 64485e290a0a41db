//! Federated credentials: which issuer's word about which subject is as good as a secret of
//! the application (Entra's workload identity federation). A test hands over the issuer's
//! keys; Entra would fetch them.

use jiff::Timestamp;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Trouble;
use super::assertion::Assertion;

/// What a workload identity's token is for, unless a registration says otherwise.
const EXCHANGE: &str = "api://AzureADTokenExchange";

/// Whose tokens are accepted, as `PUT /_sandbox/federated` has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Federated {
    issuer: String,
    subject: String,
    #[serde(default = "exchange")]
    audience: String,
    jwks: JwkSet,
    /// Assertions that were good.
    #[serde(skip)]
    used: u64,
}

fn exchange() -> String {
    EXCHANGE.to_owned()
}

impl Federated {
    /// Says why it could never match.
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

    fn to_json(&self) -> Value {
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

    /// Whether one of the issuer's keys made the signature; one of that name, if the header
    /// has a name.
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

/// Refuses a workload's assertion that Entra would refuse. Issuer and subject compare with
/// case, as they do at Entra.
pub(super) fn check(
    all: &mut [Federated],
    assertion: &Assertion<'_>,
    now: Timestamp,
) -> Result<(), Trouble> {
    let (issuer, subject) = (assertion.text("iss"), assertion.text("sub"));
    let audiences = assertion.audiences();
    let audience = audiences.first().copied().unwrap_or_default();
    if all.is_empty() {
        let words = [issuer, subject, audience].map(str::to_owned);
        return Err(Trouble::FederatedNone(words));
    }
    let mut fitting: Vec<&mut Federated> = all.iter_mut().collect();
    fitting.retain(|known| known.issuer == issuer);
    if fitting.is_empty() {
        return Err(Trouble::FederatedIssuer(issuer.to_owned()));
    }
    fitting.retain(|known| known.subject == subject);
    if fitting.is_empty() {
        return Err(Trouble::FederatedSubject(subject.to_owned()));
    }
    fitting.retain(|known| audiences.contains(&known.audience.as_str()));
    if fitting.is_empty() {
        return Err(Trouble::FederatedAudience(audience.to_owned()));
    }
    let signer = fitting.into_iter().find(|known| known.signed(assertion));
    let signer = signer.ok_or_else(|| Trouble::FederatedSignature(issuer.to_owned()))?;
    assertion.check_times(now)?;
    signer.used += 1;
    Ok(())
}

pub(super) fn list(all: &[Federated]) -> Value {
    all.iter().map(Federated::to_json).collect()
}
