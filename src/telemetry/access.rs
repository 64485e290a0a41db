//! One line a request, whatever becomes of it.
//!
//! The line is written when the request ends, also when its client has gone away
//! before. It holds identifiers that were parsed, never raw paths, queries,
//! headers or bodies: nothing that a caller or the vendor can type breaks a line.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderName;
use actix_web::{Error, HttpMessage};
use tracing::Span;
use tracing_actix_web::RootSpanBuilder;

use crate::domain::{CallerName, OfferId, OperationId, PublisherId, RequestId};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Logged for a request whose client was gone before its answer (as nginx does).
const CLIENT_GONE: u16 = 499;

/// What is learnt of a request on its way, for its line in the log.
pub struct AccessLog {
    /// Under which it can be found.
    pub request_id: RequestId,
    /// Who asked, once known.
    pub caller: OnceCell<CallerName>,
    /// The credential that says so: the beginning of a key's stored hash, a token's
    /// issuer and subject, a certificate's name; never the credential itself.
    pub credential: OnceCell<Arc<str>>,
    /// Why a credential was refused, which its sender is not told.
    pub refused: Cell<Option<&'static str>>,
    /// For which publisher, once known.
    pub publisher: OnceCell<PublisherId>,
    /// About which offer, once known.
    pub offer: OnceCell<OfferId>,
    /// Which operation was begun or asked about.
    pub operation: OnceCell<OperationId>,
    /// The problem's code, if it ended in one.
    pub problem: Cell<Option<&'static str>>,
    /// Whether the answer is that of an earlier request with the same idempotency key.
    pub replayed: Cell<bool>,
    /// How long the vendor took.
    pub upstream: Cell<Option<Duration>>,
    method: &'static str,
    started: Instant,
    route: Cell<&'static str>,
    status: Cell<u16>,
}

/// The template of a route, attached to its resource as app data.
#[derive(Debug, Clone, Copy)]
pub struct RouteTemplate(pub &'static str);

impl AccessLog {
    fn begin(request: &ServiceRequest) -> Self {
        Self {
            request_id: request_id(request),
            caller: OnceCell::new(),
            credential: OnceCell::new(),
            refused: Cell::new(None),
            publisher: OnceCell::new(),
            offer: OnceCell::new(),
            operation: OnceCell::new(),
            problem: Cell::new(None),
            replayed: Cell::new(false),
            upstream: Cell::new(None),
            method: method(request),
            started: Instant::now(),
            route: Cell::new("-"),
            status: Cell::new(CLIENT_GONE),
        }
    }

    /// The record of a request; none if the middleware that begins it is missing.
    #[must_use]
    pub fn of(request: &actix_web::HttpRequest) -> Option<Rc<Self>> {
        request.extensions().get::<Rc<Self>>().cloned()
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        tracing::info!(
            method = self.method,
            route = self.route.get(),
            status = self.status.get(),
            caller = self.caller.get().map(CallerName::as_str),
            credential = self.credential.get().map(AsRef::as_ref),
            refused = self.refused.get(),
            publisher = self.publisher.get().map(PublisherId::as_str),
            offer = self.offer.get().map(OfferId::as_str),
            operation = self.operation.get().map(tracing::field::display),
            problem = self.problem.get(),
            replayed = self.replayed.get().then_some(true),
            request_id = self.request_id.as_str(),
            duration_us = micros(self.started.elapsed()),
            upstream_us = self.upstream.get().map(micros),
            "request"
        );
    }
}

/// The caller's own id if it is one and the only one; else a new one.
fn request_id(request: &ServiceRequest) -> RequestId {
    let mut given = request.headers().get_all(REQUEST_ID);
    match (given.next(), given.next()) {
        (Some(value), None) => value
            .to_str()
            .ok()
            .and_then(|text| RequestId::parse(text).ok())
            .unwrap_or_else(RequestId::generate),
        _ => RequestId::generate(),
    }
}

/// A method's name, if it is one that HTTP knows.
fn method(request: &ServiceRequest) -> &'static str {
    match request.method().as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "TRACE" => "TRACE",
        "CONNECT" => "CONNECT",
        _ => "other",
    }
}

/// Begins the record of each request, in place of the stock span, which logs queries
/// and the `Debug` of errors.
pub struct AccessSpan;

impl RootSpanBuilder for AccessSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let log = Rc::new(AccessLog::begin(request));
        request.extensions_mut().insert(log);
        // Every event carries the request id itself; a span for it would be
        // formatted for each request and printed for none.
        Span::none()
    }

    fn on_request_end<B: MessageBody>(_span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        match outcome {
            Ok(response) => {
                if let Some(log) = AccessLog::of(response.request()) {
                    log.status.set(response.status().as_u16());
                    if let Some(template) = response.request().app_data::<RouteTemplate>() {
                        log.route.set(template.0);
                    }
                }
            }
            // Every error has been turned into a response further in; if one gets
            // here, actix answers it with its own status.
            Err(error) => tracing::error!(
                status = error.as_response_error().status_code().as_u16(),
                "a request ended in an unhandled error"
            ),
        }
    }
}
