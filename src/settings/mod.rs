//! The configuration: read in layers, checked as a whole, handed on as plain values.
//!
//! [`Settings`] need no further checks. A [`SettingsError`] lists every problem at once,
//! each with its key and its file or variable, and never a configured value.
//!
//! `root` reads the sections, each of which has a file of its own; `reader` is the cursor
//! with the getters that they use. A key stands in one getter line, in one field and in one
//! paragraph of `config/base.toml`.

mod admin;
mod caller_credentials;
mod callers;
mod context;
mod credentials;
mod expiry;
mod files;
mod findings;
mod identity;
mod layers;
mod ledger;
mod operations;
mod outbound;
mod pem;
mod portal;
mod publishers;
mod reader;
mod restart;
mod root;
mod secret_text;
mod server;
mod telemetry;
#[cfg(test)]
mod tests;
mod tls;
mod url;

pub use admin::AdminSettings;
pub use callers::{AllowRule, CallerSettings};
pub use credentials::{CredentialMethod, CredentialSettings, SigningCertificate};
pub use findings::{Finding, SettingsError};
pub use identity::JwtIssuerSettings;
pub use layers::{BASE, ConfigSource};
pub use ledger::LedgerSettings;
pub use operations::OperationsSettings;
pub use portal::PortalSettings;
pub use publishers::PublisherSettings;
pub use reader::KeyKind;
pub use root::{Loaded, Settings, admin_listen, known_keys, load, reload};
pub use server::ServerSettings;
pub use tls::TlsSettings;
