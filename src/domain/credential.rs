//! The parts of a credential for the vendor, shared by its configuration and its use.

use std::fmt;
use std::sync::Arc;

use super::Secret;

/// How a credential authenticates, by its name in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// With a secret shared with Entra.
    ClientSecret,
    /// With a client assertion that the gateway signs.
    ClientCertificate,
    /// With a client assertion that the platform signs.
    WorkloadIdentity,
    /// With the managed identity of a machine or app on Azure.
    ManagedIdentity,
    /// With tokens that another program writes to a file.
    TokenFile,
}

impl CredentialKind {
    /// All values.
    pub const ALL: [Self; 5] = [
        Self::ClientSecret,
        Self::ClientCertificate,
        Self::WorkloadIdentity,
        Self::ManagedIdentity,
        Self::TokenFile,
    ];

    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecret => "client-secret",
            Self::ClientCertificate => "client-certificate",
            Self::WorkloadIdentity => "workload-identity",
            Self::ManagedIdentity => "managed-identity",
            Self::TokenFile => "token-file",
        }
    }
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An Entra application, and where it gets its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// The token endpoint's scheme and authority, without a trailing slash, for example
    /// `https://login.microsoftonline.com`.
    pub authority: String,
    /// The directory: a GUID or a domain name.
    pub tenant_id: String,
    /// The application's id.
    pub client_id: String,
    /// The version of the token endpoint, with the audience of the token.
    pub endpoint: TokenEndpoint,
}

/// The two versions of Entra's token endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenEndpoint {
    /// `…/oauth2/token`
    V1 {
        /// For example `https://cloudpartner.azure.com`.
        resource: String,
    },
    /// `…/oauth2/v2.0/token`
    V2 {
        /// For example `https://cloudpartner.azure.com/.default`.
        scope: String,
    },
}

/// How a client assertion is signed (RFC 7518, 3.3 and 3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AssertionAlgorithm {
    /// RSASSA-PSS with SHA-256, which Entra asks for.
    #[default]
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, for token endpoints without PS256.
    Rs256,
}

impl AssertionAlgorithm {
    /// All values, with their names in the configuration and in a JWT.
    pub const WORDS: [(&'static str, Self); 2] = [("PS256", Self::Ps256), ("RS256", Self::Rs256)];
}

/// A managed identity's token endpoint. Each `url` is scheme, authority and path, without
/// a query.
#[derive(Debug, Clone, PartialEq)]
pub enum ManagedEndpoint {
    /// The metadata service of virtual machines (and of AKS):
    /// <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>.
    Imds {
        /// Its address.
        url: String,
    },
    /// App Service, Functions and Container Apps:
    /// <https://learn.microsoft.com/azure/app-service/overview-managed-identity>.
    AppService {
        /// Its address.
        url: String,
        /// The value of `X-IDENTITY-HEADER`; visible ASCII.
        header: Arc<Secret>,
    },
}
