//! An application that authenticates itself with a token of the platform (Kubernetes,
//! for example), which the platform keeps fresh in a file.

use std::path::PathBuf;

use super::application::ClientAuthentication;
use super::error::TokenFetchError;
use super::token::Grant;
use super::token_file::read_text;
use crate::domain::{Application, TokenHistory};
use crate::transport::HttpClient;

/// An application that trusts the platform's token.
#[derive(Debug)]
pub struct WorkloadIdentity {
    /// The application.
    pub application: Application,
    /// The file with the platform's token, read anew for each request since it rotates.
    pub assertion_file: PathBuf,
}

impl WorkloadIdentity {
    pub(super) async fn fetch(
        &self,
        http: &HttpClient,
        history: &TokenHistory,
    ) -> Result<Grant, TokenFetchError> {
        let assertion = read_text(&self.assertion_file).await?;
        history.remember(&assertion);
        let assertion = ClientAuthentication::Assertion(&assertion);
        let answer = self.application.request_token(assertion, http, history);
        answer.await.grant
    }
}
