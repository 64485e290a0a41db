//! Client assertions: the JWT of a certificate credential (RFC 7523), or the one that a
//! workload identity brings along. Everything that can be judged without the certificate is
//! judged; the signature itself cannot be verified here, because the sandbox knows no keys.

use jiff::Timestamp;
use serde_json::Value;

use super::Trouble;
use crate::sandbox::text::base64url_decode;

const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How far the clocks may be apart, in seconds, as at Entra.
const SKEW: i64 = 300;
/// The longest that an assertion of our own may be good for, in seconds, plus the skew.
const LONGEST: i64 = 600 + SKEW;
/// What a workload identity's token is for.
const EXCHANGE: &str = "api://AzureADTokenExchange";

/// Refuses an assertion that Entra would refuse. `tenants` are the spellings of the tenant
/// that the audience may have.
pub(super) fn check(
    text: &str,
    kind: &str,
    client: &str,
    tenants: [&str; 2],
    now: Timestamp,
) -> Result<(), Trouble> {
    if kind != KIND {
        return Err(Trouble::Parameter("client_assertion_type"));
    }
    let (header, claims) = parse(text).ok_or(Trouble::AssertionMalformed)?;
    let audiences: Vec<&str> = match &claims["aud"] {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let own = claims["iss"] == client || claims["sub"] == client;
    if own {
        check_own(&header, &claims, client)?;
        if !audiences.iter().any(|audience| is_ours(audience, tenants)) {
            return Err(Trouble::AssertionAudience);
        }
    } else if !audiences.contains(&EXCHANGE) {
        return Err(Trouble::AssertionAudience);
    }
    check_time(&claims, own, now)
}

/// What only the assertion of a certificate has to fulfil.
fn check_own(header: &Value, claims: &Value, client: &str) -> Result<(), Trouble> {
    if claims["iss"] != client || claims["sub"] != client {
        return Err(Trouble::AssertionSubject);
    }
    let signed = matches!(header["alg"].as_str(), Some("PS256" | "RS256"));
    let hashed = |name: &str, length| {
        header[name]
            .as_str()
            .and_then(base64url_decode)
            .is_some_and(|hash| hash.len() == length)
    };
    let certificate = hashed("x5t#S256", 32) || hashed("x5t", 20);
    let typed = header["typ"]
        .as_str()
        .is_some_and(|typ| typ.eq_ignore_ascii_case("JWT"));
    if !signed || !certificate || !typed {
        return Err(Trouble::AssertionSignature);
    }
    match claims["jti"].as_str() {
        Some(jti) if !jti.is_empty() => Ok(()),
        _ => Err(Trouble::AssertionMalformed),
    }
}

fn check_time(claims: &Value, own: bool, now: Timestamp) -> Result<(), Trouble> {
    let seconds = now.as_second();
    let expires = claims["exp"].as_i64().ok_or(Trouble::AssertionMalformed)?;
    let begins = claims["nbf"].as_i64().unwrap_or(seconds);
    let too_long = own && expires > seconds + LONGEST;
    if expires + SKEW <= seconds || begins - SKEW > seconds || too_long {
        let end = Timestamp::from_second(expires).unwrap_or(Timestamp::MAX);
        return Err(Trouble::AssertionTime(now.to_string(), end.to_string()));
    }
    Ok(())
}

/// Header and claims of something in the shape of a signed JWT.
fn parse(text: &str) -> Option<(Value, Value)> {
    let mut parts = text.split('.');
    let mut json = || -> Option<Value> {
        let value: Value = serde_json::from_slice(&base64url_decode(parts.next()?)?).ok()?;
        value.is_object().then_some(value)
    };
    let (header, claims) = (json()?, json()?);
    let signature = base64url_decode(parts.next()?)?;
    (!signature.is_empty() && parts.next().is_none()).then_some((header, claims))
}

/// Whether an audience is this tenant's token endpoint, or its issuer, on whatever host.
fn is_ours(audience: &str, tenants: [&str; 2]) -> bool {
    let path = audience
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('/'))
        .map_or("", |(_, path)| path.trim_end_matches('/'));
    let mut segments = path.split('/');
    let tenant = segments.next().unwrap_or_default();
    let rest: Vec<&str> = segments.collect();
    tenants.iter().any(|ours| ours.eq_ignore_ascii_case(tenant))
        && matches!(
            rest[..],
            [] | ["v2.0"] | ["oauth2", "token"] | ["oauth2", "v2.0", "token"]
        )
}
