//! The kinds of credentials as they are once their keys have been checked.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use rustls::sign::CertifiedKey;

use crate::domain::{Application, AssertionAlgorithm, ManagedEndpoint, Secret};

/// How a credential authenticates, and where.
#[derive(Debug, Clone, PartialEq)]
pub enum CredentialMethod {
    /// With a secret shared with Entra (RFC 6749, 4.4).
    ClientSecret {
        /// The application whose secret it is.
        application: Application,
        /// The secret.
        secret: Arc<Secret>,
        /// The day on which the secret ends, if it is known.
        expires: Option<Date>,
    },
    /// With a client assertion that the gateway signs (RFC 7523, 2.2).
    ClientCertificate {
        /// The application that the certificate was registered for.
        application: Application,
        /// The certificate and its key.
        certificate: SigningCertificate,
        /// How the assertion is signed.
        algorithm: AssertionAlgorithm,
    },
    /// With a client assertion that the platform signs (RFC 7523, 2.2).
    WorkloadIdentity {
        /// The application that trusts the platform.
        application: Application,
        /// The file with the assertion, which the platform renews; it could be opened.
        assertion_file: PathBuf,
    },
    /// By running on Azure: the platform issues the tokens.
    ManagedIdentity {
        /// The platform's token endpoint.
        endpoint: ManagedEndpoint,
        /// The user-assigned identity meant; none: the system-assigned one.
        client_id: Option<String>,
        /// The audience of the token.
        resource: String,
    },
    /// Not at all: another program writes tokens to a file.
    TokenFile {
        /// The file; it could be opened.
        path: PathBuf,
    },
}

/// A certificate and its RSA key of at least 2048 bits, which belong together.
#[derive(Clone)]
pub struct SigningCertificate {
    /// The chain as it is in the file, the application's own certificate first, and what
    /// can sign with its key.
    pub identity: Arc<CertifiedKey>,
    /// When the certificate ends.
    pub not_after: Timestamp,
}

/// By the certificates' DER: one certificate belongs to one key.
impl PartialEq for SigningCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.identity.cert == other.identity.cert
    }
}

/// Without the key.
impl fmt::Debug for SigningCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningCertificate")
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}
