//! Around every route: limits before it, headers and problem documents after it.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, web};

use super::connection::{InFlightBody, InFlightRequest};
use super::problem::ProblemContext;
use super::quota::RateLimitState;
use super::{AppState, Problem};
use crate::domain::ProblemCode;
use crate::telemetry::AccessLog;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The middleware.
///
/// # Errors
/// None of its own: whatever goes wrong in a handler becomes a problem document.
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
    let closes = response.response().head().connection_type() == ConnectionType::Close;
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
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(log) = log
        && let Ok(id) = HeaderValue::from_str(log.request_id.as_str())
    {
        headers.insert(REQUEST_ID, id);
    }
    Ok(response.map_body(|_, body| in_flight.answer(body, closes)))
}

fn check_head(request: &ServiceRequest) -> Result<(), Problem> {
    let Some(gate) = request.app_data::<web::Data<AppState>>() else {
        return Err(Problem::new(
            ProblemCode::InternalError,
            "The gateway is not set up.",
        ));
    };
    let limits = &gate.limits.head;
    let uri = request.uri();
    let uri_bytes = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    if uri_bytes > limits.max_uri_bytes {
        let detail = format!("The URI may have at most {} bytes.", limits.max_uri_bytes);
        return Err(Problem::new(ProblemCode::UriTooLong, detail).closing());
    }
    let header_bytes: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if header_bytes > limits.max_header_bytes {
        let detail = format!(
            "All headers together may have at most {} bytes.",
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
            tracing::error!(status, "an error that is no problem");
            foreign = Problem::new(
                ProblemCode::InternalError,
                "The request could not be handled.",
            );
            &foreign
        }
    };
    answer(request, problem)
}

/// A problem as the answer to a request, and noted in its record.
pub fn answer(request: &HttpRequest, problem: &Problem) -> HttpResponse {
    let log = AccessLog::of(request);
    if let Some(log) = &log {
        log.problem.set(Some(problem.code().as_str()));
        if let Some(operation) = problem.operation() {
            let _first = log.operation.set(operation);
        }
    }
    let gate = request.app_data::<web::Data<AppState>>();
    problem.render(&ProblemContext {
        public_url: gate.map_or("", |gate| &gate.reply.public_url),
        path: request.uri().path(),
        request_id: log.as_ref().map_or("", |log| log.request_id.as_str()),
    })
}
