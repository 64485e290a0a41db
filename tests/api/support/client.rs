//! A plain HTTP/1.1 client that sends exact bytes, including requests that HTTP libraries
//! refuse to build.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::described;
use crate::helpers::KEY;

/// No answer of a test takes this long unless something is broken.
const TIMEOUT: Duration = Duration::from_secs(60);

/// An answer as received.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// Reads head and body of one answer.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Some(Self {
            status,
            headers,
            body: body.to_owned(),
        })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} stands twice");
        value
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("no JSON ({e}): {self:?}"))
    }

    /// The answer must be a problem with this status and code, and all that every
    /// problem has; returns its document.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        let document = self.problem_of_no_request(status, code);
        assert!(document["instance"].is_string(), "{document}");
        document
    }

    /// The same for what could not be read as a request: no path is known.
    #[track_caller]
    pub fn problem_of_no_request(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.guarded();
        let media_type = self.header("content-type");
        assert_eq!(media_type, Some("application/problem+json"));
        let document = self.json();
        assert_eq!(document["code"], code, "{document}");
        assert_eq!(document["status"], status);
        let kind = document["type"].as_str().unwrap();
        assert!(kind.ends_with(&format!("/problems/{code}")), "{document}");
        for member in ["title", "detail", "origin", "delivered"] {
            assert!(document[member].is_string(), "{member}: {document}");
        }
        assert_eq!(document["message"], document["detail"], "{document}");
        assert!(self.body.ends_with("}\n"), "{self:?}");
        assert!(document["retryable"].is_boolean(), "{document}");
        assert_eq!(
            document["requestId"].as_str(),
            self.header("x-request-id"),
            "{document}"
        );
        assert_eq!(
            document["operationLocation"].as_str(),
            self.header("operation-location"),
            "{document}"
        );
        document
    }

    /// The headers that every answer has.
    #[track_caller]
    pub fn guarded(&self) {
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("content-security-policy", "default-src 'none'"),
        ] {
            assert_eq!(self.header(name), Some(value), "{self:?}");
        }
        let id = self.header("x-request-id").expect("no X-Request-Id");
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        assert!((1..=128).contains(&id.len()) && id.chars().all(legal));
    }

    /// `Retry-After`, which must be whole seconds.
    #[track_caller]
    pub fn retry_after(&self) -> Option<u64> {
        let value = self.header("retry-after")?;
        Some(value.parse().unwrap_or_else(|_| panic!("{value:?}")))
    }
}

/// Sends bytes, closes nothing, and reads until the other side does or the
/// announced body is complete.
pub async fn send_raw(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The server may answer, and close, before it has read everything.
        let _refused = stream.write_all(bytes).await;
        read_answer_to(bytes, &mut stream).await
    };
    timeout(TIMEOUT, exchange).await.expect("no answer in time")
}

/// The answer to these bytes, if all of it comes: the server may go away before, or be
/// gone already.
pub async fn attempt(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(bytes).await.ok()?;
        read_answer_to(bytes, &mut stream).await
    };
    let answer = timeout(TIMEOUT, exchange).await.expect("no end in time")?;
    let length: usize = answer.header("content-length")?.parse().unwrap();
    (answer.body.len() == length).then_some(answer)
}

/// Reads the answer to this request. It must be described.
pub async fn read_answer_to(
    request: &[u8],
    stream: &mut (impl AsyncRead + Unpin),
) -> Option<Answer> {
    let answer = receive(stream).await?;
    let line = request.split(|b| *b == b'\r').next().unwrap();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, target) = (words.next(), words.next());
    described::check(method.unwrap_or(""), target.unwrap_or(""), &answer);
    Some(answer)
}

/// Reads one answer. It must be described, for whichever route.
pub async fn read_answer(stream: &mut (impl AsyncRead + Unpin)) -> Option<Answer> {
    let answer = receive(stream).await?;
    described::check_any(&answer);
    Some(answer)
}

async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Option<Answer> {
    let mut received = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return Answer::parse(&received),
            Ok(n) => received.extend_from_slice(&buffer[..n]),
        }
        if let Some(answer) = Answer::parse(&received)
            && let Some(length) = answer.header("content-length")
            && answer.body.len() >= length.parse::<usize>().unwrap()
        {
            return Some(answer);
        }
    }
}

/// One request on a connection of its own.
pub async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let bytes = request(address, method, path, headers, body);
    send_raw(address, bytes.as_bytes())
        .await
        .expect("no answer")
}

/// The bytes of a request that ends its connection.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method != "GET" {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text
}

/// The bytes of `pipeline`'s cancel of `sync-1` with these headers and this body,
/// without a Content-Length of our own.
pub fn raw_cancel(headers: &str, body: &str) -> Vec<u8> {
    let line = "POST /offers/sync-1/cancel HTTP/1.1\r\nHost: x";
    format!("{line}\r\nX-Api-Key: {KEY}\r\n{headers}\r\n{body}").into_bytes()
}

/// The gateway itself refused, and nothing was sent.
#[track_caller]
pub fn assert_not_delivered(problem: &Value) {
    assert_eq!(problem["delivered"], "no", "{problem}");
    assert_eq!(problem["origin"], "gateway", "{problem}");
    assert!(problem.get("operationLocation").is_none(), "{problem}");
    assert!(problem.get("portal").is_none(), "{problem}");
}
