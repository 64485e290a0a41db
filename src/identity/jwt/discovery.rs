//! Fetches an issuer's keys: from its key set's address, which its discovery document
//! names if the configuration does not (OpenID Connect Discovery 1.0 section 4).

use std::path::PathBuf;

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, Uri};
use actix_web::web::Bytes;
use serde::Deserialize;

use super::jwks::{InvalidKeySet, KeySet};
use crate::domain::parse_json;
use crate::files::{self, FileReadError};
use crate::transport::{Body, HttpClient, Request, SendError};

/// The longest document that is read, in bytes.
const MAX_DOCUMENT: usize = 512 * 1024;
/// The longest bearer token that is read from a file, in bytes.
const MAX_BEARER: u64 = 16 * 1024;

/// What a key set may be sent as (RFC 7517 section 8.5.2). A Kubernetes API server knows only
/// the first and refuses the others; most issuers know only the second.
const ACCEPT_KEY_SET: &str = "application/jwk-set+json, application/json;q=0.9, */*;q=0.1";
/// What a discovery document may be sent as.
const ACCEPT_JSON: &str = "application/json, */*;q=0.1";

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySource {
    /// The issuer, as in its tokens.
    pub issuer: String,
    /// The address of its key set; none: the discovery document names it.
    pub jwks_url: Option<String>,
    /// A file with the bearer token that its addresses require; read for each fetch.
    pub bearer_token_file: Option<PathBuf>,
    /// Digest of the file of extra certificates: other content makes another source.
    pub ca: Option<[u8; 32]>,
}

/// Why the keys could not be fetched. Quotes nothing that the issuer sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFetchError {
    /// No answer.
    #[error(
        "{what} cannot be fetched: {cause}{remedy}",
        remedy = cause.remedy("ca_file of its identity.jwt", "issuer or jwks_url")
    )]
    Send {
        /// The document.
        what: &'static str,
        /// The reason.
        cause: SendError,
    },
    /// Another status than 200.
    #[error("{what}: the issuer answered {status}")]
    Status {
        /// The document.
        what: &'static str,
        /// The status.
        status: u16,
    },
    /// A body that is cut, too long or not decodable.
    #[error("{what}: the body is cut or too long")]
    Cut {
        /// The document.
        what: &'static str,
    },
    /// Not a discovery document.
    #[error("the discovery document has no issuer or jwks_uri")]
    Discovery,
    /// A discovery document of another issuer (section 4.3).
    #[error("the discovery document's issuer differs from the configured one")]
    OtherIssuer,
    /// A key set address without TLS: the keys could be replaced in transit.
    #[error(
        "the discovery document's jwks_uri is not https (an issuer on loopback may use its own origin)"
    )]
    JwksUri,
    /// Not a key set.
    #[error("{0}")]
    Keys(#[from] InvalidKeySet),
    /// The bearer token for the issuer is missing.
    #[error("bearer_token_file is empty")]
    Bearer,
    /// The bearer token for the issuer is none.
    #[error(
        "bearer_token_file holds something else than a token: 1 to 16384 visible ASCII characters, \
         without a byte order mark"
    )]
    NoToken,
    /// The file with it cannot be read.
    #[error("bearer_token_file {0}")]
    BearerFile(String),
}

#[derive(Deserialize)]
struct DiscoveryDocument {
    issuer: String,
    jwks_uri: String,
}

impl KeySource {
    /// Fetches the keys; those that were in `earlier` stay the same objects.
    ///
    /// # Errors
    /// [`KeyFetchError`]
    pub async fn fetch(
        &self,
        http: &HttpClient,
        earlier: Option<&KeySet>,
    ) -> Result<KeySet, KeyFetchError> {
        let bearer = self.bearer().await?;
        let (url, bearer) = match &self.jwks_url {
            Some(url) => (url.clone(), bearer),
            None => {
                let url = self.discover(http, bearer.as_ref()).await?;
                // The document may name another origin, which must not get the token.
                let stays = is_same_origin(&url, &self.issuer);
                (url, bearer.filter(|_| stays))
            }
        };
        let document = get(http, &url, ACCEPT_KEY_SET, bearer.as_ref(), "the key set").await?;
        Ok(KeySet::parse(&document, earlier)?)
    }

    async fn discover(
        &self,
        http: &HttpClient,
        bearer: Option<&HeaderValue>,
    ) -> Result<String, KeyFetchError> {
        let base = self.issuer.trim_end_matches('/');
        let url = format!("{base}/.well-known/openid-configuration");
        let document = get(http, &url, ACCEPT_JSON, bearer, "the discovery document").await?;
        let found: DiscoveryDocument =
            parse_json(&document).map_err(|_| KeyFetchError::Discovery)?;
        if found.issuer != self.issuer {
            return Err(KeyFetchError::OtherIssuer);
        }
        // An issuer on loopback may use plain HTTP, and so may its keys at the same origin.
        let fits = if base.starts_with("https://") {
            found.jwks_uri.starts_with("https://")
        } else {
            is_same_origin(&found.jwks_uri, base)
        };
        if fits {
            Ok(found.jwks_uri)
        } else {
            Err(KeyFetchError::JwksUri)
        }
    }

    async fn bearer(&self) -> Result<Option<HeaderValue>, KeyFetchError> {
        let Some(path) = &self.bearer_token_file else {
            return Ok(None);
        };
        let read = files::read_async(path.clone(), MAX_BEARER + 1).await;
        let content = read.map_err(|error| match error {
            FileReadError::TooLong(_) => KeyFetchError::NoToken,
            error => KeyFetchError::BearerFile(error.to_string()),
        })?;
        bearer(&content.bytes).map(Some)
    }
}

/// The header for a token from a file; white space around it does not count.
fn bearer(text: &[u8]) -> Result<HeaderValue, KeyFetchError> {
    let token = text.trim_ascii();
    if token.is_empty() {
        return Err(KeyFetchError::Bearer);
    }
    let is_token = token.len() as u64 <= MAX_BEARER && token.iter().all(u8::is_ascii_graphic);
    let value = is_token.then(|| HeaderValue::from_bytes(&[b"Bearer ", token].concat()).ok());
    let mut value = value.flatten().ok_or(KeyFetchError::NoToken)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether both have the same scheme, host and port, and neither names a user.
fn is_same_origin(one: &str, other: &str) -> bool {
    let origin = |url: &str| {
        let uri = Uri::try_from(url).ok()?;
        let authority = uri.authority()?.as_str().to_ascii_lowercase();
        let plain = !authority.contains('@');
        plain.then_some((uri.scheme_str()?.to_owned(), authority))
    };
    origin(one).is_some_and(|one| Some(one) == origin(other))
}

async fn get(
    http: &HttpClient,
    url: &str,
    accept: &'static str,
    bearer: Option<&HeaderValue>,
    what: &'static str,
) -> Result<Bytes, KeyFetchError> {
    let uri = Uri::try_from(url).map_err(|_| KeyFetchError::Discovery)?;
    let mut headers = vec![(header::ACCEPT, HeaderValue::from_static(accept))];
    headers.extend(bearer.map(|bearer| (header::AUTHORIZATION, bearer.clone())));
    let request = Request {
        method: Method::GET,
        uri,
        headers,
        body: Bytes::new(),
        max_answer: MAX_DOCUMENT,
        direct: false,
    };
    let answer = http
        .send(request)
        .await
        .map_err(|cause| KeyFetchError::Send { what, cause })?;
    if answer.status().as_u16() != 200 {
        let status = answer.status().as_u16();
        return Err(KeyFetchError::Status { what, status });
    }
    match answer.body {
        // A cut document is not valid JSON, so parsing it detects that.
        Body::Whole(bytes) | Body::Unverified(bytes) => Ok(bytes),
        Body::Cut | Body::Unreadable => Err(KeyFetchError::Cut { what }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_origin_is_the_same_scheme_host_and_port() {
        let issuer = "https://id.example/realms/x";
        for same in ["https://id.example/keys", "https://ID.example/"] {
            assert!(is_same_origin(same, issuer), "{same}");
        }
        for other in [
            "http://id.example/keys",
            "https://id.example:8443/keys",
            "https://id.example.evil.example/keys",
            "https://id.example@evil.example/keys",
            "https://user@id.example/keys",
            "//id.example/keys",
            "/keys",
            "",
        ] {
            assert!(!is_same_origin(other, issuer), "{other}");
        }
    }

    #[test]
    fn a_file_must_hold_a_token_and_nothing_else() {
        let good = bearer(b" abc.def \r\n").unwrap();
        assert!(good == "Bearer abc.def" && good.is_sensitive());
        assert_eq!(bearer(b" \n"), Err(KeyFetchError::Bearer));
        let long = vec![b'a'; 16 * 1024 + 1];
        for other in [
            &b"\xef\xbb\xbfabc"[..],
            b"\xff\xfea\0b\0",
            b"two words",
            b"two\nlines",
            b"a\0b",
            "gehe\u{ed}m".as_bytes(),
            &long,
        ] {
            assert_eq!(bearer(other), Err(KeyFetchError::NoToken));
        }
    }
}
