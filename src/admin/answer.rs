//! Answers of the admin listener: one line of JSON each, and problem documents for paths and
//! methods that it does not have.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, guard, web};
use serde::Serialize;

use crate::domain::ProblemCode;

/// The methods of every route here.
const READ: &str = "GET, HEAD";

/// A document as one line of JSON.
pub fn json(status: StatusCode, document: &impl Serialize) -> HttpResponse {
    line(status, "application/json", document)
}

/// A resource with a handler for GET and HEAD.
pub fn resource<F, A>(path: &str, handler: F) -> Resource
where
    F: Handler<A>,
    A: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let read = web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
    web::resource(path)
        .route(read.to(handler))
        .default_service(web::to(method_not_allowed))
}

/// 404, for every path without a resource.
pub async fn not_found() -> HttpResponse {
    problem(
        ProblemCode::RouteNotFound,
        "The admin listener has no such route.",
    )
}

async fn method_not_allowed() -> HttpResponse {
    let mut response = problem(
        ProblemCode::MethodNotAllowed,
        "This route supports only GET, HEAD.",
    );
    let allow = HeaderValue::from_static(READ);
    response.headers_mut().insert(ALLOW, allow);
    response
}

fn problem(code: ProblemCode, detail: &'static str) -> HttpResponse {
    let document = serde_json::json!({
        "type": "about:blank",
        "title": code.title(),
        "status": code.status(),
        "detail": detail,
        "message": detail,
        "code": code.as_str(),
    });
    let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::NOT_FOUND);
    line(status, "application/problem+json", &document)
}

fn line(status: StatusCode, content_type: &str, document: &impl Serialize) -> HttpResponse {
    // Serializing these documents cannot fail; an empty one would still carry the status.
    let mut body = serde_json::to_vec(document).unwrap_or_default();
    body.push(b'\n');
    HttpResponse::build(status)
        .content_type(content_type)
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'"))
        .body(body)
}
