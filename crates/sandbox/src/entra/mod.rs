//! The Entra token endpoint, both generations, and the managed identity endpoints. What it
//! checks, it checks in Entra's order and refuses in Entra's words; the tokens it hands out
//! are remembered, so that the portal's side can tell a live one from a forged one.

mod allowance;
mod application;
mod assertion;
mod book;
mod certificate;
mod error;
mod federated;
mod managed;
mod mint;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::route::Endpoint;
use super::wire::{Answer, Request};

pub(super) use allowance::Allowance;
pub(super) use application::{Application, Secret};
pub(super) use book::{Book, Controls, Grant, InForm, Rejected};
pub(super) use certificate::{Certificate, Unregistrable};
pub(super) use error::Trouble;
pub(super) use federated::Federated;
pub(super) use managed::{NoIdentity, identity_answer, judge_identity};
pub(super) use mint::Mint;

/// The one resource whose tokens the portal accepts.
pub(super) const PORTAL: &str = "https://cloudpartner.azure.com";
/// The resources that the tenant knows; tokens for the others exist, but are no good here.
const RESOURCES: [&str; 3] = [
    PORTAL,
    "https://management.azure.com",
    "https://graph.microsoft.com",
];

/// The resource that `POST /{tenant}/oauth2[/v2.0]/token` may have a token for.
pub(super) fn judge(
    request: &Request,
    tenant: &str,
    endpoint: Endpoint,
    application: &mut Application,
    now: Timestamp,
) -> Result<&'static str, Trouble> {
    if request.method != "POST" {
        return Err(Trouble::Method(request.method.clone()));
    }
    if !application.is_tenant(tenant) {
        return Err(Trouble::Tenant(tenant.to_owned()));
    }
    let form = Form::of(request);
    let kind = form.required("grant_type")?;
    if kind != "client_credentials" {
        return Err(Trouble::GrantType(kind.to_owned()));
    }
    let client = form.required("client_id")?;
    if !client.eq_ignore_ascii_case(&application.client) {
        return Err(Trouble::Application(client.to_owned(), tenant.to_owned()));
    }
    application.authenticate(&form, request.header("host"), now)?;
    let resource = match endpoint {
        Endpoint::V1 => form.required("resource")?.to_owned(),
        Endpoint::V2 => {
            let scope = form.required("scope")?;
            let resource = scope.strip_suffix("/.default");
            resource
                .ok_or_else(|| Trouble::Scope(scope.to_owned()))?
                .to_owned()
        }
    };
    known(&resource).ok_or_else(|| Trouble::Resource(resource, tenant.into()))
}

/// The answer to a request that was judged so.
pub(super) fn token(
    judged: Result<&'static str, Trouble>,
    endpoint: Endpoint,
    book: &mut Book,
    again: bool,
    now: Timestamp,
) -> Answer {
    match judged {
        Ok(audience) => {
            let grant = book.issue(audience, again, now);
            Answer::json(200, &document(&grant, endpoint, book.controls(), now))
        }
        Err(trouble) => trouble.answer(now),
    }
    .with("Cache-Control", "no-store, no-cache")
    .with("Pragma", "no-cache")
    .with("X-Content-Type-Options", "nosniff")
}

/// The resource as the tenant knows it, be it asked for with a slash at the end or without.
fn known(resource: &str) -> Option<&'static str> {
    let plain = resource.strip_suffix('/').unwrap_or(resource);
    let mut all = RESOURCES.into_iter();
    all.find(|known| known.eq_ignore_ascii_case(plain))
}

/// A token in the endpoint's own words.
fn document(grant: &Grant, endpoint: Endpoint, controls: &Controls, now: Timestamp) -> Value {
    let left = grant.expires.as_second() - now.as_second();
    let mut body = Map::new();
    body.insert("token_type".into(), "Bearer".into());
    let in_strings = match controls.expires_in_form {
        InForm::Default => Some(endpoint == Endpoint::V1),
        InForm::String => Some(true),
        InForm::Number => Some(false),
        InForm::Missing => None,
        InForm::Zero => {
            body.insert("expires_in".into(), 0.into());
            None
        }
    };
    if let Some(in_strings) = in_strings {
        body.insert("expires_in".into(), number(left, in_strings));
        body.insert("ext_expires_in".into(), number(left, in_strings));
        if endpoint == Endpoint::V1 {
            let expires_on = number(grant.expires.as_second(), true);
            body.insert("expires_on".into(), expires_on);
        }
    }
    if endpoint == Endpoint::V1 {
        let not_before = number(grant.not_before.as_second(), true);
        body.insert("not_before".into(), not_before);
        body.insert("resource".into(), grant.audience.into());
    }
    body.insert("access_token".into(), grant.token.clone().into());
    Value::Object(body)
}

fn number(value: i64, in_string: bool) -> Value {
    if in_string {
        json!(value.to_string())
    } else {
        json!(value)
    }
}

/// A form, or an empty one if the request carries none.
struct Form(Vec<(String, String)>);

impl Form {
    fn of(request: &Request) -> Self {
        let is_form = request
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let pairs = serde_urlencoded::from_bytes(&request.body);
        Self(pairs.ok().filter(|_| is_form).unwrap_or_default())
    }

    fn get(&self, name: &str) -> Option<&str> {
        let mut given = self.0.iter().filter(|(_, value)| !value.is_empty());
        given
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    fn required(&self, name: &'static str) -> Result<&str, Trouble> {
        self.get(name).ok_or(Trouble::Parameter(name))
    }
}

#[cfg(test)]
mod tests;
