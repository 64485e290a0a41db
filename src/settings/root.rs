//! The whole configuration: which sections there are, and in which order they are read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::admin::{self, AdminSettings};
use super::callers::{self, CallerSettings};
use super::context::Context;
use super::credentials::{self, CredentialSettings};
use super::findings::{Finding, Findings, SettingsError};
use super::identity::{self, JwtIssuerSettings};
use super::layers::{BASE, ConfigSource, Layers};
use super::ledger::{self, LedgerSettings};
use super::operations::{self, OperationsSettings};
use super::outbound;
use super::portal::{self, PortalSettings};
use super::publishers::{self, PublisherSettings};
use super::reader::{KeyKind, Reading, Table, all};
use super::server::{self, ServerSettings};
use super::{telemetry, url};
use crate::domain::Egress;
use crate::telemetry::LogOptions;

/// Everything that can be configured, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The public listener.
    pub server: ServerSettings,
    /// The listener for health.
    pub admin: AdminSettings,
    /// The vendor's API.
    pub portal: PortalSettings,
    /// The proxy towards the vendor, token endpoints and issuers, if there is one.
    pub outbound: Egress,
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

/// `admin.listen`, whatever else is wrong with the configuration; none if it is not valid
/// itself.
#[must_use]
pub fn admin_listen(source: &ConfigSource) -> Option<SocketAddr> {
    let mut findings = Findings::default();
    let mut layers = Layers::built_in(BASE, &mut findings);
    layers.files(source, &mut findings);
    layers.environment(&source.environment, &mut findings);
    let mut reading = Reading::new(&layers, findings, false);
    reading.root().table("admin", admin::listen)
}

/// Every key that can be configured, as the reader knows them, with `[]` for the index of
/// a list's element and `NAME` for a name of the operator's choice: `callers[].name`.
#[must_use]
pub fn known_keys() -> BTreeMap<String, KeyKind> {
    let layers = Layers::built_in("", &mut Findings::default());
    Reading::inventory(&layers, |root| read(root, None))
}

fn load_for(source: &ConfigSource, running: Option<&Settings>) -> Result<Loaded, SettingsError> {
    let mut findings = Findings::default();
    let mut layers = Layers::built_in(BASE, &mut findings);
    layers.files(source, &mut findings);
    if !findings.is_usable() {
        return Err(findings.into_error());
    }
    layers.environment(&source.environment, &mut findings);
    let mut reading = Reading::new(&layers, findings, running.is_some());
    let mut root = reading.root();
    let settings = read(&mut root, running);
    root.finish();
    let findings = reading.findings;
    let Some(settings) = settings.filter(|_| findings.is_usable()) else {
        let mut error = findings.into_error();
        // Everything else follows from that.
        if let Some(unread) = layers.nothing_read(source) {
            error.put_first(unread);
        }
        return Err(error);
    };
    let (warnings, files) = findings.into_warnings();
    Ok(Loaded {
        settings,
        warnings,
        files,
    })
}

/// Reads the sections in an order in which each finds in the context what it needs.
fn read(root: &mut Table<'_, '_>, running: Option<&Settings>) -> Option<Settings> {
    let is_local = |running: &Settings| {
        url::parse_origin(&running.portal.base_url).is_ok_and(|url| url.is_loopback())
    };
    let context = &mut Context::new(running.is_none_or(is_local));
    let settings = all!(Settings {
        server: root.table("server", |t| server::read(t, context)),
        admin: root.table("admin", |t| admin::read(t, context)),
        portal: root.table("portal", |t| portal::read(t, context)),
        outbound: root.table("outbound", outbound::read),
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
