//! The operator's interfaces: command line, health, credentials and reload.

mod admin;
mod cli;
mod cli_end;
mod clients;
mod endpoint_oidc;
mod health;
pub mod kinds;
mod log;
pub mod policy;
pub mod reload;
mod sandbox;
