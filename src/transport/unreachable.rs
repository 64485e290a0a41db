//! Why a server could not be reached. No byte of a request was sent then.

use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use crate::domain::Proxy;

/// Why a request could not even be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// Name lookup failed.
    #[error("the host name could not be resolved")]
    Name,
    /// The connection was refused, or there is no route.
    #[error("no connection could be made")]
    Connect,
    /// This machine or process has reached a limit of its own.
    #[error("the gateway has no free file descriptor, or no memory, for a connection")]
    Exhausted,
    /// Connecting took too long.
    #[error("connecting timed out")]
    Timeout,
    /// The TLS handshake failed.
    #[error("the TLS handshake failed: {0}")]
    Tls(TlsProblem),
    /// The proxy on the way did not open a tunnel.
    #[error("{0}")]
    Proxy(Arc<ProxyFailure>),
    /// The request itself could not be built.
    #[error("the request could not be built")]
    Request,
}

/// What a failed attempt to connect means.
impl From<io::Error> for Unreachable {
    fn from(error: io::Error) -> Self {
        const OWN: [Errno; 4] = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
        let code = error.raw_os_error();
        match OWN.iter().any(|own| code == Some(own.raw_os_error())) {
            true => Self::Exhausted,
            false => Self::Connect,
        }
    }
}

impl Unreachable {
    /// The reason as a caller may know it: without the address of a proxy, and without what
    /// only an operator can do.
    #[must_use]
    pub fn for_caller(&self) -> String {
        match self {
            Self::Proxy(failure) => format!("the proxy on the way {}", failure.problem),
            cause => cause.to_string(),
        }
    }

    /// Whether it took too long.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Timeout => true,
            Self::Proxy(failure) => failure.problem == ProxyProblem::Timeout,
            Self::Name | Self::Connect | Self::Exhausted | Self::Tls(_) | Self::Request => false,
        }
    }
}

/// What happened at a proxy, and what to do about it.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error(
    "the proxy {proxy} ({}) {problem}: {}",
    proxy.key,
    problem.remedy(proxy.key, target)
)]
pub struct ProxyFailure {
    /// The proxy.
    pub proxy: Arc<Proxy>,
    /// The host and port that a tunnel was wanted to.
    pub target: String,
    /// What happened.
    pub problem: ProxyProblem,
}

impl Eq for ProxyFailure {}

/// Why a proxy opened no tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyProblem {
    /// Its name is unknown.
    #[error("has a host name that could not be resolved")]
    Name,
    /// It could not be connected to.
    #[error("accepted no connection")]
    Connect,
    /// It did not accept or answer in time.
    #[error("did not answer in time")]
    Timeout,
    /// The handshake with the proxy itself failed.
    #[error("was not trusted, or speaks no TLS ({0})")]
    Tls(TlsProblem),
    /// It answered with another status than 2xx.
    #[error("refused a tunnel ({0})")]
    Refused(u16),
    /// It ended the connection.
    #[error("closed the connection without an answer")]
    Closed,
    /// Its answer was not HTTP.
    #[error("answered with something that is not HTTP/1.1")]
    NotHttp,
    /// The head of its answer had no end.
    #[error("answered with a head that is too long")]
    HeadTooLong,
    /// It accepted, and sent something of its own.
    #[error("answered with a page instead of a tunnel")]
    NotATunnel,
}

impl ProxyProblem {
    fn remedy(self, key: &str, target: &str) -> String {
        match self {
            Self::Name => format!("check the host in {key}, and this machine's DNS"),
            Self::Connect | Self::Timeout | Self::Closed => {
                format!("check host and port in {key}, and the firewall")
            }
            Self::Tls(problem) => problem.remedy("portal.ca_file, or the issuer's ca_file,"),
            Self::Refused(401 | 407) => {
                format!("check user and password in {key}; only the scheme Basic is supported")
            }
            Self::Refused(500..) => {
                format!("check that it can reach {target}, or add that to outbound.no_proxy")
            }
            Self::Refused(_) => {
                format!("let it allow CONNECT to {target}, or add that to outbound.no_proxy")
            }
            Self::NotHttp => format!("check scheme and port in {key}"),
            Self::HeadTooLong | Self::NotATunnel => format!("check that {key} is an HTTP proxy"),
        }
    }
}

/// Why a TLS handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsProblem {
    /// No trusted authority has signed the server's certificate.
    #[error("the server's certificate was issued by an unknown authority")]
    UnknownAuthority,
    /// It was signed with its own key, and is not trusted.
    #[error("the server's certificate is self-signed and not trusted")]
    SelfSigned,
    /// It was signed with its own key, and is that of an authority, as `openssl req -x509` makes
    /// them: it could not be used even if it were trusted.
    #[error("the server's certificate is self-signed, and that of an authority (CA:TRUE)")]
    SelfSignedAuthority,
    /// It belongs to another host.
    #[error("the server's certificate is for another host name")]
    OtherName,
    /// Its time is over.
    #[error("the server's certificate has expired")]
    Expired,
    /// Its time has not come.
    #[error("the server's certificate is not valid yet")]
    NotYetValid,
    /// A certificate of an authority is presented as that of a server.
    #[error("the server's certificate is that of an authority (CA:TRUE), not of a server")]
    IsAuthority,
    /// Anything else about the certificate: purpose, signature, encoding.
    #[error("the server's certificate is not usable")]
    Certificate,
    /// The answer was not TLS.
    #[error("the server does not speak TLS on this port")]
    NotTls,
    /// Protocol versions, cipher suites or ALPN do not overlap.
    #[error("the server has no TLS version or cipher suite in common with the gateway")]
    NothingInCommon,
    /// The server sent an alert.
    #[error("the server refused the handshake")]
    Refused,
    /// The connection ended.
    #[error("the server closed the connection")]
    Closed,
    /// Anything else.
    #[error("it could not be completed")]
    Other,
}

impl TlsProblem {
    /// What to do about it. `ca_file` is the key of the file of extra authorities.
    #[must_use]
    pub fn remedy(self, ca_file: &str) -> String {
        match self {
            Self::UnknownAuthority => format!(
                "put the authority's certificate (PEM) into the file that {ca_file} names, and let \
                 the server send the certificates in between; a proxy that intercepts TLS has an \
                 authority of its own"
            ),
            Self::SelfSigned => format!(
                "give the server a certificate of an authority; or, if this one is known to be \
                 genuine, put it (PEM) into the file that {ca_file} names"
            ),
            Self::SelfSignedAuthority => format!(
                "give the server a certificate of its own, and put the authority's (PEM) into the \
                 file that {ca_file} names"
            ),
            Self::OtherName => {
                "use a host name that the certificate has as a subject alternative name".into()
            }
            Self::Expired => "renew the server's certificate, or check this machine's clock".into(),
            Self::NotYetValid => "check this machine's clock, and the server's certificate".into(),
            Self::IsAuthority | Self::Certificate => {
                "give the server a certificate that is meant for servers".into()
            }
            Self::NotTls => "check scheme and port of the address".into(),
            Self::NothingInCommon => "let the server offer TLS 1.2 or 1.3 and HTTP/1.1".into(),
            Self::Refused | Self::Closed | Self::Other => {
                "check host and port of the address, and the firewall".into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_lacks_is_not_blamed_on_the_server() {
        for (code, expected) in [
            (Errno::MFILE, Unreachable::Exhausted),
            (Errno::NFILE, Unreachable::Exhausted),
            (Errno::NOBUFS, Unreachable::Exhausted),
            (Errno::NOMEM, Unreachable::Exhausted),
            (Errno::CONNREFUSED, Unreachable::Connect),
            (Errno::NETUNREACH, Unreachable::Connect),
            // Also where a family of addresses is switched off.
            (Errno::ADDRNOTAVAIL, Unreachable::Connect),
        ] {
            let error = io::Error::from_raw_os_error(code.raw_os_error());
            assert_eq!(Unreachable::from(error), expected, "{code:?}");
        }
        let other = io::Error::from(io::ErrorKind::TimedOut);
        assert_eq!(Unreachable::from(other), Unreachable::Connect);
    }

    #[test]
    fn a_caller_does_not_learn_the_way_out() {
        let proxy = Proxy {
            secure: false,
            host: "proxy.internal".into(),
            port: 3128,
            authorization: None,
            key: "outbound.proxy_url",
        };
        let cause = Unreachable::Proxy(Arc::new(ProxyFailure {
            proxy: Arc::new(proxy),
            target: "vendor.example:443".into(),
            problem: ProxyProblem::Refused(407),
        }));
        assert_eq!(
            cause.for_caller(),
            "the proxy on the way refused a tunnel (407)"
        );
        let logged = cause.to_string();
        for part in [
            "proxy.internal:3128 (outbound.proxy_url) refused a tunnel (407)",
            "check user and password in outbound.proxy_url",
        ] {
            assert!(logged.contains(part), "{logged}");
        }
    }
}
