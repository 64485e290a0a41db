//! The configuration: read in layers, checked as a whole, handed on as plain values.
//!
//! Whoever holds a [`Settings`] need not check anything again. Whoever gets
//! [`Problems`] sees all of them at once, each with its key and its file, and
//! never a configured value: not even an innocent one, since secrets end up in
//! the wrong key too.

mod access;
mod check;
mod checker;
mod credentials;
mod field;
mod load;
mod problem;
mod raw;
mod url;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::{ApiKeyHash, CallerName, PublisherId, Rule, Secret};
pub use crate::telemetry::{LogFormat, LogLevel};

pub use load::{BASE, Loaded, Source, load};
pub use problem::{Problem, Problems};

/// Everything that can be configured, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The public listener.
    pub server: Server,
    /// The listener for health, metrics and the console.
    pub admin: Admin,
    /// The vendor's API.
    pub portal: Portal,
    /// How unfinished operations are followed.
    pub operations: Operations,
    /// How tokens are obtained, by the name that publishers refer to.
    pub credentials: BTreeMap<String, Credential>,
    /// The publishers that can be acted for, at least one; no two are alike.
    pub publishers: Vec<Publisher>,
    /// Who may ask for what. No two share a name or an API key.
    pub callers: Vec<Caller>,
    /// Where operations are recorded.
    pub ledger: Ledger,
    /// What is logged, and how.
    pub telemetry: Telemetry,
}

/// The public listener and its limits.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where callers connect. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The address under which callers know the gateway, without a trailing slash.
    /// None only when listening on loopback, where the bound port tells it.
    pub public_url: Option<String>,
    /// Worker threads; `workers = 0` has become the number of cores.
    pub workers: NonZeroUsize,
    /// How long running actions may take to finish on shutdown.
    pub drain: Duration,
    /// Connections open at a time, over all workers.
    pub max_connections: usize,
    /// Actions under way at a time, over all workers.
    pub max_in_flight_actions: usize,
    /// Time limit for receiving a request's body.
    pub body_timeout: Duration,
    /// Time limit for receiving a request's head.
    pub head_timeout: Duration,
    /// How long an idle connection is kept.
    pub keep_alive: Duration,
    /// The longest request body, in bytes.
    pub max_body_bytes: usize,
    /// The longest request target, in bytes.
    pub max_uri_bytes: usize,
    /// The longest request head, in bytes.
    pub max_header_bytes: usize,
}

/// The listener for operators; it asks nobody who they are.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where it listens; never the same socket as [`Server::listen`].
    pub listen: SocketAddr,
}

/// The vendor's API.
#[derive(Debug, Clone)]
pub struct Portal {
    /// Scheme and authority only, no trailing slash.
    pub base_url: String,
    /// The `api-version` sent with every call.
    pub api_version: String,
    /// PEM certificates to trust besides the system's; it could be opened.
    pub ca_file: Option<PathBuf>,
    /// Time limit for connecting.
    pub connect_timeout: Duration,
    /// Time limit for a whole call, its body included.
    pub request_timeout: Duration,
    /// Whether tokens may travel over plain HTTP beyond loopback.
    pub allow_plain_http: bool,
}

/// How unfinished operations are followed.
#[derive(Debug, Clone)]
pub struct Operations {
    /// Between two looks at one operation.
    pub poll: Duration,
    /// Between the two looks that prove that nothing is running.
    pub settle: Duration,
    /// After this, what is not confirmed is called so; longer than the other two.
    pub give_up: Duration,
}

/// An Entra application that gets tokens with a client secret.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The token endpoint's scheme and authority, no trailing slash.
    pub authority: String,
    /// The directory: a GUID or a domain name.
    pub tenant_id: String,
    /// The application's id.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: Secret,
    /// Which token endpoint, and what to ask it for.
    pub endpoint: TokenEndpoint,
    /// How long a request may wait while there is no token yet.
    pub wait: Duration,
}

/// The two generations of Entra's token endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenEndpoint {
    /// `/oauth2/token`.
    V1 {
        /// The audience asked for.
        resource: String,
    },
    /// `/oauth2/v2.0/token`.
    V2 {
        /// The scope asked for.
        scope: String,
    },
}

/// A publisher that can be acted for.
#[derive(Debug, Clone)]
pub struct Publisher {
    /// Its id at the vendor.
    pub id: PublisherId,
    /// A key of [`Settings::credentials`].
    pub credential: String,
}

/// A team or a pipeline that may call the gateway.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The name that operations and log lines carry.
    pub name: CallerName,
    /// The publisher meant by a route that names none; one of [`Settings::publishers`].
    pub default_publisher: Option<PublisherId>,
    /// The hashes of its API keys, at least one.
    pub api_key_sha256: Vec<ApiKeyHash>,
    /// What it may do. Empty: nothing.
    pub allow: Vec<Rule>,
}

/// Where operations are recorded.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// The SQLite file; relative to the working directory.
    pub path: PathBuf,
    /// What a commit survives.
    pub durability: Durability,
    /// How long finished operations are kept.
    pub retention: Duration,
}

/// What a commit to the ledger survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The loss of power.
    Full,
    /// The end of the process; a power cut may take the last moments.
    Relaxed,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct Telemetry {
    /// The least severe of our own lines that is written.
    pub log_level: LogLevel,
    /// The shape of a line.
    pub log_format: LogFormat,
}
