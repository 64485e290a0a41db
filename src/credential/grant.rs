//! What a token endpoint answers: a grant (RFC 6749, 5.1) or a refusal (5.2).

use std::time::Duration;

use actix_web::http::header::{self, HeaderValue};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Failure, Grant};
use crate::domain::Ring;
use crate::transport::{Body, Incoming};

/// The longest token that is taken, in bytes; Entra's are below 4 KiB.
const MAX_TOKEN: usize = 16 * 1024;
/// Assumed when the endpoint does not say how long a token lives (RFC 6749, 5.1,
/// makes `expires_in` only recommended): long enough to use, short enough to be safe.
const UNSTATED_LIFETIME: Duration = Duration::from_secs(600);
/// Entra grants at most a day; more is a mistake, and not believed.
const LONGEST_LIFETIME: Duration = Duration::from_secs(86_400);
/// The error words that are repeated (RFC 6749, 5.2, and those of managed identities).
/// Any other text could be a piece of what was sent.
const ERROR_WORDS: [&str; 16] = [
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

/// Either of the two. v1 writes numbers as strings.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<Number>,
    expires_on: Option<Number>,
    error: Option<String>,
    error_codes: Vec<u32>,
    /// Managed identities give Entra's number in here only.
    error_description: Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Plain(f64),
    Quoted(String),
}

impl Number {
    fn seconds(&self) -> Option<f64> {
        let seconds = match self {
            Self::Plain(number) => *number,
            Self::Quoted(text) => text.trim().parse().ok()?,
        };
        (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
    }
}

/// Reads an answer.
///
/// # Errors
/// [`Failure`] unless it grants a usable token.
pub(super) fn read(incoming: &Incoming, ring: &Ring) -> Result<Grant, Failure> {
    let status = incoming.status().as_u16();
    let document: Option<Document> = match &incoming.body {
        Body::Whole(bytes) | Body::Unproven(bytes) => serde_json::from_slice(bytes).ok(),
        Body::Cut | Body::Unreadable => None,
    };
    match status {
        200 => grant(
            document.ok_or(Failure::Garbage(
                "its body is cut, too long or no JSON object",
            ))?,
            date(incoming).unwrap_or_else(Timestamp::now),
            ring,
        ),
        429 | 503 => Err(Failure::Throttled {
            status,
            retry_after: retry_after(incoming),
        }),
        _ => {
            let document = document.unwrap_or_default();
            Err(Failure::Refused {
                status,
                aadsts: aadsts(&document),
                error: document.error.as_deref().and_then(error_word),
            })
        }
    }
}

fn grant(document: Document, now: Timestamp, ring: &Ring) -> Result<Grant, Failure> {
    let token = document
        .access_token
        .map(Zeroizing::new)
        .filter(|token| !token.is_empty())
        .ok_or(Failure::Garbage("it holds no access_token"))?;
    let is_bearer = |kind: &String| kind.eq_ignore_ascii_case("bearer");
    if !document.token_type.as_ref().is_none_or(is_bearer) {
        return Err(Failure::Garbage("its token_type is not Bearer"));
    }
    bearer(
        &token,
        lifetime(document.expires_in, document.expires_on, now)?,
        ring,
    )
}

/// A token as a header's value, which no `Debug` prints.
///
/// # Errors
/// [`Failure::Garbage`] if it cannot be one.
pub(super) fn bearer(token: &str, lifetime: Duration, ring: &Ring) -> Result<Grant, Failure> {
    const NO_VALUE: Failure = Failure::Garbage("its access_token cannot be a header's value");
    ring.remember(token);
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

/// `expires_in` goes by nobody's clock and is preferred; `expires_on` goes by the
/// endpoint's, which says what time it is.
fn lifetime(
    expires_in: Option<Number>,
    expires_on: Option<Number>,
    now: Timestamp,
) -> Result<Duration, Failure> {
    if expires_in.is_none() && expires_on.is_none() {
        return Ok(UNSTATED_LIFETIME);
    }
    let until = |at: f64| (at - now.as_duration().as_secs_f64()).max(0.0);
    let left = expires_in.and_then(|number| number.seconds());
    let left = left.or_else(|| expires_on.and_then(|number| number.seconds()).map(until));
    left.and_then(|left| Duration::try_from_secs_f64(left.min(LONGEST_LIFETIME.as_secs_f64())).ok())
        .ok_or(Failure::Garbage(
            "its expires_in or expires_on is no number of seconds",
        ))
}

/// What time it is by the endpoint's clock, if it says so.
pub(super) fn date(incoming: &Incoming) -> Option<Timestamp> {
    let text = incoming.headers().get(header::DATE)?.to_str().ok()?;
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

fn retry_after(incoming: &Incoming) -> Option<Duration> {
    let text = |name| incoming.headers().get(name)?.to_str().ok().map(str::trim);
    wait(text(header::RETRY_AFTER)?, text(header::DATE))
}

/// `Retry-After` is seconds or a date (RFC 9110, 10.2.3). The endpoint's clock counts:
/// ours may be off.
fn wait(asked: &str, now: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = asked.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = |text: &str| rfc2822::DateTimeParser::new().parse_timestamp(text).ok();
    let now = now.and_then(date).unwrap_or_else(Timestamp::now);
    let wait = date(asked)?.duration_since(now);
    Some(Duration::try_from(wait).unwrap_or_default())
}

/// Entra's number. Nothing else of its text is repeated: it could be a piece of what was
/// sent.
fn aadsts(document: &Document) -> Option<u32> {
    if let Some(code) = document.error_codes.first() {
        return Some(*code);
    }
    let (_, rest) = document.error_description.as_str()?.split_once("AADSTS")?;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    rest.get(..end.unwrap_or(rest.len()))?.parse().ok()
}

fn error_word(word: &str) -> Option<&'static str> {
    ERROR_WORDS.into_iter().find(|known| *known == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(json: &str) -> Result<Duration, Failure> {
        let document = serde_json::from_str(json).unwrap();
        grant(document, Timestamp::now(), &Ring::default()).map(|grant| grant.lifetime)
    }

    #[test]
    fn both_endpoints_are_understood() {
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
    fn a_200_that_grants_nothing_is_a_failure() {
        for json in [
            "{}",
            r#"{"access_token":""}"#,
            r#"{"access_token":"a b"}"#,
            "{\"access_token\":\"a\\r\\nX: y\"}",
            r#"{"access_token":"t","token_type":"mac"}"#,
        ] {
            assert!(matches!(granted(json), Err(Failure::Garbage(_))), "{json}");
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
    fn to_stay_away_is_asked_for_in_two_ways() {
        let (now, then) = (
            "Mon, 23 Nov 2026 15:29:00 GMT",
            "Mon, 23 Nov 2026 15:30:10 GMT",
        );
        for (asked, seconds) in [
            ("7", Some(7)),
            (then, Some(70)),
            (now, Some(0)),
            ("soon", None),
        ] {
            assert_eq!(
                wait(asked, Some(now)),
                seconds.map(Duration::from_secs),
                "{asked}"
            );
        }
        assert_eq!(wait(now, Some(then)), Some(Duration::ZERO));
    }

    #[test]
    fn a_grant_does_not_print_its_token() {
        let document = serde_json::from_str(r#"{"access_token":"hunter2hunter2hunter2"}"#).unwrap();
        let grant = grant(document, Timestamp::now(), &Ring::default())
            .ok()
            .unwrap();
        assert_eq!(format!("{:?}", grant.authorization), "Sensitive");
    }
}
