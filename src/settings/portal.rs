//! `[portal]`: the vendor's API.

use std::path::PathBuf;
use std::time::Duration;

use super::context::Context;
use super::reader::{Table, all, limited};
use super::url::{self, AddressScope, check_plain_http};

/// The vendor's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalSettings {
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

pub fn read(t: &mut Table<'_, '_>, context: &mut Context) -> Option<PortalSettings> {
    let allow_plain_http = t.flag("allow_plain_http");
    context.allow_plain_http = allow_plain_http.unwrap_or(true);
    let base_url = t.required("base_url", url::parse_origin);
    if let Some(url) = &base_url {
        context.portal_is_local &= url.is_loopback();
        let exempt = AddressScope::Loopback;
        check_plain_http(t, "base_url", url, context.allow_plain_http, exempt);
    }
    let is_legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    all!(PortalSettings {
        base_url: base_url.map(|url| url.text),
        api_version: t.required(
            "api_version",
            limited(64, is_legal, "characters of A-Z a-z 0-9 . -")
        ),
        ca_file: t.openable("ca_file"),
        connect_timeout: t.millis("connect_timeout_ms", 1..=60_000),
        request_timeout: t.millis("request_timeout_ms", 1..=600_000),
        allow_plain_http,
    })
}
