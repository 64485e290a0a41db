//! The table of the control routes, and those that need no file of their own.

use serde_json::json;

use super::error::ControlError;
use super::{credentials, journal, offers, token};
use crate::faults::FaultOrder;
use crate::offer::{Key, scenario_names};
use crate::state::SandboxState;
use crate::wire::{Request, Response};

const HELP: &str = include_str!("help.txt");

/// The response to a control request; `segments` are those after `/_sandbox`.
pub(crate) async fn respond(
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
    if !request.query.is_empty() && !matches!(segments, ["journal"] | ["offers", ..]) {
        return Err(ControlError::Invalid("this route has no parameters".into()));
    }
    match (request.method.as_str(), segments) {
        ("GET", []) => Ok(Response::text(200, &help())),
        ("GET", ["health"]) => Ok(Response::json(200, &json!({"status": "ok"}))),
        ("POST", ["reset"]) => Ok(reset(state)),
        ("GET", ["journal"]) => journal::read(state, request).await,
        ("DELETE", ["journal"]) => {
            state.journal.clear();
            Ok(Response::empty(204))
        }
        ("GET", ["faults"]) => Ok(Response::json(200, &state.faults.lock().list())),
        ("POST", ["faults"]) => {
            let order = FaultOrder::parse(&request.body)?;
            Ok(Response::json(201, &state.faults.lock().add(order)?))
        }
        ("DELETE", ["faults"]) => {
            state.faults.lock().clear();
            Ok(Response::empty(204))
        }
        ("DELETE", ["faults", id]) => match state.faults.lock().remove(id) {
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
            offers::offer(state, request, Key::new(publisher, offer)).await
        }
        ("POST", ["offers", publisher, offer, step]) => {
            offers::step(state, request, &Key::new(publisher, offer), step)
        }
        _ => Err(ControlError::NoRoute),
    }
}

/// The help page, with the names of the scenarios, eight to a line.
fn help() -> String {
    let lines: Vec<String> = scenario_names()
        .chunks(8)
        .map(|names| names.join(" "))
        .collect();
    HELP.replace("{scenarios}", &lines.join("\n           "))
}

/// Restores the initial state; tokens stay valid, so that clients need not fetch new ones.
fn reset(state: &SandboxState) -> Response {
    state.offers.lock().clear();
    state.faults.lock().clear();
    state.journal.clear();
    state.application.lock().reset(&state.options);
    *state.allowance.lock() = crate::entra::Allowance::default();
    state.tokens.lock().controls = crate::entra::TokenControls::default();
    state.notify();
    Response::empty(204)
}
