//! The configuration: read in layers, checked as a whole, handed on as plain values.
//!
//! [`Settings`] need no further checks. A [`SettingsError`] lists every problem at once,
//! each with its key and its file or variable, and never a configured value.
//!
//! A key stands in one getter line, in one field and in one paragraph of
//! `config/base.toml`. `reader` is the cursor with the getters; one file a section uses
//! it.

mod admin;
mod caller_credentials;
mod callers;
mod credentials;
mod files;
mod findings;
mod identity;
mod layers;
mod ledger;
mod operations;
mod pem;
mod portal;
mod publishers;
mod reader;
mod restart;
mod server;
mod telemetry;
#[cfg(test)]
mod tests;
mod tls;
mod url;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::domain::PublisherId;
use crate::telemetry::LogOptions;
pub use admin::AdminSettings;
pub use callers::{AllowRule, CallerSettings};
pub use credentials::{CredentialMethod, CredentialSettings, SigningCertificate};
use findings::Findings;
pub use findings::{Finding, SettingsError};
use identity::Issuers;
pub use identity::JwtIssuerSettings;
pub use layers::BASE;
use layers::Layers;
pub use ledger::LedgerSettings;
pub use operations::OperationsSettings;
pub use portal::PortalSettings;
pub use publishers::PublisherSettings;
use reader::{At, Reading, Table, all};
pub use reader::{KeyKind, nearest};
pub use server::ServerSettings;
pub use tls::TlsSettings;

/// Everything that can be configured, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The public listener.
    pub server: ServerSettings,
    /// The listener for health, metrics and the console.
    pub admin: AdminSettings,
    /// The vendor's API.
    pub portal: PortalSettings,
    /// How unfinished operations are polled.
    pub operations: OperationsSettings,
    /// How tokens are acquired, by the name that publishers refer to.
    pub credentials: BTreeMap<String, CredentialSettings>,
    /// The publishers that can be acted for: at least one, no two alike.
    pub publishers: Vec<PublisherSettings>,
    /// Whose JWTs are accepted. No two share an issuer.
    pub jwt_issuers: Vec<JwtIssuerSettings>,
    /// Who may do what. No two share a name, an API key, a certificate name or a set of
    /// claims.
    pub callers: Vec<CallerSettings>,
    /// Where operations are recorded.
    pub ledger: LedgerSettings,
    /// What is logged, and how.
    pub telemetry: LogOptions,
}

/// Where to read the configuration from.
#[derive(Clone, Default)]
pub struct ConfigSource {
    /// The directory of `base.toml` and the profiles.
    pub dir: Option<PathBuf>,
    /// The profile: the name of a file in `dir`, without `.toml`.
    pub profile: Option<String>,
    /// The environment, every variable that counts; the process's own is not read.
    pub environment: BTreeMap<String, String>,
}

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub settings: Settings,
    /// What can be used but deserves attention.
    pub warnings: Vec<Finding>,
    /// The files that were read, or would be if they existed, and those that the
    /// configuration names: the files to watch for changes.
    pub files: Vec<PathBuf>,
}

/// Reads and checks the configuration.
///
/// # Errors
/// Every problem, at once. Only files that cannot be read, or are not TOML, are reported
/// alone, since the other problems would follow from them.
pub fn load(source: &ConfigSource) -> Result<Loaded, SettingsError> {
    load_for(source, None)
}

/// Reads and checks the configuration again, for a gateway that runs with another.
///
/// What depends on a section that only a restart changes is checked against the running
/// one as well: the published sample key is accepted only while the portal is on loopback,
/// and the portal of a running gateway does not change.
///
/// # Errors
/// As [`load`].
pub fn reload(source: &ConfigSource, running: &Settings) -> Result<Loaded, SettingsError> {
    load_for(source, Some(running))
}

/// Every key that can be configured, as the reader knows them, with `[]` for the index of
/// a list's element and `NAME` for a name of the operator's choice: `callers[].name`.
#[must_use]
pub fn known_keys() -> BTreeMap<String, KeyKind> {
    let layers = Layers::built_in("", &mut Findings::default());
    Reading::inventory(&layers, read)
}

fn load_for(source: &ConfigSource, running: Option<&Settings>) -> Result<Loaded, SettingsError> {
    let mut findings = Findings::default();
    let mut layers = Layers::built_in(BASE, &mut findings);
    layers.files(source, &mut findings);
    if !findings.is_usable() {
        return Err(findings.into_error());
    }
    layers.environment(&source.environment, &mut findings);
    let mut reading = Reading::new(&layers, findings, running);
    let mut root = reading.root();
    let settings = read(&mut root);
    root.finish();
    let findings = reading.findings;
    match settings {
        Some(settings) if findings.is_usable() => {
            let (warnings, files) = findings.into_warnings();
            Ok(Loaded {
                settings,
                warnings,
                files,
            })
        }
        _ => Err(findings.into_error()),
    }
}

/// What later sections need to know of earlier ones, whatever else is wrong with those.
struct Context {
    /// `server.listen`, if it is good.
    public_listen: Option<(At, SocketAddr)>,
    /// Clients can present a certificate, or it is unknown whether they can.
    client_certificates: bool,
    /// Plain HTTP is allowed, or it is unknown whether it is.
    allow_plain_http: bool,
    /// The portal is on this machine, or its address is unknown; so is the one that a
    /// running gateway uses until it is restarted.
    portal_is_local: bool,
    /// The names of the credentials, good or not.
    credentials: BTreeMap<String, At>,
    /// The publishers, if all their ids are good.
    publishers: Option<Vec<PublisherId>>,
    issuers: Issuers,
}

/// Reads the sections in an order in which each finds in the context what it needs.
fn read(root: &mut Table<'_, '_>) -> Option<Settings> {
    let is_local = |running: &Settings| {
        url::parse_origin(&running.portal.base_url).is_ok_and(|url| url.is_loopback())
    };
    let mut context = Context {
        public_listen: None,
        client_certificates: true,
        allow_plain_http: true,
        portal_is_local: root.reading.running.is_none_or(is_local),
        credentials: BTreeMap::new(),
        publishers: None,
        issuers: Issuers::default(),
    };
    let context = &mut context;
    let settings = all!(Settings {
        server: root.table("server", |t| server::read(t, context)),
        admin: root.table("admin", |t| admin::read(t, context)),
        portal: root.table("portal", |t| portal::read(t, context)),
        operations: root.table("operations", operations::read),
        credentials: credentials::read(root, context),
        publishers: publishers::read(root, context),
        jwt_issuers: root.table("identity", |t| identity::read(t, &mut context.issuers)),
        callers: callers::read(root, context),
        ledger: root.table("ledger", ledger::read),
        telemetry: root.table("telemetry", telemetry::read),
    });
    context.issuers.warn_of_unnamed(root.reading);
    settings
}
