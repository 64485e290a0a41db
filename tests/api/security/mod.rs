//! Authentication, authorization, and the secrecy of credentials.

mod access;
mod advisories;
mod canary;
mod canary_kinds;
mod certificates;
mod forged;
mod harden;
mod identity;
pub mod jwt;
mod key_sets;
pub mod oidc;
mod outbound_proxy;
mod outbound_tls;
mod policy_token;
mod rotation;
mod shapes;
pub mod tls;
