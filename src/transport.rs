//! The only place that builds an HTTP client.
//!
//! awc is fast and trusting; this wrapper is what makes its answers fit to be
//! believed: redirects are not followed, bodies are bounded and checked for being
//! whole, everything has a deadline, and a connection whose framing is in doubt
//! is never used for another request.

mod backoff;
mod error;

use std::cell::RefCell;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode, Uri};
use actix_web::web::{Bytes, BytesMut};
use futures_util::StreamExt;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::time::{Instant, timeout_at};

pub use backoff::Backoff;
use error::classify;
pub use error::{Lost, SendError, Unreachable};

/// How clients are made: what all threads share.
#[derive(Clone)]
pub struct Transport {
    tls: Option<Arc<rustls::ClientConfig>>,
    connect_timeout: Duration,
    request_timeout: Duration,
}

/// What a [`Transport`] is made from.
#[derive(Debug, Clone)]
pub struct TransportOptions {
    /// Certificates (PEM) trusted besides those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// Longest wait for name look-up, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Longest wait for a whole answer, connecting included.
    pub request_timeout: Duration,
    /// Whether any target is https. If none is, no certificates are loaded.
    pub tls: bool,
}

/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The file of extra certificates is unreadable or holds none.
    #[error("cannot read certificates from the ca_file: {0}")]
    CaFile(String),
    /// There is nothing to check a server's certificate against.
    #[error(
        "the operating system has no CA certificates; install its ca-certificates package or set ca_file"
    )]
    NoRoots,
    /// The TLS library refused its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl Transport {
    /// Loads the trusted certificates.
    ///
    /// # Errors
    /// [`TransportError`] when there is nothing to trust or it cannot be read.
    pub fn new(options: &TransportOptions) -> Result<Self, TransportError> {
        let tls = if options.tls {
            Some(Arc::new(tls_config(options.ca_file.as_deref())?))
        } else {
            None
        };
        Ok(Self {
            tls,
            connect_timeout: options.connect_timeout,
            request_timeout: options.request_timeout,
        })
    }

    /// A client for the calling thread, with its own connections.
    #[must_use]
    pub fn client(&self) -> HttpClient {
        HttpClient {
            awc: RefCell::new(self.build()),
            recipe: self.clone(),
        }
    }

    fn build(&self) -> awc::Client {
        let mut connector = awc::Connector::new()
            .timeout(self.connect_timeout)
            .handshake_timeout(self.connect_timeout)
            // The gateway bounds what is in flight itself; a queue in here could
            // not be told apart from a request that was sent.
            .limit(0);
        if let Some(tls) = &self.tls {
            connector = connector.rustls_0_23(Arc::clone(tls));
        }
        awc::Client::builder()
            .connector(connector)
            .timeout(self.request_timeout)
            .disable_redirects()
            .no_default_headers()
            .finish()
    }
}

fn tls_config(ca_file: Option<&Path>) -> Result<rustls::ClientConfig, TransportError> {
    let mut roots = rustls::RootCertStore::empty();
    // Single unreadable system certificates are no reason not to start.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let unreadable = |e: rustls::pki_types::pem::Error| TransportError::CaFile(e.to_string());
        let mut found = 0;
        for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
            roots
                .add(certificate.map_err(unreadable)?)
                .map_err(|e| TransportError::CaFile(e.to_string()))?;
            found += 1;
        }
        if found == 0 {
            return Err(TransportError::CaFile("it holds no certificate".into()));
        }
    }
    if roots.is_empty() {
        return Err(TransportError::NoRoots);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Over HTTP/1.1 one connection carries one request: what became of it is plain.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A request that is ready to go.
pub struct Outgoing {
    /// GET, POST or PUT.
    pub method: Method,
    /// Absolute.
    pub uri: Uri,
    /// Everything but Host and Content-Length.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body; an empty one is sent as `Content-Length: 0` on POST and PUT.
    pub body: Bytes,
    /// The longest body that is read of the answer, in bytes, decoded.
    pub max_answer: usize,
}

/// An answer whose head has arrived.
pub struct Incoming {
    response: awc::ClientResponse,
    /// Its body.
    pub body: Body,
}

impl Incoming {
    /// Its status; never 1xx.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Its headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }
}

/// A body, and what is known of its being whole.
pub enum Body {
    /// As long as it said it would be.
    Whole(Bytes),
    /// Chunked, or ended by closing: the client cannot tell a cut one from a whole
    /// one, so only a parser that needs the end may trust it.
    Unproven(Bytes),
    /// Shorter than announced, or broken off, or late.
    Cut,
    /// Longer than we are willing to read, or not to be decoded.
    Unreadable,
}

/// A client of one thread.
pub struct HttpClient {
    awc: RefCell<awc::Client>,
    recipe: Transport,
}

impl HttpClient {
    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// [`SendError`], which says whether the request can have arrived.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Incoming, SendError> {
        let deadline = Instant::now() + self.recipe.request_timeout;
        let max_answer = outgoing.max_answer;
        let mut response = self.start(outgoing).await.map_err(classify)?;
        let status = response.status();
        let framing = Framing::of(status, response.headers());
        if status.is_informational() || framing == Framing::Implicit {
            // awc has put the connection back already, although more bytes belong
            // to this answer: the next request would read them as its own.
            self.forget_connections();
        }
        if status.is_informational() {
            return Err(SendError::Lost(Lost::Interim));
        }
        let body = match timeout_at(deadline, read(&mut response, max_answer)).await {
            Ok(Ok(bytes)) => judge(bytes, framing, response.headers(), max_answer),
            Ok(Err(body)) => body,
            Err(_elapsed) => Body::Cut,
        };
        Ok(Incoming { response, body })
    }

    fn start(&self, outgoing: Outgoing) -> awc::SendClientRequest {
        let awc = self.awc.borrow();
        let mut request = awc.request(outgoing.method, outgoing.uri);
        for (name, value) in outgoing.headers {
            request.headers_mut().insert(name, value);
        }
        if request.get_method() == Method::GET {
            request.send()
        } else {
            // Also when it is empty: the vendor wants `Content-Length: 0`.
            request.send_body(outgoing.body)
        }
    }

    fn forget_connections(&self) {
        self.awc.replace(self.recipe.build());
    }
}

/// How the end of a body is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// By its length in bytes.
    Length(usize),
    /// By a last chunk.
    Chunked,
    /// Not in a way that this client reads.
    Implicit,
}

impl Framing {
    fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        if status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
            return Self::Length(0);
        }
        if let Some(encoding) = headers.get(header::TRANSFER_ENCODING) {
            let chunked = encoding.as_bytes().eq_ignore_ascii_case(b"chunked");
            return if chunked {
                Self::Chunked
            } else {
                Self::Implicit
            };
        }
        headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map_or(Self::Implicit, Self::Length)
    }
}

async fn read(response: &mut awc::ClientResponse, max: usize) -> Result<Bytes, Body> {
    let mut all = BytesMut::new();
    let mut first = None;
    while let Some(chunk) = response.next().await {
        let chunk = chunk.map_err(|_| Body::Cut)?;
        if all.len() + chunk.len() > max {
            return Err(Body::Unreadable);
        }
        // Nearly every answer is one chunk: that one is passed on, not copied.
        match first.take() {
            None if all.is_empty() => first = Some(chunk),
            None => all.extend_from_slice(&chunk),
            Some(earlier) => {
                all.extend_from_slice(&earlier);
                all.extend_from_slice(&chunk);
            }
        }
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}

fn judge(bytes: Bytes, framing: Framing, headers: &HeaderMap, max: usize) -> Body {
    if let Framing::Length(expected) = framing
        && bytes.len() != expected
    {
        return Body::Cut;
    }
    let bytes = match decode(bytes, headers, max) {
        Ok(bytes) => bytes,
        Err(body) => return body,
    };
    match framing {
        Framing::Length(_) => Body::Whole(bytes),
        Framing::Chunked | Framing::Implicit => Body::Unproven(bytes),
    }
}

/// Undoes gzip, which some front ends apply without being asked.
fn decode(bytes: Bytes, headers: &HeaderMap, max: usize) -> Result<Bytes, Body> {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING) else {
        return Ok(bytes);
    };
    if bytes.is_empty() || encoding.as_bytes().eq_ignore_ascii_case(b"identity") {
        return Ok(bytes);
    }
    if !encoding.as_bytes().eq_ignore_ascii_case(b"gzip") {
        return Err(Body::Unreadable);
    }
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let mut plain = Vec::new();
    match flate2::read::GzDecoder::new(&bytes[..])
        .take(limit)
        .read_to_end(&mut plain)
    {
        Ok(length) if length <= max => Ok(plain.into()),
        Ok(_) => Err(Body::Unreadable),
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Err(Body::Cut),
        Err(_) => Err(Body::Unreadable),
    }
}

#[cfg(test)]
mod tests;
