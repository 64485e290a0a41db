//! The gateway over real HTTP, with the sandbox behind it: one folder per concern,
//! one file per topic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod callers;
mod contract;
mod operator;
mod resilience;
mod security;
mod support;

// Every test reaches these as `crate::client` and so on.
use contract::idempotency;
use operator::{kinds, policy, reload};
use security::{jwt, oidc, tls};
use support::{
    certs, client, config, described, entra, forms, helpers, idp, issuer, marks, mint, process,
    proxy, raw, tls_client, tls_front, tools, vendor,
};
