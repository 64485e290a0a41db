//! Where tokens come from: one of several kinds of credential.

use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;

use super::client_certificate::ClientCertificate;
use super::client_secret::ClientSecret;
use super::error::TokenFetchError;
use super::managed_identity::ManagedIdentity;
use super::token::Grant;
use super::token_file::TokenFile;
use super::workload_identity::WorkloadIdentity;
use crate::domain::{CredentialKind, TokenHistory};
use crate::transport::HttpClient;

/// A way to acquire tokens.
#[derive(Debug)]
pub enum TokenSource {
    /// An application with a secret.
    ClientSecret(ClientSecret),
    /// An application with a certificate.
    ClientCertificate(ClientCertificate),
    /// An application that trusts the platform's token.
    WorkloadIdentity(WorkloadIdentity),
    /// The identity of the machine or app itself.
    ManagedIdentity(ManagedIdentity),
    /// A file that another program renews.
    TokenFile(TokenFile),
}

impl TokenSource {
    /// The kind's name in the configuration.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        let kind = match self {
            Self::ClientSecret(_) => CredentialKind::ClientSecret,
            Self::ClientCertificate(_) => CredentialKind::ClientCertificate,
            Self::WorkloadIdentity(_) => CredentialKind::WorkloadIdentity,
            Self::ManagedIdentity(_) => CredentialKind::ManagedIdentity,
            Self::TokenFile(_) => CredentialKind::TokenFile,
        };
        kind.as_str()
    }

    /// When the secret or certificate expires, if that is known.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        match self {
            Self::ClientSecret(source) => source.expires,
            Self::ClientCertificate(source) => Some(source.expires()),
            Self::WorkloadIdentity(_) | Self::ManagedIdentity(_) | Self::TokenFile(_) => None,
        }
    }

    /// The file whose change causes a fetch at once, if there is one.
    pub(super) fn watched(&self) -> Option<&Path> {
        match self {
            Self::TokenFile(source) => Some(&source.path),
            // Fetching at once shows a platform token that does not work before it is needed.
            Self::WorkloadIdentity(source) => Some(&source.assertion_file),
            Self::ClientSecret(_) | Self::ClientCertificate(_) | Self::ManagedIdentity(_) => None,
        }
    }

    /// Acquires a token.
    ///
    /// # Errors
    /// [`TokenFetchError`]
    pub(super) async fn fetch(
        &self,
        http: &HttpClient,
        history: &TokenHistory,
    ) -> Result<Grant, TokenFetchError> {
        let asked_at = Instant::now();
        let grant = match self {
            Self::ClientSecret(source) => source.fetch(http, history).await,
            Self::ClientCertificate(source) => source.fetch(http, history).await,
            Self::WorkloadIdentity(source) => source.fetch(http, history).await,
            Self::ManagedIdentity(source) => source.fetch(http, history).await,
            Self::TokenFile(source) => source.fetch(history).await,
        }?;
        // The lifetime counts from an unknown moment during the request; its beginning is the safe choice.
        let lifetime = grant.lifetime.saturating_sub(asked_at.elapsed());
        Ok(Grant { lifetime, ..grant })
    }
}
