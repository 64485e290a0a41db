//! The caller that the request's credential belongs to.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{AUTHORIZATION, CONNECTION, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};

use super::access_log;
use crate::domain::{Caller, CallerName, ProblemCode};
use crate::http::access_log::AccessLog;
use crate::http::connection::peer_certificate;
use crate::http::{Access, AppState, Problem};
use crate::identity::{AuthenticatedCaller, AuthenticationError, Presented};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// When to repeat a request whose token's keys were not available.
const KEYS_RETRY: Duration = Duration::from_secs(5);

/// An authenticated caller, and the version of the configuration that it was found in.
pub struct Authenticated {
    /// The caller.
    pub caller: Arc<Caller>,
    /// Decides everything else about this request, too.
    pub access: Arc<Access>,
}

/// Authenticates the caller, and counts the request against its rate.
///
/// # Errors
/// 401 `unauthenticated`, which tells no credential, several and one that is not accepted
/// apart, but not why that one is not; 403 for a valid credential of no caller; 429; 503 while
/// a token cannot be verified.
pub async fn authenticate(
    request: &HttpRequest,
    state: &AppState,
    log: &AccessLog,
) -> Result<Authenticated, Problem> {
    let access = state.access.load_full();
    let known = verify(request, &access, log).await?;
    let _first = log.credential.set(known.credential_label);
    let _first = log.caller.set(known.caller.name.clone());
    count(request, &access, &known.caller)?;
    Ok(Authenticated {
        caller: known.caller,
        access,
    })
}

/// Authenticates the caller of a long-lasting request once more, under the present
/// configuration. Does not count against its rate.
///
/// # Errors
/// As for [`authenticate`]; 403 also if the credential belongs to another caller now.
pub async fn reauthenticate(
    request: &HttpRequest,
    state: &AppState,
    name: &CallerName,
) -> Result<(), Problem> {
    let log = access_log(request)?;
    let access = state.access.load_full();
    let known = verify(request, &access, &log).await?;
    if known.caller.name == *name {
        return Ok(());
    }
    log.refused.set(Some("names-another-caller-now"));
    let detail = "The credential belongs to a different caller than when the request began.";
    Err(Problem::new(ProblemCode::CallerNotAllowed, detail))
}

async fn verify(
    request: &HttpRequest,
    access: &Access,
    log: &AccessLog,
) -> Result<AuthenticatedCaller, Problem> {
    let known = match extract_credential(request) {
        Ok(credential) => access.identity.authenticate(credential).await,
        Err(reason) => Err(AuthenticationError::Rejected(reason)),
    };
    known.map_err(|error| problem(error, request, access, log))
}

/// A header that `Connection` names is for the next hop only (RFC 9110 section 7.6.1): a
/// proxy in front of the gateway may have dropped it, or should have.
fn is_for_one_hop_only(headers: &HeaderMap) -> bool {
    let mut options = headers
        .get_all(CONNECTION)
        .flat_map(|value| value.as_bytes().split(|b| *b == b','));
    options.any(|option| {
        let option = option.trim_ascii();
        [&API_KEY, &AUTHORIZATION]
            .iter()
            .any(|name| option.eq_ignore_ascii_case(name.as_str().as_bytes()))
    })
}

const NO_CREDENTIAL: &str = "no-credential";
const SEVERAL_CREDENTIALS: &str = "several-credentials";

/// The only credential of the request. Several are refused, even valid ones: the gateway
/// must not choose between them.
fn extract_credential(request: &HttpRequest) -> Result<Presented<'_>, &'static str> {
    let headers = request.headers();
    let keys = headers
        .get_all(API_KEY)
        .map(|key| Ok(Presented::ApiKey(key.as_bytes())));
    let tokens = headers.get_all(AUTHORIZATION).map(bearer);
    if is_for_one_hop_only(headers) {
        return Err("credential-named-in-connection");
    }
    let certificate = peer_certificate(request).map(|c| Ok(Presented::Certificate(c)));
    let mut all = keys.chain(tokens).chain(certificate);
    match (all.next(), all.next()) {
        (Some(one), None) => one,
        (None, _) => Err(NO_CREDENTIAL),
        (Some(_), Some(_)) => Err(SEVERAL_CREDENTIALS),
    }
}

/// Whether a bearer token was sent, well-formed or not.
fn has_bearer(request: &HttpRequest) -> bool {
    let mut values = request.headers().get_all(AUTHORIZATION);
    values.any(|value| {
        let mut words = value.as_bytes().split(|b| b.is_ascii_whitespace());
        words
            .next()
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
    })
}

/// `Bearer` and a token (RFC 6750 section 2.1); the scheme's case does not count.
fn bearer(value: &HeaderValue) -> Result<Presented<'_>, &'static str> {
    let text = value.to_str().map_err(|_| "malformed-authorization")?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Ok(Presented::Bearer(token.trim_matches(' ')))
        }
        _ => Err("unsupported-scheme"),
    }
}

fn problem(
    refused: AuthenticationError,
    request: &HttpRequest,
    access: &Access,
    log: &AccessLog,
) -> Problem {
    match refused {
        AuthenticationError::Rejected(reason) => {
            log.refused.set(Some(reason));
            let identity = &access.identity;
            let accepted = identity.accepted();
            let detail = match reason {
                SEVERAL_CREDENTIALS => {
                    "The request has more than one credential; send exactly one.".to_owned()
                }
                NO_CREDENTIAL => format!(
                    "Authentication required: the request has no credential. Send {accepted}."
                ),
                // Nothing about the reason: it would help whoever guesses.
                _ => format!(
                    "The credential that was sent is not accepted. Send {accepted}. Why it is not \
                     accepted is in the gateway's log, for its operator."
                ),
            };
            let challenge = match reason {
                NO_CREDENTIAL | SEVERAL_CREDENTIALS => identity.challenge(),
                _ if has_bearer(request) => identity.challenge_after_bearer(),
                _ => identity.challenge(),
            };
            Problem::unauthenticated(challenge, detail)
        }
        AuthenticationError::NoCaller {
            credential_label,
            reason,
        } => {
            log.refused.set(Some(reason));
            let _first = log.credential.set(credential_label);
            let detail = "The credential is valid, but it does not belong to exactly one \
                          configured caller. Ask the operator to check [[callers]].";
            Problem::new(ProblemCode::CallerNotAllowed, detail)
        }
        AuthenticationError::Unavailable => {
            log.refused.set(Some("issuer-keys-unavailable"));
            let detail = "The keys of the token's issuer are not available, so the token cannot \
                          be verified. Retry after 5 s.";
            Problem::new(ProblemCode::IssuerUnavailable, detail).retry_after(KEYS_RETRY)
        }
    }
}

/// Counts the request against its caller's rate; the answer says how much is left.
fn count(request: &HttpRequest, access: &Access, caller: &Caller) -> Result<(), Problem> {
    let (left, wait) = match access.quotas.count(&caller.name) {
        Ok(None) => return Ok(()),
        Ok(Some(left)) => (left, None),
        Err((left, wait)) => (left, Some(wait)),
    };
    request.extensions_mut().insert(left);
    match wait {
        None => Ok(()),
        Some(wait) => {
            let detail = format!(
                "Too many requests by this caller (callers.rate_limit = {}); nothing was sent. \
                 Retry after the time in Retry-After.",
                left.rate
            );
            Err(Problem::new(ProblemCode::RateLimited, detail).retry_after(wait))
        }
    }
}
