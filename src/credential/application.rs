//! The client credentials flow (RFC 6749 section 4.4) of an Entra application, at either
//! version of the token endpoint.

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, Uri};
use actix_web::web::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use zeroize::Zeroizing;

use super::error::TokenFetchError;
use super::token::Grant;
use super::token_response;
use crate::domain::{Application, TokenEndpoint, TokenHistory};
use crate::transport::{HttpClient, Request, SendError, Unreachable, date};

/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// `client_assertion_type` (RFC 7523 section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How the application authenticates itself.
pub(super) enum ClientAuthentication<'a> {
    /// With its secret.
    Secret(&'a str),
    /// With a signed client assertion (RFC 7523).
    Assertion(&'a str),
}

/// The outcome of a token request.
pub(super) struct TokenAnswer {
    /// The token, or why there is none.
    pub(super) grant: Result<Grant, TokenFetchError>,
    /// The `Date` of the answer, by the endpoint's clock.
    pub(super) date: Option<Timestamp>,
}

#[derive(Default, Serialize)]
struct Form<'a> {
    grant_type: &'static str,
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_assertion_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_assertion: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}

impl Application {
    /// The token endpoint's address, which is also the audience of an assertion.
    pub(super) fn token_url(&self) -> String {
        let path = match self.endpoint {
            TokenEndpoint::V1 { .. } => "token",
            TokenEndpoint::V2 { .. } => "v2.0/token",
        };
        format!("{}/{}/oauth2/{path}", self.authority, self.tenant_id)
    }

    /// Requests a token.
    pub(super) async fn request_token(
        &self,
        authentication: ClientAuthentication<'_>,
        http: &HttpClient,
        history: &TokenHistory,
    ) -> TokenAnswer {
        let Some(request) = self.request(&authentication) else {
            let cause = SendError::NotSent(Unreachable::Request);
            return TokenAnswer::none(TokenFetchError::Unreachable(cause));
        };
        match http.send(request).await {
            Ok(answer) => TokenAnswer {
                grant: token_response::read(&answer, history),
                date: date(answer.headers()),
            },
            Err(error) => TokenAnswer::none(TokenFetchError::Unreachable(error)),
        }
    }

    fn request(&self, authentication: &ClientAuthentication<'_>) -> Option<Request> {
        let (resource, scope) = match &self.endpoint {
            TokenEndpoint::V1 { resource } => (Some(resource.as_str()), None),
            TokenEndpoint::V2 { scope } => (None, Some(scope.as_str())),
        };
        let form = Form {
            grant_type: "client_credentials",
            client_id: &self.client_id,
            resource,
            scope,
            ..match *authentication {
                ClientAuthentication::Secret(secret) => Form {
                    client_secret: Some(secret),
                    ..Form::default()
                },
                ClientAuthentication::Assertion(assertion) => Form {
                    client_assertion_type: Some(JWT_BEARER),
                    client_assertion: Some(assertion),
                    ..Form::default()
                },
            }
        };
        // Our copy is wiped; those in the client's buffers cannot be.
        let body = Zeroizing::new(serde_urlencoded::to_string(&form).ok()?);
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        Some(Request {
            method: Method::POST,
            uri: Uri::try_from(self.token_url()).ok()?,
            headers: vec![
                (header::CONTENT_TYPE, form_type),
                (header::ACCEPT, HeaderValue::from_static("application/json")),
            ],
            body: Bytes::copy_from_slice(body.as_bytes()),
            max_answer: MAX_ANSWER,
            direct: false,
        })
    }
}

impl TokenAnswer {
    fn none(failure: TokenFetchError) -> Self {
        Self {
            grant: Err(failure),
            date: None,
        }
    }
}
