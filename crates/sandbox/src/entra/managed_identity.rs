//! The managed identity endpoints: the metadata service of a virtual machine, and App Service's
//! at `IDENTITY_ENDPOINT`. Neither wants a credential of the application; both want a header that
//! a forged request from a browser cannot have, and the metadata service refuses proxied requests.

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::resource::known_resource;
use super::{Application, TokenStore};
use crate::route::IdentityHost;
use crate::wire::{Request, Response};

/// Why no token is issued for a managed identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ManagedIdentityError {
    #[error("Method Not Allowed")]
    Method,
    #[error("Required metadata header not specified")]
    Metadata,
    #[error("The X-IDENTITY-HEADER header is missing or wrong")]
    Header,
    #[error("Requests with an X-Forwarded-For header are not served")]
    Forwarded,
    #[error("Required query variable 'api-version' must be {0}")]
    Version(&'static str),
    #[error("Identity not found")]
    Unknown,
    #[error("Required query variable 'resource' is missing")]
    NoResource,
    #[error("AADSTS500011: The resource principal named in the request was not found.")]
    Resource,
    #[error("Temporarily throttled, too many requests")]
    Throttled,
    #[error("Failed to retrieve token from the Active directory.")]
    Internal,
}

impl ManagedIdentityError {
    fn terms(self) -> (u16, &'static str) {
        match self {
            Self::Method => (405, "invalid_request"),
            Self::Header => (401, "unauthorized"),
            Self::Metadata
            | Self::Forwarded
            | Self::Version(_)
            | Self::Unknown
            | Self::NoResource => (400, "invalid_request"),
            Self::Resource => (400, "invalid_resource"),
            Self::Throttled => (429, "too_many_requests"),
            Self::Internal => (500, "unknown"),
        }
    }

    /// The error document, which differs between the two services.
    pub(crate) fn response(self, host: IdentityHost) -> Response {
        let (status, error) = self.terms();
        let body = match (host, self) {
            (IdentityHost::VirtualMachine, _) => {
                json!({"error": error, "error_description": self.to_string()})
            }
            (IdentityHost::AppService, Self::Unknown) => app_service_error(
                status,
                "No User Assigned or Delegated Managed Identity found for specified \
                 ClientId/ResourceId/PrincipalId.",
            ),
            (IdentityHost::AppService, _) => app_service_error(status, &self.to_string()),
        };
        Response::json(status, &body).with("Cache-Control", "no-store")
    }
}

fn app_service_error(status: u16, message: &str) -> serde_json::Value {
    json!({"statusCode": status, "message": message, "correlationId": Uuid::new_v4()})
}

/// The resource for which this request may have a token.
pub(crate) fn validate_identity_request(
    request: &Request,
    host: IdentityHost,
    application: &Application,
) -> Result<&'static str, ManagedIdentityError> {
    if request.method != "GET" {
        return Err(ManagedIdentityError::Method);
    }
    let version = match host {
        IdentityHost::VirtualMachine => {
            if request.header("x-forwarded-for").is_some() {
                return Err(ManagedIdentityError::Forwarded);
            }
            // In lower case: other spellings are refused by the service too.
            if request.header("metadata") != Some("true") {
                return Err(ManagedIdentityError::Metadata);
            }
            "2018-02-01"
        }
        IdentityHost::AppService => {
            let header = request.header("x-identity-header").unwrap_or_default();
            if !application.is_identity_header(header) {
                return Err(ManagedIdentityError::Header);
            }
            "2019-08-01"
        }
    };
    if request.query_value("api-version").as_deref() != Some(version) {
        return Err(ManagedIdentityError::Version(version));
    }
    let others = ["object_id", "principal_id", "msi_res_id", "mi_res_id"];
    let other = others.iter().find_map(|name| request.query_value(name));
    let client = request.query_value("client_id");
    let unknown = client.is_some_and(|id| !id.eq_ignore_ascii_case(&application.client));
    if unknown || other.is_some() {
        return Err(ManagedIdentityError::Unknown);
    }
    let resource = request.query_value("resource");
    known_resource(&resource.ok_or(ManagedIdentityError::NoResource)?)
        .ok_or(ManagedIdentityError::Resource)
}

/// The response to a validated request.
pub(crate) fn identity_response(
    validated: Result<&'static str, ManagedIdentityError>,
    host: IdentityHost,
    tokens: &mut TokenStore,
) -> Response {
    let audience = match validated {
        Ok(audience) => audience,
        Err(error) => return error.response(host),
    };
    let now = Timestamp::now();
    let issued = tokens.issue(audience, now);
    let left = issued.expires.as_second() - now.as_second();
    let mut body = json!({
        "access_token": issued.token,
        "client_id": tokens.forge.client,
        "expires_on": issued.expires.as_second().to_string(),
        "resource": audience,
        "token_type": "Bearer",
    });
    if host == IdentityHost::VirtualMachine {
        body["expires_in"] = left.to_string().into();
        body["ext_expires_in"] = left.to_string().into();
        body["not_before"] = issued.not_before.as_second().to_string().into();
    }
    Response::json(200, &body).with("Cache-Control", "no-store")
}
