//! The control routes below `/_sandbox/v1/`: a test tells the vendor what to do and asks what is
//! true. Strict where the vendor is lax: an unknown member, parameter or name is refused with a
//! sentence that lists the known ones.

mod credentials;
mod journal;
mod offers;
mod token;

use serde_json::{Value, json};

use super::faults::{FaultOrder, OrderError};
use super::offer::SCENARIO_NAMES;
use super::state::SandboxState;
use super::wire::{Request, Response};

const HELP: &str = include_str!("help.txt");

/// Why a control request is refused.
#[derive(Debug, thiserror::Error)]
enum ControlError {
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    NotFound(String),
    #[error("no such control route, or not with this method; GET /_sandbox/v1/ lists them")]
    NoRoute,
    #[error("{0}")]
    Conflict(String),
    #[error("requests from browsers are refused: this one has an Origin header")]
    Browser,
}

impl ControlError {
    fn response(&self) -> Response {
        let status = match self {
            Self::Invalid(_) => 400,
            Self::NotFound(_) | Self::NoRoute => 404,
            Self::Conflict(_) => 409,
            Self::Browser => 403,
        };
        Response::json(status, &json!({"error": self.to_string()}))
    }
}

impl From<serde_json::Error> for ControlError {
    fn from(error: serde_json::Error) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// The response to a control request; `segments` are those after `/_sandbox`.
pub(super) async fn respond(
    state: &SandboxState,
    request: &Request,
    segments: &[String],
) -> Response {
    route(state, request, segments)
        .await
        .unwrap_or_else(|error| error.response())
        .with("X-Content-Type-Options", "nosniff")
        .with("Cache-Control", "no-store")
}

async fn route(
    state: &SandboxState,
    request: &Request,
    segments: &[String],
) -> Result<Response, ControlError> {
    // A web page must not be able to control a sandbox on loopback.
    if request.header("origin").is_some() {
        return Err(ControlError::Browser);
    }
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let segments = match segments[..] {
        ["v1", ref rest @ ..] => rest,
        ref unversioned => {
            return Err(ControlError::NotFound(format!(
                "control routes are versioned: use /_sandbox/v1/{}",
                unversioned.join("/")
            )));
        }
    };
    match (request.method.as_str(), segments) {
        ("GET", []) => Ok(Response::text(200, &help())),
        ("GET", ["health"]) => Ok(ok(&json!({"status": "ok"}))),
        ("POST", ["reset"]) => Ok(reset(state)),
        ("GET", ["journal"]) => journal::read(state, request).await,
        ("DELETE", ["journal"]) => {
            state.journal.clear();
            Ok(Response::empty(204))
        }
        ("GET", ["faults"]) => Ok(ok(&state.faults().list())),
        ("POST", ["faults"]) => order_fault(state, request),
        ("DELETE", ["faults"]) => {
            state.faults().clear();
            Ok(Response::empty(204))
        }
        ("DELETE", ["faults", id]) => match state.faults().remove(id) {
            true => Ok(Response::empty(204)),
            false => Err(ControlError::NotFound(format!("no order {id} is pending"))),
        },
        (_, ["token"]) => token::controls(state, request),
        ("POST", ["token", "revoke"]) => Ok(token::revoke(state)),
        (_, ["token", "allowance"]) => token::allowance(state, request),
        (_, ["token", "secrets"]) => credentials::secrets(state, request),
        (_, ["certificates"]) => credentials::certificates(state, request),
        (_, ["federated"]) => credentials::federated(state, request),
        (_, ["identity"]) => credentials::identity(state, request),
        (_, ["offers", publisher, offer]) => {
            offers::offer(state, request, offers::key(publisher, offer)).await
        }
        ("POST", ["offers", publisher, offer, step]) => {
            offers::step(state, request, &offers::key(publisher, offer), step)
        }
        _ => Err(ControlError::NoRoute),
    }
}

/// The help page, with the names of the scenarios, eight to a line.
fn help() -> String {
    let lines: Vec<String> = SCENARIO_NAMES
        .chunks(8)
        .map(|names| names.join(" "))
        .collect();
    HELP.replace("{scenarios}", &lines.join("\n           "))
}

fn order_fault(state: &SandboxState, request: &Request) -> Result<Response, ControlError> {
    let added = FaultOrder::parse(&request.body).and_then(|order| state.faults().add(order));
    match added {
        Ok(description) => Ok(Response::json(201, &description)),
        Err(error @ OrderError::Full) => Err(ControlError::Conflict(error.to_string())),
        Err(error) => Err(ControlError::Invalid(error.to_string())),
    }
}

/// Restores the initial state; tokens stay valid, so that clients need not fetch new ones.
fn reset(state: &SandboxState) -> Response {
    state.offers().clear();
    state.faults().clear();
    state.journal.clear();
    state.application().reset(&state.options);
    *state.allowance() = super::entra::Allowance::default();
    state
        .tokens()
        .set_controls(super::entra::TokenControls::default());
    state.notify();
    Response::empty(204)
}

/// The query parameters, all of which must be among `known`.
fn parameters(request: &Request, known: &[&str]) -> Result<Vec<(String, String)>, ControlError> {
    let pairs = request.query_pairs();
    match pairs
        .iter()
        .find(|(name, _)| !known.contains(&name.as_str()))
    {
        None => Ok(pairs),
        Some((name, _)) => Err(ControlError::Invalid(format!(
            "unknown parameter {name:?}; known: {}",
            known.join(", ")
        ))),
    }
}

/// A numeric parameter.
fn number(name: &str, value: &str) -> Result<u64, ControlError> {
    value
        .parse()
        .map_err(|_| ControlError::Invalid(format!("{name} must be a number, not {value:?}")))
}

fn ok(document: &Value) -> Response {
    Response::json(200, document)
}
