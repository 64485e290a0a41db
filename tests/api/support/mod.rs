//! Fixtures of the tests: gateways, vendors, issuers, clients and certificates. These files
//! contain no tests.

pub mod certs;
pub mod client;
pub mod config;
pub mod described;
pub mod entra;
pub mod forms;
pub mod helpers;
pub mod idp;
pub mod issuer;
pub mod marks;
pub mod mint;
pub mod process;
pub mod proxy;
pub mod raw;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod threads;
pub mod tls_client;
pub mod tls_front;
pub mod tools;
pub mod vendor;
