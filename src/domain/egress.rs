//! The way out of this network: a proxy, and the hosts that are reached without it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::address_range::AddressRange;
use super::secret::Secret;

/// A proxy that opens tunnels (CONNECT, RFC 9110 section 9.3.6).
#[derive(PartialEq)]
pub struct Proxy {
    /// Whether it is spoken to over TLS.
    pub secure: bool,
    /// Its host: a name in lower case, or an address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The value of `Proxy-Authorization` (RFC 7617), if it wants one.
    pub authorization: Option<Secret>,
    /// The key or variable that its address comes from.
    pub key: &'static str,
}

/// Its address, as in `proxy.example:3128`.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse() {
            Ok(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Without its credentials.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "Proxy({scheme}://{self})")
    }
}

/// How servers beyond this network are reached.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Egress {
    /// None: everything is reached directly.
    pub proxy: Option<Arc<Proxy>>,
    /// What is reached directly all the same.
    pub no_proxy: NoProxy,
}

impl Egress {
    /// The proxy for a port of a host (a name, or an address without brackets). Never one
    /// for this machine itself.
    #[must_use]
    pub fn proxy_for(&self, host: &str, port: u16) -> Option<&Arc<Proxy>> {
        let proxy = self.proxy.as_ref()?;
        let host = NormalHost::of(host);
        let is_direct = host.is_this_machine() || self.no_proxy.includes(&host, port);
        (!is_direct).then_some(proxy)
    }
}

/// A list of hosts as in the variable `NO_PROXY`, in the reading that curl and Go share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoProxy(Vec<Exempt>);

/// An entry, and the port that it is limited to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Exempt {
    hosts: ExemptHosts,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum ExemptHosts {
    All,
    Network(AddressRange),
    /// A name and every name below it.
    Domain(String),
}

impl NoProxy {
    /// Reads a list whose entries are separated by commas or blanks. An entry that is none
    /// of these is without effect:
    ///
    /// - `*`: everything.
    /// - `example.com`, `.example.com` and `*.example.com`: that name and all names below it.
    /// - `192.0.2.7`, `2001:db8::7`, `[2001:db8::7]`: that address.
    /// - `10.0.0.0/8`, `fd00::/8`: the addresses of that network. Names are not resolved.
    /// - Each but a network also with a port, as in `example.com:8443`: only that port.
    #[must_use]
    pub fn parse(list: &str) -> Self {
        let entries = list.split(|c: char| c == ',' || c.is_whitespace());
        Self(entries.filter_map(exempt).collect())
    }

    /// Both lists.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    fn includes(&self, host: &NormalHost, port: u16) -> bool {
        self.0
            .iter()
            .any(|exempt| exempt.port.is_none_or(|only| only == port) && exempt.hosts.include(host))
    }
}

impl ExemptHosts {
    fn include(&self, host: &NormalHost) -> bool {
        match (self, host) {
            (Self::All, _) => true,
            (Self::Network(range), NormalHost::Address(address)) => range.contains(*address),
            (Self::Domain(domain), NormalHost::Name(name)) => {
                let below = name.strip_suffix(domain.as_str());
                below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
            }
            (Self::Network(_), NormalHost::Name(_)) => false,
            (Self::Domain(_), NormalHost::Address(_)) => false,
        }
    }
}

fn exempt(entry: &str) -> Option<Exempt> {
    if entry.contains('/') {
        let hosts = ExemptHosts::Network(AddressRange::parse(entry)?);
        return Some(Exempt { hosts, port: None });
    }
    // An IPv6 address has colons of its own.
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) if entry.parse::<IpAddr>().is_err() && !port.ends_with(']') => {
            (host, Some(port.parse().ok()?))
        }
        _ => (entry, None),
    };
    if host == "*" {
        let hosts = ExemptHosts::All;
        return Some(Exempt { hosts, port });
    }
    let hosts = match NormalHost::of(host.trim_start_matches('[').trim_end_matches(']')) {
        NormalHost::Address(address) => ExemptHosts::Network(AddressRange::single(address)),
        NormalHost::Name(name) => {
            let domain = name.strip_prefix('*').unwrap_or(&name);
            match domain.trim_start_matches('.') {
                "" => return None,
                domain => ExemptHosts::Domain(domain.to_owned()),
            }
        }
    };
    Some(Exempt { hosts, port })
}

/// A host in the one form in which hosts are compared.
enum NormalHost {
    /// Never one of IPv4 written as IPv6.
    Address(IpAddr),
    /// In lower case, without a dot at the end.
    Name(String),
}

impl NormalHost {
    fn of(host: &str) -> Self {
        match host.parse::<IpAddr>() {
            Ok(address) => Self::Address(address.to_canonical()),
            Err(_) => Self::Name(host.trim_end_matches('.').to_ascii_lowercase()),
        }
    }

    fn is_this_machine(&self) -> bool {
        match self {
            Self::Address(address) => address.is_loopback() || address.is_unspecified(),
            // RFC 6761 section 6.3.
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn egress(no_proxy: &str) -> Egress {
        let proxy = Proxy {
            secure: false,
            host: "proxy.example".into(),
            port: 3128,
            authorization: Some(Secret::new("Basic aHVzaA==".into())),
            key: "outbound.proxy_url",
        };
        Egress {
            proxy: Some(Arc::new(proxy)),
            no_proxy: NoProxy::parse(no_proxy),
        }
    }

    fn is_direct(no_proxy: &str, host: &str, port: u16) -> bool {
        egress(no_proxy).proxy_for(host, port).is_none()
    }

    #[test]
    fn no_proxy_is_read_as_curl_and_go_read_it() {
        for (list, host, direct) in [
            ("", "example.com", false),
            ("*", "example.com", true),
            ("*", "192.0.2.7", true),
            ("other.com, *", "example.com", true),
            ("*:443", "example.com", true),
            ("*:444", "example.com", false),
            // Names.
            ("example.com", "example.com", true),
            ("example.com", "api.example.com", true),
            ("example.com", "a.b.example.com", true),
            ("example.com", "notexample.com", false),
            ("example.com", "example.com.org", false),
            ("example.com", "com", false),
            ("api.example.com", "example.com", false),
            (".example.com", "api.example.com", true),
            (".example.com", "example.com", true),
            (".example.com", "notexample.com", false),
            ("*.example.com", "api.example.com", true),
            ("*.example.com", "notexample.com", false),
            ("EXAMPLE.com", "Api.Example.COM", true),
            ("example.com.", "example.com", true),
            ("example.com", "example.com.", true),
            ("com", "example.com", true),
            // Lists.
            ("other.com,example.com", "example.com", true),
            (" other.com ,, example.com ", "example.com", true),
            ("other.com example.com", "example.com", true),
            ("other.com,another.com", "example.com", false),
            // Ports.
            ("example.com:443", "example.com", true),
            ("example.com:8443", "example.com", false),
            (".example.com:443", "api.example.com", true),
            ("192.0.2.7:443", "192.0.2.7", true),
            ("192.0.2.7:80", "192.0.2.7", false),
            ("[2001:db8::7]:443", "2001:db8::7", true),
            ("[2001:db8::7]:80", "2001:db8::7", false),
            // Addresses and networks.
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("192.0.2.7", "1.192.0.2.7.example", false),
            ("2001:db8::7", "2001:db8::7", true),
            ("[2001:db8::7]", "2001:0db8:0:0::7", true),
            ("192.0.2.7", "::ffff:192.0.2.7", true),
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3/8", "10.255.0.1", true),
            ("10.0.0.0/8", "10.example.com", false),
            ("192.0.2.0/24,10.0.0.0/8", "10.0.0.1", true),
            ("0.0.0.0/0", "192.0.2.7", true),
            ("0.0.0.0/0", "2001:db8::7", false),
            ("::/0", "2001:db8::7", true),
            ("::/0", "192.0.2.7", false),
            ("fd00::/8", "fdff::1", true),
            ("192.0.2.7/32", "192.0.2.7", true),
            // What means nothing.
            ("10.0.0.0/33", "10.0.0.1", false),
            ("10.0.0.0/", "10.0.0.1", false),
            ("example.com/24", "example.com", false),
            ("example.com:", "example.com", false),
            ("example.com:99999", "example.com", false),
            ("exam*.com", "example.com", false),
            (".", "example.com", false),
            ("*.", "example.com", false),
            ("192.0.2.*", "192.0.2.7", false),
        ] {
            assert_eq!(is_direct(list, host, 443), direct, "{list:?} {host}");
        }
    }

    #[test]
    fn this_machine_is_never_reached_by_a_proxy() {
        for host in [
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "127.0.0.1",
            "127.9.9.9",
        ] {
            assert!(is_direct("", host, 443), "{host}");
        }
        for host in ["::1", "::ffff:127.0.0.1", "0.0.0.0", "::"] {
            assert!(is_direct("", host, 443), "{host}");
        }
        for host in ["localhost.example", "10.0.0.1", "169.254.1.1"] {
            assert!(!is_direct("", host, 443), "{host}");
        }
        assert!(Egress::default().proxy_for("example.com", 443).is_none());
    }

    #[test]
    fn a_proxy_is_printed_without_its_credentials() {
        let egress = egress("example.com");
        let printed = format!("{egress:?} {}", egress.proxy.as_ref().unwrap());
        assert!(printed.contains("proxy.example:3128"), "{printed}");
        assert!(!printed.contains("aHVzaA"), "{printed}");
    }
}
