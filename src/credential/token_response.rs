//! The answer of a token endpoint: a grant (RFC 6749 section 5.1) or an error (5.2).

use std::time::Duration;

use actix_web::http::header::HeaderValue;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::error::TokenFetchError;
use super::token::Grant;
use crate::domain::TokenHistory;
use crate::transport::{Body, Response, date, retry_after};

/// The longest token that is accepted, in bytes; Entra's are below 4 KiB.
const MAX_TOKEN: usize = 16 * 1024;
/// The lifetime of a token without `expires_in`, which RFC 6749 only recommends.
const UNSTATED_LIFETIME: Duration = Duration::from_secs(600);
/// The longest lifetime that is believed; Entra grants at most a day.
const LONGEST_LIFETIME: Duration = Duration::from_secs(86_400);
/// The error codes that are shown (RFC 6749 section 5.2, and those of managed
/// identities). Any other text could repeat a part of the request.
const ERROR_CODES: [&str; 16] = [
    "access_denied",
    "identity_not_found",
    "interaction_required",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_resource",
    "invalid_scope",
    "server_error",
    "temporarily_unavailable",
    "unauthorized",
    "unauthorized_client",
    "unknown_source",
    "unsupported_grant_type",
    "unsupported_response_type",
    "too_many_requests",
];

/// Either of the two. Version 1 writes numbers as strings.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenDocument {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<Seconds>,
    expires_on: Option<Seconds>,
    error: Option<String>,
    error_codes: Vec<u32>,
    /// Managed identities give Entra's number in here only.
    error_description: Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

impl Seconds {
    fn value(&self) -> Option<f64> {
        let seconds = match self {
            Self::Number(number) => *number,
            Self::Text(text) => text.trim().parse().ok()?,
        };
        (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
    }
}

/// Reads an answer.
///
/// # Errors
/// [`TokenFetchError`] unless it grants a usable token.
pub(super) fn read(response: &Response, history: &TokenHistory) -> Result<Grant, TokenFetchError> {
    let status = response.status().as_u16();
    let document: Option<TokenDocument> = match &response.body {
        Body::Whole(bytes) | Body::Unverified(bytes) => serde_json::from_slice(bytes).ok(),
        Body::Cut | Body::Unreadable => None,
    };
    match status {
        200 => {
            let unreadable = "the body is cut, too long or not a JSON object";
            let document = document.ok_or(TokenFetchError::InvalidResponse(unreadable))?;
            let now = date(response.headers()).unwrap_or_else(Timestamp::now);
            grant(document, now, history)
        }
        429 | 503 => Err(TokenFetchError::Throttled {
            status,
            retry_after: retry_after(response.headers(), Timestamp::now()),
        }),
        _ => {
            let document = document.unwrap_or_default();
            Err(TokenFetchError::Refused {
                status,
                aadsts: aadsts(&document),
                error: document.error.as_deref().and_then(error_code),
            })
        }
    }
}

fn grant(
    document: TokenDocument,
    now: Timestamp,
    history: &TokenHistory,
) -> Result<Grant, TokenFetchError> {
    let token = document
        .access_token
        .map(Zeroizing::new)
        .filter(|token| !token.is_empty())
        .ok_or(TokenFetchError::InvalidResponse("it has no access_token"))?;
    let is_bearer = |kind: &String| kind.eq_ignore_ascii_case("bearer");
    if !document.token_type.as_ref().is_none_or(is_bearer) {
        return Err(TokenFetchError::InvalidResponse("token_type is not Bearer"));
    }
    bearer(
        &token,
        lifetime(document.expires_in, document.expires_on, now)?,
        history,
    )
}

/// A token as a header value that no `Debug` prints.
///
/// # Errors
/// [`TokenFetchError::InvalidResponse`] if it cannot be one.
pub(super) fn bearer(
    token: &str,
    lifetime: Duration,
    history: &TokenHistory,
) -> Result<Grant, TokenFetchError> {
    const NO_VALUE: TokenFetchError = TokenFetchError::InvalidResponse(
        "access_token is too long or has characters that a header cannot carry",
    );
    history.remember(token);
    if token.len() > MAX_TOKEN || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(NO_VALUE);
    }
    let value = Zeroizing::new(format!("Bearer {token}"));
    let mut authorization = HeaderValue::from_str(&value).map_err(|_| NO_VALUE)?;
    authorization.set_sensitive(true);
    Ok(Grant {
        authorization,
        lifetime: lifetime.min(LONGEST_LIFETIME),
    })
}

/// `expires_in` depends on no clock and is preferred. `expires_on` is compared with the
/// endpoint's clock, `now`.
fn lifetime(
    expires_in: Option<Seconds>,
    expires_on: Option<Seconds>,
    now: Timestamp,
) -> Result<Duration, TokenFetchError> {
    if expires_in.is_none() && expires_on.is_none() {
        return Ok(UNSTATED_LIFETIME);
    }
    let until = |at: f64| (at - now.as_duration().as_secs_f64()).max(0.0);
    let left = expires_in.and_then(|seconds| seconds.value());
    let left = left.or_else(|| expires_on.and_then(|seconds| seconds.value()).map(until));
    left.and_then(|left| Duration::try_from_secs_f64(left.min(LONGEST_LIFETIME.as_secs_f64())).ok())
        .ok_or(TokenFetchError::InvalidResponse(
            "expires_in or expires_on is not a number of seconds",
        ))
}

/// Entra's error number. The rest of its text is not shown: it could repeat a part of
/// the request.
fn aadsts(document: &TokenDocument) -> Option<u32> {
    if let Some(code) = document.error_codes.first() {
        return Some(*code);
    }
    let (_, rest) = document.error_description.as_str()?.split_once("AADSTS")?;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    rest.get(..end.unwrap_or(rest.len()))?.parse().ok()
}

fn error_code(code: &str) -> Option<&'static str> {
    ERROR_CODES.into_iter().find(|known| *known == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(json: &str) -> Result<Duration, TokenFetchError> {
        let document = serde_json::from_str(json).unwrap();
        grant(document, Timestamp::now(), &TokenHistory::default()).map(|grant| grant.lifetime)
    }

    #[test]
    fn both_versions_are_understood() {
        let hour = Ok(Duration::from_secs(3599));
        let v1 = r#"{"token_type":"Bearer","expires_in":"3599","ext_expires_in":"3599","expires_on":"1700000000","not_before":"1","resource":"r","access_token":"t"}"#;
        let v2 =
            r#"{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"t"}"#;
        assert_eq!(granted(v1), hour);
        assert_eq!(granted(v2), hour);
    }

    #[test]
    fn a_lifetime_may_be_missing_but_not_nonsense() {
        assert_eq!(granted(r#"{"access_token":"t"}"#), Ok(UNSTATED_LIFETIME));
        assert_eq!(
            granted(r#"{"access_token":"t","expires_in":0}"#),
            Ok(Duration::ZERO)
        );
        assert_eq!(
            granted(r#"{"access_token":"t","expires_on":"1"}"#),
            Ok(Duration::ZERO)
        );
        assert!(granted(r#"{"access_token":"t","expires_in":"soon"}"#).is_err());
        assert!(granted(r#"{"access_token":"t","expires_in":-5}"#).is_err());
        assert_eq!(
            granted(r#"{"access_token":"t","expires_in":1e300}"#),
            Ok(Duration::from_secs(86_400))
        );
    }

    #[test]
    fn a_200_without_a_usable_token_is_an_error() {
        for json in [
            "{}",
            r#"{"access_token":""}"#,
            r#"{"access_token":"a b"}"#,
            "{\"access_token\":\"a\\r\\nX: y\"}",
            r#"{"access_token":"t","token_type":"mac"}"#,
        ] {
            assert!(
                matches!(granted(json), Err(TokenFetchError::InvalidResponse(_))),
                "{json}"
            );
        }
    }

    #[test]
    fn entras_number_is_found_where_it_is() {
        for (json, code) in [
            (
                r#"{"error_codes":[7000215,1],"error_description":"AADSTS2: x"}"#,
                Some(7_000_215),
            ),
            (
                r#"{"error_description":"x AADSTS500011: The resource"}"#,
                Some(500_011),
            ),
            (r#"{"error_description":"AADSTS90002"}"#, Some(90_002)),
            (r#"{"error_description":"AADSTS: é"}"#, None),
            (r#"{"error_description":"AADSTS99999999999"}"#, None),
            (r#"{"error_description":{"AADSTS90002":1}}"#, None),
            ("{}", None),
        ] {
            assert_eq!(aadsts(&serde_json::from_str(json).unwrap()), code, "{json}");
        }
    }

    #[test]
    fn a_grant_does_not_print_its_token() {
        let document = serde_json::from_str(r#"{"access_token":"hunter2hunter2hunter2"}"#).unwrap();
        let grant = grant(document, Timestamp::now(), &TokenHistory::default())
            .ok()
            .unwrap();
        assert_eq!(format!("{:?}", grant.authorization), "Sensitive");
    }
}
