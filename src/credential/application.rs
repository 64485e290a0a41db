//! An application of Entra's asks for a token: the client credentials flow (RFC 6749,
//! 4.4), at either generation of the token endpoint.

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, Uri};
use actix_web::web::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{Failure, Grant, grant};
use crate::domain::Ring;
use crate::transport::{HttpClient, Outgoing, SendError, Unreachable};

/// The longest answer of a token endpoint that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// How a client assertion is announced (RFC 7523, 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Which of Entra's token endpoints, and what the token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenEndpoint {
    /// `…/oauth2/token`, for a resource.
    V1 {
        /// For example `https://cloudpartner.azure.com`.
        resource: String,
    },
    /// `…/oauth2/v2.0/token`, for a scope.
    V2 {
        /// For example `https://cloudpartner.azure.com/.default`.
        scope: String,
    },
}

/// An application of Entra's.
#[derive(Debug, Clone)]
pub struct Application {
    /// For example `https://login.microsoftonline.com`, without a last slash.
    pub authority: String,
    /// The tenant: a GUID or a domain.
    pub tenant_id: String,
    /// The application.
    pub client_id: String,
    /// Which endpoint.
    pub endpoint: TokenEndpoint,
}

/// How it proves who it is.
pub(super) enum Proof<'a> {
    /// By its secret.
    Secret(&'a str),
    /// By a signed statement (RFC 7523).
    Assertion(&'a str),
}

/// What came of asking.
pub(super) struct Asked {
    /// The token, or why there is none.
    pub(super) grant: Result<Grant, Failure>,
    /// The endpoint's clock, if it said what time it is.
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
    /// The token endpoint's address: also the audience of an assertion.
    pub(super) fn token_url(&self) -> String {
        let path = match self.endpoint {
            TokenEndpoint::V1 { .. } => "token",
            TokenEndpoint::V2 { .. } => "v2.0/token",
        };
        format!("{}/{}/oauth2/{path}", self.authority, self.tenant_id)
    }

    /// Asks for a token.
    pub(super) async fn ask(&self, proof: Proof<'_>, http: &HttpClient, ring: &Ring) -> Asked {
        let Some(request) = self.request(&proof) else {
            let cause = SendError::NotSent(Unreachable::Request);
            return Asked::in_vain(Failure::Unreachable(cause));
        };
        match http.send(request).await {
            Ok(answer) => Asked {
                grant: grant::read(&answer, ring),
                date: grant::date(&answer),
            },
            Err(error) => Asked::in_vain(Failure::Unreachable(error)),
        }
    }

    fn request(&self, proof: &Proof<'_>) -> Option<Outgoing> {
        let (resource, scope) = match &self.endpoint {
            TokenEndpoint::V1 { resource } => (Some(resource.as_str()), None),
            TokenEndpoint::V2 { scope } => (None, Some(scope.as_str())),
        };
        let form = Form {
            grant_type: "client_credentials",
            client_id: &self.client_id,
            resource,
            scope,
            ..match *proof {
                Proof::Secret(secret) => Form {
                    client_secret: Some(secret),
                    ..Form::default()
                },
                Proof::Assertion(assertion) => Form {
                    client_assertion_type: Some(JWT_BEARER),
                    client_assertion: Some(assertion),
                    ..Form::default()
                },
            }
        };
        // What is ours of it is wiped; the client's buffers cannot be.
        let body = Zeroizing::new(serde_urlencoded::to_string(&form).ok()?);
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        Some(Outgoing {
            method: Method::POST,
            uri: Uri::try_from(self.token_url()).ok()?,
            headers: vec![
                (header::CONTENT_TYPE, form_type),
                (header::ACCEPT, HeaderValue::from_static("application/json")),
            ],
            body: Bytes::copy_from_slice(body.as_bytes()),
            max_answer: MAX_ANSWER,
        })
    }
}

impl Asked {
    fn in_vain(failure: Failure) -> Self {
        Self {
            grant: Err(failure),
            date: None,
        }
    }
}
