//! What a sandbox is started with. A plain struct with public fields, so that a test names
//! the one thing it wants different; printing it never prints the client secret, because
//! people paste debug output into tickets.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::entra::Certificate;

/// How a sandbox is set up.
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
    /// How long an accepted cancel takes to bite. Default 3 seconds; the real portal takes
    /// one to three minutes.
    pub cancel_after: Duration,
    /// How long a publish or golive started by a request takes to complete by itself.
    /// Default `None`: it runs until it is cancelled, or ended through `/_sandbox/`.
    pub publish_takes: Option<Duration>,
    /// The tenant in the token endpoint's path; its GUID (see `GET /_sandbox/token`) is
    /// accepted too. Default `sandbox`.
    pub tenant: String,
    /// The application that may have tokens. Default `offergate`.
    pub client_id: String,
    /// That application's secret. Default `sandbox-secret`.
    pub client_secret: String,
    /// Certificates registered with that application, in PEM, one after the other; more by
    /// `PUT /_sandbox/certificates`. Default none.
    pub certificates: String,
    /// What App Service's managed identity endpoint wants to see as `X-IDENTITY-HEADER`.
    /// Default `sandbox-identity-header`.
    pub identity_header: String,
    /// Makes leaks findable: when set, the signature part of every token is this mark over
    /// and over with four random characters in between, so that of any 16 characters in a
    /// row of a signature at least 12 belong to the mark (all letters of `A-Z a-z 0-9 - _`,
    /// 1 to 128 of them). A test can grep for the whole mark. Default `None`.
    pub token_mark: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7070)),
            cancel_after: Duration::from_secs(3),
            publish_takes: None,
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
    /// Refuses what could not work, before a port is taken.
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
            Certificate::all_of(&self.certificates).map_err(|why| invalid(&why.to_string()))?;
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
    fn printing_options_keeps_the_secret() {
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
