//! HTTP addresses in the configuration: an origin, in some places with a path or a query.
//!
//! Stricter than the URL standard: tokens and keys are sent to these addresses, so there
//! must be only one way to read them.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::reader::Table;

/// A checked address.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HttpUrl {
    /// Scheme and host in lower case; no slash at the end, unless it is a resource's.
    pub(super) text: String,
    /// Whether it is `https`.
    pub(super) secure: bool,
    /// How far a request to it travels.
    pub(super) scope: AddressScope,
}

impl HttpUrl {
    /// Whether a request to it stays on this machine.
    pub fn is_loopback(&self) -> bool {
        self.scope == AddressScope::Loopback
    }
}

/// How far a request to a host travels, the nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) enum AddressScope {
    /// Not beyond this machine.
    Loopback,
    /// To the cloud's metadata service, which the hypervisor answers.
    Metadata,
    /// Not beyond a router: IPv4 link-local (RFC 3927).
    Link,
    /// Not beyond a private network: RFC 1918, RFC 6598, RFC 4193, and IPv6 link-local.
    Private,
    /// Anywhere.
    Network,
}

impl AddressScope {
    /// The addresses that are no further away.
    fn names(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Metadata => "loopback and 169.254.169.254",
            Self::Link => "loopback and 169.254.0.0/16",
            Self::Private => "loopback and private addresses",
            Self::Network => "all addresses",
        }
    }
}

/// Checks an address that tokens or secrets are sent to: `https`, unless it is as near as
/// `exempt` or plain HTTP is allowed in general.
pub fn check_plain_http(
    t: &mut Table<'_, '_>,
    name: &'static str,
    url: &HttpUrl,
    allow_plain_http: bool,
    exempt: AddressScope,
) {
    if url.secure || url.scope <= exempt {
        return;
    }
    if allow_plain_http {
        t.warn(
            name,
            "is plain HTTP: tokens and secrets cross the network unprotected",
        );
    } else {
        let exempt = exempt.names();
        t.problem(
            name,
            format!(
                "must be https: plain HTTP would expose tokens and secrets on the network (exempt \
                 are {exempt}, and everything with portal.allow_plain_http = true)"
            ),
        );
    }
}

/// Where Azure's virtual machines find their metadata service:
/// <https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service>.
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// Reads `scheme://host[:port]`.
pub fn parse_origin(text: &str) -> Result<HttpUrl, &'static str> {
    const WANTED: &str = "must be http:// or https://, a host and perhaps a port, \
                          without user, path, query or fragment";
    let (url, path) = split(text).ok_or(WANTED)?;
    if matches!(path, "" | "/") {
        Ok(url)
    } else {
        Err(WANTED)
    }
}

/// Reads `scheme://host[:port][/path]`.
pub fn parse_with_path(text: &str) -> Result<HttpUrl, &'static str> {
    const WANTED: &str = "must be http:// or https://, a host and perhaps a port and a plain \
                          path, without user, query or fragment";
    let (mut url, path) = split(text).ok_or(WANTED)?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    let mut segments = path.split('/').skip(1);
    if segments.any(|s| s.is_empty() || s == "." || s == ".." || !s.bytes().all(legal)) {
        return Err(WANTED);
    }
    url.text.push_str(path);
    Ok(url)
}

/// Whether an address may have a query.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Query {
    Refused,
    Allowed,
}

/// Reads `scheme://host[:port][/path][?query]`, the address of another party: its path
/// may be unusual, and keeps a slash at its end.
pub fn parse_resource(text: &str, query: Query) -> Result<HttpUrl, &'static str> {
    let wanted = match query {
        Query::Refused => {
            "must be http:// or https://, a host and perhaps a port and a path, without user, \
             query or fragment"
        }
        Query::Allowed => {
            "must be http:// or https://, a host and perhaps a port, a path and a query, \
             without user or fragment"
        }
    };
    let (mut url, rest) = split(text).ok_or(wanted)?;
    let path = match rest.split_once('?') {
        None => rest,
        Some((path, text)) if query == Query::Allowed && is_plain(text, b"/?") => path,
        Some(_) => return Err(wanted),
    };
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let segment = |s: &str| s != "." && s != ".." && is_plain(s, b"");
    if !inner.is_empty() && !inner.split('/').all(segment) || path == "//" {
        return Err(wanted);
    }
    url.text.push_str(rest);
    Ok(url)
}

/// Reads `host[:port]`: the host in lower case and without brackets, and the port.
pub fn parse_authority(text: &str) -> Option<(String, Option<u16>)> {
    let text = text.to_ascii_lowercase();
    let host = host(&text)?;
    scope_of(host)?;
    let port = text[host.len()..].strip_prefix(':');
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), port.and_then(|port| port.parse().ok())))
}

/// Whether a text is not empty and consists of what RFC 3986 allows in a path segment, and
/// of `more`. An escape must be necessary, and must not hide the end of a segment.
fn is_plain(text: &str, more: &[u8]) -> bool {
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let Some((high, low)) = digit().zip(digit()) else {
                return false;
            };
            let escaped = high * 16 + low;
            let written_plainly = |c: char| c.is_ascii_alphanumeric() || "-._~/\\%".contains(c);
            if escaped < 0x20
                || escaped == 0x7f
                || char::from_u32(escaped).is_some_and(written_plainly)
            {
                return false;
            }
        } else if !(b.is_ascii_alphanumeric()
            || b"-._~!$&'()*+,;=:@".contains(&b)
            || more.contains(&b))
        {
            return false;
        }
    }
    !text.is_empty()
}

/// The origin, and the rest.
fn split(text: &str) -> Option<(HttpUrl, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let secure = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let authority = authority.to_ascii_lowercase();
    let scope = scope_of(host(&authority)?)?;
    let scheme = if secure { "https" } else { "http" };
    let url = HttpUrl {
        text: format!("{scheme}://{authority}"),
        secure,
        scope,
    };
    Some((url, path))
}

/// The host of an authority whose port, if any, is a port.
fn host(authority: &str) -> Option<&str> {
    let after_bracket = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let Some(colon) = authority[after_bracket..].find(':') else {
        return Some(authority);
    };
    let (host, port) = authority.split_at(after_bracket + colon);
    let port = &port[1..];
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    (digits && port.parse::<u16>().is_ok_and(|port| port != 0)).then_some(host)
}

/// How far the host is; none if it is not a host.
fn scope_of(host: &str) -> Option<AddressScope> {
    let scope = |is_loopback, is_private| match (is_loopback, is_private) {
        (true, _) => AddressScope::Loopback,
        (false, true) => AddressScope::Private,
        (false, false) => AddressScope::Network,
    };
    if let Some(inner) = host.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        let is_private = address.is_unique_local() || address.is_unicast_link_local();
        return Some(scope(address.is_loopback(), is_private));
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Some(match address {
            METADATA => AddressScope::Metadata,
            address if address.is_link_local() => AddressScope::Link,
            address => {
                // 100.64.0.0/10, as inside Azure Container Apps.
                let is_shared = matches!(address.octets(), [100, 64..=127, ..]);
                scope(address.is_loopback(), address.is_private() || is_shared)
            }
        });
    }
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(legal);
    // "127.1" and "2130706433" are addresses to some resolvers and names to others.
    let last = host.rsplit('.').next()?;
    let is_name = host.len() <= 253
        && host.split('.').all(label)
        && !last.starts_with(|c: char| c.is_ascii_digit());
    is_name.then(|| scope(host == "localhost", false))
}
