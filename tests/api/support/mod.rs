//! What the tests are made of: gateways, vendors, issuers, clients and certificates. No file
//! here has a test of its own.

pub mod certs;
pub mod client;
pub mod config;
pub mod entra;
pub mod helpers;
pub mod idp;
pub mod issuer;
pub mod marks;
pub mod mint;
pub mod process;
pub mod tls_client;
pub mod vendor;
