//! What a credential is once it has been checked, kind by kind.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use rustls::sign::CertifiedKey;

use crate::domain::Secret;

/// How tokens are obtained, and how long a request waits for the first.
#[derive(Debug, Clone)]
pub struct Credential {
    /// How it proves who it is.
    pub kind: CredentialKind,
    /// How long a request may wait while there is no token yet.
    pub wait: Duration,
}

impl Credential {
    /// Whether both get the same tokens in the same way. How long requests wait
    /// ([`Self::wait`]) has nothing to do with that; the end of a secret has, since it
    /// is shown beside the tokens.
    ///
    /// Secrets are compared in constant time, certificates by their DER.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.kind.is_same(&other.kind)
    }
}

/// An Entra application, and where it gets its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// The token endpoint's scheme and authority, no trailing slash.
    pub authority: String,
    /// The directory: a GUID or a domain name.
    pub tenant_id: String,
    /// The application's id.
    pub client_id: String,
    /// Which token endpoint, and what to ask it for.
    pub endpoint: TokenEndpoint,
}

/// The two generations of Entra's token endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenEndpoint {
    /// `/oauth2/token`.
    V1 {
        /// The audience asked for.
        resource: String,
    },
    /// `/oauth2/v2.0/token`.
    V2 {
        /// The scope asked for.
        scope: String,
    },
}

/// How a credential proves who it is.
#[derive(Debug, Clone)]
pub enum CredentialKind {
    /// With a secret that Entra knows too (RFC 6749, 4.4).
    ClientSecret {
        /// The application whose secret it is.
        application: Application,
        /// The secret.
        secret: Arc<Secret>,
        /// The day on which the secret ends, if it is known.
        expires: Option<Date>,
    },
    /// With an assertion that it signs itself (RFC 7523, 2.2).
    ClientCertificate {
        /// The application that the certificate was registered for.
        application: Application,
        /// The certificate and its key.
        certificate: ClientCertificate,
        /// How the assertion is signed.
        algorithm: AssertionAlgorithm,
    },
    /// With an assertion that the platform signs (RFC 7523, 2.2).
    WorkloadIdentity {
        /// The application that trusts the platform.
        application: Application,
        /// The file with the assertion, which the platform renews; it could be opened.
        assertion_file: PathBuf,
    },
    /// By being where it is: the platform hands out its tokens.
    ManagedIdentity {
        /// Who is asked.
        endpoint: ManagedEndpoint,
        /// The user-assigned identity meant; none: the system-assigned one.
        client_id: Option<String>,
        /// What the token is for.
        resource: String,
    },
    /// Not at all: something else puts tokens into a file.
    TokenFile {
        /// The file; it could be opened.
        path: PathBuf,
    },
}

impl CredentialKind {
    fn is_same(&self, other: &Self) -> bool {
        use CredentialKind as K;
        match (self, other) {
            (
                K::ClientSecret {
                    application,
                    secret,
                    expires,
                },
                K::ClientSecret {
                    application: app,
                    secret: other,
                    expires: end,
                },
            ) => application == app && expires == end && secret.is_same(other),
            (
                K::ClientCertificate {
                    application,
                    certificate,
                    algorithm,
                },
                K::ClientCertificate {
                    application: app,
                    certificate: other,
                    algorithm: alg,
                },
            ) => application == app && algorithm == alg && certificate.is_same(other),
            (
                K::WorkloadIdentity {
                    application,
                    assertion_file,
                },
                K::WorkloadIdentity {
                    application: app,
                    assertion_file: other,
                },
            ) => application == app && assertion_file == other,
            (
                K::ManagedIdentity {
                    endpoint,
                    client_id,
                    resource,
                },
                K::ManagedIdentity {
                    endpoint: other,
                    client_id: id,
                    resource: res,
                },
            ) => client_id == id && resource == res && endpoint.is_same(other),
            (K::TokenFile { path }, K::TokenFile { path: other }) => path == other,
            (
                K::ClientSecret { .. }
                | K::ClientCertificate { .. }
                | K::WorkloadIdentity { .. }
                | K::ManagedIdentity { .. }
                | K::TokenFile { .. },
                _,
            ) => false,
        }
    }
}

/// A certificate with its RSA key of at least 2048 bits, which belong together.
#[derive(Clone)]
pub struct ClientCertificate {
    /// The chain as it is in the file, the application's own certificate first, and
    /// what can sign with its key.
    pub identity: Arc<CertifiedKey>,
    /// When the certificate ends; it had not when the configuration was read.
    pub not_after: Timestamp,
}

impl ClientCertificate {
    /// One certificate belongs to one key, so the keys need not be looked at.
    fn is_same(&self, other: &Self) -> bool {
        self.identity.cert == other.identity.cert
    }
}

/// Without the key, and without the chain, which nobody could read.
impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// How a client assertion is signed (RFC 7518, 3.3 and 3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssertionAlgorithm {
    /// RSASSA-PSS with SHA-256, which Entra asks for.
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, for token endpoints that know no other.
    Rs256,
}

/// Who hands out a managed identity's tokens. Each `url` is scheme, authority and path,
/// without a query.
#[derive(Debug, Clone)]
pub enum ManagedEndpoint {
    /// The metadata service of virtual machines (and of AKS):
    /// <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>.
    Imds {
        /// Where it is.
        url: String,
    },
    /// App Service, Functions and Container Apps:
    /// <https://learn.microsoft.com/azure/app-service/overview-managed-identity>.
    AppService {
        /// Where it is.
        url: String,
        /// What `X-IDENTITY-HEADER` must say; visible ASCII.
        header: Arc<Secret>,
    },
}

impl ManagedEndpoint {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Imds { url }, Self::Imds { url: other }) => url == other,
            (
                Self::AppService { url, header },
                Self::AppService {
                    url: there,
                    header: other,
                },
            ) => url == there && header.is_same(other),
            (Self::Imds { .. } | Self::AppService { .. }, _) => false,
        }
    }
}
