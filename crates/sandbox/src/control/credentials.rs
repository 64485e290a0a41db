//! By what the application proves who it is: secrets, certificates, federated credentials and
//! the managed identity's header. PUT replaces, POST adds; DELETE removes all, but
//! for secret and header, which are as in the beginning then.
//! What is wrong with a body that may hold a secret is said without quoting it.

use serde::Deserialize;

use super::{Refused, ok, parameters};
use crate::entra::{Certificate, Federated, Secret, Unregistrable};
use crate::wire::{Answer, Request};
use crate::world::World;

impl From<Unregistrable> for Refused {
    fn from(error: Unregistrable) -> Self {
        Self::Request(error.to_string())
    }
}

/// The body of `PUT /_sandbox/token/secrets`.
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

/// The body of `PUT /_sandbox/identity`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    header: String,
}

/// The body of `PUT /_sandbox/federated`.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Box<Federated>),
    Many(Vec<Federated>),
}

pub(super) fn secrets(world: &World, request: &Request) -> Result<Answer, Refused> {
    parameters(request, &[])?;
    let mut application = world.application();
    match request.method.as_str() {
        "GET" => {}
        "PUT" => application.set_secrets(read_secrets(request)?),
        "DELETE" => {
            let first = Secret::new(&world.options.client_secret, false);
            application.set_secrets(vec![first]);
        }
        _ => return Err(Refused::Method("GET, PUT, DELETE")),
    }
    Ok(ok(&application.secrets()))
}

fn read_secrets(request: &Request) -> Result<Vec<Secret>, Refused> {
    let wrong =
        r#"the body must be {"secrets": ["…", {"value": "…", "expired": true}]}, none empty"#;
    let refused = || Refused::Request(wrong.into());
    let all = request.json::<Secrets>().map_err(|_| refused())?.secrets;
    all.into_iter()
        .map(|one| match one {
            OneSecret::Plain(value) => (value, false),
            OneSecret::Marked(Marked { value, expired }) => (value, expired),
        })
        .map(|(value, expired)| match value.is_empty() {
            true => Err(refused()),
            false => Ok(Secret::new(&value, expired)),
        })
        .collect()
}

pub(super) fn certificates(world: &World, request: &Request) -> Result<Answer, Refused> {
    parameters(request, &[])?;
    let read = || Certificate::all_of(&String::from_utf8_lossy(&request.body));
    let mut application = world.application();
    match request.method.as_str() {
        "GET" => {}
        "PUT" => application.set_certificates(read()?),
        "POST" => application.add_certificates(read()?),
        "DELETE" => application.set_certificates(Vec::new()),
        _ => return Err(Refused::Method("GET, PUT, POST, DELETE")),
    }
    Ok(ok(&application.certificates()))
}

pub(super) fn federated(world: &World, request: &Request) -> Result<Answer, Refused> {
    parameters(request, &[])?;
    let mut application = world.application();
    match request.method.as_str() {
        "GET" => {}
        "PUT" => application.set_federated(read_federated(request)?),
        "POST" => application.add_federated(read_federated(request)?),
        "DELETE" => application.set_federated(Vec::new()),
        _ => return Err(Refused::Method("GET, PUT, POST, DELETE")),
    }
    Ok(ok(&application.federated()))
}

fn read_federated(request: &Request) -> Result<Vec<Federated>, Refused> {
    let wrong = r#"the body must be {"issuer": "…", "subject": "…", "audience": "…", "jwks": {"keys": […]}}, or a list of such; audience may be left out"#;
    let all = match request.json() {
        Ok(OneOrMany::One(one)) => vec![*one],
        Ok(OneOrMany::Many(all)) => all,
        Err(_) => return Err(Refused::Request(wrong.into())),
    };
    for one in &all {
        one.check().map_err(|why| Refused::Request(why.into()))?;
    }
    Ok(all)
}

pub(super) fn identity(world: &World, request: &Request) -> Result<Answer, Refused> {
    parameters(request, &[])?;
    let mut application = world.application();
    match request.method.as_str() {
        "GET" => {}
        "PUT" => {
            let body = request.json::<Identity>().ok();
            let header = body.map(|body| body.header).filter(|text| !text.is_empty());
            let header = header.ok_or_else(|| {
                Refused::Request(r#"the body must be {"header": "…"}, not empty"#.into())
            })?;
            application.set_identity_header(&header);
        }
        "DELETE" => application.set_identity_header(&world.options.identity_header),
        _ => return Err(Refused::Method("GET, PUT, DELETE")),
    }
    Ok(ok(&application.identity()))
}
