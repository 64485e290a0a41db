//! What a running gateway cannot take over: whatever it was built with.
//!
//! Callers, rules, issuers and the contents of TLS files are looked up anew for
//! each request or connection, and a keeper can be handed another credential;
//! listeners, the keepers themselves and the ledger are built once.

use std::collections::BTreeMap;

use super::{Credential, Server, Settings};

impl Settings {
    /// The sections in which a newer configuration differs and that only count
    /// after a restart, in the order of the files.
    #[must_use]
    pub fn waiting_for_restart(&self, newer: &Self) -> Vec<&'static str> {
        // Every section is named, so that a new one has to be thought about.
        let Self {
            server,
            admin,
            portal,
            operations,
            credentials,
            publishers,
            jwt_issuers: _,
            callers: _,
            ledger,
            telemetry,
        } = self;
        let sections = [
            ("server", same_server(server, &newer.server)),
            (
                "server.tls",
                server.tls.is_some() == newer.server.tls.is_some(),
            ),
            ("admin", *admin == newer.admin),
            ("portal", *portal == newer.portal),
            ("operations", *operations == newer.operations),
            (
                "credentials",
                same_credentials(credentials, &newer.credentials),
            ),
            ("publishers", *publishers == newer.publishers),
            ("ledger", *ledger == newer.ledger),
            ("telemetry", *telemetry == newer.telemetry),
        ];
        let differs = sections.into_iter().filter(|(_, same)| !same);
        differs.map(|(name, _)| name).collect()
    }
}

/// Leaves TLS out: what is in its files is live.
fn same_server(old: &Server, new: &Server) -> bool {
    let Server {
        listen,
        public_url,
        tls: _,
        workers,
        drain,
        max_wait,
        events_beat,
        max_connections,
        max_in_flight_actions,
        body_timeout,
        head_timeout,
        keep_alive,
        max_body_bytes,
        max_uri_bytes,
        max_header_bytes,
        allow_debugger,
    } = old;
    *listen == new.listen
        && *public_url == new.public_url
        && *workers == new.workers
        && *drain == new.drain
        && *max_wait == new.max_wait
        && *events_beat == new.events_beat
        && *max_connections == new.max_connections
        && *max_in_flight_actions == new.max_in_flight_actions
        && *body_timeout == new.body_timeout
        && *head_timeout == new.head_timeout
        && *keep_alive == new.keep_alive
        && *max_body_bytes == new.max_body_bytes
        && *max_uri_bytes == new.max_uri_bytes
        && *max_header_bytes == new.max_header_bytes
        && *allow_debugger == new.allow_debugger
}

/// Only their names and how long requests wait: another secret, even another kind, is
/// live. Its keeper earns a token with it before it lets go of the old one.
fn same_credentials(
    old: &BTreeMap<String, Credential>,
    new: &BTreeMap<String, Credential>,
) -> bool {
    let mut pairs = old.iter().zip(new);
    old.len() == new.len() && pairs.all(|(old, new)| old.0 == new.0 && old.1.wait == new.1.wait)
}
