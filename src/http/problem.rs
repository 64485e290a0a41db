//! Errors as problem documents (RFC 9457): the one place where failures meet HTTP.

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

use super::Code;
use crate::domain::{Delivered, OperationId};
use crate::identity::KeyRefused;
use crate::ledger::LedgerError;
use crate::operation::{Answered, Failure, NotDone, Refusal, Said, Unreachable};
use crate::policy::Denied;

/// The longest `instance` that is repeated, in bytes.
const MAX_INSTANCE: usize = 1024;

/// Who failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The gateway, or the request itself.
    Gateway,
    /// The vendor.
    Portal,
    /// The token endpoint.
    IdentityProvider,
}

/// What the vendor said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PortalSaid {
    http_status: u16,
    code: Option<String>,
    message: Option<String>,
    correlation_id: Option<String>,
}

/// A request that ended badly. Boxed, since nearly every result could be one.
#[derive(Debug)]
pub struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    code: Code,
    detail: String,
    origin: Origin,
    retryable: bool,
    delivered: Delivered,
    operation: Option<OperationId>,
    portal: Option<PortalSaid>,
    retry_after: Option<Duration>,
    allow: Option<&'static str>,
    closes: bool,
}

/// What a problem takes from the request that it ends.
pub struct Context<'a> {
    /// `server.public_url`
    pub public_url: &'a str,
    /// The request's path, as it came.
    pub path: &'a str,
    /// Under which it is logged.
    pub request_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    code: &'static str,
    request_id: &'a str,
    origin: Origin,
    retryable: bool,
    delivered: Delivered,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation_location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    portal: Option<&'a PortalSaid>,
}

impl Problem {
    /// A fault of the request or of the gateway; nothing was sent.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Parts::new(code, detail).into()
    }

    /// 405, with the methods that are allowed.
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let mut problem = Self::new(
            Code::MethodNotAllowed,
            format!("This route takes {allow} only."),
        );
        problem.0.allow = Some(allow);
        problem
    }

    /// Says when asking again is worth it.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Ends the connection after the answer: the rest of the body is not wanted.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.0.closes = true;
        self
    }

    /// The code, for the log.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The operation that was recorded, for the log.
    #[must_use]
    pub fn operation(&self) -> Option<OperationId> {
        self.0.operation
    }

    /// The answer itself.
    #[must_use]
    pub fn render(&self, context: &Context<'_>) -> HttpResponse {
        let Context {
            public_url,
            path,
            request_id,
        } = context;
        let parts = &*self.0;
        let location = parts
            .operation
            .map(|id| format!("{public_url}/operations/{id}"));
        let document = Document {
            r#type: format!("{public_url}/problems/{}", parts.code.as_str()),
            title: parts.code.title(),
            status: parts.code.status().as_u16(),
            detail: &parts.detail,
            instance: &path[..path.floor_char_boundary(MAX_INSTANCE)],
            code: parts.code.as_str(),
            request_id,
            origin: parts.origin,
            retryable: parts.retryable,
            delivered: parts.delivered,
            operation_location: location.clone(),
            portal: parts.portal.as_ref(),
        };
        let mut response = HttpResponse::build(parts.code.status());
        response.content_type("application/problem+json");
        if let Some(location) = location {
            response.insert_header(("operation-location", location));
        }
        if let Some(wait) = parts.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds(wait)));
        }
        if let Some(allow) = parts.allow {
            response.insert_header((header::ALLOW, allow));
        }
        if parts.code == Code::Unauthenticated {
            let scheme = HeaderValue::from_static("ApiKey header=\"X-Api-Key\"");
            response.insert_header((header::WWW_AUTHENTICATE, scheme));
        }
        if parts.closes {
            response.force_close();
        }
        // Serializing these types cannot fail; an empty body would still carry the status.
        response.body(serde_json::to_vec(&document).unwrap_or_default())
    }
}

impl Parts {
    fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            origin: Origin::Gateway,
            retryable: code.is_retryable(),
            delivered: Delivered::No,
            operation: None,
            portal: None,
            retry_after: None,
            allow: None,
            closes: false,
        }
    }

    /// What the ledger's error means for the request that met it.
    fn ledger(error: &LedgerError, detail: &str) -> Self {
        let mut parts = match error {
            LedgerError::Overloaded => Self::new(
                Code::Overloaded,
                "Too many operations are being recorded or read; nothing was sent.",
            ),
            LedgerError::Unreadable { .. } => Self::new(
                Code::InternalError,
                "The operation's record is of another version of the gateway.",
            ),
            LedgerError::Unavailable { .. }
            | LedgerError::Corrupt
            | LedgerError::Foreign { .. }
            | LedgerError::TooNew { .. }
            | LedgerError::InUse => Self::new(Code::LedgerUnavailable, detail),
        };
        parts.retry_after = parts.retryable.then_some(Duration::from_secs(1));
        parts
    }

    fn by_portal(code: Code, answered: Answered, detail: &str) -> Self {
        let Said {
            code: said,
            message,
        } = answered.said;
        let portal = answered.http_status.map(|http_status| PortalSaid {
            http_status,
            code: said,
            message,
            correlation_id: answered.correlation_id,
        });
        Self {
            origin: Origin::Portal,
            delivered: answered.delivered,
            operation: Some(answered.operation),
            portal,
            ..Self::new(code, detail)
        }
    }

    fn not_done<Cause>(self, origin: Origin, not_done: &NotDone<Cause>) -> Self {
        Self {
            origin,
            delivered: not_done.delivered,
            operation: Some(not_done.operation),
            ..self
        }
    }

    fn result_not_recorded(answered: Answered) -> Self {
        let detail = match answered.delivered {
            Delivered::No => "Nothing was sent, but that could not be recorded yet.",
            Delivered::Yes | Delivered::Unknown => {
                "The vendor was asked, but what came of it could not be recorded yet. Follow operationLocation."
            }
        };
        let not_sent = answered.delivered == Delivered::No;
        Self {
            origin: Origin::Gateway,
            retryable: not_sent,
            ..Self::by_portal(Code::LedgerUnavailable, answered, detail)
        }
    }
}

/// Whole seconds, rounded up, at least one.
#[must_use]
pub fn seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.code.as_str())
    }
}

/// Makes a problem an actix error. The guard around all routes renders it; this
/// answer would only be seen if the guard were missing.
impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

impl From<KeyRefused> for Problem {
    fn from(_: KeyRefused) -> Self {
        Self::new(
            Code::Unauthenticated,
            "The gateway accepts an API key in the X-Api-Key header; this request has none that names a caller.",
        )
    }
}

impl From<Denied> for Problem {
    fn from(_: Denied) -> Self {
        Self::new(
            Code::CallerNotAllowed,
            "No rule of the gateway allows you this action on this offer.",
        )
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        Parts::ledger(
            &error,
            "The ledger of operations does not answer at the moment.",
        )
        .into()
    }
}

impl From<Parts> for Problem {
    fn from(parts: Parts) -> Self {
        Self(Box::new(parts))
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let retry_after = failure.retry_after();
        let mut parts = match failure {
            Failure::Draining => Parts::new(
                Code::Draining,
                "This gateway takes no new actions; nothing was sent.",
            ),
            Failure::Overloaded => Parts::new(
                Code::Overloaded,
                "Too many actions are under way; nothing was sent.",
            ),
            Failure::NotRecorded(error) => Parts::ledger(
                &error,
                "The intent could not be recorded, so nothing was sent.",
            ),
            Failure::ResultNotRecorded(answered) => Parts::result_not_recorded(answered),
            Failure::NoToken(not_done) => Parts::new(
                Code::CredentialUnavailable,
                "The gateway has no usable token for this publisher; nothing was done.",
            )
            .not_done(Origin::IdentityProvider, &not_done),
            Failure::Unreachable(not_done) => unreachable_vendor(&not_done),
            Failure::Refused(answered, refusal) => {
                let (code, detail) = refused(refusal);
                Parts::by_portal(code, answered, detail)
            }
            Failure::CredentialRejected(answered) => Parts::by_portal(
                Code::PortalRejectedCredential,
                answered,
                "The vendor refuses the gateway's token; nothing was done.",
            ),
            Failure::PortalFailed(answered) => Parts::by_portal(
                Code::PortalFailed,
                answered,
                "The vendor reports a failure of its own; it may have acted. Follow operationLocation.",
            ),
            Failure::BadResponse(answered) => Parts::by_portal(
                Code::PortalBadResponse,
                answered,
                "The vendor gave an answer that its API does not have; it may have acted. Follow operationLocation.",
            ),
            Failure::Internal(answered) => Parts {
                origin: Origin::Gateway,
                ..Parts::by_portal(
                    Code::InternalError,
                    answered,
                    "The action ended before its time; it may have been carried out. Follow operationLocation.",
                )
            },
        };
        parts.retry_after = retry_after;
        parts.into()
    }
}

fn unreachable_vendor(not_done: &NotDone<Unreachable>) -> Parts {
    let (code, origin) = match not_done.cause {
        Unreachable::Timeout => (Code::PortalTimeout, Origin::Portal),
        Unreachable::Name | Unreachable::Connect | Unreachable::Tls => {
            (Code::PortalFailed, Origin::Portal)
        }
        Unreachable::Request => (Code::InternalError, Origin::Gateway),
    };
    let detail = format!(
        "The vendor could not be asked: {}. Nothing was done.",
        not_done.cause
    );
    Parts::new(code, detail).not_done(origin, not_done)
}

fn refused(refusal: Refusal) -> (Code, &'static str) {
    match refusal {
        Refusal::BadRequest => (
            Code::PortalRejectedRequest,
            "The vendor rejected the request; nothing was done.",
        ),
        Refusal::Forbidden => (
            Code::PublisherAccessDenied,
            "The vendor does not let the gateway's application act for this publisher.",
        ),
        Refusal::NotFound => (
            Code::OfferNotFound,
            "The vendor knows no such offer of this publisher.",
        ),
        Refusal::Conflict => (
            Code::Conflict,
            "The vendor reports a conflict; nothing was done.",
        ),
        Refusal::PreconditionFailed => (
            Code::PreconditionFailed,
            "The vendor reports that a precondition failed; nothing was done.",
        ),
        Refusal::Unprocessable => (
            Code::PortalValidationFailed,
            "The vendor's validation failed; nothing was done.",
        ),
        Refusal::Throttled(_) => (
            Code::PortalThrottled,
            "The vendor is throttling; nothing was done.",
        ),
    }
}
