//! The answer of a token endpoint: a grant (RFC 6749 section 5.1) or an error (5.2).

use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::error::TokenFetchError;
use super::token::Grant;
use crate::domain::{TokenHistory, parse_json_leniently};
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

/// Either of the two. Each member is read by itself: one that is odd, or unknown, costs
/// nothing else.
#[derive(Default)]
struct TokenDocument(Map<String, Value>);

impl TokenDocument {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// A number, which version 1 writes as a string.
    fn seconds(&self, name: &str) -> Option<f64> {
        let seconds = match self.0.get(name)? {
            Value::Number(number) => number.as_f64()?,
            Value::String(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        seconds.is_finite().then_some(seconds)
    }

    /// The token, which leaves the document.
    fn take_token(&mut self) -> Option<Zeroizing<String>> {
        match self.0.remove("access_token")? {
            Value::String(token) if !token.is_empty() => Some(Zeroizing::new(token)),
            _ => None,
        }
    }
}

/// Reads an answer.
///
/// # Errors
/// [`TokenFetchError`] unless it grants a usable token.
pub(super) fn read(response: &Response, history: &TokenHistory) -> Result<Grant, TokenFetchError> {
    let status = response.status().as_u16();
    read_parts(status, response.headers(), &response.body, history)
}

/// The token in an answer, as a header's value.
///
/// # Errors
/// [`TokenFetchError`] unless the answer grants a usable one.
#[cfg(any(test, feature = "fuzzing"))]
pub fn read_token_answer(
    status: u16,
    headers: &HeaderMap,
    body: &Body,
) -> Result<HeaderValue, TokenFetchError> {
    let history = std::sync::Arc::new(crate::domain::Redactor::default()).token_history("fuzzing");
    read_parts(status, headers, body, &history).map(|grant| grant.authorization)
}

fn read_parts(
    status: u16,
    headers: &HeaderMap,
    body: &Body,
    history: &TokenHistory,
) -> Result<Grant, TokenFetchError> {
    let document: Option<TokenDocument> = match body {
        Body::Whole(bytes) | Body::Unverified(bytes) => {
            parse_json_leniently(bytes).ok().map(TokenDocument)
        }
        Body::Cut | Body::Unreadable => None,
    };
    match status {
        200 => {
            let unreadable = "the body is cut, too long or not a JSON object";
            let document = document.ok_or(TokenFetchError::InvalidResponse(unreadable))?;
            let now = date(headers).unwrap_or_else(Timestamp::now);
            grant(document, now, history)
        }
        429 | 503 => Err(TokenFetchError::Throttled {
            status,
            retry_after: retry_after(headers, Timestamp::now()),
        }),
        _ => {
            let document = document.unwrap_or_default();
            Err(TokenFetchError::Refused {
                status,
                aadsts: aadsts(&document),
                error: document.text("error").and_then(error_code),
            })
        }
    }
}

fn grant(
    mut document: TokenDocument,
    now: Timestamp,
    history: &TokenHistory,
) -> Result<Grant, TokenFetchError> {
    let token = document
        .take_token()
        .ok_or(TokenFetchError::InvalidResponse("it has no access_token"))?;
    let kind = document.text("token_type").map(str::trim);
    if kind.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(TokenFetchError::InvalidResponse("token_type is not Bearer"));
    }
    bearer(&token, lifetime(&document, now)?, history)
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
fn lifetime(document: &TokenDocument, now: Timestamp) -> Result<Duration, TokenFetchError> {
    let until = |at: f64| at - now.as_duration().as_secs_f64();
    let left = document.seconds("expires_in");
    match left.or_else(|| document.seconds("expires_on").map(until)) {
        Some(left) => {
            let left = left.clamp(0.0, LONGEST_LIFETIME.as_secs_f64());
            Ok(Duration::from_secs_f64(left))
        }
        // A lifetime that cannot be read is not replaced by a guess.
        None if document
            .text("expires_in")
            .is_some_and(|text| !text.trim().is_empty()) =>
        {
            Err(TokenFetchError::InvalidResponse(
                "expires_in is not a number of seconds",
            ))
        }
        None => Ok(UNSTATED_LIFETIME),
    }
}

/// Entra's error number. The rest of its text is not shown: it could repeat a part of
/// the request.
fn aadsts(document: &TokenDocument) -> Option<u32> {
    let listed = match document.0.get("error_codes") {
        Some(Value::Array(codes)) => codes.iter().find_map(number),
        Some(code) => number(code),
        None => None,
    };
    // Managed identities give it in the text only.
    listed.or_else(|| {
        let (_, rest) = document.text("error_description")?.split_once("AADSTS")?;
        let end = rest.find(|c: char| !c.is_ascii_digit());
        rest.get(..end.unwrap_or(rest.len()))?.parse().ok()
    })
}

fn number(value: &Value) -> Option<u32> {
    match value {
        Value::String(text) => text.trim().trim_start_matches("AADSTS").parse().ok(),
        value => u32::try_from(value.as_u64()?).ok(),
    }
}

fn error_code(code: &str) -> Option<&'static str> {
    ERROR_CODES.into_iter().find(|known| *known == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(json: &str) -> Result<Duration, TokenFetchError> {
        let document = TokenDocument(parse_json_leniently(json.as_bytes()).unwrap());
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
        assert_eq!(
            granted(r#"{"access_token":"t","expires_in":-5}"#),
            Ok(Duration::ZERO)
        );
        assert!(granted(r#"{"access_token":"t","expires_in":"soon"}"#).is_err());
        assert_eq!(
            granted(r#"{"access_token":"t","expires_in":1e300}"#),
            Ok(Duration::from_secs(86_400))
        );
    }

    #[test]
    fn an_odd_member_costs_nothing_else() {
        for odd in [
            "null",
            "{}",
            "[]",
            "[7]",
            "true",
            r#""soon""#,
            "7.5",
            "1e999",
            r#""\ud83d""#,
        ] {
            for name in [
                "ext_expires_in",
                "not_before",
                "resource",
                "scope",
                "refresh_token",
                "error",
                "error_codes",
                "error_description",
                "unknown",
            ] {
                let json = format!(r#"{{"access_token":"t","expires_in":60,"{name}":{odd}}}"#);
                assert_eq!(granted(&json), Ok(Duration::from_secs(60)), "{json}");
            }
        }
        for (odd, is_stated) in [
            ("null", false),
            ("{}", false),
            ("[3599]", false),
            ("true", false),
            (r#"" ""#, false),
            (r#""soon""#, true),
            (r#""inf""#, true),
        ] {
            let json = format!(r#"{{"access_token":"t","expires_on":{odd}}}"#);
            assert_eq!(granted(&json), Ok(UNSTATED_LIFETIME), "{json}");
            let json = format!(r#"{{"access_token":"t","expires_in":{odd}}}"#);
            assert_eq!(granted(&json).is_err(), is_stated, "{json}");
            let json = format!(r#"{{"access_token":"t","expires_in":{odd},"expires_on":9e12}}"#);
            assert_eq!(granted(&json), Ok(LONGEST_LIFETIME), "{json}");
        }
        for kind in ["null", "7", "{}", r#""BEARER""#, r#""bearer ""#] {
            let json = format!(r#"{{"access_token":"t","token_type":{kind}}}"#);
            assert_eq!(granted(&json), Ok(UNSTATED_LIFETIME), "{json}");
        }
    }

    #[test]
    fn a_200_without_a_usable_token_is_an_error() {
        for json in [
            "{}",
            r#"{"access_token":""}"#,
            r#"{"access_token":null}"#,
            r#"{"access_token":["t"]}"#,
            r#"{"error":"invalid_client"}"#,
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
            (
                r#"{"error_codes":null,"error_description":"AADSTS7000215: x"}"#,
                Some(7_000_215),
            ),
            (r#"{"error_codes":["7000215"]}"#, Some(7_000_215)),
            (r#"{"error_codes":[null,7000215]}"#, Some(7_000_215)),
            (r#"{"error_codes":7000215}"#, Some(7_000_215)),
            (r#"{"error_codes":"AADSTS7000215"}"#, Some(7_000_215)),
            (r#"{"error_codes":[-1],"error":7}"#, None),
            (
                r#"{"x":-1e999,"error_description":"AADSTS7000215: \ud83d"}"#,
                Some(7_000_215),
            ),
            ("{}", None),
        ] {
            let document = TokenDocument(parse_json_leniently(json.as_bytes()).unwrap());
            assert_eq!(aadsts(&document), code, "{json}");
        }
    }

    #[test]
    fn a_grant_does_not_print_its_token() {
        let document =
            parse_json_leniently(br#"{"access_token":"hunter2hunter2hunter2"}"#).unwrap();
        let grant = grant(
            TokenDocument(document),
            Timestamp::now(),
            &TokenHistory::default(),
        )
        .ok()
        .unwrap();
        assert_eq!(format!("{:?}", grant.authorization), "Sensitive");
    }
}
