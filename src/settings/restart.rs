//! Which changes a running gateway cannot apply: those of what it was built with.
//!
//! Callers, rules, issuers and the contents of TLS files are looked up for each request or
//! connection, and a credential's refresher accepts another method; listeners, the
//! refreshers themselves and the ledger are built once.

use std::time::Duration;

use super::root::Settings;
use super::server::ServerSettings;

impl Settings {
    /// The sections in which a newer configuration differs and that take effect only after
    /// a restart, in the order of the files.
    #[must_use]
    pub fn waiting_for_restart(&self, newer: &Self) -> Vec<&'static str> {
        // Every section is named, so that a new one has to be considered.
        let Self {
            server,
            admin,
            portal,
            outbound,
            operations,
            credentials: _,
            publishers,
            jwt_issuers: _,
            callers: _,
            ledger,
            telemetry,
        } = self;
        let without_tls = |server: &ServerSettings| ServerSettings {
            tls: None,
            ..server.clone()
        };
        let sections = [
            ("server", without_tls(server) == without_tls(&newer.server)),
            (
                "server.tls",
                server.tls.is_some() == newer.server.tls.is_some(),
            ),
            ("admin", *admin == newer.admin),
            ("portal", *portal == newer.portal),
            ("outbound", *outbound == newer.outbound),
            ("operations", *operations == newer.operations),
            (
                "credentials",
                self.credential_waits().eq(newer.credential_waits()),
            ),
            ("publishers", *publishers == newer.publishers),
            ("ledger", *ledger == newer.ledger),
            ("telemetry", *telemetry == newer.telemetry),
        ];
        let differs = sections.into_iter().filter(|(_, same)| !same);
        differs.map(|(name, _)| name).collect()
    }

    /// All of a credential that needs a restart: its refresher acquires a token with
    /// another secret, and even another method, before it gives up the old one.
    fn credential_waits(&self) -> impl Iterator<Item = (&String, Duration)> {
        let credentials = self.credentials.iter();
        credentials.map(|(name, credential)| (name, credential.wait))
    }
}
