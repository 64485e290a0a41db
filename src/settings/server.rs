//! `[server]`: the public listener and its limits.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use super::context::Context;
use super::reader::{Table, all};
use super::tls::{self, TlsSettings};
use super::url;
use crate::domain::{AddressRange, SharedCapacity};

/// The longest request target and the longest headers, in bytes. The HTTP library reads heads
/// of 128 KiB with lines of 64 KiB, which must have room for both.
const MAX_HEAD_PART: u64 = 64_000;

/// The public listener and its limits.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerSettings {
    /// Where callers connect. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The address under which callers know the gateway, without a trailing slash. None
    /// only when listening on loopback; the bound address is used then.
    pub public_url: Option<String>,
    /// TLS on this listener; none: plain HTTP.
    pub tls: Option<TlsSettings>,
    /// Worker threads; `workers = 0` has become the number of cores.
    pub workers: NonZeroUsize,
    /// How long requests are served on shutdown after readiness has begun to fail.
    pub shutdown_delay: Duration,
    /// How long running actions may take to finish on shutdown.
    pub drain: Duration,
    /// The longest wait of `Prefer: wait`; zero: waiting is off.
    pub max_wait: Duration,
    /// Between two keepalive comments on a stream of events.
    pub events_beat: Duration,
    /// Open connections, over all workers.
    pub max_connections: usize,
    /// Concurrent actions, over all workers.
    pub max_in_flight_actions: usize,
    /// Time limit for receiving a request's head.
    pub head_timeout: Duration,
    /// Time limit for receiving a request's body.
    pub body_timeout: Duration,
    /// How long an idle connection is kept open.
    pub keep_alive: Duration,
    /// The longest request body, in bytes.
    pub max_body_bytes: usize,
    /// The longest request target, in bytes.
    pub max_uri_bytes: usize,
    /// All headers of a request together, in bytes.
    pub max_header_bytes: usize,
    /// The proxies whose `X-Forwarded-For` is read, for the log alone.
    pub trusted_proxies: Vec<AddressRange>,
    /// Whether core dumps and debuggers may read this process's memory.
    pub allow_debugger: bool,
}

impl ServerSettings {
    /// What all callers share. Fewer may wait than there may be connections, so that the
    /// rest stay free for requests that do not wait.
    #[must_use]
    pub fn pools(&self) -> SharedCapacity {
        SharedCapacity {
            actions: self.max_in_flight_actions,
            waits: self.max_connections - self.max_connections / 10,
        }
    }
}

pub fn read(t: &mut Table<'_, '_>, context: &mut Context) -> Option<ServerSettings> {
    let listen = t.required("listen", socket_address);
    context.public_listen = listen.map(|listen| (t.at("listen"), listen));
    let has_tls = t.has("tls");
    context.client_certificates = has_tls;
    all!(ServerSettings {
        listen,
        public_url: public_url(t, listen, has_tls),
        tls: t.optional_table("tls", |t| tls::read(t, context)),
        workers: t
            .count("workers", 0..=256)
            .map(|count| NonZeroUsize::new(count).unwrap_or_else(cores)),
        shutdown_delay: t.seconds("shutdown_delay_seconds", 0..=3600),
        drain: t.seconds("drain_seconds", 0..=3600),
        max_wait: t.seconds("max_wait_seconds", 0..=3600),
        events_beat: t.seconds("events_beat_seconds", 1..=300),
        max_connections: t.count("max_connections", 1..=1_000_000),
        max_in_flight_actions: t.count("max_in_flight_actions", 1..=100_000),
        head_timeout: t.millis("head_timeout_ms", 1_000..=600_000),
        body_timeout: t.millis("body_timeout_ms", 1..=600_000),
        keep_alive: t.seconds("keep_alive_seconds", 1..=3600),
        max_body_bytes: t.count("max_body_bytes", 1..=16_777_216),
        max_uri_bytes: t.count("max_uri_bytes", 256..=MAX_HEAD_PART),
        max_header_bytes: t.count("max_header_bytes", 1024..=MAX_HEAD_PART),
        trusted_proxies: t
            .texts(
                "trusted_proxies",
                "leave it out instead",
                |reading, at, text| { reading.good(at, AddressRange::parse(text).ok_or(NO_RANGE)) }
            )
            .map(Option::unwrap_or_default),
        allow_debugger: t.flag("allow_debugger"),
    })
}

const NO_RANGE: &str = "must be an IP address or a network, as in 10.0.0.0/8 or fd00::/8";

pub fn socket_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "must be an IP address and a port, as in 127.0.0.1:8080 or [::1]:8080")
}

fn cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

fn public_url(
    t: &mut Table<'_, '_>,
    listen: Option<SocketAddr>,
    has_tls: bool,
) -> Option<Option<String>> {
    let Some(url) = t.optional("public_url", url::parse_with_path)? else {
        if listen.is_some_and(|listen| !listen.ip().is_loopback()) {
            t.problem(
                "public_url",
                "is required unless server.listen is a loopback address: operation locations \
                 begin with it",
            );
        }
        return Some(None);
    };
    if !url.secure && !url.is_loopback() {
        t.warn(
            "public_url",
            "is plain HTTP: callers' API keys cross the network unprotected",
        );
    }
    if !url.secure && has_tls {
        t.warn(
            "public_url",
            "is http:// while server.tls is on: operation locations will not reach this \
             listener; use https://",
        );
    }
    Some(Some(url.text))
}
