//! The whole document, from the route table.

use std::collections::BTreeMap;

use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::path::{Operation, OperationBuilder, PathItemBuilder, PathsBuilder};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, ComponentsBuilder, ContactBuilder, HttpMethod, InfoBuilder, LicenseBuilder,
    OpenApi, OpenApiBuilder, Response, ServerBuilder,
};

use super::answers::{AUTHENTICATED, EVERY_ROUTE, problems};
use super::description::{Description, Topic};
use super::parameters::{header_parameter, in_path, path_parameter};
use super::{examples, headers, schemas};
use crate::http::route::{ApiMethod, RouteGroup, Verb};

const API_KEY: &str = "apiKey";
const BEARER: &str = "bearer";
const CERTIFICATE: &str = "clientCertificate";

const INTRODUCTION: &str = "Cancels offers on Microsoft's commercial marketplace for callers \
    that do not hold the vendor's credential, and reports the outcome that the vendor's data \
    proves.\n\nA request carries exactly one credential; several are refused. HEAD works wherever \
    GET does. JSON is camelCase, times are RFC 3339 in UTC, and every document ends with a \
    newline. Every answer carries `X-Request-Id`, `X-Content-Type-Options: nosniff`, \
    `Cache-Control: no-store` and a Content-Security-Policy.\n\nEvery failure is a problem \
    document (RFC 9457): `code` is for programs and stays, `detail` is for people and may change. \
    `retryable` tells whether repeating the request can help, and `delivered` whether the vendor \
    received it. Members and codes can be added; ignore the ones that you do not know.";

/// The document for callers that reach the gateway at `public_url`.
pub fn document(groups: &[RouteGroup], public_url: &str) -> OpenApi {
    let info = InfoBuilder::new()
        .title("offergate")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(INTRODUCTION))
        .contact(Some(
            ContactBuilder::new()
                .name(Some("The operators of this gateway"))
                .build(),
        ))
        .license(Some(
            LicenseBuilder::new()
                .name("Apache-2.0")
                .identifier(Some("Apache-2.0"))
                .build(),
        ));
    let server = ServerBuilder::new()
        .url(public_url)
        .description(Some("This gateway (`server.public_url`)"));
    let mut paths = PathsBuilder::new();
    for route in groups.iter().flat_map(|group| group.routes) {
        let mut item = PathItemBuilder::new();
        for method in route.methods {
            let verb = match method.verb {
                Verb::Get => HttpMethod::Get,
                Verb::Post => HttpMethod::Post,
            };
            item = item.operation(verb, operation(route.path, method));
        }
        paths = paths.path(route.path, item.build());
    }
    let tags = Topic::ALL.map(|topic| {
        TagBuilder::new()
            .name(topic.name())
            .description(Some(topic.text()))
            .build()
    });
    OpenApiBuilder::new()
        .info(info.build())
        .servers(Some([server.build()]))
        .paths(paths.build())
        .components(Some(components(public_url)))
        .tags(Some(tags))
        .build()
}

fn operation(path: &str, method: &ApiMethod) -> Operation {
    let description = (method.describe)();
    let mut operation = OperationBuilder::new()
        .tag(description.topic.name())
        .operation_id(Some(method.id))
        .summary(Some(description.summary))
        .description(Some(description.text));
    for name in in_path(path) {
        operation = operation.parameter(path_parameter(name));
    }
    for name in description.headers {
        operation = operation.parameter(header_parameter(name));
    }
    for (status, response) in responses(&description) {
        operation = operation.response(status.to_string(), response);
    }
    // An empty list says that no credential is needed.
    let schemes: &[&str] = match description.authenticated {
        true => &[API_KEY, BEARER, CERTIFICATE],
        false => &[],
    };
    let no_scopes: [&str; 0] = [];
    let schemes = schemes
        .iter()
        .map(|name| SecurityRequirement::new(*name, no_scopes));
    operation
        .securities(Some(schemes))
        .request_body(description.body)
        .build()
}

/// All answers by status, those that are no problems included.
fn responses(description: &Description) -> BTreeMap<u16, Response> {
    let mut headers: &[(&str, bool)] = &[];
    let mut of_operations: &[(&str, bool)] = &[];
    let mut codes = EVERY_ROUTE.to_vec();
    if description.authenticated {
        headers = &[("RateLimit-Policy", false), ("RateLimit", false)];
        codes.extend(AUTHENTICATED);
    }
    if description.topic == Topic::Actions {
        of_operations = &[
            ("Operation-Location", false),
            ("Idempotent-Replayed", false),
        ];
    }
    codes.extend(description.problems);
    let mut responses = problems(codes.iter(), headers, of_operations);
    responses.extend(description.answers.iter().cloned());
    responses
}

fn components(public_url: &str) -> Components {
    let mut components = ComponentsBuilder::new();
    for (name, schema) in schemas::definitions() {
        components = components.schema(name, schema);
    }
    for (name, header) in headers::definitions() {
        components = components.header(name, header);
    }
    for (name, summary, value) in examples::definitions(public_url) {
        let example = ExampleBuilder::new().summary(summary).value(Some(value));
        components = components.example(name, example.build());
    }
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "A JSON Web Token of an issuer that the gateway trusts (`[[identity.jwt]]`).",
        ));
    let key = ApiKeyValue::with_description(
        "X-Api-Key",
        "A key from `offergate keys new`, of which the gateway keeps only the hash.",
    );
    let certificate = SecurityScheme::MutualTls {
        description: Some(
            "A client certificate of the authority in `server.tls.client_ca_file`.".to_owned(),
        ),
        deprecated: None,
        extensions: None,
    };
    components
        .security_scheme(API_KEY, SecurityScheme::ApiKey(ApiKey::Header(key)))
        .security_scheme(BEARER, SecurityScheme::Http(bearer.build()))
        .security_scheme(CERTIFICATE, certificate)
        .build()
}
