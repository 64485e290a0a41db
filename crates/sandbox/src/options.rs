//! The options of a sandbox: a struct with public fields, so that a test names only what differs.
//! Its `Debug` shows no secret, because people paste debug output into tickets.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use super::entra::Certificate;

/// The options of a sandbox.
///
/// ```
/// # use offergate_sandbox::Options;
/// # use std::time::Duration;
/// let options = Options { cancel_after: Duration::from_millis(200), ..Options::default() };
/// ```
#[derive(Clone)]
pub struct Options {
    /// The address to listen on; port 0 takes a free one. Default `127.0.0.1:7070`.
    pub listen: SocketAddr,
    /// How long an accepted cancel takes to take effect. Default 3 seconds; the real portal
    /// takes one to three minutes.
    pub cancel_after: Duration,
    /// How long a publish or golive started by a request takes to complete by itself.
    /// Default `None`: it runs until it is canceled or ended by a control request.
    pub publish_takes: Option<Duration>,
    /// Speaks TLS with this configuration: see [`crate::tls`]. Default `None`: plain HTTP, which
    /// Azure's clients refuse to send bearer tokens over.
    pub tls: Option<Arc<ServerConfig>>,
    /// The tenant in the token endpoint's path; its GUID (see `GET /_sandbox/v1/token`) is
    /// accepted too. Default `sandbox`.
    pub tenant: String,
    /// The application that may have tokens. Default `offergate`.
    pub client_id: String,
    /// That application's secret. Default `sandbox-secret`.
    pub client_secret: String,
    /// Certificates registered with that application, in PEM, one after the other; more by
    /// `PUT /_sandbox/v1/certificates`. Default none.
    pub certificates: String,
    /// The `X-IDENTITY-HEADER` that App Service's managed identity endpoint requires.
    /// Default `sandbox-identity-header`.
    pub identity_header: String,
    /// Makes leaks findable: the signature of every token consists of this mark, repeated with
    /// four random characters in between, so that of any 16 consecutive characters at least 12
    /// belong to the mark (1 to 128 of `A-Z a-z 0-9 - _`). Default `None`.
    pub token_mark: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7070)),
            cancel_after: Duration::from_secs(3),
            publish_takes: None,
            tls: None,
            tenant: "sandbox".into(),
            client_id: "offergate".into(),
            client_secret: "sandbox-secret".into(),
            certificates: String::new(),
            identity_header: "sandbox-identity-header".into(),
            token_mark: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .field("cancel_after", &self.cancel_after)
            .field("publish_takes", &self.publish_takes)
            .field("tls", &self.tls.is_some())
            .field("tenant", &self.tenant)
            .field("client_id", &self.client_id)
            .field("client_secret", &"[redacted]")
            .field("certificates", &self.certificates)
            .field("identity_header", &"[redacted]")
            .field("token_mark", &self.token_mark)
            .finish()
    }
}

impl Options {
    /// Refuses invalid options before a port is bound.
    pub(super) fn check(&self) -> io::Result<()> {
        let mark_fits = self.token_mark.as_ref().is_none_or(|mark| {
            (1..=128).contains(&mark.len())
                && mark
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        });
        let named = [
            &self.tenant,
            &self.client_id,
            &self.client_secret,
            &self.identity_header,
        ]
        .iter()
        .all(|text| !text.is_empty());
        if !mark_fits {
            return Err(invalid("token_mark must be 1 to 128 of A-Z a-z 0-9 - _"));
        }
        if !named || self.tenant.contains(['/', '?', '%']) {
            return Err(invalid(
                "tenant (one path segment), client_id, client_secret and identity_header must \
                 not be empty",
            ));
        }
        if !self.certificates.is_empty() {
            Certificate::parse_all(&self.certificates).map_err(|why| invalid(&why.to_string()))?;
        }
        Ok(())
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_secret() {
        let printed = format!("{:?}", Options::default());
        assert!(printed.contains("client_id: \"offergate\""));
        assert!(!printed.contains("sandbox-secret"));
        assert!(!printed.contains("sandbox-identity-header"));
    }

    #[test]
    fn certificates_must_be_readable() {
        let options = Options {
            certificates: "-----BEGIN RSA PRIVATE KEY-----".into(),
            ..Options::default()
        };
        let refusal = options.check().map_err(|error| error.to_string());
        assert!(refusal.is_err_and(|why| why.contains("private key")));
    }

    #[test]
    fn a_mark_must_fit_into_a_signature() {
        let with = |mark: &str| Options {
            token_mark: Some(mark.into()),
            ..Options::default()
        };
        assert!(with("LEAKED-TOKEN").check().is_ok());
        assert!(with("").check().is_err());
        assert!(with("a b").check().is_err());
    }
}
