//! A client that sends a request and reads the whole answer within one deadline.

use std::cell::RefCell;
use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode, Uri};
use actix_web::web::Bytes;
use tokio::time::{Instant, timeout_at};

use super::body::{Body, Framing, check_framing, read};
use super::config::{ClientConfig, TransportError, TransportOptions};
use super::error::{Lost, SendError, classify};

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

    /// A client for the calling thread, with its own connections.
    #[must_use]
    pub fn client(&self) -> HttpClient {
        HttpClient {
            awc: RefCell::new(self.0.build()),
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
    /// Everything but Host and Content-Length.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body; an empty one is sent as `Content-Length: 0` on POST and PUT.
    pub body: Bytes,
    /// The longest body of an answer that is read, in bytes after decoding.
    pub max_answer: usize,
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
    awc: RefCell<awc::Client>,
    config: ClientConfig,
}

impl HttpClient {
    /// Sends a request and reads the whole answer.
    ///
    /// A GET whose connection ended without an answer is sent once more, within the same
    /// deadline: most often the server closed an idle pooled connection just then, and a
    /// GET changes nothing (RFC 9110 section 9.2.2). Anything else is sent once.
    ///
    /// # Errors
    /// [`SendError`], which says whether the request can have arrived.
    pub async fn send(&self, request: Request) -> Result<Response, SendError> {
        let deadline = Instant::now() + self.config.request_timeout;
        match self.exchange(&request, deadline).await {
            Err(SendError::Lost(Lost::Closed)) if request.method == Method::GET => {
                self.exchange(&request, deadline).await
            }
            answered => answered,
        }
    }

    async fn exchange(&self, request: &Request, deadline: Instant) -> Result<Response, SendError> {
        let time_left = deadline.saturating_duration_since(Instant::now());
        let mut head = self.start(request, time_left).await.map_err(classify)?;
        let status = head.status();
        let framing = Framing::of(status, head.headers());
        if status.is_informational() || framing == Framing::Implicit {
            // awc has put the connection back into its pool, although more bytes belong
            // to this answer: the next request would read them as its own.
            self.awc.replace(self.config.build());
        }
        if status.is_informational() {
            return Err(SendError::Lost(Lost::Interim));
        }
        let body = match timeout_at(deadline, read(&mut head, request.max_answer)).await {
            Ok(Ok(bytes)) => check_framing(bytes, framing, head.headers(), request.max_answer),
            Ok(Err(body)) => body,
            Err(_elapsed) => Body::Cut,
        };
        Ok(Response { head, body })
    }

    fn start(&self, request: &Request, time_limit: Duration) -> awc::SendClientRequest {
        let awc = self.awc.borrow();
        let mut sent = awc
            .request(request.method.clone(), &request.uri)
            .timeout(time_limit);
        for (name, value) in &request.headers {
            sent.headers_mut().insert(name.clone(), value.clone());
        }
        if request.method == Method::GET {
            sent.send()
        } else {
            // Also when it is empty: the vendor wants `Content-Length: 0`.
            sent.send_body(request.body.clone())
        }
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

    /// Sends a request to a server that closes its first `closing` connections after the
    /// request and answers on later ones. Returns the outcome and how many there were.
    async fn send(method: Method, closing: u32) -> (Result<StatusCode, SendError>, u32) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        let accepted = Rc::new(Cell::new(0));
        let counted = Rc::clone(&accepted);
        let server = tokio::task::spawn_local(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                counted.set(counted.get() + 1);
                let _read = stream.read(&mut [0; 1024]).await.unwrap();
                if counted.get() > closing {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    stream.write_all(answer).await.unwrap();
                }
            }
        });
        let limit = Duration::from_secs(10);
        let options = TransportOptions {
            ca_file: None,
            connect_timeout: limit,
            request_timeout: limit,
            tls: false,
        };
        let client = Transport::new(&options).unwrap().client();
        let request = Request {
            method,
            uri: uri.parse().unwrap(),
            headers: Vec::new(),
            body: Bytes::new(),
            max_answer: 9,
        };
        let outcome = client.send(request).await.map(|answer| answer.status());
        server.abort();
        (outcome, accepted.get())
    }

    #[tokio::test]
    async fn a_get_without_an_answer_is_sent_once_more_and_a_post_is_not() {
        let closed = Err(SendError::Lost(Lost::Closed));
        let cases = async {
            for (method, closing, expected) in [
                (Method::GET, 0, (Ok(StatusCode::OK), 1)),
                (Method::GET, 1, (Ok(StatusCode::OK), 2)),
                (Method::GET, 9, (closed, 2)),
                (Method::POST, 1, (closed, 1)),
                (Method::PUT, 1, (closed, 1)),
            ] {
                let name = format!("{method}, {closing}");
                assert_eq!(send(method, closing).await, expected, "{name}");
            }
        };
        LocalSet::new().run_until(cases).await;
    }
}
