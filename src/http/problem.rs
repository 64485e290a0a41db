//! Errors as problem documents (RFC 9457).

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

use crate::domain::{Delivered, OperationId, Origin, ProblemCode};

/// The longest `instance` that is repeated, in bytes.
const MAX_INSTANCE: usize = 1024;

/// What the vendor said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PortalSaid {
    pub(super) http_status: u16,
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) correlation_id: Option<String>,
}

/// A request that ended badly. Boxed, since nearly every result could be one.
#[derive(Debug)]
pub struct Problem(Box<Parts>);

/// What a problem consists of, for whoever makes one.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) code: ProblemCode,
    pub(super) detail: String,
    pub(super) origin: Origin,
    pub(super) retryable: bool,
    pub(super) delivered: Delivered,
    pub(super) operation: Option<OperationId>,
    pub(super) portal: Option<PortalSaid>,
    pub(super) retry_after: Option<Duration>,
    pub(super) allow: Option<&'static str>,
    pub(super) challenge: Option<String>,
    pub(super) closes: bool,
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
    code: ProblemCode,
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
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Parts::new(code, detail).into()
    }

    /// 405, with the methods that are allowed.
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let mut problem = Self::new(
            ProblemCode::MethodNotAllowed,
            format!("This route takes {allow} only."),
        );
        problem.0.allow = Some(allow);
        problem
    }

    /// 401, with what would be accepted.
    #[must_use]
    pub fn unauthenticated(challenge: &str, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(ProblemCode::Unauthenticated, detail);
        problem.0.challenge = Some(challenge.to_owned());
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
    pub fn code(&self) -> ProblemCode {
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
            status: parts.code.status(),
            detail: &parts.detail,
            instance: &path[..path.floor_char_boundary(MAX_INSTANCE)],
            code: parts.code,
            request_id,
            origin: parts.origin,
            retryable: parts.retryable,
            delivered: parts.delivered,
            operation_location: location.clone(),
            portal: parts.portal.as_ref(),
        };
        let mut response = HttpResponse::build(status_code(parts.code));
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
        if let Some(challenge) = &parts.challenge {
            response.insert_header((header::WWW_AUTHENTICATE, challenge.as_str()));
        }
        if parts.closes {
            response.force_close();
        }
        // Serializing these types cannot fail; an empty body would still carry the status.
        response.body(serde_json::to_vec(&document).unwrap_or_default())
    }
}

impl Parts {
    pub(super) fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
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
            challenge: None,
            closes: false,
        }
    }
}

/// The code's status, as actix wants it.
pub(super) fn status_code(code: ProblemCode) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
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
        status_code(self.0.code)
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

impl From<Parts> for Problem {
    fn from(parts: Parts) -> Self {
        Self(Box::new(parts))
    }
}
