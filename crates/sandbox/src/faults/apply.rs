//! Faults in the content of a response. Pure: the normal response, the request and the fault in,
//! the faulty response out.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::entra::{EntraError, ManagedIdentityError, TokenError};
use crate::fault_kind::{FaultKind, Part, RetryForm};
use crate::options::Options;
use crate::route::{IdentityHost, Route};
use crate::text::{http_date, later};
use crate::vendor::{PortalError, identified};
use crate::wire::{Request, Response};

const LOCATIONS: [&str; 2] = ["Location", "Operation-Location"];

/// The response of a fault that changes what is sent; other faults change how it is sent.
/// `normal` is the response without the fault.
pub(crate) fn apply_fault(
    kind: FaultKind,
    route: &Route,
    request: &Request,
    options: &Options,
    normal: Response,
) -> Response {
    let now = Timestamp::now();
    let for_token = route.is_for_token();
    if let Route::ManagedIdentity(host) = route
        && let Some(response) = identity_error(&kind, *host, now)
    {
        return identified(response);
    }
    match kind {
        FaultKind::Status {
            status,
            body,
            headers,
        } => identified(custom(status, &body, headers)),
        FaultKind::Redirect { status, location } => {
            identified(Response::empty(status).with("Location", location))
        }
        FaultKind::Unauthorized {} if for_token => {
            EntraError::Secret(options.client_id.clone()).response(now)
        }
        FaultKind::Unauthorized {} => {
            identified(PortalError::Token(TokenError::Unknown).response())
        }
        FaultKind::Throttle {
            retry_after_seconds,
            form,
        } => {
            let response = if for_token {
                EntraError::Throttled.response(now)
            } else {
                too_many_requests()
            };
            identified(retry_after(response, retry_after_seconds, form, now))
        }
        FaultKind::InternalError {} => identified(PortalError::Internal.response()),
        FaultKind::EntraError { code } => {
            EntraError::of_code(code).map_or(normal, |error| error.response(now))
        }
        FaultKind::Html { status } => identified(front_end_page(status)),
        FaultKind::Gzip {} => gzip(normal),
        FaultKind::Empty { status } => identified(Response::empty(status)),
        FaultKind::NotJson {} => {
            let mut response = normal.with("Content-Type", "application/json; charset=utf-8");
            response.body = b"{\"status\": \"running\", \"steps\": [".to_vec();
            response
        }
        FaultKind::NoDate {} => {
            let mut response = normal;
            response.dated = false;
            response
        }
        FaultKind::Location {
            location,
            operation_location,
        } => relocate(normal, [location, operation_location]),
        FaultKind::Reflect { status, part } => reflect(request, for_token, status, part),
        // These change how the response is sent, or have taken effect already.
        _ => normal,
    }
}

fn custom(status: u16, body: &Value, headers: BTreeMap<String, String>) -> Response {
    let response = match body {
        Value::Null => Response::empty(status),
        Value::String(text) => Response::bytes(status, "application/json", text.as_str()),
        document => Response::json(status, document),
    };
    headers
        .into_iter()
        .fold(response, |response, (name, value)| {
            response.with(&name, value)
        })
}

/// The managed identity endpoints have their own error documents.
fn identity_error(kind: &FaultKind, host: IdentityHost, now: Timestamp) -> Option<Response> {
    match kind {
        FaultKind::Unauthorized {} => Some(ManagedIdentityError::Header.response(host)),
        FaultKind::InternalError {} => Some(ManagedIdentityError::Internal.response(host)),
        FaultKind::Throttle {
            retry_after_seconds,
            form,
        } => {
            let response = ManagedIdentityError::Throttled.response(host);
            Some(retry_after(response, *retry_after_seconds, *form, now))
        }
        _ => None,
    }
}

fn too_many_requests() -> Response {
    let message = "Rate limit is exceeded. Try again later.";
    Response::json(
        429,
        &json!({"error": {"code": "TooManyRequests", "message": message}}),
    )
}

fn retry_after(response: Response, seconds: u32, form: RetryForm, now: Timestamp) -> Response {
    let until = later(now, Duration::from_secs(seconds.into()));
    match form {
        RetryForm::Seconds => response.with("Retry-After", seconds.to_string()),
        RetryForm::Date => response.with("Retry-After", http_date(until)),
        RetryForm::Missing => response,
    }
}

fn front_end_page(status: u16) -> Response {
    Response::html(
        status,
        "<!DOCTYPE html>\n<html><head><title>Our services aren't available right now</title>\
         </head><body><h1>Our services aren't available right now</h1><p>We're working to \
         restore all services as soon as possible. Please check back soon.</p>\
         <script>alert('front end')</script></body></html>\n",
    )
}

fn gzip(mut response: Response) -> Response {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let encoded = encoder
        .write_all(&response.body)
        .and_then(|()| encoder.finish());
    match encoded {
        Ok(body) => {
            response.body = body;
            response.with("Content-Encoding", "gzip")
        }
        // Writing to memory does not fail.
        Err(_) => response,
    }
}

fn relocate(mut response: Response, locations: [Option<String>; 2]) -> Response {
    let named = LOCATIONS.iter().find_map(|name| response.header(name));
    let path = named.map(path_of).unwrap_or_default();
    for (name, location) in LOCATIONS.into_iter().zip(locations) {
        match location {
            Some(location) => {
                response = response.with(name, location.replace("{operation}", &path))
            }
            None => response.remove(name),
        }
    }
    response
}

/// The path of a location, without host and query.
fn path_of(location: &str) -> String {
    let origin = location.split_once("://").map_or(location, |(_, rest)| {
        rest.find('/').map_or("/", |slash| &rest[slash..])
    });
    origin.split('?').next().unwrap_or_default().to_owned()
}

/// A hostile vendor that shows the credential it received wherever it can.
fn reflect(request: &Request, for_token: bool, status: u16, part: Part) -> Response {
    let received = if let Some(header) = request.header("x-identity-header") {
        header.to_owned()
    } else if for_token {
        String::from_utf8_lossy(&request.body).into_owned()
    } else {
        request
            .header("authorization")
            .unwrap_or_default()
            .to_owned()
    };
    let shown = match part {
        Part::Whole => received,
        Part::Slice => {
            let characters: Vec<char> = received.chars().collect();
            characters[characters.len().saturating_sub(24)..]
                .iter()
                .collect()
        }
    };
    let document = json!({
        "error": {"code": shown, "message": format!("Received: {shown}")},
        "error_description": format!("AADSTS50000: received {shown}"),
        "id": shown,
        "status": shown,
        "submissionState": shown,
        "messages": [{"messageHtml": shown, "level": "error"}],
    });
    let mut response = Response::json(status, &document)
        .with("X-Ms-Correlation-Request-Id", shown.as_str())
        .with("x-ms-request-id", shown.as_str())
        .with("ETag", format!("\"{shown}\""))
        .with("Retry-After", shown.as_str())
        .with("Location", format!("/api/{shown}"))
        .with(
            "WWW-Authenticate",
            format!("Bearer error_description=\"{shown}\""),
        );
    response.reason = Some(shown);
    response
}
