//! An application that authenticates itself with its secret.

use std::sync::Arc;

use jiff::Timestamp;

use super::application::ClientAuthentication;
use super::error::TokenFetchError;
use super::token::Grant;
use crate::domain::{Application, Secret, TokenHistory};
use crate::transport::HttpClient;

/// An application, with its secret.
#[derive(Debug)]
pub struct ClientSecret {
    /// The application.
    pub application: Application,
    /// Its secret.
    pub secret: Arc<Secret>,
    /// When the secret expires, if that is known.
    pub expires: Option<Timestamp>,
}

impl ClientSecret {
    pub(super) async fn fetch(
        &self,
        http: &HttpClient,
        history: &TokenHistory,
    ) -> Result<Grant, TokenFetchError> {
        let secret = ClientAuthentication::Secret(self.secret.expose());
        let answer = self.application.request_token(secret, http, history);
        answer.await.grant
    }
}
