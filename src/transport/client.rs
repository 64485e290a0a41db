//! A client that sends a request and reads the whole answer within one deadline.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::uri::{Authority, Scheme};
use actix_web::http::{Method, StatusCode, Uri};
use actix_web::web::Bytes;
use tokio::time::{Instant, timeout_at};

use super::body::{Body, read};
use super::config::{ClientConfig, TransportOptions};
use super::connect::Pool;
use super::error::{SendError, classify, is_stale};
use super::trust::TransportError;
use super::unreachable::Unreachable;

/// The most pools of one client: more than a configuration has servers, but an issuer may name
/// ever other ones for its keys.
const MAX_POOLS: usize = 64;
/// A request is not sent once more when less than this part of its time is left: the repetition
/// would most likely fail for lack of time, which would hide why the first one failed.
const REPEAT_SHARE: u32 = 10;
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
            pools: RefCell::default(),
            next_pool: Cell::default(),
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
    pools: RefCell<Vec<ConnectionPool>>,
    next_pool: Cell<u64>,
    config: ClientConfig,
}

/// The connections to one server. They are awc's, which sees no TLS: connections are encrypted
/// below it, so all are asked for `http` addresses.
struct ConnectionPool {
    kind: Pool,
    server: Authority,
    client: awc::Client,
    /// Never used again.
    id: u64,
}

/// Why an exchange has no answer.
struct Failure {
    error: SendError,
    /// The pool that gave a connection which had ended.
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
        let limit = self.config.request_timeout;
        let deadline = Instant::now() + limit;
        let mut answered = self.exchange(&request, deadline).await;
        if let Err(Failure {
            stale: Some(pool), ..
        }) = answered
        {
            // The other idle connections to this server are as old.
            self.discard(pool);
            let has_time = Instant::now() + limit / REPEAT_SHARE < deadline;
            if request.method == Method::GET && has_time {
                answered = self.exchange(&request, deadline).await;
            }
        }
        answered.map_err(|failure| failure.error)
    }

    async fn exchange(&self, request: &Request, deadline: Instant) -> Result<Response, Failure> {
        let time_left = deadline.saturating_duration_since(Instant::now());
        let (started, pool) = self.start(request, time_left).ok_or(Failure {
            error: SendError::NotSent(Unreachable::Request),
            stale: None,
        })?;
        let mut head = started.await.map_err(|error| Failure {
            stale: is_stale(&error).then_some(pool),
            error: classify(error),
        })?;
        let body = timeout_at(deadline, read(&mut head, request.max_answer)).await;
        Ok(Response {
            body: body.unwrap_or(Body::Cut),
            head,
        })
    }

    /// Closes the idle connections of a pool. Running exchanges keep theirs, and later ones get
    /// a new pool.
    fn discard(&self, id: u64) {
        self.pools.borrow_mut().retain(|pool| pool.id != id);
    }

    /// Begins an exchange; returns also the pool of its connection.
    fn start(
        &self,
        request: &Request,
        time_limit: Duration,
    ) -> Option<(awc::SendClientRequest, u64)> {
        let kind = match (request.uri.scheme_str(), request.direct) {
            (Some("https"), true) => Pool::SecureDirect,
            (Some("https"), false) => Pool::Secure,
            _ => Pool::Plain,
        };
        let server = request.uri.authority()?;
        let mut pools = self.pools.borrow_mut();
        let known = pools
            .iter()
            .position(|pool| pool.kind == kind && pool.server == *server);
        let at = known.unwrap_or_else(|| self.add(&mut pools, kind, server));
        let ConnectionPool { client, id, .. } = &pools[at];
        let mut sent = match kind {
            Pool::Secure | Pool::SecureDirect => {
                let mut parts = request.uri.clone().into_parts();
                parts.scheme = Some(Scheme::HTTP);
                client.request(request.method.clone(), Uri::from_parts(parts).ok()?)
            }
            Pool::Plain => client.request(request.method.clone(), &request.uri),
        }
        .timeout(time_limit);
        sent.headers_mut().insert(header::ACCEPT_ENCODING, CODINGS);
        for (name, value) in &request.headers {
            sent.headers_mut().insert(name.clone(), value.clone());
        }
        let started = if request.method == Method::GET {
            sent.send()
        } else {
            // Also when it is empty: the vendor wants `Content-Length: 0`.
            sent.send_body(request.body.clone())
        };
        Some((started, *id))
    }

    /// Adds an empty pool; returns its index.
    fn add(&self, pools: &mut Vec<ConnectionPool>, kind: Pool, server: &Authority) -> usize {
        if pools.len() == MAX_POOLS {
            pools.remove(0);
        }
        let id = self.next_pool.get();
        self.next_pool.set(id + 1);
        pools.push(ConnectionPool {
            kind,
            server: server.clone(),
            client: self.config.build(kind),
            id,
        });
        pools.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::str::FromStr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::{JoinHandle, LocalSet};
    use tokio::time::sleep;

    use super::*;
    use crate::domain::Egress;
    use crate::transport::Lost;

    const LIMIT: Duration = Duration::from_secs(10);

    /// A server that answers so many requests on each of its connections and ends it when the
    /// next has come, after this time. Ends with the task.
    struct Server {
        uri: Uri,
        accepted: Rc<Cell<usize>>,
        task: JoinHandle<()>,
    }

    impl Server {
        async fn start(answers: &'static [u32], late: Duration) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let accepted = Rc::new(Cell::new(0));
            let counted = Rc::clone(&accepted);
            let serving = async move {
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
                    sleep(late).await;
                }
            };
            Self {
                uri: format!("http://{address}/").parse().unwrap(),
                accepted,
                task: tokio::task::spawn_local(serving),
            }
        }

        async fn ask(&self, client: &HttpClient, method: Method) -> Result<StatusCode, SendError> {
            let request = Request {
                method,
                uri: self.uri.clone(),
                headers: Vec::new(),
                body: Bytes::new(),
                max_answer: 9,
                direct: false,
            };
            client.send(request).await.map(|answer| answer.status())
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    fn client(limit: Duration) -> HttpClient {
        let options = TransportOptions {
            ca_file: None,
            connect_timeout: limit,
            request_timeout: limit,
            tls: false,
            egress: Egress::default(),
        };
        Transport::new(&options).unwrap().client()
    }

    const CLOSED: Result<StatusCode, SendError> = Err(SendError::Lost(Lost::Closed));
    const OK: Result<StatusCode, SendError> = Ok(StatusCode::OK);

    #[tokio::test]
    async fn only_a_get_on_an_idle_connection_that_had_ended_is_sent_once_more() {
        let cases = async {
            for (method, answers, outcome, connections) in [
                (Method::GET, &[9][..], OK, 1),
                (Method::GET, &[1, 9], OK, 2),
                (Method::GET, &[1, 0, 9], CLOSED, 2),
                (Method::POST, &[1, 9], CLOSED, 1),
                (Method::PUT, &[1, 9], CLOSED, 1),
                // A new connection was ended: by a server that did so on purpose.
                (Method::GET, &[0, 0, 9], CLOSED, 2),
            ] {
                let name = format!("{method}, {answers:?}");
                let server = Server::start(answers, Duration::ZERO).await;
                let client = client(LIMIT);
                let _first = server.ask(&client, Method::GET).await;
                assert_eq!(server.ask(&client, method).await, outcome, "{name}");
                assert_eq!(server.accepted.get(), connections, "{name}");
            }
        };
        LocalSet::new().run_until(cases).await;
    }

    #[tokio::test]
    async fn a_connection_that_had_ended_costs_no_other_server_its_connections() {
        let case = async {
            let ended = Server::start(&[1, 1, 9], Duration::ZERO).await;
            let other = Server::start(&[9], Duration::ZERO).await;
            let client = client(LIMIT);
            for method in [Method::GET, Method::GET, Method::POST] {
                let outcome = if method == Method::GET { OK } else { CLOSED };
                assert_eq!(ended.ask(&client, method).await, outcome);
                assert_eq!(other.ask(&client, Method::GET).await, OK);
            }
            assert_eq!((ended.accepted.get(), other.accepted.get()), (2, 1));
        };
        LocalSet::new().run_until(case).await;
    }

    #[tokio::test]
    async fn a_get_is_not_sent_once_more_when_its_time_is_nearly_over() {
        let case = async {
            let limit = Duration::from_secs(5);
            let server = Server::start(&[1, 9], limit * 19 / 20).await;
            let client = client(limit);
            assert_eq!(server.ask(&client, Method::GET).await, OK);
            let lost = server.ask(&client, Method::GET).await.unwrap_err();
            // On a slow machine the connection's end may come too late.
            let possible = [Lost::Closed, Lost::Timeout].map(SendError::Lost);
            assert!(possible.contains(&lost), "{lost:?}");
            assert_eq!(server.accepted.get(), 1);
        };
        LocalSet::new().run_until(case).await;
    }

    #[tokio::test]
    async fn pools_do_not_pile_up() {
        let client = client(LIMIT);
        for port in 1..=200 {
            let server = Authority::from_str(&format!("server:{port}")).unwrap();
            let at = client.add(&mut client.pools.borrow_mut(), Pool::Plain, &server);
            assert_eq!(client.pools.borrow()[at].server, server);
        }
        assert_eq!(client.pools.borrow().len(), MAX_POOLS);
    }
}
