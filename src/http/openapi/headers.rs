//! The headers of answers: one entry for each, named by the answers that have it.

use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::{Header, HeaderBuilder, ObjectBuilder, Ref, Type};

/// Every header: what it says, an example, and whether the answers that have it always do,
/// which may differ between answers.
const HEADERS: &[(&str, &str, &str, &[bool])] = &[
    (
        "X-Request-Id",
        "The id of the request in the gateway's log: the caller's own, if it was valid.",
        "release-2026-12-01.4",
        &[true],
    ),
    (
        "Operation-Location",
        "Where to follow the operation.",
        OPERATION,
        &[true, false],
    ),
    (
        "Azure-AsyncOperation",
        "The same address as `Operation-Location`, for older pollers of Azure's SDKs.",
        OPERATION,
        &[true],
    ),
    (
        "Location",
        "The same address as `Operation-Location`, for older pollers of Azure's SDKs.",
        OPERATION,
        &[true],
    ),
    (
        RETRY_AFTER,
        "When to ask again, in whole seconds.",
        "6",
        &[true, false],
    ),
    (
        "Preference-Applied",
        "Confirms `Prefer: wait`, with the seconds that were applied.",
        "wait=30",
        &[false],
    ),
    (
        "Idempotent-Replayed",
        "`true`: this is the first answer to an earlier request with the same Idempotency-Key.",
        "true",
        &[false],
    ),
    (
        "RateLimit-Policy",
        "The caller's rate, if it has one: `q` requests in a window of `w` seconds.",
        "\"caller\";q=20;w=2",
        &[false],
    ),
    (
        "RateLimit",
        "What is left of it: `r` requests now, all of them in `t` seconds.",
        "\"caller\";r=19;t=1",
        &[false],
    ),
    (
        "WWW-Authenticate",
        "The credentials that are accepted (RFC 9110 section 11.6.1).",
        "ApiKey header=\"X-Api-Key\", Bearer",
        &[true],
    ),
    (
        "Allow",
        "The methods that the route has.",
        "GET, HEAD",
        &[true],
    ),
    (
        "X-Accel-Buffering",
        "`no`: a proxy must pass events on at once.",
        "no",
        &[true],
    ),
    (
        "Vary",
        "The form of the answer depends on the request's Accept.",
        "Accept",
        &[true],
    ),
];
const OPERATION: &str =
    "https://offergate.example.com/operations/01996b2e-7d5c-7c3a-8f3e-2b1a0c9d8e7f";
const RETRY_AFTER: &str = "Retry-After";

/// The definitions, by the names that [`reference`] uses.
pub fn definitions() -> impl Iterator<Item = (String, Header)> {
    let all = HEADERS.iter().flat_map(|(name, text, example, kinds)| {
        kinds
            .iter()
            .map(move |required| (name, text, example, *required))
    });
    all.map(|(name, text, example, required)| {
        let (schema, example) = match *name == RETRY_AFTER {
            true => {
                let seconds = ObjectBuilder::new().schema_type(Type::Integer);
                let seconds = seconds.minimum(Some(1)).maximum(Some(3600));
                (seconds, example.parse::<u32>().unwrap_or(1).into())
            }
            false => {
                let text = ObjectBuilder::new().schema_type(Type::String);
                (text, serde_json::Value::from(*example))
            }
        };
        let header = HeaderBuilder::new()
            .schema(Some(schema))
            .description(Some(*text))
            .example(Some(example))
            .extensions(Some(Extensions::from_iter([("required", required)])));
        (key(name, required), header.build())
    })
}

/// A reference to a header of an answer.
pub fn reference(name: &str, required: bool) -> Ref {
    Ref::new(format!("#/components/headers/{}", key(name, required)))
}

fn key(name: &str, required: bool) -> String {
    match required {
        true => name.to_owned(),
        false => format!("{name}.optional"),
    }
}
