//! Where tokens come from: one of several kinds.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{
    ClientCertificate, ClientSecret, Failure, Grant, ManagedIdentity, TokenFile, WorkloadIdentity,
};
use crate::domain::Ring;
use crate::transport::HttpClient;

/// A way to earn tokens.
#[derive(Debug)]
pub enum Source {
    /// An application's secret.
    ClientSecret(ClientSecret),
    /// An application's certificate.
    ClientCertificate(ClientCertificate),
    /// The platform's token.
    WorkloadIdentity(WorkloadIdentity),
    /// The machine's own identity.
    ManagedIdentity(ManagedIdentity),
    /// A token that something else renews.
    TokenFile(TokenFile),
}

impl Source {
    /// Its name in the configuration.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ClientSecret(_) => "client-secret",
            Self::ClientCertificate(_) => "client-certificate",
            Self::WorkloadIdentity(_) => "workload-identity",
            Self::ManagedIdentity(_) => "managed-identity",
            Self::TokenFile(_) => "token-file",
        }
    }

    /// When the secret or the certificate ends, if it does and that is known.
    #[must_use]
    pub fn ends(&self) -> Option<Timestamp> {
        match self {
            Self::ClientSecret(source) => source.ends,
            Self::ClientCertificate(source) => Some(source.ends()),
            Self::WorkloadIdentity(_) | Self::ManagedIdentity(_) | Self::TokenFile(_) => None,
        }
    }

    /// The file whose change is worth a fetch at once, if there is one.
    pub(super) fn watched(&self) -> Option<&Path> {
        match self {
            Self::TokenFile(source) => Some(&source.path),
            // Whether the platform's next token is any good is best known early.
            Self::WorkloadIdentity(source) => Some(&source.assertion_file),
            Self::ClientSecret(_) | Self::ClientCertificate(_) | Self::ManagedIdentity(_) => None,
        }
    }

    /// Earns a token.
    ///
    /// # Errors
    /// [`Failure`]
    pub(super) async fn fetch(&self, http: &HttpClient, ring: &Ring) -> Result<Grant, Failure> {
        let asked_at = Instant::now();
        let grant = match self {
            Self::ClientSecret(source) => source.fetch(http, ring).await,
            Self::ClientCertificate(source) => source.fetch(http, ring).await,
            Self::WorkloadIdentity(source) => source.fetch(http, ring).await,
            Self::ManagedIdentity(source) => source.fetch(http, ring).await,
            Self::TokenFile(source) => source.fetch(ring).await,
        }?;
        // The lifetime counts from when the endpoint wrote it down, at the earliest
        // when it was asked.
        let lifetime: Duration = grant.lifetime.saturating_sub(asked_at.elapsed());
        Ok(Grant { lifetime, ..grant })
    }
}
