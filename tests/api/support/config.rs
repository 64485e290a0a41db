//! The configuration that a test's gateway reads: a directory with `base.toml` and a
//! profile laid over it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use offergate::settings::ConfigSource;
use tempfile::TempDir;

use crate::helpers::{KEY, NOBODY_KEY, READER_KEY, Setup};

/// Writes `base.toml`, the profile `test` and the setup's files for a gateway in front of
/// `vendor`.
pub fn write_config(directory: &TempDir, vendor: SocketAddr, setup: &Setup) {
    let credential = setup.credential.as_deref().unwrap_or(
        r#"
kind = "client-secret"
authority = "http://$vendor"
tenant_id = "$tenant"
client_id = "$client_id"
client_secret = "$client_secret"
wait_ms = 3000
"#,
    );
    let base = format!(
        r#"
[server]
listen = "127.0.0.1:0"
workers = 2
drain_seconds = 10
[admin]
listen = "127.0.0.1:0"
[portal]
base_url = "http://$vendor"
request_timeout_ms = 2000
[credentials.main]
{credential}
[[publishers]]
id = "contoso"
credential = "main"
[[callers]]
name = "pipeline"
default_publisher = "contoso"
api_key_sha256 = ["$pipeline"]
allow = [ {{ actions = ["*"], publishers = ["contoso"], offers = ["*"] }} ]
[[callers]]
name = "reader"
default_publisher = "contoso"
api_key_sha256 = ["$reader"]
allow = [ {{ actions = ["read"], publishers = ["*"], offers = ["*"] }} ]
[[callers]]
name = "nobody"
api_key_sha256 = ["$nobody"]
"#
    );
    let options = &setup.vendor;
    let filled = |text: &str| {
        text.replace("$vendor", &vendor.to_string())
            .replace("$tenant", &options.tenant)
            .replace("$client_id", &options.client_id)
            .replace("$client_secret", &options.client_secret)
    };
    for (name, text) in &setup.files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    write_with_hashes(directory, "base.toml", &filled(&base));
    write_with_hashes(directory, "test.toml", &filled(&setup.toml));
}

/// Where the above is.
pub fn source(directory: &TempDir) -> ConfigSource {
    ConfigSource {
        dir: Some(directory.path().to_owned()),
        profile: Some("test".into()),
        environment: BTreeMap::new(),
    }
}

/// Writes TOML with the hashes of the callers' keys in it.
pub fn write_with_hashes(directory: &TempDir, name: &str, toml: &str) {
    let mut toml = toml.to_owned();
    for (word, key) in [
        ("$pipeline", KEY),
        ("$reader", READER_KEY),
        ("$nobody", NOBODY_KEY),
    ] {
        let hash = offergate::identity::hash(key.as_bytes());
        let digits: String = hash.as_bytes().iter().map(|b| format!("{b:02x}")).collect();
        toml = toml.replace(word, &digits);
    }
    std::fs::write(directory.path().join(name), toml).unwrap();
}
