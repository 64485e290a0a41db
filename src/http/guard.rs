//! The middleware around every route: limits on the head before it; headers and problem
//! documents after it.

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{ConnectionType, Version};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, web};

use super::access_log::{AccessLog, REQUEST_ID};
use super::connection::{InFlightBody, InFlightRequest};
use super::problem::ProblemContext;
use super::quota::RateLimitState;
use super::{AppState, Problem};
use crate::domain::ProblemCode;

/// The middleware.
///
/// # Errors
/// Only errors of the middleware below; every error of a handler becomes a problem document.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<InFlightBody>, Error> {
    let in_flight = InFlightRequest::begin(request.request());
    let response = match check_head(&request) {
        Err(problem) => request.error_response(problem),
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
    };
    let mut response = match response.response().error() {
        Some(error) => {
            let rendered = render(response.request(), error);
            response.into_response(rendered)
        }
        None => response,
    };
    let log = AccessLog::of(response.request());
    let left = response
        .request()
        .extensions()
        .get::<RateLimitState>()
        .copied();
    let headers = response.headers_mut();
    if let Some(left) = left {
        left.write(headers);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // A page has one that admits its own style.
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        let nothing = HeaderValue::from_static("default-src 'none'");
        headers.insert(header::CONTENT_SECURITY_POLICY, nothing);
    }
    if let Some(log) = log
        && let Ok(id) = HeaderValue::from_str(log.request_id.as_str())
    {
        headers.insert(REQUEST_ID, id);
    }
    // HTTP/1.0 knows no chunks (RFC 9112 section 7.1): the end of the connection ends the body.
    if response.request().version() < Version::HTTP_11
        && response.response().body().size() == BodySize::Stream
    {
        let head = response.response_mut().head_mut();
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
    let closes = response.response().head().connection_type() == ConnectionType::Close;
    Ok(response.map_body(|_, body| in_flight.answer(body, closes)))
}

/// The middleware of listeners without `guard`: only keeps account of what a connection
/// does.
///
/// # Errors
/// Those of the middleware and handlers below.
pub async fn track(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<InFlightBody>, Error> {
    let in_flight = InFlightRequest::begin(request.request());
    let response = next.call(request).await?.map_into_boxed_body();
    let closes = response.response().head().connection_type() == ConnectionType::Close;
    Ok(response.map_body(|_, body| in_flight.answer(body, closes)))
}

fn check_head(request: &ServiceRequest) -> Result<(), Problem> {
    let Some(state) = request.app_data::<web::Data<AppState>>() else {
        let detail = "The gateway's state is missing. Report the requestId to its operator.";
        return Err(Problem::new(ProblemCode::InternalError, detail));
    };
    let limits = &state.limits.head;
    let uri = request.uri();
    let uri_bytes = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    if uri_bytes > limits.max_uri_bytes {
        let detail = format!(
            "The request target is longer than {} bytes (server.max_uri_bytes).",
            limits.max_uri_bytes
        );
        return Err(Problem::new(ProblemCode::UriTooLong, detail).closing());
    }
    let header_bytes: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if header_bytes > limits.max_header_bytes {
        let detail = format!(
            "The headers are longer than {} bytes in total (server.max_header_bytes). Send \
             fewer or shorter ones.",
            limits.max_header_bytes
        );
        return Err(Problem::new(ProblemCode::HeadersTooLarge, detail).closing());
    }
    Ok(())
}

fn render(request: &HttpRequest, error: &Error) -> HttpResponse {
    let foreign;
    let problem = match error.as_error::<Problem>() {
        Some(problem) => problem,
        None => {
            let status = error.as_response_error().status_code().as_u16();
            tracing::error!(status, "unhandled error in a handler; answered 500");
            let detail = "Unexpected error in the gateway. Report the requestId to its operator.";
            foreign = Problem::new(ProblemCode::InternalError, detail);
            &foreign
        }
    };
    answer(request, problem)
}

/// A problem as the answer to a request; its code is noted for the access log.
pub fn answer(request: &HttpRequest, problem: &Problem) -> HttpResponse {
    let log = AccessLog::of(request);
    if let Some(log) = &log {
        log.problem.set(Some(problem.code().as_str()));
        if let Some(operation) = problem.operation() {
            let _first = log.operation.set(operation);
        }
    }
    let state = request.app_data::<web::Data<AppState>>();
    problem.render(&ProblemContext {
        public_url: state.map_or("", |state| &state.reply.public_url),
        path: request.uri().path(),
        request_id: log.as_ref().map_or("", |log| log.request_id.as_str()),
    })
}
