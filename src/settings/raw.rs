//! The serde mirror: the configuration as it is written, key by key.
//!
//! Every key that exists is a field here, and a field here is documented in
//! `config/base.toml`; a test holds the two against each other. There is no
//! `Debug`: what is in here has not been sorted into secret and not secret.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::field::{Field, OneOrMore, Table};
use super::problem::{KeyPath, Step};

/// A table with known keys.
pub(super) type Section<T> = Field<Table<T>>;
/// A list; the problems of its elements are the elements' own.
pub(super) type List<T> = Field<Vec<T>>;
/// A table whose keys are names.
pub(super) type Named<T> = Field<BTreeMap<String, T>>;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Root {
    pub(super) server: Section<Server>,
    pub(super) admin: Section<Admin>,
    pub(super) portal: Section<Portal>,
    pub(super) operations: Section<Operations>,
    pub(super) credentials: Named<Section<Credential>>,
    pub(super) publishers: List<Section<Publisher>>,
    pub(super) identity: Section<Identity>,
    pub(super) callers: List<Section<Caller>>,
    pub(super) ledger: Section<Ledger>,
    pub(super) telemetry: Section<Telemetry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Server {
    pub(super) listen: Field<String>,
    pub(super) public_url: Field<String>,
    pub(super) tls: Section<Tls>,
    pub(super) workers: Field<u64>,
    pub(super) drain_seconds: Field<u64>,
    pub(super) max_wait_seconds: Field<u64>,
    pub(super) events_beat_seconds: Field<u64>,
    pub(super) max_connections: Field<u64>,
    pub(super) max_in_flight_actions: Field<u64>,
    pub(super) head_timeout_ms: Field<u64>,
    pub(super) body_timeout_ms: Field<u64>,
    pub(super) keep_alive_seconds: Field<u64>,
    pub(super) max_body_bytes: Field<u64>,
    pub(super) max_uri_bytes: Field<u64>,
    pub(super) max_header_bytes: Field<u64>,
    pub(super) allow_debugger: Field<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Tls {
    pub(super) cert_file: Field<String>,
    pub(super) key_file: Field<String>,
    pub(super) client_ca_file: Field<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Admin {
    pub(super) listen: Field<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Portal {
    pub(super) base_url: Field<String>,
    pub(super) api_version: Field<String>,
    pub(super) ca_file: Field<String>,
    pub(super) connect_timeout_ms: Field<u64>,
    pub(super) request_timeout_ms: Field<u64>,
    pub(super) allow_plain_http: Field<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Operations {
    pub(super) poll_seconds: Field<u64>,
    pub(super) settle_seconds: Field<u64>,
    pub(super) give_up_seconds: Field<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Credential {
    pub(super) kind: Field<String>,
    pub(super) authority: Field<String>,
    pub(super) tenant_id: Field<String>,
    pub(super) client_id: Field<String>,
    pub(super) client_secret: Field<String>,
    pub(super) client_secret_file: Field<String>,
    pub(super) client_secret_expires: Field<String>,
    pub(super) certificate_file: Field<String>,
    pub(super) key_file: Field<String>,
    pub(super) assertion_algorithm: Field<String>,
    pub(super) assertion_file: Field<String>,
    pub(super) endpoint: Field<String>,
    pub(super) identity_header: Field<String>,
    pub(super) identity_header_file: Field<String>,
    pub(super) token_file: Field<String>,
    pub(super) endpoint_version: Field<String>,
    pub(super) resource: Field<String>,
    pub(super) scope: Field<String>,
    pub(super) wait_ms: Field<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Publisher {
    pub(super) id: Field<String>,
    pub(super) credential: Field<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Identity {
    pub(super) jwt: List<Section<JwtIssuer>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct JwtIssuer {
    pub(super) issuer: Field<String>,
    pub(super) audience: Field<OneOrMore>,
    pub(super) jwks_url: Field<String>,
    pub(super) algorithms: List<Field<String>>,
    pub(super) typ: Field<String>,
    pub(super) ca_file: Field<String>,
    pub(super) bearer_token_file: Field<String>,
    pub(super) refresh_seconds: Field<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Caller {
    pub(super) name: Field<String>,
    pub(super) default_publisher: Field<String>,
    pub(super) api_key_sha256: List<Field<String>>,
    pub(super) jwt: Section<JwtMatch>,
    pub(super) certificate_san: List<Field<String>>,
    pub(super) rate_limit: Section<RateLimit>,
    pub(super) max_in_flight_actions: Field<u64>,
    pub(super) max_waits: Field<u64>,
    pub(super) allow: List<Section<Rule>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct JwtMatch {
    pub(super) issuer: Field<String>,
    pub(super) claims: Named<Field<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RateLimit {
    pub(super) per_second: Field<u64>,
    pub(super) burst: Field<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Rule {
    pub(super) actions: List<Field<String>>,
    pub(super) publishers: List<Field<String>>,
    pub(super) offers: List<Field<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Ledger {
    pub(super) url: Field<String>,
    pub(super) durability: Field<String>,
    pub(super) retention_days: Field<u64>,
    pub(super) idempotency_hours: Field<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Telemetry {
    pub(super) log_level: Field<String>,
    pub(super) log_format: Field<String>,
}

/// The keys that may stand in a table; empty if its keys are not fixed.
pub(super) fn known_keys(table: &KeyPath) -> &'static [&'static str] {
    let names: Vec<Option<&str>> = table
        .steps()
        .iter()
        .map(|step| match step {
            Step::Key(key) => Some(&**key),
            Step::Index(_) => None,
        })
        .collect();
    match names.as_slice() {
        [] => keys_of::<Root>(),
        [Some("server")] => keys_of::<Server>(),
        [Some("server"), Some("tls")] => keys_of::<Tls>(),
        [Some("admin")] => keys_of::<Admin>(),
        [Some("portal")] => keys_of::<Portal>(),
        [Some("operations")] => keys_of::<Operations>(),
        [Some("credentials"), Some(_)] => keys_of::<Credential>(),
        [Some("publishers"), None] => keys_of::<Publisher>(),
        [Some("identity")] => keys_of::<Identity>(),
        [Some("identity"), Some("jwt"), None] => keys_of::<JwtIssuer>(),
        [Some("callers"), None] => keys_of::<Caller>(),
        [Some("callers"), None, Some("jwt")] => keys_of::<JwtMatch>(),
        [Some("callers"), None, Some("rate_limit")] => keys_of::<RateLimit>(),
        [Some("callers"), None, Some("allow"), None] => keys_of::<Rule>(),
        [Some("ledger")] => keys_of::<Ledger>(),
        [Some("telemetry")] => keys_of::<Telemetry>(),
        _ => &[],
    }
}

/// The fields of a struct of the mirror: serde names them to the deserializer.
fn keys_of<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    // Ends in an error by design: the names are all that is wanted.
    let _ = T::deserialize(AskForKeys(&mut keys));
    keys
}

struct AskForKeys<'k>(&'k mut &'static [&'static str]);

#[derive(Debug)]
struct Asked;

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("asked for the keys only")
    }
}

impl std::error::Error for Asked {}

impl de::Error for Asked {
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for AskForKeys<'_> {
    type Error = Asked;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Asked> {
        *self.0 = fields;
        Err(Asked)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Asked> {
        Err(Asked)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier
        ignored_any
    }
}
