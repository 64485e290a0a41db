//! Who is asking: the one credential in the request, turned into a caller.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{AUTHORIZATION, CONNECTION, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};

use super::access::Access;
use super::connection::peer_certificate;
use super::problem::Parts;
use super::{Gate, Problem};
use crate::domain::{Caller, CallerName, Origin, ProblemCode};
use crate::identity::{AuthenticationError, Presented};
use crate::telemetry::AccessLog;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// When a token whose issuer's keys are not known may be worth another try.
const KEYS_RETRY: Duration = Duration::from_secs(5);

/// A caller, and the version of the configuration that says so.
pub struct Asking {
    /// Who asks.
    pub caller: Arc<Caller>,
    /// What else is decided by for this request.
    pub access: Arc<Access>,
}

/// The caller that the request's credential names, if it may ask now.
///
/// # Errors
/// 401 `unauthenticated`, the same for every reason but several credentials; 403 for
/// a good credential that is nobody's; 429; 503 while a token cannot be checked.
pub async fn authenticate(
    request: &HttpRequest,
    gate: &Gate,
    log: &AccessLog,
) -> Result<Asking, Problem> {
    let access = gate.access.load_full();
    let known = match presented(request) {
        Ok(presented) => access.identity.authenticate(presented).await,
        Err(reason) => Err(AuthenticationError::Rejected(reason)),
    };
    let known = known.map_err(|refused| problem(refused, &access, log))?;
    let _first = log.credential.set(known.credential_label);
    let _first = log.caller.set(known.caller.name.clone());
    count(request, &access, &known.caller)?;
    Ok(Asking {
        caller: known.caller,
        access,
    })
}

/// Whether the request's credential still names this caller, by the version and at the
/// time of this moment: for requests that last. Not counted against its rate.
///
/// # Errors
/// As for [`authenticate`]; 403 also if it names another caller now.
pub async fn still(request: &HttpRequest, gate: &Gate, name: &CallerName) -> Result<(), Problem> {
    let log = super::log(request)?;
    let access = gate.access.load_full();
    let known = match presented(request) {
        Ok(presented) => access.identity.authenticate(presented).await,
        Err(reason) => Err(AuthenticationError::Rejected(reason)),
    };
    let known = known.map_err(|refused| problem(refused, &access, &log))?;
    if known.caller.name == *name {
        return Ok(());
    }
    log.refused.set(Some("names-another-caller-now"));
    let detail = "Your credential names another caller than when you asked.";
    Err(Problem::new(ProblemCode::CallerNotAllowed, detail))
}

/// Named in `Connection`, a header is for the next hop only (RFC 9110 section 7.6.1):
/// whoever is in front of us may have dropped it, or should have.
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

/// The only credential of the request. Which of several would count must not be a
/// matter of taste, so several are refused, good ones too.
fn presented(request: &HttpRequest) -> Result<Presented<'_>, &'static str> {
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

fn problem(refused: AuthenticationError, access: &Access, log: &AccessLog) -> Problem {
    match refused {
        AuthenticationError::Rejected(reason) => {
            log.refused.set(Some(reason));
            let detail = match reason {
                SEVERAL_CREDENTIALS => {
                    "The request has more than one credential. Send exactly one.".to_owned()
                }
                _ => format!(
                    "The gateway accepts {}; this request has nothing that names a caller.",
                    access.identity.accepted()
                ),
            };
            Problem::unauthenticated(access.identity.challenge(), detail)
        }
        AuthenticationError::NoCaller {
            credential_label,
            reason,
        } => {
            log.refused.set(Some(reason));
            let _first = log.credential.set(credential_label);
            let detail = "Your credential is good, but the gateway knows no caller, or more than \
                          one, that it belongs to.";
            Problem::new(ProblemCode::CallerNotAllowed, detail)
        }
        AuthenticationError::Unavailable => {
            log.refused.set(Some("issuer-keys-unavailable"));
            let detail = "The keys of your token's issuer are not available, so the token cannot \
                          be checked.";
            let parts = Parts {
                origin: Origin::IdentityProvider,
                retry_after: Some(KEYS_RETRY),
                ..Parts::new(ProblemCode::IssuerUnavailable, detail)
            };
            parts.into()
        }
    }
}

/// Counts the request against its caller's rate; what is left goes into the answer.
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
            let detail = "You have made more requests than you may; nothing was done.";
            Err(Problem::new(ProblemCode::RateLimited, detail).retry_after(wait))
        }
    }
}
