//! The answers of routes: what they have in common, and problems by status.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use utoipa::openapi::example::Example;
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::{
    AllOfBuilder, ContentBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Type,
};

use super::headers;
use crate::domain::ProblemCode;

/// The problems of every route. What cannot be read as a request at all is one of them.
pub const EVERY_ROUTE: &[ProblemCode] = &[
    ProblemCode::InvalidHeader,
    ProblemCode::MethodNotAllowed,
    ProblemCode::RequestTimeout,
    ProblemCode::UriTooLong,
    ProblemCode::HeadersTooLarge,
    ProblemCode::InternalError,
];

/// The further problems of every route that needs a credential.
pub const AUTHENTICATED: &[ProblemCode] = &[
    ProblemCode::Unauthenticated,
    ProblemCode::CallerNotAllowed,
    ProblemCode::RateLimited,
    ProblemCode::IssuerUnavailable,
];

/// The statuses whose problems always say when to repeat the request.
const ALWAYS_WITH_RETRY_AFTER: [u16; 2] = [408, 429];
/// Those whose problems do so in part.
const RETRY_AFTER_IF_RETRYABLE: [u16; 5] = [409, 500, 502, 503, 504];

/// An answer with these headers, each always there or not.
pub fn answer(description: &str, headers: &[(&str, bool)]) -> ResponseBuilder {
    let mut response = ResponseBuilder::new()
        .description(description)
        .header_ref("X-Request-Id", headers::reference("X-Request-Id", true));
    for (name, required) in headers {
        response = response.header_ref(*name, headers::reference(name, *required));
    }
    response
}

/// Adds a JSON body of a schema, with examples by the names of their definitions.
pub fn json(response: ResponseBuilder, schema: &str, examples: &[&str]) -> ResponseBuilder {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(schema)))
        .examples_from_iter(examples.iter().map(|name| (*name, example(name))));
    response.content("application/json", content.build())
}

/// Adds what leads from an answer with an operation to its status monitor.
pub fn with_links(response: ResponseBuilder) -> ResponseBuilder {
    let link = |operation: &str, text: &str| {
        LinkBuilder::new()
            .operation_id(operation)
            .parameter("id", "$response.body#/id")
            .description(text)
            .build()
    };
    response
        .link("status", link("getOperation", "Poll the operation."))
        .link("events", link("streamOperation", "Follow it as events."))
}

/// A reference to the definition of an example.
fn example(name: &str) -> RefOr<Example> {
    RefOr::Ref(Ref::new(format!("#/components/examples/{name}")))
}

/// The answers with these problems, one for each status. `headers` are those that each may have,
/// `of_operations` those of problems that can come with an operation.
pub fn problems<'a>(
    codes: impl Iterator<Item = &'a ProblemCode>,
    headers: &[(&str, bool)],
    of_operations: &[(&str, bool)],
) -> BTreeMap<u16, Response> {
    let mut by_status: BTreeMap<u16, Vec<ProblemCode>> = BTreeMap::new();
    for code in codes {
        let codes = by_status.entry(code.status()).or_default();
        if !codes.contains(code) {
            codes.push(*code);
        }
    }
    let answers = by_status.into_iter();
    answers
        .map(|(status, codes)| {
            let mut headers = headers.to_vec();
            if codes.iter().any(|code| code.ends_operations()) {
                headers.extend(of_operations);
            }
            (status, problem(status, &codes, headers))
        })
        .collect()
}

fn problem(status: u16, codes: &[ProblemCode], mut headers: Vec<(&str, bool)>) -> Response {
    let reason = StatusCode::from_u16(status).ok();
    let reason = reason.and_then(|status| status.canonical_reason());
    let mut description = format!("{}.\n", reason.unwrap_or("Problem"));
    for code in codes {
        description.push_str(&format!("\n- `{}`: {}", code.as_str(), code.title()));
    }
    match status {
        401 => headers.push(("WWW-Authenticate", true)),
        405 => headers.push(("Allow", true)),
        _ if ALWAYS_WITH_RETRY_AFTER.contains(&status) => headers.push(("Retry-After", true)),
        _ if RETRY_AFTER_IF_RETRYABLE.contains(&status) => headers.push(("Retry-After", false)),
        _ => {}
    }
    let names = || codes.iter().map(|code| code.as_str());
    let code = ObjectBuilder::new().schema_type(Type::String);
    let status = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .enum_values(Some([status]));
    let values = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("code", code.enum_values(Some(names())))
        .property("status", status);
    let schema = AllOfBuilder::new()
        .item(Ref::from_schema_name("Problem"))
        .item(values);
    let content = ContentBuilder::new()
        .schema(Some(schema))
        .examples_from_iter(names().map(|name| (name, example(name))));
    answer(&description, &headers)
        .content("application/problem+json", content.build())
        .build()
}
