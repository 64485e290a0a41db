//! A token's claims (RFC 7519 section 4): read strictly, then compared with the time and
//! the rules of its issuer.

use std::fmt;

use jsonwebtoken::get_current_timestamp;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::token_error::TokenError;
use crate::domain::TokenRules;

/// How far clocks may differ, in seconds.
const LEEWAY_SECONDS: f64 = 30.0;

/// Claims by name.
pub type Claims = Map<String, Value>;

/// Claims without duplicates: another reader could pick another one of two.
pub(super) struct UniqueClaims(pub(super) Claims);

impl<'de> Deserialize<'de> for UniqueClaims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ClaimsVisitor)
    }
}

struct ClaimsVisitor;

impl<'de> Visitor<'de> for ClaimsVisitor {
    type Value = UniqueClaims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueClaims, A::Error> {
        let mut claims = Claims::new();
        while let Some((name, value)) = map.next_entry()? {
            if claims.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate claim"));
            }
        }
        Ok(UniqueClaims(claims))
    }
}

/// Checks the claims against the time and the rules. The issuer is checked before.
///
/// # Errors
/// [`TokenError`]
pub(super) fn check(claims: &Claims, rules: &TokenRules) -> Result<(), TokenError> {
    check_at(claims, rules, get_current_timestamp() as f64)
}

fn check_at(claims: &Claims, rules: &TokenRules, now: f64) -> Result<(), TokenError> {
    let second = |name| claims.get(name).map(numeric_date).transpose();
    let (expiry, begin) = (second("exp")?, second("nbf")?);
    let expiry = expiry.ok_or(TokenError::Claims)?;
    let is_ours = audience(claims.get("aud"), &rules.audiences)?;
    if expiry < now - LEEWAY_SECONDS {
        return Err(TokenError::Expired);
    }
    if begin.is_some_and(|begin| begin > now + LEEWAY_SECONDS) {
        return Err(TokenError::NotYet);
    }
    if !is_ours {
        return Err(TokenError::Audience);
    }
    Ok(())
}

/// Seconds since 1970, perhaps with a fraction (RFC 7519 section 2).
fn numeric_date(value: &Value) -> Result<f64, TokenError> {
    value
        .as_f64()
        .filter(|seconds| (0.0..u64::MAX as f64).contains(seconds))
        .ok_or(TokenError::Claims)
}

/// Whether `aud`, a text or a list of texts, names one of the expected audiences.
fn audience(aud: Option<&Value>, ours: &[String]) -> Result<bool, TokenError> {
    let named = match aud {
        Some(Value::Array(several)) => several.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => return Err(TokenError::Claims),
    };
    let is_ours = |name: &Value| {
        let name = name.as_str().ok_or(TokenError::Claims)?;
        Ok(ours.iter().any(|known| known == name))
    };
    // Every element is checked: a list with a value that is not a string is malformed.
    named
        .iter()
        .try_fold(false, |found, name| Ok(is_ours(name)? | found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn checked(changes: Value) -> Result<(), TokenError> {
        let rules = TokenRules {
            issuer: "https://issuer.example".into(),
            audiences: vec!["us".into(), "also-us".into()],
            algorithms: vec![],
            typ: None,
        };
        let mut claims = json!({"aud": "us", "exp": 1000, "nbf": 900});
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let mut claims = claims.as_object().unwrap().clone();
        claims.retain(|_, value| *value != json!("absent"));
        check_at(&claims, &rules, 950.0)
    }

    #[test]
    fn time_and_audience_must_fit() {
        use TokenError::{Audience, Claims, Expired, NotYet};
        let table = [
            (json!({}), Ok(())),
            (json!({"exp": 920}), Ok(())),
            (json!({"exp": 920.5}), Ok(())),
            (json!({"exp": 919}), Err(Expired)),
            (json!({"exp": 0}), Err(Expired)),
            (json!({"exp": -1}), Err(Claims)),
            (json!({"exp": 1e300}), Err(Claims)),
            (json!({"exp": "1000"}), Err(Claims)),
            (json!({"exp": null}), Err(Claims)),
            (json!({"exp": "absent"}), Err(Claims)),
            (json!({"nbf": "absent"}), Ok(())),
            (json!({"nbf": 980}), Ok(())),
            (json!({"nbf": 981}), Err(NotYet)),
            (json!({"nbf": null}), Err(Claims)),
            (json!({"nbf": "900"}), Err(Claims)),
            (json!({"aud": "also-us"}), Ok(())),
            (json!({"aud": ["them", "us"]}), Ok(())),
            (json!({"aud": ["us", 7]}), Err(Claims)),
            (json!({"aud": "US"}), Err(Audience)),
            (json!({"aud": ["them"]}), Err(Audience)),
            (json!({"aud": []}), Err(Audience)),
            (json!({"aud": {"us": "us"}}), Err(Claims)),
            (json!({"aud": null}), Err(Claims)),
            (json!({"aud": "absent"}), Err(Claims)),
        ];
        for (changes, expected) in table {
            assert_eq!(checked(changes.clone()), expected, "{changes}");
        }
    }

    #[test]
    fn duplicate_claims_are_refused() {
        let read = |text: &str| serde_json::from_str::<UniqueClaims>(text).is_ok();
        assert!(read(r#"{"exp":1,"nbf":1,"a":{"b":1}}"#));
        for text in [r#"{"exp":1,"exp":2}"#, r#"{"a":1,"\u0061":1}"#, "[]", "7"] {
            assert!(!read(text), "{text}");
        }
    }
}
