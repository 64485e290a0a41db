//! One line in the log for each request, and the span that its other events are in.
//!
//! The line is written when the request ends, also when its client has gone before. It
//! holds identifiers that were parsed, never raw paths, queries, headers or bodies. Lines of
//! requests that belong to no caller are limited in number, since anyone can cause them.

use std::cell::{Cell, OnceCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::HeaderName;
use actix_web::{Error, HttpMessage, HttpRequest};
use tracing::Span;
use tracing_actix_web::RootSpanBuilder;

use super::client_address::TrustedPeer;
use crate::domain::{CallerName, OfferId, OperationId, ProblemCode, PublisherId, RequestId};
use crate::telemetry::{LogLimit, request_span};

/// The header that carries a request's id, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The logged status if the client disconnected before the answer (as in nginx).
const CLIENT_GONE: u16 = 499;
/// The logged route of a request that met none.
const NO_ROUTE: &str = "-";

/// Requests without an accepted credential.
static ANONYMOUS: LazyLock<LogLimit> = LazyLock::new(|| LogLimit::new("anonymous requests"));
/// Requests with a valid credential that belongs to no caller. They have a limit of their own,
/// so that anonymous ones cannot hide them.
static NO_CALLER: LazyLock<LogLimit> =
    LazyLock::new(|| LogLimit::new("requests with a credential of no caller"));
/// What the HTTP library could not read as a request.
static UNREADABLE: LazyLock<LogLimit> = LazyLock::new(|| LogLimit::new("unreadable requests"));

/// The fields of a request's line in the log, filled in as they become known.
pub struct AccessLog {
    /// The request's id.
    pub request_id: RequestId,
    /// The caller, once it is authenticated.
    pub caller: OnceCell<CallerName>,
    /// The label of the accepted credential: the beginning of a key's stored hash, a
    /// token's issuer and subject, or a certificate's name; never the credential itself.
    pub credential: OnceCell<Arc<str>>,
    /// Why a credential was refused; withheld from the caller.
    pub refused: Cell<Option<&'static str>>,
    /// The publisher in question.
    pub publisher: OnceCell<PublisherId>,
    /// The offer in question.
    pub offer: OnceCell<OfferId>,
    /// The operation that it created or requested.
    pub operation: OnceCell<OperationId>,
    /// The problem's code, if it ended in one.
    pub problem: Cell<Option<&'static str>>,
    /// Whether the answer is that of an earlier request with the same idempotency key.
    pub replayed: Cell<bool>,
    /// How long the vendor took.
    pub upstream: Cell<Option<Duration>>,
    peer: Option<SocketAddr>,
    /// The client's address, where the peer is a trusted proxy.
    forwarded_for: Option<IpAddr>,
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
        let peer = request.peer_addr();
        let forwarded_for = request.conn_data::<TrustedPeer>().zip(peer);
        let forwarded_for =
            forwarded_for.map(|(proxy, peer)| proxy.client(peer.ip(), request.headers()));
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
            peer,
            forwarded_for,
            method: method(request.method()),
            started: Instant::now(),
            route: Cell::new(NO_ROUTE),
            status: Cell::new(CLIENT_GONE),
        }
    }

    /// The record of a request; none if the middleware that begins it is missing.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Option<Rc<Self>> {
        request.extensions().get::<Rc<Self>>().cloned()
    }

    /// Notes the route, once the request has met one.
    pub fn set_route(&self, request: &HttpRequest) {
        if let Some(template) = request.app_data::<RouteTemplate>() {
            self.route.set(template.0);
        }
    }
}

impl AccessLog {
    /// Whether its line is written: always, if it has a caller.
    fn is_written(&self) -> bool {
        self.caller.get().is_some()
            || (tracing::enabled!(tracing::Level::INFO)
                && match self.credential.get() {
                    None => ANONYMOUS.admits(),
                    Some(_) => NO_CALLER.admits(),
                })
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        if !self.is_written() {
            return;
        }
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let client = self.forwarded_for.or(self.peer.map(|peer| peer.ip()));
        // Without a proxy in between the peer is the client.
        let proxy = self.peer.filter(|_| self.forwarded_for.is_some());
        tracing::info!(
            method = self.method,
            route = self.route.get(),
            status = self.status.get(),
            client_address = client.map(tracing::field::display),
            peer = proxy.map(tracing::field::display),
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

/// A line for a request that the HTTP library has refused before any handler saw it. Anyone
/// can cause these, so their rate is bounded.
pub fn log_refusal(code: ProblemCode, request_id: &RequestId, peer: Option<SocketAddr>) {
    if !UNREADABLE.admits() {
        return;
    }
    tracing::info!(
        status = code.status(),
        problem = code.as_str(),
        request_id = request_id.as_str(),
        peer = peer.map(tracing::field::display),
        "unreadable request refused"
    );
}

/// The caller's own id if there is exactly one and it is valid; else a new one.
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

/// A method's name, if it is a standard one: others are text of the caller's choice.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::CONNECT => "CONNECT",
        _ => "other",
    }
}

/// Begins the record and the span of each request. The stock span would log the query
/// string and the `Debug` of errors.
pub struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let log = Rc::new(AccessLog::begin(request));
        let span = request_span(&log.request_id);
        request.extensions_mut().insert(log);
        span
    }

    fn on_request_end<B: MessageBody>(_span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        match outcome {
            Ok(response) => {
                if let Some(log) = AccessLog::of(response.request()) {
                    log.status.set(response.status().as_u16());
                    if log.route.get() == NO_ROUTE {
                        log.set_route(response.request());
                    }
                }
            }
            // The guard turns every error into a response; actix answers one that gets
            // past it with the error's own status.
            Err(error) => tracing::error!(
                status = error.as_response_error().status_code().as_u16(),
                "unhandled error outside the guard"
            ),
        }
    }
}
