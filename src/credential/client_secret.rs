//! An application, proven by its secret.

use std::sync::Arc;

use jiff::Timestamp;

use super::application::{Application, Proof};
use super::{Failure, Grant};
use crate::domain::{Ring, Secret};
use crate::transport::HttpClient;

/// An application, with its secret.
#[derive(Debug)]
pub struct ClientSecret {
    /// The application.
    pub application: Application,
    /// Its secret.
    pub secret: Arc<Secret>,
    /// When it ends, if that is known.
    pub ends: Option<Timestamp>,
}

impl ClientSecret {
    pub(super) async fn fetch(&self, http: &HttpClient, ring: &Ring) -> Result<Grant, Failure> {
        let proof = Proof::Secret(self.secret.expose());
        self.application.ask(proof, http, ring).await.grant
    }
}
