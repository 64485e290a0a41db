//! Controls of the token endpoint: the form of the next tokens, how many may be fetched, and
//! revocation.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ControlError;
use crate::entra::{Allowance, TokenControls, TokenStore};
use crate::state::SandboxState;
use crate::wire::{Request, Response};

pub(super) fn controls(state: &SandboxState, request: &Request) -> Result<Response, ControlError> {
    let mut tokens = state.tokens.lock();
    match request.method.as_str() {
        "GET" => {}
        "POST" => tokens.controls = request.json()?,
        "DELETE" => tokens.controls = TokenControls::default(),
        _ => return Err(ControlError::NoRoute),
    }
    Ok(Response::json(200, &describe(&tokens)))
}

pub(super) fn revoke(state: &SandboxState) -> Response {
    let mut tokens = state.tokens.lock();
    tokens.revoke_all();
    Response::json(200, &describe(&tokens))
}

/// The body of `PUT /_sandbox/v1/token/allowance`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Calls {
    calls: u64,
}

/// How many calls for a token are allowed from now on.
pub(super) fn allowance(state: &SandboxState, request: &Request) -> Result<Response, ControlError> {
    let mut allowance = state.allowance.lock();
    match request.method.as_str() {
        "GET" => {}
        "PUT" => *allowance = Allowance::of(Some(request.json::<Calls>()?.calls)),
        "DELETE" => *allowance = Allowance::default(),
        _ => return Err(ControlError::NoRoute),
    }
    Ok(Response::json(200, &allowance.to_json()))
}

fn describe(tokens: &TokenStore) -> Value {
    let mut document = json!(tokens.controls);
    document["tenantId"] = json!(tokens.forge.tenant);
    document["issued"] = tokens.issued.into();
    document["live"] = tokens.live(Timestamp::now()).into();
    document
}
