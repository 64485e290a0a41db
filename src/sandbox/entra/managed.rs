//! The managed identity endpoints: the metadata service of a virtual machine, and the one
//! that App Service names in `IDENTITY_ENDPOINT`. Neither wants a credential; both want a
//! header that a forged request from a browser could not carry.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Book, known};
use crate::sandbox::options::Options;
use crate::sandbox::route::Host;
use crate::sandbox::wire::{Answer, Request};

/// The answer, and whether it is a token.
pub(in crate::sandbox) struct Identity<'a> {
    pub(in crate::sandbox) host: Host,
    pub(in crate::sandbox) options: &'a Options,
    /// Hand out the last token again.
    pub(in crate::sandbox) again: bool,
}

/// The answer to a request for the managed identity's token.
pub(in crate::sandbox) fn managed_identity(
    request: &Request,
    identity: &Identity<'_>,
    book: &mut Book,
) -> Answer {
    match check(request, identity) {
        Ok(audience) => {
            let now = Timestamp::now();
            let grant = book.issue(audience, identity.again, now);
            let left = grant.expires.as_second() - now.as_second();
            let mut body = json!({
                "access_token": grant.token,
                "client_id": identity.options.client_id,
                "expires_on": grant.expires.as_second().to_string(),
                "resource": audience,
                "token_type": "Bearer",
            });
            if identity.host == Host::VirtualMachine {
                body["expires_in"] = left.to_string().into();
                body["ext_expires_in"] = left.to_string().into();
                body["not_before"] = grant.not_before.as_second().to_string().into();
            }
            Answer::json(200, &body).with("Cache-Control", "no-store")
        }
        Err((status, body)) => Answer::json(status, &body),
    }
}

fn check(request: &Request, identity: &Identity<'_>) -> Result<&'static str, (u16, Value)> {
    let (version, header) = match identity.host {
        Host::VirtualMachine => ("2018-02-01", request.header("metadata")),
        Host::AppService => ("2019-08-01", request.header("x-identity-header")),
    };
    let proven = match identity.host {
        Host::VirtualMachine => header.is_some_and(|value| value.eq_ignore_ascii_case("true")),
        Host::AppService => header.is_some_and(|value| !value.is_empty()),
    };
    if request.method != "GET" {
        return Err((405, refusal("invalid_request", "Method Not Allowed")));
    }
    if !proven {
        return Err(match identity.host {
            Host::VirtualMachine => (
                400,
                refusal("invalid_request", "Required metadata header not specified"),
            ),
            Host::AppService => (
                401,
                refusal("unauthorized", "The X-IDENTITY-HEADER header is missing"),
            ),
        });
    }
    if request.query_value("api-version").as_deref() != Some(version) {
        let text = format!("Required query variable 'api-version' must be {version}");
        return Err((400, refusal("invalid_request", &text)));
    }
    let client = request.query_value("client_id");
    if client.is_some_and(|client| !client.eq_ignore_ascii_case(&identity.options.client_id)) {
        return Err((400, refusal("invalid_request", "Identity not found")));
    }
    let Some(resource) = request.query_value("resource") else {
        let text = "Required query variable 'resource' is missing";
        return Err((400, refusal("invalid_request", text)));
    };
    let text = "AADSTS500011: The resource principal named in the request was not found.";
    known(&resource).ok_or_else(|| (400, refusal("invalid_resource", text)))
}

fn refusal(error: &str, description: &str) -> Value {
    json!({"error": error, "error_description": description})
}
