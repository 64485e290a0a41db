//! A request for a token, checked in Entra's order, and its response.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::application::Application;
use super::error::EntraError;
use super::form::Form;
use super::resource::known_resource;
use super::token_store::{IssuedToken, TokenStore};
use crate::route::Endpoint;
use crate::wire::{Request, Response};

/// The resource for which this request to `/{tenant}/oauth2[/v2.0]/token` may have a token.
pub(crate) fn validate_token_request(
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
pub(crate) fn token_response(
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
