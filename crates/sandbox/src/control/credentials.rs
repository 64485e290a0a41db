//! The application's credentials: secrets, certificates, federated credentials and the header of
//! managed identities. PUT replaces, POST adds; DELETE removes all, but restores the initial
//! secret and header. Errors about a body that may hold a secret do not quote it.

use serde::Deserialize;
use serde_json::json;

use super::error::ControlError;
use crate::entra::{Certificate, Federated, Secret};
use crate::state::SandboxState;
use crate::wire::{Request, Response};

/// The body of `PUT /_sandbox/v1/token/secrets`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Secrets {
    secrets: Vec<OneSecret>,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum OneSecret {
    Plain(String),
    Marked {
        value: String,
        #[serde(default)]
        expired: bool,
    },
}

/// The body of `PUT /_sandbox/v1/identity`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    header: String,
}

/// The body of `PUT /_sandbox/v1/federated`.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Box<Federated>),
    Many(Vec<Federated>),
}

pub(super) fn secrets(state: &SandboxState, request: &Request) -> Result<Response, ControlError> {
    let mut application = state.application.lock();
    match request.method.as_str() {
        "GET" => {}
        "PUT" => application.secrets = read_secrets(request)?,
        "DELETE" => {
            application.secrets = vec![Secret::new(&state.options.client_secret, false)];
        }
        _ => return Err(ControlError::NoRoute),
    }
    Ok(Response::json(200, &json!(application.secrets)))
}

fn read_secrets(request: &Request) -> Result<Vec<Secret>, ControlError> {
    let wrong =
        r#"the body must be {"secrets": ["…", {"value": "…", "expired": true}]}, none empty"#;
    let invalid = || ControlError::Invalid(wrong.into());
    let all = request.json::<Secrets>().map_err(|_| invalid())?.secrets;
    all.into_iter()
        .map(|one| match one {
            OneSecret::Plain(value) => (value, false),
            OneSecret::Marked { value, expired } => (value, expired),
        })
        .map(|(value, expired)| match value.is_empty() {
            true => Err(invalid()),
            false => Ok(Secret::new(&value, expired)),
        })
        .collect()
}

pub(super) fn certificates(
    state: &SandboxState,
    request: &Request,
) -> Result<Response, ControlError> {
    let read = || Certificate::parse_all(&String::from_utf8_lossy(&request.body));
    let mut application = state.application.lock();
    match request.method.as_str() {
        "GET" => {}
        "PUT" => application.certificates.set(read()?),
        "POST" => application.certificates.add(read()?),
        "DELETE" => application.certificates.set(Vec::new()),
        _ => return Err(ControlError::NoRoute),
    }
    Ok(Response::json(200, &application.certificates.to_json()))
}

pub(super) fn federated(state: &SandboxState, request: &Request) -> Result<Response, ControlError> {
    let mut application = state.application.lock();
    match request.method.as_str() {
        "GET" => {}
        "PUT" => application.federated = read_federated(request)?,
        "POST" => application.federated.extend(read_federated(request)?),
        "DELETE" => application.federated.clear(),
        _ => return Err(ControlError::NoRoute),
    }
    let all = application.federated.iter().map(Federated::to_json);
    Ok(Response::json(200, &all.collect()))
}

fn read_federated(request: &Request) -> Result<Vec<Federated>, ControlError> {
    let wrong = r#"the body must be {"issuer": "…", "subject": "…", "audience": "…", "jwks": {"keys": […]}}, or a list of such; audience may be left out"#;
    let invalid = |why: &str| ControlError::Invalid(why.into());
    let all = match request.json().map_err(|_| invalid(wrong))? {
        OneOrMany::One(one) => vec![*one],
        OneOrMany::Many(all) => all,
    };
    all.iter().try_for_each(Federated::check).map_err(invalid)?;
    Ok(all)
}

pub(super) fn identity(state: &SandboxState, request: &Request) -> Result<Response, ControlError> {
    let mut application = state.application.lock();
    match request.method.as_str() {
        "GET" => {}
        "PUT" => {
            let body = request.json::<Identity>().ok();
            let header = body.map(|body| body.header).filter(|text| !text.is_empty());
            let wrong = r#"the body must be {"header": "…"}, not empty"#;
            let header = header.ok_or_else(|| ControlError::Invalid(wrong.into()))?;
            application.set_identity_header(&header);
        }
        "DELETE" => application.set_identity_header(&state.options.identity_header),
        _ => return Err(ControlError::NoRoute),
    }
    Ok(Response::json(200, &application.identity()))
}
