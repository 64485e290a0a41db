//! Why a token is not accepted, in words, and what to do about it.

use jiff::Timestamp;
use serde_json::Value;

use super::text::{listed, quoted, shown};
use crate::domain::TokenRules;
use crate::identity::{Claims, Issuer, TokenError, UnverifiedToken};

/// The reason in words, and as the log has it.
pub fn verdict(reason: TokenError) -> String {
    let words = match reason {
        TokenError::Malformed => "it is no JWT that names its issuer",
        TokenError::Issuer => "its issuer is none of the [[identity.jwt]]",
        TokenError::Algorithm => "its algorithm is none of its issuer's entry",
        TokenError::Critical => "it demands extensions (crit), and the gateway knows none",
        TokenError::Type => "it is not of the type that its issuer's entry asks for",
        TokenError::Key => "there is no such key",
        TokenError::Signature => "its signature is wrong",
        TokenError::Expired => "it has expired",
        TokenError::NotYet => "it is not valid yet",
        TokenError::Audience => "it is for somebody else",
        TokenError::Claims => "exp, iss or aud is missing or malformed",
    };
    format!("the token is refused: {words} ({})", reason.word())
}

/// What is known of the signature of a token that is refused for this. A signature is
/// looked at after the header, and before the claims.
pub fn signature(reason: TokenError) -> &'static str {
    match reason {
        TokenError::Malformed
        | TokenError::Issuer
        | TokenError::Algorithm
        | TokenError::Critical
        | TokenError::Type => "not checked: the token is refused before that",
        TokenError::Key => "not checked: there is no key for it",
        TokenError::Signature => "wrong",
        TokenError::Expired | TokenError::NotYet | TokenError::Audience | TokenError::Claims => {
            "good"
        }
    }
}

/// What to do about a token of which no more is known than that.
pub fn remedy_unread(reason: TokenError) -> &'static str {
    match reason {
        TokenError::Critical => "to do: let its issuer leave out crit",
        _ => "to do: put an access token that is a JWT into the file, and nothing else",
    }
}

/// What to do about a token that was read.
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
            let kid = token.key().0.map_or("none".to_owned(), quoted);
            format!(
                "get a new one; if that does not help, see whether the issuer's key set has a \
                 usable key of its kid: {kid}"
            )
        }
        (TokenError::Signature, _) => {
            "get a new one: it was changed on its way, or somebody else has signed it".to_owned()
        }
        (TokenError::Expired, _) => format!("get a new one: its exp is {}", time(claims, "exp")),
        (TokenError::NotYet, _) => {
            let begin = time(claims, "nbf");
            format!("see whether the clocks of issuer and gateway agree: its nbf is {begin}")
        }
        (TokenError::Claims, _) => "let its issuer put exp, iss and aud into it".to_owned(),
        (_, Some(rules)) => as_configured(reason, rules, token, claims),
        (_, None) => {
            let known = issuers.iter().map(|issuer| shown(&issuer.rules.issuer));
            format!(
                "get a token of an issuer that is known, or add this one; every character counts, \
                 a slash at the end too. Known: {}",
                some(&listed(known))
            )
        }
    };
    format!("to do: {what}")
}

/// What to do about a token that is not as its issuer's entry says.
fn as_configured(
    reason: TokenError,
    rules: &TokenRules,
    token: &UnverifiedToken<'_>,
    claims: &Claims,
) -> String {
    match reason {
        TokenError::Algorithm => format!(
            "if its issuer really signs with {:?}, add that to the entry's algorithms: {}",
            token.key().1,
            listed(rules.algorithms.iter().map(|name| format!("{name:?}")))
        ),
        TokenError::Type => format!(
            "send an access token, no ID token; its typ must be {}",
            rules.typ.as_deref().map_or("any".to_owned(), quoted)
        ),
        TokenError::Audience => format!(
            "get a token for {}; the aud of this one is {}",
            listed(rules.audiences.iter().map(|audience| quoted(audience))),
            some(&texts(claims.get("aud")))
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

fn some(list: &str) -> &str {
    match list {
        "" => "none",
        list => list,
    }
}

/// A NumericDate for people (RFC 7519 section 2).
fn time(claims: &Claims, name: &str) -> String {
    let value = claims.get(name);
    let seconds = value.and_then(Value::as_i64);
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    match (time, value) {
        (Some(time), _) => time.to_string(),
        (None, Some(Value::Number(number))) => number.to_string(),
        (None, _) => "no time".to_owned(),
    }
}
