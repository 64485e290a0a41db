//! Entra's refusals: the codes, statuses and words that operators search the web for. Clients
//! decide by `error` and `error_codes`, so those are exact.

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::wire::Answer;

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    /// Nobody has that tenant.
    #[error(
        "Tenant '{0}' not found. Check to make sure you have the correct tenant ID and are \
         signing into the correct cloud. Check with your subscription administrator, this may \
         happen if there are no active subscriptions for the tenant."
    )]
    Tenant(String),
    /// Application and tenant.
    #[error(
        "Application with identifier '{0}' was not found in the directory '{1}'. This can \
         happen if the application has not been installed by the administrator of the tenant \
         or consented to by any user in the tenant. You may have sent your authentication \
         request to the wrong tenant."
    )]
    Application(String, String),
    /// The secret of that application is another.
    #[error(
        "Invalid client secret provided. Ensure the secret being sent in the request is the \
         client secret value, not the client secret ID, for a secret added to app '{0}'."
    )]
    Secret(String),
    /// The secret of that application was right once.
    #[error(
        "The provided client secret keys for app '{0}' are expired. Visit the Azure portal to \
         create new keys for your app: https://aka.ms/NewClientSecret, or consider using \
         certificate credentials for added security: https://aka.ms/certCreds."
    )]
    SecretExpired(String),
    /// Resource and tenant.
    #[error(
        "The resource principal named {0} was not found in the tenant named {1}. This can \
         happen if the application has not been installed by the administrator of the tenant \
         or consented to by any user in the tenant. You might have sent your authentication \
         request to the wrong tenant."
    )]
    Resource(String, String),
    /// A scope that no client may ask for by itself.
    #[error(
        "The provided value for scope {0} is not valid. Client credential flows must have a \
         scope value with /.default suffixed to the resource identifier (application ID URI)."
    )]
    Scope(String),
    /// Something is not in the form.
    #[error("The request body must contain the following parameter: '{0}'.")]
    Parameter(&'static str),
    /// Another kind of grant.
    #[error("The app requested an unsupported grant type '{0}'.")]
    GrantType(String),
    /// Another method than POST.
    #[error("The endpoint only accepts POST requests. Received a {0} request.")]
    Method(String),
    /// Neither a secret nor an assertion.
    #[error(
        "One of the following parameters must be present: 'client_assertion', 'client_secret' \
         or 'request' is required for the 'client_credentials' grant type."
    )]
    NoCredential,
    /// A secret and an assertion.
    #[error("The request must contain only one of 'client_secret' and 'client_assertion'.")]
    TwoCredentials,
    /// An assertion that is no JWT.
    #[error("JWT token is invalid or malformed.")]
    AssertionMalformed,
    /// An assertion of somebody else.
    #[error(
        "Client assertion application identifier doesn't match 'client_id' parameter. Review \
         the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials."
    )]
    AssertionSubject,
    /// An assertion for somebody else.
    #[error(
        "Client assertion audience claim does not match Realm issuer. Review the documentation \
         at https://learn.microsoft.com/entra/identity-platform/certificate-credentials."
    )]
    AssertionAudience,
    /// An assertion too late, too early or too long: the current time, its begin and its end.
    #[error(
        "Client assertion is not within its valid time range. Current time: {0}, assertion \
         valid from {1}, expiry time of assertion {2}. Review the documentation at \
         https://learn.microsoft.com/entra/identity-platform/certificate-credentials."
    )]
    AssertionTime(String, String, String),
    /// An assertion whose signature cannot be verified at all.
    #[error("Client assertion failed signature validation.")]
    AssertionSignature,
    /// An assertion that names no certificate.
    #[error("Invalid JWT token. No certificate thumbprint specified in token header.")]
    AssertionThumbprint,
    /// An assertion that came before. Entra has no code of its own for that; this one is for
    /// assertions that are "invalid because of various reasons", and no other refusal here
    /// has it.
    #[error(
        "Assertion is invalid because of various reasons. The value of the claim 'jti' has \
         been used before."
    )]
    AssertionReplayed,
    /// A certificate that is not registered: its thumbprint.
    #[error(
        "The certificate with identifier used to sign the client assertion is not registered \
         on application. [Reason - The key was not found., Thumbprint of key used by client: \
         '{0}']"
    )]
    CertificateUnknown(String),
    /// A certificate that has ended, or not begun: begin, end, thumbprint.
    #[error(
        "The certificate with identifier used to sign the client assertion is expired on \
         application. [Reason - The key used is expired., Found key 'Start={0}, End={1}', \
         Thumbprint of key used by client: '{2}']"
    )]
    CertificateExpired(String, String, String),
    /// Another key than that of the certificate: its thumbprint.
    #[error(
        "Client assertion contains an invalid signature. [Reason - The key was found, but use \
         of the key to verify the signature failed., Thumbprint of key used by client: '{0}']"
    )]
    CertificateSignature(String),
    /// No federated credential at all: issuer, subject and audience.
    #[error(
        "No matching federated identity record found for presented assertion. Assertion \
         Issuer: '{}'. Assertion Subject: '{}'. Assertion Audience: '{}'. \
         https://learn.microsoft.com/entra/workload-id/workload-identity-federation", .0[0], .0[1], .0[2]
    )]
    FederatedNone([String; 3]),
    /// No federated credential of that issuer.
    #[error(
        "No matching federated identity record found for presented assertion issuer '{0}'. \
         Check your federated identity credential Subject, Audience and Issuer against the \
         presented assertion. \
         https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
    )]
    FederatedIssuer(String),
    /// None for that audience.
    #[error(
        "No matching federated identity record found for presented assertion audience '{0}'. \
         Check your federated identity credential Subject, Audience and Issuer against the \
         presented assertion. \
         https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
    )]
    FederatedAudience(String),
    /// None for that subject.
    #[error(
        "No matching federated identity record found for presented assertion subject '{0}'. \
         Check your federated identity credential Subject, Audience and Issuer against the \
         presented assertion. \
         https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
    )]
    FederatedSubject(String),
    /// A signature by none of that issuer's keys.
    #[error(
        "The certificate used to sign the federated credential could not be found in the \
         metadata of identity provider {0}. Please validate that your Identity Provider's \
         metadata exposes the key used to sign the incoming token."
    )]
    FederatedSignature(String),
    /// Too many requests.
    #[error("The request was throttled due to too many requests. Please wait and try again.")]
    Throttled,
}

impl Trouble {
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
            Self::FederatedNone(_) => (70021, "invalid_request", 400),
            Self::FederatedIssuer(_) => (700211, "invalid_client", 401),
            Self::FederatedAudience(_) => (700212, "invalid_client", 401),
            Self::FederatedSubject(_) => (700213, "invalid_client", 401),
            Self::FederatedSignature(_) => (7000272, "invalid_client", 401),
            Self::Throttled => (90055, "temporarily_unavailable", 429),
        }
    }

    /// The trouble with that number, as a fault order names it. Details stand for themselves.
    pub(crate) fn of_code(code: u32, client: &str, tenant: &str) -> Option<Self> {
        let (client, tenant) = (client.to_owned(), tenant.to_owned());
        let resource = super::PORTAL.to_owned();
        let now = Timestamp::now().to_string();
        let [issuer, subject, audience] = [
            "https://issuer.example",
            "system:serviceaccount:a:b",
            "api://AzureADTokenExchange",
        ]
        .map(str::to_owned);
        let all = [
            Self::Tenant(tenant.clone()),
            Self::Application(client.clone(), tenant.clone()),
            Self::Secret(client.clone()),
            Self::SecretExpired(client),
            Self::Resource(resource.clone(), tenant),
            Self::Scope(resource),
            Self::Parameter("grant_type"),
            Self::GrantType("client_credentials".into()),
            Self::NoCredential,
            Self::AssertionMalformed,
            Self::AssertionSubject,
            Self::AssertionAudience,
            Self::AssertionTime(now.clone(), now.clone(), now),
            Self::AssertionSignature,
            Self::AssertionReplayed,
            Self::FederatedNone([issuer.clone(), subject.clone(), audience.clone()]),
            Self::FederatedIssuer(issuer.clone()),
            Self::FederatedAudience(audience),
            Self::FederatedSubject(subject),
            Self::FederatedSignature(issuer),
            Self::Throttled,
        ];
        all.into_iter().find(|trouble| trouble.terms().0 == code)
    }

    /// The error document, as of `now`.
    pub(crate) fn answer(&self, now: Timestamp) -> Answer {
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
        let answer = Answer::json(status, &body).with("x-ms-request-id", trace.to_string());
        match self {
            Self::Method(_) => answer.with("Allow", "POST, OPTIONS"),
            _ => answer,
        }
    }
}
