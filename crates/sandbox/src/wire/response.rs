//! A response before it is sent. Line breaks in header values are replaced when it is encoded,
//! so that not even a fault can split a response by accident.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;

use crate::text::http_date;

const JSON: &str = "application/json; charset=utf-8";

/// Status line, headers and body.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Replaces the usual reason phrase.
    pub(crate) reason: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether `Date` is added when it is sent.
    pub(crate) dated: bool,
}

impl Response {
    /// A response without a body.
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            reason: None,
            headers: Vec::new(),
            body: Vec::new(),
            dated: true,
        }
    }

    pub(crate) fn bytes(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut response = Self::empty(status).with("Content-Type", kind);
        response.body = body.into();
        response
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::bytes(status, JSON, body.to_string())
    }

    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self::bytes(status, "text/plain; charset=utf-8", body)
    }

    pub(crate) fn html(status: u16, body: &str) -> Self {
        Self::bytes(status, "text/html; charset=utf-8", body)
    }

    /// Sets a header, replacing one of the same name.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.remove(name);
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.headers
            .retain(|(header, _)| !header.eq_ignore_ascii_case(name));
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The status line and headers, up to and including the empty line. `framing` is the
    /// header that says where the body ends; `Date` is the moment of encoding.
    pub(super) fn head(&self, framing: Option<(&str, String)>, keep_alive: bool) -> Vec<u8> {
        let reason = self.reason.as_deref().unwrap_or(reason(self.status));
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, clean(reason));
        let mut line = |name: &str, value: &str| {
            head.push_str(&clean(name));
            head.push_str(": ");
            head.push_str(&clean(value));
            head.push_str("\r\n");
        };
        if self.dated && self.header("date").is_none() {
            line("Date", &http_date(Timestamp::now()));
        }
        for (name, value) in &self.headers {
            line(name, value);
        }
        if let Some((name, value)) = framing {
            line(name, &value);
        }
        if !keep_alive {
            line("Connection", "close");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// Whether the status allows no body (RFC 9112, section 6.3).
    pub(super) fn is_bodiless(&self) -> bool {
        matches!(self.status, 100..=199 | 204 | 304)
    }

    /// The `Content-Length` line for a body of that many bytes.
    pub(super) fn length(&self, bytes: usize) -> Option<(&'static str, String)> {
        (!self.is_bodiless()).then(|| ("Content-Length", bytes.to_string()))
    }
}

fn clean(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

/// The usual reason phrase.
pub(super) fn reason(status: u16) -> &'static str {
    let status = StatusCode::from_u16(status).ok();
    status
        .and_then(|it| it.canonical_reason())
        .unwrap_or("Unknown")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_header_value_cannot_break_the_line() {
        let response = Response::empty(200).with("X-A", "b\r\nSet-Cookie: c");
        let head = String::from_utf8(response.head(response.length(0), true)).unwrap();
        assert!(head.contains("X-A: b  Set-Cookie: c\r\n"), "{head}");
        assert!(head.contains("\r\nDate: "));
        assert!(head.ends_with("Content-Length: 0\r\n\r\n"));
    }

    #[test]
    fn setting_a_header_twice_keeps_the_last() {
        let response = Response::empty(200).with("ETag", "1").with("etag", "2");
        assert_eq!(response.header("ETAG"), Some("2"));
        assert_eq!(response.headers.len(), 1);
    }
}
