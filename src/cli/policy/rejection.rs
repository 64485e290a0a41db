//! Why a token is rejected, as text, and how to fix it.

use jiff::Timestamp;
use serde_json::Value;

use super::text::{listed, quoted, shown};
use crate::domain::TokenRules;
use crate::identity::{Claims, Issuer, TokenError, UnverifiedToken};

/// The reason as a sentence, with the code that the log uses.
pub fn verdict(reason: TokenError) -> String {
    let text = match reason {
        TokenError::Malformed => "it is not a JWT with an iss claim",
        TokenError::Issuer => "its issuer is not configured in [[identity.jwt]]",
        TokenError::Algorithm => "its issuer's [[identity.jwt]] does not list its algorithm",
        TokenError::Critical => "it requires extensions (crit); the gateway supports none",
        TokenError::Type => "its typ is not the one that its issuer's [[identity.jwt]] requires",
        TokenError::Key => "the issuer's key set has no usable key for it",
        TokenError::Signature => "its signature is invalid",
        TokenError::Expired => "it has expired",
        TokenError::NotYet => "it is not valid yet",
        TokenError::Audience => "its issuer's [[identity.jwt]] does not list its audience",
        TokenError::Claims => "exp, iss or aud is missing or malformed",
    };
    format!("token rejected: {text} ({})", reason.code())
}

/// The state of a rejected token's signature, which is checked after the header and before
/// the claims.
pub fn signature(reason: TokenError) -> &'static str {
    match reason {
        TokenError::Malformed
        | TokenError::Issuer
        | TokenError::Algorithm
        | TokenError::Critical
        | TokenError::Type => "not checked: the token was rejected before that",
        TokenError::Key => "not checked: key not found",
        TokenError::Signature => "wrong",
        TokenError::Expired | TokenError::NotYet | TokenError::Audience | TokenError::Claims => {
            "good"
        }
    }
}

/// How to fix a token that could not be parsed.
pub fn remedy_unread(reason: TokenError) -> &'static str {
    match reason {
        TokenError::Critical => "to do: configure the issuer to omit crit",
        _ => "to do: put only an access token in JWT format into the file",
    }
}

/// How to fix a token that was parsed.
pub fn remedy(
    reason: TokenError,
    token: &UnverifiedToken<'_>,
    claims: &Claims,
    issuers: &[Issuer],
) -> String {
    let mut all = issuers.iter().map(|issuer| &issuer.rules);
    let rules = all.find(|rules| rules.issuer == token.issuer());
    let what = match (reason, rules) {
        (TokenError::Key, _) => {
            let kid = token.key_hint().kid.map_or("none".to_owned(), quoted);
            format!(
                "get a new token; if that does not help, check that the issuer's key set has a \
                 usable key with the token's kid: {kid}"
            )
        }
        (TokenError::Signature, _) => {
            "get a new token: this one was altered, or another key has signed it".to_owned()
        }
        (TokenError::Expired, _) => {
            format!(
                "get a new token; exp of this one is {}",
                time(claims, "exp")
            )
        }
        (TokenError::NotYet, _) => {
            let begin = time(claims, "nbf");
            format!("compare the clocks of issuer and gateway; nbf of the token is {begin}")
        }
        (TokenError::Claims, _) => "configure the issuer to include exp, iss and aud".to_owned(),
        (_, Some(rules)) => remedy_by_rules(reason, rules, token, claims),
        (_, None) => {
            let known = issuers.iter().map(|issuer| shown(&issuer.rules.issuer));
            format!(
                "get a token from a configured issuer, or add this issuer; the text must be equal, \
                 including a slash at the end. Configured: {}",
                or_none(&listed(known))
            )
        }
    };
    format!("to do: {what}")
}

/// How to fix a token that violates its issuer's configuration.
fn remedy_by_rules(
    reason: TokenError,
    rules: &TokenRules,
    token: &UnverifiedToken<'_>,
    claims: &Claims,
) -> String {
    match reason {
        TokenError::Algorithm => format!(
            "if the issuer signs with {:?}, add it to the issuer's algorithms: {}",
            token.key_hint().algorithm,
            listed(rules.algorithms.iter().map(|name| format!("{name:?}")))
        ),
        TokenError::Type => format!(
            "send an access token, not an ID token; its typ must be {}",
            rules.typ.as_deref().map_or("any".to_owned(), quoted)
        ),
        TokenError::Audience => format!(
            "get a token for {}; aud of this one is {}",
            listed(rules.audiences.iter().map(|audience| quoted(audience))),
            or_none(&texts(claims.get("aud")))
        ),
        _ => "get another token".to_owned(),
    }
}

/// A text, or a list of texts.
fn texts(claim: Option<&Value>) -> String {
    match claim {
        Some(Value::Array(list)) => listed(list.iter().filter_map(Value::as_str).map(quoted)),
        Some(Value::String(text)) => quoted(text),
        _ => String::new(),
    }
}

fn or_none(list: &str) -> &str {
    match list {
        "" => "none",
        list => list,
    }
}

/// A NumericDate (RFC 7519 section 2) as a readable time.
fn time(claims: &Claims, name: &str) -> String {
    let value = claims.get(name);
    let seconds = value.and_then(Value::as_i64);
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    match (time, value) {
        (Some(time), _) => time.to_string(),
        (None, Some(Value::Number(number))) => number.to_string(),
        (None, _) => "not a time".to_owned(),
    }
}
