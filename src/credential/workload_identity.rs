//! An application, proven by a token that the platform (Kubernetes, say) has issued
//! for us and keeps fresh in a file.

use std::path::PathBuf;

use super::application::{Application, Proof};
use super::token_file::read_text;
use super::{Failure, Grant};
use crate::domain::Ring;
use crate::transport::HttpClient;

/// An application that trusts the platform's token.
#[derive(Debug)]
pub struct WorkloadIdentity {
    /// The application.
    pub application: Application,
    /// Where the platform's token is. It is read anew each time: it rotates.
    pub assertion_file: PathBuf,
}

impl WorkloadIdentity {
    pub(super) async fn fetch(&self, http: &HttpClient, ring: &Ring) -> Result<Grant, Failure> {
        let assertion = read_text(&self.assertion_file).await?;
        ring.remember(&assertion);
        let proof = Proof::Assertion(&assertion);
        self.application.ask(proof, http, ring).await.grant
    }
}
