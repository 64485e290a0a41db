//! The Entra token endpoint, v1 and v2, and the managed identity endpoints. Requests are checked
//! in Entra's order and refused in Entra's words; issued tokens are remembered, so that the
//! portal can tell a live one from a forged one.

mod allowance;
mod application;
mod assertion;
mod certificate;
mod error;
mod federated;
mod managed_identity;
mod token_forge;
mod token_store;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::route::Endpoint;
use super::wire::{Request, Response};

pub(super) use allowance::Allowance;
pub(super) use application::{Application, Secret};
pub(super) use certificate::{Certificate, CertificateError};
pub(super) use error::EntraError;
pub(super) use federated::Federated;
pub(super) use managed_identity::{
    ManagedIdentityError, identity_response, validate_identity_request,
};
pub(super) use token_forge::TokenForge;
pub(super) use token_store::{IssuedToken, TokenControls, TokenError, TokenStore};

/// The one resource whose tokens the portal accepts.
pub(super) const PORTAL: &str = "https://cloudpartner.azure.com";
/// The resources of the tenant; the portal refuses tokens for the others.
const RESOURCES: [&str; 3] = [
    PORTAL,
    "https://management.azure.com",
    "https://graph.microsoft.com",
];

/// The resource for which this request to `/{tenant}/oauth2[/v2.0]/token` may have a token.
pub(super) fn validate_token_request(
    request: &Request,
    tenant: &str,
    endpoint: Endpoint,
    application: &mut Application,
    now: Timestamp,
) -> Result<&'static str, EntraError> {
    if request.method != "POST" {
        return Err(EntraError::Method(request.method.clone()));
    }
    if !application.is_tenant(tenant) {
        return Err(EntraError::Tenant(tenant.to_owned()));
    }
    let form = Form::of(request);
    let kind = form.required("grant_type")?;
    if kind != "client_credentials" {
        return Err(EntraError::GrantType(kind.to_owned()));
    }
    let client = form.required("client_id")?;
    if !client.eq_ignore_ascii_case(&application.client) {
        return Err(EntraError::Application(
            client.to_owned(),
            tenant.to_owned(),
        ));
    }
    application.authenticate(&form, request.header("host"), now)?;
    let resource = match endpoint {
        Endpoint::V1 => form.required("resource")?.to_owned(),
        Endpoint::V2 => {
            let scope = form.required("scope")?;
            let resource = scope.strip_suffix("/.default");
            resource
                .ok_or_else(|| EntraError::Scope(scope.to_owned()))?
                .to_owned()
        }
    };
    known_resource(&resource).ok_or_else(|| EntraError::Resource(resource, tenant.into()))
}

/// The response to a validated request.
pub(super) fn token_response(
    validated: Result<&'static str, EntraError>,
    endpoint: Endpoint,
    tokens: &mut TokenStore,
    now: Timestamp,
) -> Response {
    match validated {
        Ok(audience) => {
            let issued = tokens.issue(audience, now);
            Response::json(200, &document(&issued, endpoint, now))
        }
        Err(error) => error.response(now),
    }
    .with("Cache-Control", "no-store, no-cache")
    .with("Pragma", "no-cache")
    .with("X-Content-Type-Options", "nosniff")
}

/// The resource as the tenant names it; a slash at the end makes no difference.
fn known_resource(resource: &str) -> Option<&'static str> {
    let plain = resource.strip_suffix('/').unwrap_or(resource);
    let mut all = RESOURCES.into_iter();
    all.find(|known| known.eq_ignore_ascii_case(plain))
}

/// The body of a successful response: v1 writes numbers as text.
fn document(issued: &IssuedToken, endpoint: Endpoint, now: Timestamp) -> Value {
    let left = issued.expires.as_second() - now.as_second();
    match endpoint {
        Endpoint::V1 => json!({
            "token_type": "Bearer",
            "expires_in": left.to_string(),
            "ext_expires_in": left.to_string(),
            "expires_on": issued.expires.as_second().to_string(),
            "not_before": issued.not_before.as_second().to_string(),
            "resource": issued.audience,
            "access_token": issued.token,
        }),
        Endpoint::V2 => json!({
            "token_type": "Bearer",
            "expires_in": left,
            "ext_expires_in": left,
            "access_token": issued.token,
        }),
    }
}

/// The form of a request; empty if it has none.
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

    fn required(&self, name: &'static str) -> Result<&str, EntraError> {
        self.get(name).ok_or(EntraError::Parameter(name))
    }
}

#[cfg(test)]
mod tests;
