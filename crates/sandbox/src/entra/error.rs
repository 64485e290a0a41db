//! Entra's errors. Clients decide by code, `error` and status, so those are exact.

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::wire::Response;

/// Why no token is issued: Entra's messages, cut after what tells them apart. Fields fill the
/// placeholders.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EntraError {
    #[error("Tenant '{0}' not found. Check to make sure you have the correct tenant ID.")]
    Tenant(String),
    #[error("Application with identifier '{0}' was not found in the directory '{1}'.")]
    Application(String, String),
    #[error("Invalid client secret provided for app '{0}'.")]
    Secret(String),
    #[error("The provided client secret keys for app '{0}' are expired.")]
    SecretExpired(String),
    #[error("The resource principal named {0} was not found in the tenant named {1}.")]
    Resource(String, String),
    #[error("The provided value for scope {0} is not valid: it must end with /.default.")]
    Scope(String),
    #[error("The request body must contain the following parameter: '{0}'.")]
    Parameter(&'static str),
    #[error("The app requested an unsupported grant type '{0}'.")]
    GrantType(String),
    #[error("The endpoint only accepts POST requests. Received a {0} request.")]
    Method(String),
    #[error("'client_assertion', 'client_secret' or 'request' is required.")]
    NoCredential,
    #[error("The request must contain only one of 'client_secret' and 'client_assertion'.")]
    TwoCredentials,
    #[error("JWT token is invalid or malformed.")]
    AssertionMalformed,
    #[error("Client assertion application identifier doesn't match 'client_id' parameter.")]
    AssertionSubject,
    #[error("Client assertion audience claim does not match Realm issuer.")]
    AssertionAudience,
    /// Current time, begin and end.
    #[error(
        "Client assertion is not within its valid time range. Current time: {0}, assertion \
         valid from {1}, expiry time of assertion {2}."
    )]
    AssertionTime(String, String, String),
    #[error("Client assertion failed signature validation.")]
    AssertionSignature,
    #[error("Invalid JWT token. No certificate thumbprint specified in token header.")]
    AssertionThumbprint,
    /// Entra has no code of its own for a replay; this one is its code for assertions that are
    /// "invalid because of various reasons".
    #[error("Assertion is invalid: the value of the claim 'jti' has been used before.")]
    AssertionReplayed,
    #[error("The key was not found., Thumbprint of key used by client: '{0}'")]
    CertificateUnknown(String),
    /// Begin, end, thumbprint.
    #[error(
        "The key used is expired., Found key 'Start={0}, End={1}', Thumbprint of key used by \
         client: '{2}'"
    )]
    CertificateExpired(String, String, String),
    #[error(
        "The key was found, but use of the key to verify the signature failed., Thumbprint of \
         key used by client: '{0}'"
    )]
    CertificateSignature(String),
    #[error("No matching federated identity record found for presented assertion.")]
    FederatedNone,
    #[error("No matching federated identity record found for presented assertion issuer '{0}'.")]
    FederatedIssuer(String),
    #[error("No matching federated identity record found for presented assertion audience '{0}'.")]
    FederatedAudience(String),
    #[error("No matching federated identity record found for presented assertion subject '{0}'.")]
    FederatedSubject(String),
    #[error("The key of the federated credential was not found in the metadata of {0}.")]
    FederatedSignature(String),
    #[error("The request was throttled due to too many requests. Please wait and try again.")]
    Throttled,
}

impl EntraError {
    /// The number behind AADSTS, the OAuth error, and the HTTP status.
    fn terms(&self) -> (u32, &'static str, u16) {
        match self {
            Self::Tenant(_) => (90002, "invalid_request", 400),
            Self::Application(..) => (700016, "unauthorized_client", 400),
            Self::Secret(_) => (7000215, "invalid_client", 401),
            Self::SecretExpired(_) => (7000222, "invalid_client", 401),
            Self::Resource(..) => (500011, "invalid_resource", 400),
            Self::Scope(_) => (1002012, "invalid_scope", 400),
            Self::Parameter(_) => (900144, "invalid_request", 400),
            Self::GrantType(_) => (70003, "unsupported_grant_type", 400),
            Self::Method(_) => (900561, "invalid_request", 405),
            Self::NoCredential => (7000216, "invalid_client", 401),
            Self::TwoCredentials => (90014, "invalid_request", 400),
            Self::AssertionMalformed | Self::AssertionThumbprint => (50027, "invalid_request", 400),
            Self::AssertionReplayed => (50013, "invalid_client", 401),
            Self::AssertionSubject => (700021, "invalid_client", 401),
            Self::AssertionAudience => (700023, "invalid_client", 401),
            Self::AssertionTime(..) => (700024, "invalid_client", 401),
            Self::AssertionSignature
            | Self::CertificateUnknown(_)
            | Self::CertificateExpired(..)
            | Self::CertificateSignature(_) => (700027, "invalid_client", 401),
            Self::FederatedNone => (70021, "invalid_request", 400),
            Self::FederatedIssuer(_) => (700211, "invalid_client", 401),
            Self::FederatedAudience(_) => (700212, "invalid_client", 401),
            Self::FederatedSubject(_) => (700213, "invalid_client", 401),
            Self::FederatedSignature(_) => (7000272, "invalid_client", 401),
            Self::Throttled => (90055, "temporarily_unavailable", 429),
        }
    }

    /// The error with that code, for a fault, with sample details.
    pub(crate) fn of_code(code: u32) -> Option<Self> {
        let sample = || "sample".to_owned();
        let all = [
            Self::Tenant(sample()),
            Self::Application(sample(), sample()),
            Self::Secret(sample()),
            Self::SecretExpired(sample()),
            Self::Resource(sample(), sample()),
            Self::AssertionTime(sample(), sample(), sample()),
            Self::AssertionSignature,
        ];
        all.into_iter().find(|error| error.terms().0 == code)
    }

    /// The error document, as of `now`.
    pub(crate) fn response(&self, now: Timestamp) -> Response {
        let (code, error, status) = self.terms();
        let (trace, correlation) = (Uuid::new_v4(), Uuid::new_v4());
        let timestamp = now.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let description = format!(
            "AADSTS{code}: {self} Trace ID: {trace} Correlation ID: {correlation} \
             Timestamp: {timestamp}"
        );
        let body = json!({
            "error": error,
            "error_description": description,
            "error_codes": [code],
            "timestamp": timestamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
        });
        let response = Response::json(status, &body).with("x-ms-request-id", trace.to_string());
        match self {
            Self::Method(_) => response.with("Allow", "POST, OPTIONS"),
            _ => response,
        }
    }
}
