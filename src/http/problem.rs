//! A failed request, as the error of a handler. The guard around all routes
//! renders it as a problem document.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};

use super::response::response;
use crate::domain::{OperationId, ProblemCode};
use crate::ledger::LedgerError;
use crate::operation::{RequestFailure, reply};
use crate::policy::Denied;

pub use crate::operation::ProblemContext;

/// A failed request. Boxed, since nearly every result could be one.
#[derive(Debug)]
pub struct Problem(Box<ProblemFields>);

#[derive(Debug)]
struct ProblemFields {
    failure: RequestFailure,
    allow: Option<HeaderValue>,
    challenge: Option<HeaderValue>,
    closes: bool,
}

impl Problem {
    /// An error of the request or of the gateway; nothing was sent.
    #[must_use]
    pub fn new(code: ProblemCode, detail: impl Into<Cow<'static, str>>) -> Self {
        RequestFailure::new(code, detail).into()
    }

    /// 405, with the methods that are allowed.
    #[must_use]
    pub fn method_not_allowed(allow: Option<HeaderValue>) -> Self {
        let methods = allow.as_ref().and_then(|allow| allow.to_str().ok());
        let methods = methods.unwrap_or("other methods");
        let detail = format!("This route supports only {methods}.");
        let mut problem = Self::new(ProblemCode::MethodNotAllowed, detail);
        problem.0.allow = allow;
        problem
    }

    /// 401, with the accepted credentials.
    #[must_use]
    pub fn unauthenticated(challenge: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut problem = Self::new(ProblemCode::Unauthenticated, detail);
        problem.0.challenge = HeaderValue::from_str(challenge).ok();
        problem
    }

    /// Says when to repeat the request.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.failure.retry_after = Some(wait);
        self
    }

    /// Closes the connection after the answer, without reading the rest of the body.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.0.closes = true;
        self
    }

    /// The code, for the log.
    #[must_use]
    pub fn code(&self) -> ProblemCode {
        self.0.failure.code
    }

    /// The operation that was recorded, for the log.
    #[must_use]
    pub fn operation(&self) -> Option<OperationId> {
        let operation = self.0.failure.operation.as_ref();
        operation.map(|operation| operation.id)
    }

    /// The answer itself.
    #[must_use]
    pub fn render(&self, context: &ProblemContext<'_>) -> HttpResponse {
        let fields = &*self.0;
        let mut response = response(reply::problem(&fields.failure, context));
        let headers = response.headers_mut();
        if let Some(allow) = &fields.allow {
            headers.insert(header::ALLOW, allow.clone());
        }
        if let Some(challenge) = &fields.challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge.clone());
        }
        if fields.closes {
            response
                .head_mut()
                .set_connection_type(actix_web::http::ConnectionType::Close);
        }
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code().as_str())
    }
}

/// Makes a problem an actix error. The guard around all routes renders it; this response
/// would only be seen without the guard.
impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

impl From<RequestFailure> for Problem {
    fn from(failure: RequestFailure) -> Self {
        Self(Box::new(ProblemFields {
            failure,
            allow: None,
            challenge: None,
            closes: false,
        }))
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        RequestFailure::from(error).into()
    }
}

impl From<Denied> for Problem {
    fn from(_: Denied) -> Self {
        Self::new(
            ProblemCode::CallerNotAllowed,
            "No allow rule of this caller covers this action on this offer.",
        )
    }
}
