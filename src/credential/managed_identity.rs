//! The identity that Azure gives a machine or an app, without any secret. Source:
//! Microsoft, "How to use managed identities to acquire an access token" (virtual
//! machines) and "… for App Service and Azure Functions".

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, Uri};
use actix_web::web::Bytes;
use serde::Serialize;

use super::error::TokenFetchError;
use super::token::Grant;
use super::token_response;
use crate::domain::{ManagedEndpoint, TokenHistory};
use crate::transport::{HttpClient, Request, SendError, Unreachable};

/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
const METADATA: HeaderName = HeaderName::from_static("metadata");
const IDENTITY_HEADER: HeaderName = HeaderName::from_static("x-identity-header");

/// The identity of the machine or app that the gateway runs on.
#[derive(Debug)]
pub struct ManagedIdentity {
    /// The service that gives its tokens.
    pub endpoint: ManagedEndpoint,
    /// The client id of a user-assigned identity; none: the system-assigned one.
    pub client_id: Option<String>,
    /// What the token is for.
    pub resource: String,
}

#[derive(Serialize)]
struct TokenQuery<'a> {
    #[serde(rename = "api-version")]
    api_version: &'static str,
    resource: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
}

impl ManagedIdentity {
    pub(super) async fn fetch(
        &self,
        http: &HttpClient,
        history: &TokenHistory,
    ) -> Result<Grant, TokenFetchError> {
        let unsendable = TokenFetchError::Unreachable(SendError::NotSent(Unreachable::Request));
        let request = self.request().ok_or(unsendable)?;
        let answer = http.send(request).await;
        let answer = answer.map_err(TokenFetchError::Unreachable)?;
        token_response::read(&answer, history).map_err(|failure| self.explain(failure))
    }

    /// Adds a remedy: the platform gives no error numbers, but its statuses are few.
    fn explain(&self, failure: TokenFetchError) -> TokenFetchError {
        let TokenFetchError::Refused {
            status,
            aadsts: None,
            error,
        } = failure
        else {
            return failure;
        };
        let remedy = match (status, &self.endpoint) {
            (401 | 403, ManagedEndpoint::AppService { .. }) => "check identity_header",
            (400 | 401 | 403, _) if self.client_id.is_some() => {
                "check client_id, resource and endpoint; the identity must be assigned to this machine or app"
            }
            (400 | 401 | 403, _) => {
                "check resource and endpoint; the machine or app must have an identity, and client_id must name one if it has several"
            }
            (404 | 410, _) => "the identity is not ready, or endpoint is wrong",
            _ => "the platform's service fails; the request is repeated",
        };
        TokenFetchError::NoIdentity {
            status,
            error,
            remedy,
        }
    }

    fn request(&self) -> Option<Request> {
        let (url, api_version, header) = match &self.endpoint {
            ManagedEndpoint::Imds { url } => {
                let value = HeaderValue::from_static("true");
                (url, "2018-02-01", (METADATA, value))
            }
            ManagedEndpoint::AppService { url, header } => {
                let mut value = HeaderValue::from_str(header.expose()).ok()?;
                value.set_sensitive(true);
                (url, "2019-08-01", (IDENTITY_HEADER, value))
            }
        };
        let query = serde_urlencoded::to_string(TokenQuery {
            api_version,
            resource: &self.resource,
            client_id: self.client_id.as_deref(),
        });
        Some(Request {
            method: Method::GET,
            uri: Uri::try_from(format!("{url}?{}", query.ok()?)).ok()?,
            headers: vec![header],
            body: Bytes::new(),
            max_answer: MAX_ANSWER,
            direct: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_asked_by_a_proxy() {
        let identity = ManagedIdentity {
            endpoint: ManagedEndpoint::Imds {
                url: "https://10.0.0.1:2377/token".into(),
            },
            client_id: None,
            resource: "r".into(),
        };
        assert!(identity.request().unwrap().direct);
    }
}
