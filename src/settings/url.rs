//! HTTP addresses of the configuration: an origin, perhaps a path, seldom a query.
//!
//! Stricter than the URL standard on purpose. Tokens and keys are sent to these
//! addresses, so there must be one way only to read them.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A checked address.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HttpUrl {
    /// Scheme and host in lower case; no slash at the end, unless it is a resource's.
    pub(super) text: String,
    /// Whether it is `https`.
    pub(super) secure: bool,
    /// How far what is sent there travels.
    pub(super) reach: Reach,
}

impl HttpUrl {
    /// Whether what is sent there stays on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        self.reach == Reach::Loopback
    }
}

/// How far what is sent to a host travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// It stays on this machine.
    Loopback,
    /// It goes to the cloud's metadata service, which the hypervisor answers for.
    Metadata,
    /// It is not routed: IPv4 link-local (RFC 3927).
    Link,
    /// Anywhere.
    Network,
}

/// Where Azure's virtual machines find their metadata service:
/// <https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service>.
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// Reads `scheme://host[:port]`.
pub(super) fn parse_origin(text: &str) -> Result<HttpUrl, &'static str> {
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
pub(super) fn parse_with_path(text: &str) -> Result<HttpUrl, &'static str> {
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

/// Reads `scheme://host[:port][/path][?query]`: somebody else's address, so its path
/// may be unusual, and keeps a slash at its end.
pub(super) fn parse_resource(text: &str, query: Query) -> Result<HttpUrl, &'static str> {
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

/// Whether a text is not empty and made of what RFC 3986 lets a path segment hold
/// and of `more`. What need not be escaped must not be: nor what would end a segment.
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
    let reach = reach(host(&authority)?)?;
    let scheme = if secure { "https" } else { "http" };
    let url = HttpUrl {
        text: format!("{scheme}://{authority}"),
        secure,
        reach,
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

/// How far the host is; none if it is no host at all.
fn reach(host: &str) -> Option<Reach> {
    let unless_loopback = |loopback, other| if loopback { Reach::Loopback } else { other };
    if let Some(inner) = host.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(unless_loopback(address.is_loopback(), Reach::Network));
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Some(match address {
            METADATA => Reach::Metadata,
            address if address.is_link_local() => Reach::Link,
            address => unless_loopback(address.is_loopback(), Reach::Network),
        });
    }
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(legal);
    // "127.1" and "2130706433" are addresses to some resolvers and names to others.
    let last = host.rsplit('.').next()?;
    let is_name = host.len() <= 253
        && host.split('.').all(label)
        && !last.starts_with(|c: char| c.is_ascii_digit());
    is_name.then(|| unless_loopback(host == "localhost", Reach::Network))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_origins() {
        use Reach::{Link, Loopback, Metadata, Network};
        let table = [
            ("https://cloudpartner.azure.com", "", true, Network),
            (
                "https://cloudpartner.azure.com/",
                "https://cloudpartner.azure.com",
                true,
                Network,
            ),
            (
                "HTTPS://Login.Example:8443",
                "https://login.example:8443",
                true,
                Network,
            ),
            ("http://127.0.0.1:7070", "", false, Loopback),
            ("http://127.9.9.9", "", false, Loopback),
            ("http://[::1]:7070", "", false, Loopback),
            ("http://LOCALHOST:1", "http://localhost:1", false, Loopback),
            ("http://127.0.0.1.example.com", "", false, Network),
            ("http://localhost.example.com", "", false, Network),
            ("http://[::ffff:127.0.0.1]", "", false, Network),
            ("http://10.0.0.1", "", false, Network),
            ("http://169.254.169.254", "", false, Metadata),
            ("http://169.254.169.254:80", "", false, Metadata),
            ("http://169.254.130.2:8081", "", false, Link),
            ("http://169.255.169.254", "", false, Network),
            ("http://169.254.169.254.example", "", false, Network),
            ("http://[::ffff:169.254.169.254]", "", false, Network),
        ];
        for (text, normalized, secure, reach) in table {
            let normalized = if normalized.is_empty() {
                text
            } else {
                normalized
            };
            let url = HttpUrl {
                text: normalized.into(),
                secure,
                reach,
            };
            assert_eq!(parse_origin(text), Ok(url), "{text}");
        }
    }

    #[test]
    fn refuses_whatever_could_be_read_in_two_ways() {
        for bad in [
            "",
            "cloudpartner.azure.com",
            "//x",
            "ftp://x",
            "https://",
            "https:///x",
            "https://:80",
            "https://u@x",
            "https://u:p@x",
            "https://x?q",
            "https://x#f",
            "https://x:0",
            "https://x:65536",
            "https://x:",
            "https://x:+1",
            "https://x:1:2",
            "https://[::1",
            "https://::1",
            "https://[::1]x",
            "https://x y",
            "https://x\\y",
            "https://x\n",
            "https://é",
            "https://127.1",
            "https://2130706433",
            "https://0x7f.0.0.1",
            "https://x..y",
            "https://.x",
            "https://x.",
            "https://%78",
            " https://x",
            "https://[::1]:a",
        ] {
            assert!(parse_origin(bad).is_err(), "{bad:?}");
            assert!(parse_with_path(bad).is_err(), "{bad:?}");
            assert!(parse_resource(bad, Query::Allowed).is_err(), "{bad:?}");
        }
        for path in ["/p", "/p/", "//"] {
            assert!(
                parse_origin(&format!("https://x{path}")).is_err(),
                "{path:?}"
            );
        }
        for path in [
            "//", "/a//b", "/a/../b", "/./", "/a?b", "/a#b", "/a%2Fb", "/a b", "/é",
        ] {
            assert!(
                parse_with_path(&format!("https://x{path}")).is_err(),
                "{path:?}"
            );
        }
    }

    #[test]
    fn keeps_the_address_of_a_resource_as_it_is() {
        let text = |text: &str| parse_resource(text, Query::Refused).map(|url| url.text);
        for kept in [
            "https://sts.windows.net/8c3c7d0e/",
            "https://login.microsoftonline.com/8c3c7d0e/v2.0",
            "https://accounts.google.com",
            "https://x.auth0.com/",
            "https://kc:8443/realms/My%20Realm",
            "https://k/api/v1/namespaces/a/services/https:b:443/proxy/",
            "http://127.0.0.1:1/a;b=c",
        ] {
            assert_eq!(text(kept).as_deref(), Ok(kept));
        }
        let upper = text("HTTPS://Kc.Example/Realms/A");
        assert_eq!(upper.as_deref(), Ok("https://kc.example/Realms/A"));
        for bad in [
            "//", "/a//b", "//a", "/a//", "/a/../b", "/./", "/..", "/a#b", "/a%2Fb", "/a%2e",
            "/a%5c", "/a%00", "/a%7f", "/a%", "/a%4", "/a%zz", "/a b", "/é", "/a\\b", "/a\"b",
        ] {
            let bad = format!("https://x{bad}");
            assert!(text(&bad).is_err(), "{bad}");
            let with_query = parse_resource(&format!("{bad}?a"), Query::Allowed);
            assert!(with_query.is_err(), "{bad}");
        }
    }

    #[test]
    fn takes_a_query_only_where_one_makes_sense() {
        for kept in [
            "https://x/common/discovery/keys?appid=8c3c7d0e-0000",
            "https://x/t/discovery/v2.0/keys?p=b2c_1_a&q=/?%20",
        ] {
            let url = parse_resource(kept, Query::Allowed).unwrap();
            assert_eq!(url.text, kept);
            assert!(parse_resource(kept, Query::Refused).is_err());
        }
        for bad in ["?", "?a#b", "?a b", "?%2", "?\u{e9}", "?a\\"] {
            let bad = format!("https://x/a{bad}");
            assert!(parse_resource(&bad, Query::Allowed).is_err(), "{bad}");
        }
    }

    #[test]
    fn keeps_a_plain_path_without_its_last_slash() {
        let text = |text| parse_with_path(text).unwrap().text;
        assert_eq!(text("https://X/gate/Way/"), "https://x/gate/Way");
        assert_eq!(text("https://x/"), "https://x");
        assert_eq!(text("https://x"), "https://x");
    }
}
