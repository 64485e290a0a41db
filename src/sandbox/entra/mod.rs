//! The Entra token endpoint, both generations, and the managed identity endpoints. What it
//! checks, it checks in Entra's order and refuses in Entra's words; the tokens it hands out
//! are remembered, so that the portal's side can tell a live one from a forged one.

mod assertion;
mod book;
mod error;
mod managed;
mod mint;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::options::Options;
use super::route::Endpoint;
use super::wire::{Answer, Request};

pub(super) use book::{Book, Controls, Grant, InForm, Rejected};
pub(super) use error::Trouble;
pub(super) use managed::{Identity, managed_identity};
pub(super) use mint::Mint;

/// The one resource whose tokens the portal accepts.
pub(super) const PORTAL: &str = "https://cloudpartner.azure.com";
/// The resources that the tenant knows; tokens for the others exist, but are no good here.
const RESOURCES: [&str; 3] = [
    PORTAL,
    "https://management.azure.com",
    "https://graph.microsoft.com",
];

/// The answer to `POST /{tenant}/oauth2[/v2.0]/token`.
pub(super) fn token(
    request: &Request,
    tenant: &str,
    endpoint: Endpoint,
    options: &Options,
    book: &mut Book,
    again: bool,
) -> Answer {
    let now = Timestamp::now();
    match grant(request, tenant, endpoint, options, book, again, now) {
        Ok(grant) => Answer::json(200, &document(&grant, endpoint, book.controls(), now)),
        Err(trouble) => trouble.answer(now),
    }
    .with("Cache-Control", "no-store, no-cache")
    .with("Pragma", "no-cache")
    .with("X-Content-Type-Options", "nosniff")
}

fn grant(
    request: &Request,
    tenant: &str,
    endpoint: Endpoint,
    options: &Options,
    book: &mut Book,
    again: bool,
    now: Timestamp,
) -> Result<Grant, Trouble> {
    if request.method != "POST" {
        return Err(Trouble::Method(request.method.clone()));
    }
    let guid = book.mint().tenant_id().to_string();
    if !tenant.eq_ignore_ascii_case(&options.tenant) && !tenant.eq_ignore_ascii_case(&guid) {
        return Err(Trouble::Tenant(tenant.to_owned()));
    }
    let form = Form::of(request);
    let kind = form.required("grant_type")?;
    if kind != "client_credentials" {
        return Err(Trouble::GrantType(kind.to_owned()));
    }
    let client = form.required("client_id")?;
    if !client.eq_ignore_ascii_case(&options.client_id) {
        return Err(Trouble::Application(client.to_owned(), tenant.to_owned()));
    }
    match (form.get("client_secret"), form.get("client_assertion")) {
        (Some(secret), None) if secret == options.client_secret => {}
        (Some(_), None) => return Err(Trouble::Secret(client.to_owned())),
        (None, Some(text)) => {
            let kind = form.required("client_assertion_type")?;
            assertion::check(
                text,
                kind,
                &options.client_id,
                [&options.tenant, &guid],
                now,
            )?;
        }
        (None, None) => return Err(Trouble::NoCredential),
        (Some(_), Some(_)) => return Err(Trouble::TwoCredentials),
    }
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
    let audience = known(&resource).ok_or_else(|| Trouble::Resource(resource, tenant.into()))?;
    Ok(book.issue(audience, again, now))
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
