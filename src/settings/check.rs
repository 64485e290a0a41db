//! From the mirror to [`Settings`]: every value parsed, every rule across keys held.
//!
//! A section first looks at all of its keys, then asks whether they were good
//! (the `?` at the end of each function), so that no problem hides another. A
//! `None` has always left a problem behind.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::checker::Checker;
use super::field::Field;
use super::files;
use super::problem::KeyPath;
use super::proof::Proofs;
use super::raw;
use super::url;
use super::{
    Admin, Durability, Ledger, LogFormat, LogLevel, Operations, Portal, Server, Settings,
    Telemetry, access, credentials, identity, tls,
};

/// Checks everything; none if there is a problem. `running`: what the gateway runs
/// with already, if it does.
pub(super) fn check(
    raw: raw::Root,
    mut c: Checker<'_>,
    running: Option<&Settings>,
) -> Option<Settings> {
    c.running = running.is_some();
    let (front, server) = server(&mut c, raw.server);
    let admin = admin(&mut c, raw.admin, front.listen);
    let (upstream, portal) = portal(&mut c, raw.portal, running);
    let operations = operations(&mut c, raw.operations);
    let (credential_names, credentials) =
        credentials::credentials(&mut c, raw.credentials, &upstream);
    let (publisher_ids, publishers) = access::publishers(&mut c, raw.publishers, &credential_names);
    let (mut issuers, jwt_issuers) = identity::jwt_issuers(&mut c, raw.identity);
    let proofs = Proofs::new(&upstream, &mut issuers, front.client_certificates);
    let callers = access::callers(&mut c, raw.callers, publisher_ids.as_deref(), proofs);
    issuers.warn_of_unnamed(&mut c);
    let ledger = ledger(&mut c, raw.ledger);
    let telemetry = telemetry(&mut c, raw.telemetry);
    Some(Settings {
        server: server?,
        admin: admin?,
        portal: portal?,
        operations: operations?,
        credentials: credentials?,
        publishers: publishers?,
        jwt_issuers: jwt_issuers?,
        callers: callers?,
        ledger: ledger?,
        telemetry: telemetry?,
    })
}

/// What the rest of the configuration needs to know about the portal.
pub(super) struct Upstream {
    /// Plain HTTP is allowed, or it cannot be told whether it is.
    pub(super) plain_http: bool,
    /// The portal is on this machine, or it cannot be told where it is; so is the one
    /// that a running gateway talks to until it is restarted.
    pub(super) loopback: bool,
}

/// What the rest of the configuration needs to know about the public listener,
/// whatever else is wrong with it.
struct Front {
    listen: Option<SocketAddr>,
    /// Clients can present a certificate, or it cannot be told whether they can.
    client_certificates: bool,
}

fn server(c: &mut Checker<'_>, raw: raw::Section<raw::Server>) -> (Front, Option<Server>) {
    let at = KeyPath::of("server");
    let mut front = Front {
        listen: None,
        client_certificates: true,
    };
    let Some(raw) = c.section(&at, raw) else {
        return (front, None);
    };
    let listen = c.parsed(&at.key("listen"), raw.listen, socket_address);
    front.listen = listen;
    let tls_key = at.key("tls");
    // Whatever is wrong with it, somebody wants it.
    let https = !matches!(raw.tls, Field::Absent);
    front.client_certificates = tls::asks_for_certificates(&raw.tls);
    let tls = tls::tls(c, &tls_key, raw.tls);
    let allow_debugger = c.required(&at.key("allow_debugger"), raw.allow_debugger);
    let public_url = public_url(c, &at.key("public_url"), raw.public_url, listen, https);
    let workers = c.count(&at.key("workers"), raw.workers, 0..=256);
    let drain = c.seconds(&at.key("drain_seconds"), raw.drain_seconds, 0..=3600);
    let max_wait = c.seconds(&at.key("max_wait_seconds"), raw.max_wait_seconds, 0..=3600);
    let beat = c.seconds(
        &at.key("events_beat_seconds"),
        raw.events_beat_seconds,
        1..=300,
    );
    let max_connections = c.count(
        &at.key("max_connections"),
        raw.max_connections,
        1..=1_000_000,
    );
    let max_in_flight_actions = c.count(
        &at.key("max_in_flight_actions"),
        raw.max_in_flight_actions,
        1..=100_000,
    );
    // actix-http's clock for this ticks twice a second: a shorter limit can be over
    // before the connection is there.
    let head_timeout = c.millis(
        &at.key("head_timeout_ms"),
        raw.head_timeout_ms,
        1_000..=600_000,
    );
    let body_timeout = c.millis(&at.key("body_timeout_ms"), raw.body_timeout_ms, 1..=600_000);
    let keep_alive = c.seconds(
        &at.key("keep_alive_seconds"),
        raw.keep_alive_seconds,
        1..=3600,
    );
    let max_body_bytes = c.count(
        &at.key("max_body_bytes"),
        raw.max_body_bytes,
        1..=16_777_216,
    );
    let max_uri_bytes = c.count(&at.key("max_uri_bytes"), raw.max_uri_bytes, 256..=65_536);
    let max_header_bytes = c.count(
        &at.key("max_header_bytes"),
        raw.max_header_bytes,
        1024..=131_072,
    );
    let server = || {
        Some(Server {
            listen: listen?,
            public_url: public_url?,
            tls: tls?,
            workers: NonZeroUsize::new(workers?).unwrap_or_else(cores),
            drain: drain?,
            max_wait: max_wait?,
            events_beat: beat?,
            max_connections: max_connections?,
            max_in_flight_actions: max_in_flight_actions?,
            body_timeout: body_timeout?,
            head_timeout: head_timeout?,
            keep_alive: keep_alive?,
            max_body_bytes: max_body_bytes?,
            max_uri_bytes: max_uri_bytes?,
            max_header_bytes: max_header_bytes?,
            allow_debugger: allow_debugger?,
        })
    };
    (front, server())
}

fn socket_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "must be an IP address and a port, as in 127.0.0.1:8080 or [::1]:8080")
}

fn cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

fn public_url(
    c: &mut Checker<'_>,
    key: &KeyPath,
    field: Field<String>,
    listen: Option<SocketAddr>,
    https: bool,
) -> Option<Option<String>> {
    let Some(text) = c.optional(key, field)? else {
        if listen.is_some_and(|listen| !listen.ip().is_loopback()) {
            c.problem(
                key,
                "is required unless server.listen is a loopback address: callers cannot \
                 follow an operation without it",
            );
        }
        return Some(None);
    };
    let url = c.parse(key, &text, url::parse_with_path)?;
    if !url.secure && !url.is_loopback() {
        c.warning(
            key,
            "callers' API keys cross the network unprotected: it is plain HTTP",
        );
    }
    if !url.secure && https {
        c.warning(
            key,
            "is http:// while server.tls is on: callers that follow an operation there will \
             not get through to this listener",
        );
    }
    Some(Some(url.text))
}

fn admin(
    c: &mut Checker<'_>,
    raw: raw::Section<raw::Admin>,
    public: Option<SocketAddr>,
) -> Option<Admin> {
    let at = KeyPath::of("admin");
    let raw = c.section(&at, raw)?;
    let key = at.key("listen");
    let listen = c.parsed(&key, raw.listen, socket_address)?;
    if public.is_some_and(|public| overlap(public, listen)) {
        c.problem(
            c.at_fault(&key, &KeyPath::of("server").key("listen")),
            "server.listen and admin.listen must not be one socket",
        );
    }
    Some(Admin { listen })
}

/// Whether two listeners would want the same socket.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let everything = |address: SocketAddr, other: SocketAddr| {
        // [::] takes IPv4 along on most systems, 0.0.0.0 never takes IPv6.
        address.ip().is_unspecified() && (address.is_ipv6() || other.is_ipv4())
    };
    a.port() != 0
        && a.port() == b.port()
        && (a.ip() == b.ip() || everything(a, b) || everything(b, a))
}

fn portal(
    c: &mut Checker<'_>,
    raw: raw::Section<raw::Portal>,
    running: Option<&Settings>,
) -> (Upstream, Option<Portal>) {
    let at = KeyPath::of("portal");
    let is_here = |running: &Settings| {
        url::parse_origin(&running.portal.base_url).is_ok_and(|url| url.is_loopback())
    };
    let mut upstream = Upstream {
        plain_http: true,
        loopback: running.is_none_or(is_here),
    };
    let Some(raw) = c.section(&at, raw) else {
        return (upstream, None);
    };
    let allow_plain_http = c.required(&at.key("allow_plain_http"), raw.allow_plain_http);
    upstream.plain_http = allow_plain_http.unwrap_or(true);
    let base_url = c.parsed(&at.key("base_url"), raw.base_url, url::parse_origin);
    if let Some(url) = &base_url {
        upstream.loopback &= url.is_loopback();
        c.token_goes_to(&at.key("base_url"), url, upstream.plain_http);
    }
    let api_version = c.parsed(&at.key("api_version"), raw.api_version, api_version);
    let ca_file = files::openable(c, &at.key("ca_file"), raw.ca_file);
    let connect_timeout = c.millis(
        &at.key("connect_timeout_ms"),
        raw.connect_timeout_ms,
        1..=60_000,
    );
    let request_timeout = c.millis(
        &at.key("request_timeout_ms"),
        raw.request_timeout_ms,
        1..=600_000,
    );
    let portal = || {
        Some(Portal {
            base_url: base_url?.text,
            api_version: api_version?,
            ca_file: ca_file?,
            connect_timeout: connect_timeout?,
            request_timeout: request_timeout?,
            allow_plain_http: allow_plain_http?,
        })
    };
    (upstream, portal())
}

fn api_version(text: &str) -> Result<String, &'static str> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    if (1..=64).contains(&text.len()) && text.bytes().all(legal) {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 64 characters of A-Z a-z 0-9 . -")
    }
}

fn operations(c: &mut Checker<'_>, raw: raw::Section<raw::Operations>) -> Option<Operations> {
    let at = KeyPath::of("operations");
    let raw = c.section(&at, raw)?;
    let poll = c.seconds(&at.key("poll_seconds"), raw.poll_seconds, 1..=3600);
    let settle = c.seconds(&at.key("settle_seconds"), raw.settle_seconds, 1..=3600);
    let key = at.key("give_up_seconds");
    let give_up = c.seconds(&key, raw.give_up_seconds, 1..=604_800);
    for (name, shorter) in [("poll_seconds", poll), ("settle_seconds", settle)] {
        let other = at.key(name);
        if give_up.zip(shorter).is_some_and(|(all, part)| all <= part) {
            let message = format!("{key} must be longer than {other}");
            c.problem(c.at_fault(&key, &other), message);
        }
    }
    Some(Operations {
        poll: poll?,
        settle: settle?,
        give_up: give_up?,
    })
}

fn ledger(c: &mut Checker<'_>, raw: raw::Section<raw::Ledger>) -> Option<Ledger> {
    let at = KeyPath::of("ledger");
    let raw = c.section(&at, raw)?;
    let path = c.parsed(&at.key("url"), raw.url, ledger_path);
    let durability = c.word(
        &at.key("durability"),
        raw.durability,
        &[("full", Durability::Full), ("relaxed", Durability::Relaxed)],
    );
    let (days_key, hours_key) = (at.key("retention_days"), at.key("idempotency_hours"));
    let days = c.number(&days_key, raw.retention_days, 1..=3650);
    let hours = c.number(&hours_key, raw.idempotency_hours, 1..=2160);
    if days
        .zip(hours)
        .is_some_and(|(days, hours)| hours > days * 24)
    {
        // A key without its operation has nothing to say.
        let message = format!("{hours_key} must not be longer than {days_key}");
        c.problem(c.at_fault(&hours_key, &days_key), message);
    }
    Some(Ledger {
        path: path?,
        durability: durability?,
        retention: Duration::from_secs(days? * 24 * 60 * 60),
        keep_keys: Duration::from_secs(hours? * 60 * 60),
    })
}

fn ledger_path(url: &str) -> Result<PathBuf, &'static str> {
    if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        return Err("PostgreSQL is not built yet; SQLite is, as in sqlite:offergate.db");
    }
    let path = url
        .strip_prefix("sqlite:")
        .ok_or("must be sqlite: and a file, as in sqlite:offergate.db")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.contains(":memory:") {
        return Err("must be a file: what is only in memory does not survive a restart");
    }
    // SQLite takes "file:" for an address, and some readers take "?" for options.
    let surprising = |c: char| matches!(c, '?' | '#') || c.is_control();
    if path.is_empty()
        || path.ends_with('/')
        || path.starts_with("file:")
        || path.contains(surprising)
    {
        return Err("must be sqlite: and a plain path of a file, without parameters");
    }
    Ok(PathBuf::from(path))
}

fn telemetry(c: &mut Checker<'_>, raw: raw::Section<raw::Telemetry>) -> Option<Telemetry> {
    let at = KeyPath::of("telemetry");
    let raw = c.section(&at, raw)?;
    let log_level = c.word(
        &at.key("log_level"),
        raw.log_level,
        &[
            ("error", LogLevel::Error),
            ("warn", LogLevel::Warn),
            ("info", LogLevel::Info),
            ("debug", LogLevel::Debug),
            ("trace", LogLevel::Trace),
        ],
    );
    let log_format = c.word(
        &at.key("log_format"),
        raw.log_format,
        &[("json", LogFormat::Json), ("pretty", LogFormat::Pretty)],
    );
    Some(Telemetry {
        log_level: log_level?,
        log_format: log_format?,
    })
}
