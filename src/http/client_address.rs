//! The address of the client in front of trusted proxies, for the log alone: nothing is ever
//! decided by it, since every header before the last trusted proxy can be forged.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use actix_web::http::header::{HeaderMap, HeaderName};

use crate::domain::AddressRange;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// How many entries of the header are looked at, from its end.
const MAX_ENTRIES: usize = 16;

/// Part of a connection's data if its peer is one of `server.trusted_proxies`, which it holds.
pub struct TrustedPeer(Arc<[AddressRange]>);

impl TrustedPeer {
    /// None if this peer is not trusted.
    pub fn among(proxies: &Arc<[AddressRange]>, peer: IpAddr) -> Option<Self> {
        is_trusted(proxies, peer).then(|| Self(Arc::clone(proxies)))
    }

    /// The rightmost address of `X-Forwarded-For` that is not of a trusted proxy. Each entry
    /// was written by the proxy after it, so the search ends where one is no address: the
    /// client is then the proxy that wrote it.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let lines: Vec<&str> = headers
            .get_all(X_FORWARDED_FOR)
            .map(|line| line.to_str().unwrap_or_default())
            .collect();
        let entries = lines.iter().rev().flat_map(|line| line.rsplit(','));
        let mut client = peer.to_canonical();
        for entry in entries.take(MAX_ENTRIES) {
            let Some(address) = address(entry) else {
                break;
            };
            client = address;
            if !is_trusted(&self.0, address) {
                break;
            }
        }
        client
    }
}

fn is_trusted(proxies: &[AddressRange], address: IpAddr) -> bool {
    proxies.iter().any(|range| range.contains(address))
}

/// An address, also in brackets and with a port.
fn address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim().trim_matches('"');
    let bare = entry
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let bare = bare.unwrap_or(entry);
    let address = bare.parse().ok();
    let address = address.or_else(|| Some(entry.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn client(peer: &str, lines: &[&str]) -> String {
        let proxies = ["10.0.0.0/8", "fd00::/8"].map(|text| AddressRange::parse(text).unwrap());
        let peer: IpAddr = peer.parse().unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        match TrustedPeer::among(&proxies.as_slice().into(), peer) {
            Some(trusted) => trusted.client(peer, &headers).to_string(),
            None => "untrusted".to_owned(),
        }
    }

    #[test]
    fn the_rightmost_untrusted_address_is_the_client() {
        for (peer, lines, expected) in [
            ("192.0.2.1", &["198.51.100.7"][..], "untrusted"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            (
                "10.0.0.1",
                &["6.6.6.6, 198.51.100.7, 10.0.0.2"],
                "198.51.100.7",
            ),
            (
                "10.0.0.1",
                &["6.6.6.6", "198.51.100.7", "10.0.0.2"],
                "198.51.100.7",
            ),
            ("::ffff:10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("fd00::1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("fd00::1", &["[2001:db8::7]"], "2001:db8::7"),
            ("fd00::1", &["\"[2001:db8::7]\""], "2001:db8::7"),
            ("10.0.0.1", &["2001:db8::7,10.0.0.2"], "2001:db8::7"),
            // All of them are trusted: the first.
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // No address: the proxy that wrote it.
            ("10.0.0.1", &["198.51.100.7, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["198.51.100.7, "], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7, _hidden"], "10.0.0.1"),
        ] {
            assert_eq!(client(peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn only_the_last_entries_are_looked_at() {
        let many = format!("198.51.100.7{}", ", 10.0.0.9".repeat(100));
        assert_eq!(client("10.0.0.1", &[&many]), "10.0.0.9");
    }
}
