//! The parameters of requests: one entry for each, named by routes.

use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{ObjectBuilder, Required, SchemaFormat, Type};

use crate::domain::ProblemCode;

/// The placeholders of a path, in their order.
pub fn in_path(path: &str) -> impl Iterator<Item = &str> {
    let segments = path.split('/');
    segments.filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// The definition of a placeholder.
pub fn path_parameter(name: &str) -> Parameter {
    let (schema, description, example) = match name {
        "offerId" => (
            identifier(),
            "The offer: 1 to 128 of `A-Z a-z 0-9 . _ -`, and not `.` or `..`.",
            "contoso-vm",
        ),
        "publisherId" => (
            identifier(),
            "The publisher (seller account) of the offer, in the same characters.",
            "contoso",
        ),
        "code" => (
            text().enum_values(Some(ProblemCode::ALL.iter().map(|code| code.as_str()))),
            "The `code` of a problem, or of an operation's `error`.",
            "caller-not-allowed",
        ),
        // `id`
        _ => (
            text().format(Some(SchemaFormat::Custom("uuid".into()))),
            "The operation's id, the last segment of `operationLocation`.",
            "01996b2e-7d5c-7c3a-8f3e-2b1a0c9d8e7f",
        ),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(schema))
        .example(Some(example.into()))
        .build()
}

/// The definition of a request header.
pub fn header_parameter(name: &str) -> Parameter {
    let (schema, description, example) = match name {
        "Idempotency-Key" => (
            text().pattern(Some(r#"^"(?:[ !#-\[\]-~]|\\["\\]){1,255}"$"#)),
            "A key of your choice for this request, in double quotes, 1 to 255 characters \
             (draft-ietf-httpapi-idempotency-key-header). The same key with the same request gets \
             the first answer again, with `Idempotent-Replayed: true`; the action is not sent \
             twice. A key belongs to its caller, and is kept for `ledger.idempotency_hours`.",
            r#""8e03978e-40d5-43e8-bc93-6894a57f9324""#,
        ),
        "Prefer" => (
            text(),
            "`wait=N` (RFC 7240): hold the answer until the operation has ended, N seconds at most \
             (`server.max_wait_seconds` is the longest wait). `Preference-Applied` confirms it. \
             What cannot be read is ignored.",
            "wait=30",
        ),
        "Last-Event-ID" => (
            text(),
            "The `id` of the last event that was received: the stream resumes after it. Clients \
             for server-sent events send it by themselves.",
            "1764608400000000",
        ),
        // `X-Request-Id`
        _ => (
            text(),
            "An id for the logs of both sides: 1 to 128 of `A-Z a-z 0-9 . _ -`. Anything else is \
             replaced by a UUID. The answer has the id in the same header.",
            "release-2026-12-01.4",
        ),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .example(Some(example.into()))
        .build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn identifier() -> ObjectBuilder {
    let dots = serde_json::json!({ "enum": [".", ".."] });
    text()
        .pattern(Some("^[A-Za-z0-9._-]{1,128}$"))
        .extensions(Some(Extensions::from_iter([("not", dots)])))
}
