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
mod files;
mod identity;
mod list;
mod load;
mod origins;
mod pem;
mod problem;
mod proof;
mod raw;
mod restart;
mod tls;
mod url;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

use crate::domain::{ApiKeyHash, CallerName, PublisherId, Rule, San};
pub use crate::telemetry::{LogFormat, LogLevel};

pub use credentials::{
    Application, AssertionAlgorithm, ClientCertificate, Credential, CredentialKind,
    ManagedEndpoint, TokenEndpoint,
};
pub use load::{BASE, Loaded, Source, load, nearest, reload};
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
    /// Whose JWTs are accepted. No two share an issuer.
    pub jwt_issuers: Vec<JwtIssuer>,
    /// Who may ask for what. No two share a name, an API key, a certificate name or
    /// a set of claims.
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
    /// How TLS is spoken there; none: plain HTTP.
    pub tls: Option<Tls>,
    /// Worker threads; `workers = 0` has become the number of cores.
    pub workers: NonZeroUsize,
    /// How long running actions may take to finish on shutdown.
    pub drain: Duration,
    /// How long a caller may have its answer held back; none: it may not.
    pub max_wait: Duration,
    /// Between two comments on a stream of events where nothing happens.
    pub events_beat: Duration,
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
    /// Whether core dumps and debuggers may see this process's memory.
    pub allow_debugger: bool,
}

/// How TLS is spoken on the public listener. The files have been read.
#[derive(Clone)]
pub struct Tls {
    /// The certificate chain and its private key, which belong together.
    pub identity: Arc<CertifiedKey>,
    /// Those who may sign client certificates; none: no client is asked for one.
    pub client_ca: Option<Arc<[CertificateDer<'static>]>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// An issuer of JWTs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtIssuer {
    /// The `iss` of its tokens, character by character.
    pub issuer: String,
    /// What `aud` must name one of; at least one.
    pub audiences: Vec<String>,
    /// Where its keys are; none: where its OpenID discovery document says.
    pub jwks_url: Option<String>,
    /// What may have signed: asymmetric, at least one.
    pub algorithms: Vec<jsonwebtoken::Algorithm>,
    /// The `typ` that its tokens must have, if any.
    pub typ: Option<String>,
    /// PEM certificates to trust besides the system's when keys are fetched.
    pub ca_file: Option<PathBuf>,
    /// A file with the bearer token that the keys' address wants, read at each fetch.
    pub bearer_token_file: Option<PathBuf>,
    /// Between two fetches of the keys.
    pub refresh: Duration,
}

/// The listener for operators; it asks nobody who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens; never the same socket as [`Server::listen`].
    pub listen: SocketAddr,
}

/// The vendor's API.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operations {
    /// Between two looks at one operation.
    pub poll: Duration,
    /// Between the two looks that prove that nothing is running.
    pub settle: Duration,
    /// After this, what is not confirmed is called so; longer than the other two.
    pub give_up: Duration,
}

/// A publisher that can be acted for.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// The hashes of its API keys.
    pub api_key_sha256: Vec<ApiKeyHash>,
    /// The tokens that are its own.
    pub jwt: Option<JwtMatch>,
    /// The names of which its client certificates carry one.
    pub certificate_san: Vec<San>,
    /// How many requests it may make.
    pub rate_limit: Option<RateLimit>,
    /// Actions of its own under way at a time; none: as many as all callers together.
    pub max_in_flight_actions: Option<usize>,
    /// Answers of its own held back, and streams open, at a time; none: as many as all
    /// callers together.
    pub max_waits: Option<usize>,
    /// What it may do. Empty: nothing.
    pub allow: Vec<Allow>,
}

/// Which tokens are a caller's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtMatch {
    /// One of [`Settings::jwt_issuers`].
    pub issuer: String,
    /// What the token must say; at least one of `sub`, `azp`, `appid`, `client_id`
    /// and `oid` is among them.
    pub claims: BTreeMap<String, String>,
}

/// How many requests a caller may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// In the long run.
    pub per_second: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

/// A rule, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    /// What it allows.
    pub rule: Rule,
    /// Its file and key, as in `config/base.toml: callers[0].allow[1]`.
    pub place: String,
}

/// Where operations are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// The SQLite file; relative to the working directory.
    pub path: PathBuf,
    /// What a commit survives.
    pub durability: Durability,
    /// How long finished operations are kept.
    pub retention: Duration,
    /// How long idempotency keys are kept; no longer than operations.
    pub keep_keys: Duration,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// The least severe of our own lines that is written.
    pub log_level: LogLevel,
    /// The shape of a line.
    pub log_format: LogFormat,
}
