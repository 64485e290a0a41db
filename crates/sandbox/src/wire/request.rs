//! Reads one request: the head by `httparse`, the body by Content-Length or chunked, all of it
//! bounded. Ambiguous framing (both at once, differing lengths) is refused, so that the journal
//! shows exactly what was sent.

use serde::de::DeserializeOwned;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::{BODY_LIMIT, Connection, HEAD_LIMIT, READ_TIMEOUT, Response};
use crate::text::percent_decode;

const MAX_HEADERS: usize = 128;

/// One request as received.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// As sent, still percent-encoded, without the query.
    pub(crate) path: String,
    /// As sent, without the question mark; empty when there is none.
    pub(crate) query: String,
    /// Lower-case names, in the order received.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the request has Content-Length or is chunked.
    pub(crate) framed: bool,
    pub(crate) keep_alive: bool,
    pub(crate) connection: u64,
    /// The sandbox speaks TLS and this request came without.
    pub(crate) plaintext: bool,
}

impl Request {
    /// The first header of that (lower-case) name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }

    /// The decoded query, in the order sent.
    pub(crate) fn query_pairs(&self) -> Vec<(String, String)> {
        serde_urlencoded::from_str(&self.query).unwrap_or_default()
    }

    /// The query as a document of its own; what it does not know is refused.
    pub(crate) fn query<T: DeserializeOwned>(&self) -> Result<T, serde_urlencoded::de::Error> {
        serde_urlencoded::from_str(&self.query)
    }

    /// The first value of a query parameter, its name compared without case.
    pub(crate) fn query_value(&self, name: &str) -> Option<String> {
        self.query_pairs()
            .into_iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The path's segments, each decoded on its own, without a trailing empty one.
    pub(crate) fn segments(&self) -> Vec<String> {
        let path = self.path.strip_prefix('/').unwrap_or(&self.path);
        let path = path.strip_suffix('/').unwrap_or(path);
        path.split('/').map(percent_decode).collect()
    }

    /// The body as a JSON document; an empty body counts as `{}`.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        let body = self.body.trim_ascii();
        serde_json::from_slice(if body.is_empty() { b"{}" } else { body })
    }
}

/// Why no request could be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("the client disconnected")]
    Disconnected,
    #[error("the request was not received in time")]
    Timeout,
    #[error("the request head is larger than {HEAD_LIMIT} bytes")]
    HeadTooLarge,
    #[error("the request body is larger than {BODY_LIMIT} bytes")]
    BodyTooLarge,
    /// Not HTTP/1.x, or ambiguous.
    #[error("{0}")]
    Malformed(String),
}

impl RequestError {
    /// The response, if there still is a client to read it.
    pub(crate) fn response(&self) -> Option<Response> {
        let status = match self {
            Self::Disconnected | Self::Timeout => return None,
            Self::HeadTooLarge => 431,
            Self::BodyTooLarge => 413,
            Self::Malformed(_) => 400,
        };
        Some(Response::text(status, &format!("{self}\n")))
    }
}

struct Head {
    request: Request,
    length: usize,
    body: Framing,
}

enum Framing {
    Length(usize),
    Chunked,
}

impl Connection {
    /// The next request on this connection.
    pub(crate) async fn read_request(&mut self) -> Result<Request, RequestError> {
        timeout(READ_TIMEOUT, self.read_whole())
            .await
            .map_err(|_| RequestError::Timeout)?
    }

    async fn read_whole(&mut self) -> Result<Request, RequestError> {
        let head = loop {
            if let Some(head) = parse_head(&self.buffer)? {
                break head;
            }
            if self.buffer.len() > HEAD_LIMIT {
                return Err(RequestError::HeadTooLarge);
            }
            self.fill().await?;
        };
        self.buffer.drain(..head.length);
        let mut request = head.request;
        request.connection = self.number;
        request.plaintext = self.plaintext;
        let expects_continue = request
            .header("expect")
            .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
        if expects_continue && self.buffer.is_empty() {
            let sent = self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await;
            sent.map_err(|_| RequestError::Disconnected)?;
        }
        request.body = match head.body {
            Framing::Length(length) => self.take(length).await?,
            Framing::Chunked => self.read_chunked().await?,
        };
        Ok(request)
    }

    async fn fill(&mut self) -> Result<(), RequestError> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => Err(RequestError::Disconnected),
            Ok(_) => Ok(()),
        }
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>, RequestError> {
        if length > BODY_LIMIT {
            return Err(RequestError::BodyTooLarge);
        }
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    async fn take_line(&mut self) -> Result<String, RequestError> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffer.drain(..end + 2).take(end).collect::<Vec<_>>();
                return String::from_utf8(line).map_err(|_| malformed("a chunk head is not text"));
            }
            if self.buffer.len() > HEAD_LIMIT {
                return Err(RequestError::HeadTooLarge);
            }
            self.fill().await?;
        }
    }

    async fn read_chunked(&mut self) -> Result<Vec<u8>, RequestError> {
        let mut body = Vec::new();
        loop {
            let size = chunk_size(&self.take_line().await?)?;
            if size == 0 {
                while !self.take_line().await?.is_empty() {}
                return Ok(body);
            }
            if body.len() + size > BODY_LIMIT {
                return Err(RequestError::BodyTooLarge);
            }
            body.extend(self.take(size).await?);
            if !self.take_line().await?.is_empty() {
                return Err(malformed("a chunk is longer than its announced size"));
            }
        }
    }
}

fn malformed(why: &str) -> RequestError {
    RequestError::Malformed(why.into())
}

fn chunk_size(line: &str) -> Result<usize, RequestError> {
    let digits = line.split(';').next().unwrap_or_default().trim();
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !plain {
        return Err(malformed("a chunk has no valid size"));
    }
    usize::from_str_radix(digits, 16).map_err(|_| RequestError::BodyTooLarge)
}

/// The head at the start of `bytes`, or `None` while it is incomplete.
fn parse_head(bytes: &[u8]) -> Result<Option<Head>, RequestError> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut slots);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(RequestError::HeadTooLarge),
        Err(error) => {
            return Err(RequestError::Malformed(format!(
                "not an HTTP request: {error}"
            )));
        }
    };
    let headers: Vec<(String, String)> = parsed
        .headers
        .iter()
        .map(|header| {
            let value = header.value.iter().copied().map(char::from).collect();
            (header.name.to_ascii_lowercase(), value)
        })
        .collect();
    let all = |name: &str| -> Vec<&str> {
        headers
            .iter()
            .filter(|(header, _)| header == name)
            .map(|(_, value)| value.trim())
            .collect()
    };
    let (body, framed) = framing(&all("content-length"), &all("transfer-encoding"))?;
    let options = all("connection").join(",").to_ascii_lowercase();
    let has_option = |word: &str| options.split(',').any(|option| option.trim() == word);
    let keep_alive = match parsed.version {
        Some(1) => !has_option("close"),
        _ => has_option("keep-alive"),
    };
    let target = parsed.path.unwrap_or("/");
    let (path, query) = split_target(target);
    let request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path,
        query,
        body: Vec::new(),
        framed,
        keep_alive,
        connection: 0,
        plaintext: false,
        headers,
    };
    Ok(Some(Head {
        request,
        length,
        body,
    }))
}

/// Path and query of a request target in origin or absolute form.
fn split_target(target: &str) -> (String, String) {
    let origin = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find('/').map_or("/", |slash| &rest[slash..])
        }
        _ => target,
    };
    let (path, query) = origin.split_once('?').unwrap_or((origin, ""));
    (path.to_owned(), query.to_owned())
}

fn framing(lengths: &[&str], codings: &[&str]) -> Result<(Framing, bool), RequestError> {
    match (lengths, codings) {
        ([], []) => Ok((Framing::Length(0), false)),
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok((Framing::Chunked, true)),
        ([first, rest @ ..], []) if rest.iter().all(|other| other == first) => {
            let plain = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
            if !plain {
                return Err(malformed("Content-Length is not a number"));
            }
            let length = first.parse().map_err(|_| RequestError::BodyTooLarge)?;
            Ok((Framing::Length(length), true))
        }
        _ => Err(malformed("the length of the body is ambiguous")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn head(text: &str) -> Result<Option<Head>, RequestError> {
        parse_head(text.as_bytes())
    }

    #[test]
    fn a_head_is_parsed_and_split() {
        let head = head("POST /api/a%20b/?x=1&y=%24 HTTP/1.1\r\nHost: h\r\nX-A: b\r\nContent-Length: 3\r\n\r\nabc")
            .unwrap()
            .unwrap();
        assert_eq!(head.request.segments(), ["api", "a b"]);
        assert_eq!(head.request.query_value("Y").unwrap(), "$");
        assert_eq!(head.request.header("x-a"), Some("b"));
        assert!(head.request.keep_alive && head.request.framed);
        assert!(matches!(head.body, Framing::Length(3)));
    }

    #[test]
    fn an_incomplete_head_waits_and_garbage_is_refused() {
        assert!(head("GET / HTTP/1.1\r\nHo").unwrap().is_none());
        assert!(head("\0\0\0\r\n\r\n").is_err());
    }

    #[test]
    fn an_absolute_target_counts_by_its_path() {
        assert_eq!(
            split_target("http://h:1/a?b"),
            ("/a".to_owned(), "b".to_owned())
        );
        assert_eq!(split_target("http://h"), ("/".to_owned(), String::new()));
        assert_eq!(
            split_target("/a?u=x://y").1,
            "u=x://y",
            "a query is not a scheme"
        );
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        for lines in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            "Content-Length: +1\r\n",
            "Transfer-Encoding: gzip\r\n",
        ] {
            let text = format!("POST / HTTP/1.1\r\n{lines}\r\n");
            assert!(
                matches!(head(&text), Err(RequestError::Malformed(_))),
                "{lines}"
            );
        }
    }

    #[test]
    fn chunk_sizes_are_hexadecimal_and_bounded() {
        assert_eq!(chunk_size("1A;ext=1").unwrap(), 26);
        for line in ["", "-1", "0x1", "g"] {
            assert!(chunk_size(line).is_err(), "{line}");
        }
        assert!(matches!(
            chunk_size("ffffffffffffffffff"),
            Err(RequestError::BodyTooLarge)
        ));
    }
}
