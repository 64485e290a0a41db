//! A client that sends a request and reads the whole answer within one deadline.

use std::cell::RefCell;
use std::time::Duration;

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::uri::Scheme;
use actix_web::http::{Method, StatusCode, Uri};
use actix_web::web::Bytes;
use tokio::time::{Instant, timeout_at};

use super::body::{Body, read};
use super::config::{ClientConfig, TransportOptions};
use super::connect::Pool;
use super::error::{SendError, classify, is_stale};
use super::trust::TransportError;
use super::unreachable::Unreachable;

/// The codings of an answer that are understood.
const CODINGS: HeaderValue = HeaderValue::from_static("gzip, identity");

/// What clients are made from; shared by all threads.
#[derive(Clone)]
pub struct Transport(ClientConfig);

impl Transport {
    /// Loads the trusted certificates.
    ///
    /// # Errors
    /// [`TransportError`] when there is nothing to trust or it cannot be read.
    pub fn new(options: &TransportOptions) -> Result<Self, TransportError> {
        ClientConfig::new(options).map(Self)
    }

    /// How an address is reached, for people: directly, or by which proxy.
    #[must_use]
    pub fn way_to(&self, url: &str) -> String {
        let uri = Uri::try_from(url).ok();
        match uri.as_ref().and_then(|uri| self.0.proxy_for(uri)) {
            Some(proxy) => format!("by the proxy {proxy}"),
            None => "directly".into(),
        }
    }

    /// A client for the calling thread, with its own connections.
    #[must_use]
    pub fn client(&self) -> HttpClient {
        HttpClient {
            pools: RefCell::new(ConnectionPools::new(&self.0)),
            config: self.0.clone(),
        }
    }
}

/// A request to be sent.
pub struct Request {
    /// GET, POST or PUT.
    pub method: Method,
    /// Absolute.
    pub uri: Uri,
    /// Everything but Host, Content-Length and Accept-Encoding.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body; an empty one is sent as `Content-Length: 0` on POST and PUT.
    pub body: Bytes,
    /// The longest body of an answer that is read, in bytes after decoding.
    pub max_answer: usize,
    /// Never by a proxy: it is for a service of the platform that this machine runs on.
    pub direct: bool,
}

/// An answer.
pub struct Response {
    head: awc::ClientResponse,
    /// Its body.
    pub body: Body,
}

impl Response {
    /// Its status; never 1xx.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.head.status()
    }

    /// Its headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.head.headers()
    }
}

/// A client of one thread.
pub struct HttpClient {
    pools: RefCell<ConnectionPools>,
    config: ClientConfig,
}

/// awc's clients, each with a pool of connections. awc sees no TLS: connections are encrypted
/// below it, so all are asked for `http` addresses.
struct ConnectionPools {
    plain: awc::Client,
    secure: awc::Client,
    direct: awc::Client,
    /// How many were made before them.
    generation: u64,
}

impl ConnectionPools {
    fn new(config: &ClientConfig) -> Self {
        Self {
            plain: config.build(Pool::Plain),
            secure: config.build(Pool::Secure),
            direct: config.build(Pool::SecureDirect),
            generation: 0,
        }
    }
}

/// Why an exchange has no answer.
struct Failure {
    error: SendError,
    /// The generation of the pool that gave an ended connection.
    stale: Option<u64>,
}

impl HttpClient {
    /// Sends a request and reads the whole answer.
    ///
    /// A GET that was sent into a pooled connection that had ended is sent once more, on a
    /// new connection and within the same deadline: the server, or something in between,
    /// closed it while it was idle, and a GET changes nothing (RFC 9110 section 9.2.2).
    /// Anything else is sent once.
    ///
    /// # Errors
    /// [`SendError`], which says whether the request can have arrived.
    pub async fn send(&self, request: Request) -> Result<Response, SendError> {
        let deadline = Instant::now() + self.config.request_timeout;
        let mut answered = self.exchange(&request, deadline).await;
        if let Err(Failure {
            stale: Some(generation),
            ..
        }) = answered
        {
            // The other idle connections of the pool are as old.
            self.renew_pools(generation);
            if request.method == Method::GET {
                answered = self.exchange(&request, deadline).await;
            }
        }
        answered.map_err(|failure| failure.error)
    }

    async fn exchange(&self, request: &Request, deadline: Instant) -> Result<Response, Failure> {
        let time_left = deadline.saturating_duration_since(Instant::now());
        let generation = self.pools.borrow().generation;
        let failed = |error| Failure {
            stale: is_stale(&error).then_some(generation),
            error: classify(error),
        };
        let started = self.start(request, time_left).ok_or(Failure {
            error: SendError::NotSent(Unreachable::Request),
            stale: None,
        })?;
        let mut head = started.await.map_err(failed)?;
        let body = timeout_at(deadline, read(&mut head, request.max_answer)).await;
        Ok(Response {
            body: body.unwrap_or(Body::Cut),
            head,
        })
    }

    /// Replaces the pools, unless those of this generation were replaced already. Running
    /// exchanges keep their connections.
    fn renew_pools(&self, generation: u64) {
        let mut pools = self.pools.borrow_mut();
        if generation == pools.generation {
            let generation = pools.generation + 1;
            *pools = ConnectionPools {
                generation,
                ..ConnectionPools::new(&self.config)
            };
        }
    }

    fn start(&self, request: &Request, time_limit: Duration) -> Option<awc::SendClientRequest> {
        let pools = self.pools.borrow();
        let mut sent = match request.uri.scheme_str() {
            Some("https") => {
                let mut parts = request.uri.clone().into_parts();
                parts.scheme = Some(Scheme::HTTP);
                let uri = Uri::from_parts(parts).ok()?;
                let pool = match request.direct {
                    true => &pools.direct,
                    false => &pools.secure,
                };
                pool.request(request.method.clone(), uri)
            }
            _ => pools.plain.request(request.method.clone(), &request.uri),
        }
        .timeout(time_limit);
        sent.headers_mut().insert(header::ACCEPT_ENCODING, CODINGS);
        for (name, value) in &request.headers {
            sent.headers_mut().insert(name.clone(), value.clone());
        }
        Some(if request.method == Method::GET {
            sent.send()
        } else {
            // Also when it is empty: the vendor wants `Content-Length: 0`.
            sent.send_body(request.body.clone())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::LocalSet;

    use super::*;
    use crate::domain::Egress;
    use crate::transport::Lost;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Sends a GET and then `method` to a server that answers so many requests on each of its
    /// connections and ends it when the next has come. Returns the second outcome, and how many
    /// connections there were.
    async fn second(
        method: Method,
        answers: &'static [u32],
    ) -> (Result<StatusCode, SendError>, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri: Uri = format!("http://{}/", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let accepted = Rc::new(Cell::new(0));
        let counted = Rc::clone(&accepted);
        let server = tokio::task::spawn_local(async move {
            for answers in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                counted.set(counted.get() + 1);
                for answered in 0..=*answers {
                    let _read = stream.read(&mut [0; 1024]).await.unwrap();
                    if answered < *answers {
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                        stream.write_all(answer).await.unwrap();
                    }
                }
            }
        });
        let options = TransportOptions {
            ca_file: None,
            connect_timeout: LIMIT,
            request_timeout: LIMIT,
            tls: false,
            egress: Egress::default(),
        };
        let client = Transport::new(&options).unwrap().client();
        let mut outcome = None;
        for method in [Method::GET, method] {
            let request = Request {
                method,
                uri: uri.clone(),
                headers: Vec::new(),
                body: Bytes::new(),
                max_answer: 9,
                direct: false,
            };
            outcome = Some(client.send(request).await.map(|answer| answer.status()));
        }
        server.abort();
        (outcome.unwrap(), accepted.get())
    }

    #[tokio::test]
    async fn only_a_get_on_an_idle_connection_that_had_ended_is_sent_once_more() {
        let closed = || Err(SendError::Lost(Lost::Closed));
        let cases = async {
            for (method, answers, outcome, connections) in [
                (Method::GET, &[9][..], Ok(StatusCode::OK), 1),
                (Method::GET, &[1, 9], Ok(StatusCode::OK), 2),
                (Method::GET, &[1, 0, 9], closed(), 2),
                (Method::POST, &[1, 9], closed(), 1),
                (Method::PUT, &[1, 9], closed(), 1),
                // A new connection was ended: by a server that did so on purpose.
                (Method::GET, &[0, 0, 9], closed(), 2),
            ] {
                let name = format!("{method}, {answers:?}");
                assert_eq!(
                    second(method, answers).await,
                    (outcome, connections),
                    "{name}"
                );
            }
        };
        LocalSet::new().run_until(cases).await;
    }
}
