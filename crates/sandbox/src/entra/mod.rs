//! The Entra token endpoint, v1 and v2, and the managed identity endpoints. Requests are checked
//! in Entra's order and refused in Entra's words; issued tokens are remembered, so that the
//! portal can tell a live one from a forged one.

mod allowance;
mod application;
mod assertion;
mod certificate;
mod error;
mod federated;
mod form;
mod managed_identity;
mod resource;
mod token_forge;
mod token_request;
mod token_store;

pub(super) use allowance::Allowance;
pub(super) use application::{Application, Secret};
pub(super) use certificate::{Certificate, CertificateError};
pub(super) use error::EntraError;
pub(super) use federated::Federated;
pub(super) use managed_identity::{
    ManagedIdentityError, identity_response, validate_identity_request,
};
pub(super) use token_forge::TokenForge;
pub(super) use token_request::{token_response, validate_token_request};
pub(super) use token_store::{TokenControls, TokenError, TokenStore};

#[cfg(test)]
mod tests;
