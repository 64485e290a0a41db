//! `[credentials.NAME]`: how tokens for the vendor are acquired, one file a kind.
//!
//! Each kind has its own keys: those that its getters take. A key of another kind is
//! refused, since it would have no effect.

mod application;
mod client_certificate;
mod client_secret;
mod managed_identity;
mod method;
mod section;
mod token_file;
mod workload_identity;

pub use method::{CredentialMethod, SigningCertificate};
pub use section::{CredentialSettings, read};
