//! Turns the normal answer into the faulty one. Pure: it gets the answer, the request and
//! the fault, and returns what to send and in what manner; the sending is the wire's work.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::kind::{Kind, Part, RetryForm};
use crate::entra::{NoIdentity, Rejected, Trouble};
use crate::options::Options;
use crate::route::Host;
use crate::text::{http_date, later};
use crate::vendor::{Fault, identified};
use crate::wire::{Answer, Manner, Reply, Request};

/// What was served in place of HTTP when nobody says otherwise: the start of a TLS alert.
const GARBAGE: &[u8] = b"\x15\x03\x03\x00\x02\x02\x28 this is not HTTP\r\n\r\n";
const LOCATIONS: [&str; 2] = ["Location", "Operation-Location"];

/// What a fault happens to.
pub(crate) struct Scene<'a> {
    pub(crate) request: &'a Request,
    /// Whether it is on the token endpoint's side.
    pub(crate) for_token: bool,
    /// Whose managed identity it is about, if it is about one.
    pub(crate) identity: Option<Host>,
    pub(crate) options: &'a Options,
    /// What the answer would have been.
    pub(crate) normal: Answer,
}

/// The faulty answer.
pub(crate) fn bend(kind: Kind, scene: Scene<'_>) -> Reply {
    let now = Timestamp::now();
    let Scene {
        request,
        for_token,
        identity,
        options,
        normal,
    } = scene;
    if let Some(refused) = identity.and_then(|host| refuse_identity(&kind, host, now)) {
        return identified(refused).into();
    }
    let in_manner = |answer: Answer, manner: Manner| Reply {
        manner,
        ..Reply::from(answer)
    };
    match kind {
        Kind::Delay { ms } => Reply {
            delay: Duration::from_millis(ms),
            ..Reply::from(normal)
        },
        Kind::Hang {} => in_manner(normal, Manner::Hang),
        Kind::CutBody { keep } => in_manner(normal, Manner::CutBody { keep }),
        Kind::CutChunked { at } => in_manner(normal, Manner::CutChunked(at)),
        Kind::Garbage { bytes } => {
            let bytes = bytes.map_or_else(|| GARBAGE.to_vec(), String::into_bytes);
            in_manner(normal, Manner::Garbage(bytes))
        }
        Kind::Reset {} => in_manner(normal, Manner::Reset),
        Kind::Close {} => in_manner(normal, Manner::Close),
        Kind::Stale {} => in_manner(normal, Manner::Stale),
        Kind::Informational { status, after_ms } => {
            let after = Duration::from_millis(after_ms);
            in_manner(normal, Manner::Informational { status, after })
        }
        Kind::Drip { every_ms } => {
            let every = Duration::from_millis(every_ms);
            in_manner(normal, Manner::Drip { every })
        }
        Kind::Huge { bytes, chunked } => in_manner(normal, Manner::Huge { bytes, chunked }),
        Kind::Status {
            status,
            body,
            headers,
        } => identified(any_status(status, &body, headers)).into(),
        Kind::Redirect { status, location } => {
            identified(Answer::empty(status).with("Location", location)).into()
        }
        Kind::IdentityNotReady { status } => {
            let host = identity.unwrap_or(Host::VirtualMachine);
            identified(NoIdentity::NotReady(status).answer(host)).into()
        }
        Kind::Unauthorized {} if for_token => Trouble::Secret(options.client_id.clone())
            .answer(now)
            .into(),
        Kind::Unauthorized {} => identified(Fault::Token(Rejected::Unknown).answer()).into(),
        Kind::Throttle {
            retry_after_seconds,
            form,
        } => {
            let answer = if for_token {
                Trouble::Throttled.answer(now)
            } else {
                too_many()
            };
            identified(retry_after(answer, retry_after_seconds, form, now)).into()
        }
        Kind::InternalError {} => identified(Fault::Internal.answer()).into(),
        Kind::EntraError { code } => Trouble::of_code(code, &options.client_id, &options.tenant)
            .map_or(normal, |trouble| trouble.answer(now))
            .into(),
        Kind::Html { status } => identified(page(status)).into(),
        Kind::Gzip {} => gzip(normal).into(),
        Kind::Empty { status } => identified(Answer::empty(status)).into(),
        Kind::NotJson {} => {
            let mut answer = normal.with("Content-Type", "application/json; charset=utf-8");
            answer.body = b"{\"status\": \"running\", \"steps\": [".to_vec();
            answer.into()
        }
        Kind::NoDate {} => {
            let mut answer = normal;
            answer.dated = false;
            answer.into()
        }
        Kind::Location {
            location,
            operation_location,
        } => relocate(normal, [location, operation_location]).into(),
        Kind::Reflect { status, part } => reflect(request, for_token, status, part).into(),
        // The token endpoint has handed out the last token again already.
        Kind::SameToken {} => normal.into(),
    }
}

fn any_status(status: u16, body: &Value, headers: BTreeMap<String, String>) -> Answer {
    let answer = match body {
        Value::Null => Answer::empty(status),
        Value::String(text) => Answer::bytes(status, "application/json", text.as_str()),
        document => Answer::json(status, document),
    };
    headers
        .into_iter()
        .fold(answer, |answer, (name, value)| answer.with(&name, value))
}

/// The managed identity endpoints refuse in their own words.
fn refuse_identity(kind: &Kind, host: Host, now: Timestamp) -> Option<Answer> {
    match kind {
        Kind::Unauthorized {} => Some(NoIdentity::Header.answer(host)),
        Kind::InternalError {} => Some(NoIdentity::Internal.answer(host)),
        Kind::Throttle {
            retry_after_seconds,
            form,
        } => {
            let answer = NoIdentity::Throttled.answer(host);
            Some(retry_after(answer, *retry_after_seconds, *form, now))
        }
        _ => None,
    }
}

fn too_many() -> Answer {
    let message = "Rate limit is exceeded. Try again later.";
    Answer::json(
        429,
        &json!({"error": {"code": "TooManyRequests", "message": message}}),
    )
}

fn retry_after(answer: Answer, seconds: u32, form: RetryForm, now: Timestamp) -> Answer {
    let until = later(now, Duration::from_secs(seconds.into()));
    match form {
        RetryForm::Seconds => answer.with("Retry-After", seconds.to_string()),
        RetryForm::Date => answer.with("Retry-After", http_date(until)),
        RetryForm::Missing => answer,
    }
}

fn page(status: u16) -> Answer {
    Answer::html(
        status,
        "<!DOCTYPE html>\n<html><head><title>Our services aren't available right now</title>\
         </head><body><h1>Our services aren't available right now</h1><p>We're working to \
         restore all services as soon as possible. Please check back soon.</p>\
         <script>alert('front end')</script></body></html>\n",
    )
}

fn gzip(mut answer: Answer) -> Answer {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let encoded = encoder
        .write_all(&answer.body)
        .and_then(|()| encoder.finish());
    match encoded {
        Ok(body) => {
            answer.body = body;
            answer.with("Content-Encoding", "gzip")
        }
        // Writing to memory does not fail; if it ever did, the plain answer is a fair one.
        Err(_) => answer,
    }
}

fn relocate(mut answer: Answer, places: [Option<String>; 2]) -> Answer {
    let named = LOCATIONS.iter().find_map(|name| answer.header(name));
    let path = named.map(path_of).unwrap_or_default();
    for (name, place) in LOCATIONS.into_iter().zip(places) {
        match place {
            Some(place) => answer = answer.with(name, place.replace("{operation}", &path)),
            None => answer.remove(name),
        }
    }
    answer
}

/// The path of a location, without host and query.
fn path_of(location: &str) -> String {
    let origin = location.split_once("://").map_or(location, |(_, rest)| {
        rest.find('/').map_or("/", |slash| &rest[slash..])
    });
    origin.split('?').next().unwrap_or_default().to_owned()
}

/// What a hostile vendor could do with the credential that it was sent.
fn reflect(request: &Request, for_token: bool, status: u16, part: Part) -> Answer {
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
    let mut answer = Answer::json(status, &document)
        .with("X-Ms-Correlation-Request-Id", shown.as_str())
        .with("x-ms-request-id", shown.as_str())
        .with("ETag", format!("\"{shown}\""))
        .with("Retry-After", shown.as_str())
        .with("Location", format!("/api/{shown}"))
        .with(
            "WWW-Authenticate",
            format!("Bearer error_description=\"{shown}\""),
        );
    answer.reason = Some(shown);
    answer
}
