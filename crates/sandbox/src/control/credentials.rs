//! The application's credentials: secrets, certificates, federated credentials and the header of
//! managed identities. PUT replaces, POST adds; DELETE removes all, but restores the initial
//! secret and header. Errors about a body that may hold a secret do not quote it.

use serde::Deserialize;

use super::error::ControlError;
use super::parameters::parameters;
use crate::entra::{Certificate, CertificateError, Federated, Secret};
use crate::state::SandboxState;
use crate::wire::{Request, Response};

impl From<CertificateError> for ControlError {
    fn from(error: CertificateError) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// The body of `PUT /_sandbox/v1/token/secrets`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Secrets {
    secrets: Vec<OneSecret>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneSecret {
    Plain(String),
    Marked(Marked),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Marked {
    value: String,
    #[serde(default)]
    expired: bool,
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
    parameters(request, &[])?;
    let mut application = state.application();
    match request.method.as_str() {
        "GET" => {}
        "PUT" => application.set_secrets(read_secrets(request)?),
        "DELETE" => {
            let first = Secret::new(&state.options.client_secret, false);
            application.set_secrets(vec![first]);
        }
        _ => return Err(ControlError::NoRoute),
    }
    Ok(Response::json(200, &application.secrets()))
}

fn read_secrets(request: &Request) -> Result<Vec<Secret>, ControlError> {
    let wrong =
        r#"the body must be {"secrets": ["…", {"value": "…", "expired": true}]}, none empty"#;
    let invalid = || ControlError::Invalid(wrong.into());
    let all = request.json::<Secrets>().map_err(|_| invalid())?.secrets;
    all.into_iter()
        .map(|one| match one {
            OneSecret::Plain(value) => (value, false),
            OneSecret::Marked(Marked { value, expired }) => (value, expired),
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
    parameters(request, &[])?;
    let read = || Certificate::parse_all(&String::from_utf8_lossy(&request.body));
    let mut application = state.application();
    match request.method.as_str() {
        "GET" => {}
        "PUT" => application.set_certificates(read()?),
        "POST" => application.add_certificates(read()?),
        "DELETE" => application.set_certificates(Vec::new()),
        _ => return Err(ControlError::NoRoute),
    }
    Ok(Response::json(200, &application.certificates()))
}

pub(super) fn federated(state: &SandboxState, request: &Request) -> Result<Response, ControlError> {
    parameters(request, &[])?;
    let mut application = state.application();
    match request.method.as_str() {
        "GET" => {}
        "PUT" => application.set_federated(read_federated(request)?),
        "POST" => application.add_federated(read_federated(request)?),
        "DELETE" => application.set_federated(Vec::new()),
        _ => return Err(ControlError::NoRoute),
    }
    Ok(Response::json(200, &application.federated()))
}

fn read_federated(request: &Request) -> Result<Vec<Federated>, ControlError> {
    let wrong = r#"the body must be {"issuer": "…", "subject": "…", "audience": "…", "jwks": {"keys": […]}}, or a list of such; audience may be left out"#;
    let all = match request.json() {
        Ok(OneOrMany::One(one)) => vec![*one],
        Ok(OneOrMany::Many(all)) => all,
        Err(_) => return Err(ControlError::Invalid(wrong.into())),
    };
    for one in &all {
        one.check()
            .map_err(|why| ControlError::Invalid(why.into()))?;
    }
    Ok(all)
}

pub(super) fn identity(state: &SandboxState, request: &Request) -> Result<Response, ControlError> {
    parameters(request, &[])?;
    let mut application = state.application();
    match request.method.as_str() {
        "GET" => {}
        "PUT" => {
            let body = request.json::<Identity>().ok();
            let header = body.map(|body| body.header).filter(|text| !text.is_empty());
            let header = header.ok_or_else(|| {
                ControlError::Invalid(r#"the body must be {"header": "…"}, not empty"#.into())
            })?;
            application.set_identity_header(&header);
        }
        "DELETE" => application.set_identity_header(&state.options.identity_header),
        _ => return Err(ControlError::NoRoute),
    }
    Ok(Response::json(200, &application.identity()))
}
