//! The gateway over real HTTP, with the sandbox behind it: one file a topic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod admin;
mod advisories;
mod canary;
mod cancel;
mod certificates;
mod certs;
mod cli;
mod client;
mod credential;
mod drain;
mod endpoint_oidc;
mod forged;
mod helpers;
mod http2;
mod identity;
mod idp;
mod issuer;
mod jwt;
mod ledger;
mod limits;
mod location;
mod marks;
mod mint;
mod oidc;
mod operations;
mod outcome;
mod policy;
mod policy_token;
mod process;
mod refused;
mod reload;
mod request_id;
mod robust;
mod rotation;
mod sent;
mod tls;
mod tls_client;
mod unreachable;
mod vendor;
