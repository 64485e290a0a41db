//! Managed credentials: one current token each, renewed ahead of time.
//!
//! One file for each kind of credential acquires a token. The [`TokenRefresher`], a
//! background task for each credential, decides when. A
//! [`Handle`] gives requests the current token with one atomic load.

mod application;
mod candidate;
mod client_certificate;
mod client_secret;
mod error;
mod handle;
mod managed_identity;
mod refresh_trigger;
mod refresher;
mod source;
mod token;
mod token_file;
mod token_response;
mod workload_identity;

pub use client_certificate::ClientCertificate;
pub use client_secret::ClientSecret;
pub use error::TokenFetchError;
pub use handle::{Handle, RefreshStatus, Unavailable};
pub use managed_identity::ManagedIdentity;
pub use refresher::TokenRefresher;
pub use source::TokenSource;
pub use token::{Token, TokenFacts};
pub use token_file::TokenFile;
#[cfg(any(test, feature = "fuzzing"))]
pub use token_response::read_token_answer;
pub use workload_identity::WorkloadIdentity;
