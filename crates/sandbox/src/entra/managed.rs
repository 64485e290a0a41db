//! The managed identity endpoints: the metadata service of a virtual machine, and the one
//! that App Service names in `IDENTITY_ENDPOINT`. Neither wants a credential of the
//! application; both want a header that a forged request from a browser could not carry, and
//! the metadata service wants no sign of a proxy.

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::{Application, Book, known};
use crate::route::Host;
use crate::wire::{Answer, Request};

/// Why there is no token for a managed identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoIdentity {
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
    /// While the machine starts, or the endpoint is updated; the status.
    #[error("The identity is not ready yet; try again within 70 seconds")]
    NotReady(u16),
    #[error("Failed to retrieve token from the Active directory.")]
    Internal,
}

impl NoIdentity {
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
            Self::NotReady(status) => (status, "identity_not_ready"),
            Self::Internal => (500, "unknown"),
        }
    }

    /// The error document of either service; they have nothing in common.
    pub(crate) fn answer(self, host: Host) -> Answer {
        let (status, error) = self.terms();
        let body = match (host, self) {
            (Host::VirtualMachine, _) => {
                json!({"error": error, "error_description": self.to_string()})
            }
            (Host::AppService, Self::Unknown) => refusal(
                status,
                "No User Assigned or Delegated Managed Identity found for specified \
                 ClientId/ResourceId/PrincipalId.",
            ),
            (Host::AppService, _) => refusal(status, &self.to_string()),
        };
        Answer::json(status, &body).with("Cache-Control", "no-store")
    }
}

fn refusal(status: u16, message: &str) -> serde_json::Value {
    json!({"statusCode": status, "message": message, "correlationId": Uuid::new_v4()})
}

/// The resource that a request may have a token for.
pub(crate) fn judge_identity(
    request: &Request,
    host: Host,
    application: &Application,
) -> Result<&'static str, NoIdentity> {
    if request.method != "GET" {
        return Err(NoIdentity::Method);
    }
    let version = match host {
        Host::VirtualMachine => {
            if request.header("x-forwarded-for").is_some() {
                return Err(NoIdentity::Forwarded);
            }
            // In lower case: other spellings are refused by the service too.
            if request.header("metadata") != Some("true") {
                return Err(NoIdentity::Metadata);
            }
            "2018-02-01"
        }
        Host::AppService => {
            let header = request.header("x-identity-header").unwrap_or_default();
            if !application.is_identity_header(header) {
                return Err(NoIdentity::Header);
            }
            "2019-08-01"
        }
    };
    if request.query_value("api-version").as_deref() != Some(version) {
        return Err(NoIdentity::Version(version));
    }
    let others = ["object_id", "principal_id", "msi_res_id", "mi_res_id"];
    let other = others.iter().find_map(|name| request.query_value(name));
    let client = request.query_value("client_id");
    let unknown = client.is_some_and(|id| !id.eq_ignore_ascii_case(&application.client));
    if unknown || other.is_some() {
        return Err(NoIdentity::Unknown);
    }
    let resource = request.query_value("resource");
    known(&resource.ok_or(NoIdentity::NoResource)?).ok_or(NoIdentity::Resource)
}

/// The answer to a request that was judged so.
pub(crate) fn identity_answer(
    judged: Result<&'static str, NoIdentity>,
    host: Host,
    book: &mut Book,
    again: bool,
) -> Answer {
    let audience = match judged {
        Ok(audience) => audience,
        Err(refused) => return refused.answer(host),
    };
    let now = Timestamp::now();
    let grant = book.issue(audience, again, now);
    let left = grant.expires.as_second() - now.as_second();
    let mut body = json!({
        "access_token": grant.token,
        "client_id": book.mint().client(),
        "expires_on": grant.expires.as_second().to_string(),
        "resource": audience,
        "token_type": "Bearer",
    });
    if host == Host::VirtualMachine {
        body["expires_in"] = left.to_string().into();
        body["ext_expires_in"] = left.to_string().into();
        body["not_before"] = grant.not_before.as_second().to_string().into();
    }
    Answer::json(200, &body).with("Cache-Control", "no-store")
}
