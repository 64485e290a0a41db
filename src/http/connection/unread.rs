//! Answers to what cannot be read as a request, in place of those that the HTTP library gives
//! by itself: problem documents, and lines in the log.

use std::time::SystemTime;

use actix_web::http::StatusCode;
use actix_web::http::header::HttpDate;
use actix_web::web::Bytes;
use tokio::time::Instant;

use crate::domain::{ProblemCode, RequestId};
use crate::operation::{ProblemContext, RequestFailure, reply};

/// An answer to what is no request, and how far it was sent. The connection ends with it.
pub struct UnreadAnswer {
    /// What was not sent yet.
    pub rest: Bytes,
    /// Until when the client may go on sending, once all was sent: closing on unread data
    /// would reset the connection before the answer is read.
    pub until: Option<Instant>,
    /// The problem's code.
    pub code: ProblemCode,
    /// The id in the answer, for the log.
    pub request_id: RequestId,
}

impl UnreadAnswer {
    /// The answer in place of these bytes, if they are an error of the library's own.
    /// `has_long_line`: the library could not be shown the head, since a line is too long.
    pub fn instead_of(answer: &[u8], public_url: &str, has_long_line: bool) -> Option<Self> {
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
        let head = str::from_utf8(&answer[..end]).ok()?;
        let status: u16 = head.split(' ').nth(1)?.parse().ok()?;
        let (code, detail) = match status {
            400 if has_long_line => TOO_LONG,
            400 => NO_REQUEST,
            431 => TOO_LONG,
            500.. => UNEXPECTED,
            _ => return None,
        };
        Some(Self::new(code, detail, public_url))
    }

    /// The answer to a head that has begun and did not end in time (RFC 9110 section
    /// 15.5.9). An idle connection gets none: its client has asked nothing, and would take it
    /// for the answer to its next request.
    pub fn late(public_url: &str) -> Self {
        let (code, detail) = LATE;
        Self::new(code, detail, public_url)
    }

    fn new(code: ProblemCode, detail: &'static str, public_url: &str) -> Self {
        let request_id = RequestId::generate();
        let reply = reply::problem(
            &RequestFailure::new(code, detail),
            &ProblemContext {
                public_url,
                path: "",
                request_id: request_id.as_str(),
            },
        );
        let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut head = format!(
            "HTTP/1.1 {status}\r\ndate: {}\r\ncontent-type: {}\r\ncontent-length: {}\r\n\
             connection: close\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n\
             content-security-policy: default-src 'none'\r\nx-request-id: {}\r\n",
            HttpDate::from(SystemTime::now()),
            reply.content_type,
            reply.body.len(),
            request_id.as_str(),
        );
        if let Some(seconds) = reply.retry_after {
            head.push_str(&format!("retry-after: {seconds}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&reply.body);
        Self {
            rest: bytes.into(),
            until: None,
            code,
            request_id,
        }
    }
}

const NO_REQUEST: (ProblemCode, &str) = (
    ProblemCode::InvalidHeader,
    "What was received is not an HTTP/1.1 request: its first line or a header is malformed, Host \
     is missing or repeated, the lengths of its body contradict each other, or it is another \
     protocol (HTTP/2 without TLS, or TLS).",
);
const LATE: (ProblemCode, &str) = (
    ProblemCode::RequestTimeout,
    "The request's head did not arrive in time (server.head_timeout_ms).",
);
const TOO_LONG: (ProblemCode, &str) = (
    ProblemCode::HeadersTooLarge,
    "The request's head is longer than 128 KiB, a line of it is longer than 65,000 bytes, or it \
     has more than 96 headers. That is more than server.max_uri_bytes and \
     server.max_header_bytes can allow: send fewer or shorter headers.",
);
const UNEXPECTED: (ProblemCode, &str) = (
    ProblemCode::InternalError,
    "Unexpected error in the gateway. Report the requestId to its operator.",
);

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks an answer's form.
    fn check(answer: &UnreadAnswer, status: &str, code: &str) {
        let text = str::from_utf8(&answer.rest).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let (first, fields) = head.split_once("\r\n").unwrap();
        assert_eq!(first, format!("HTTP/1.1 {status}"));
        let date = fields.lines().find_map(|line| line.strip_prefix("date: "));
        assert!(date.unwrap().parse::<HttpDate>().is_ok(), "{head}");
        let length = format!("content-length: {}\r\n", body.len());
        assert!(head.contains(&length), "{head}");
        let document: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(document["code"], code);
        assert_eq!(document["requestId"], answer.request_id.as_str());
        assert_eq!(answer.code.as_str(), code);
        // No path is known.
        assert!(document.get("instance").is_none(), "{document}");
    }

    #[test]
    fn errors_of_the_library_become_problem_documents() {
        for (status, code) in [
            ("400 Bad Request", "invalid-header"),
            ("431 Request Header Fields Too Large", "headers-too-large"),
            ("500 Internal Server Error", "internal-error"),
        ] {
            let bare = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\ndate: today\r\n\r\n");
            let answer = UnreadAnswer::instead_of(bare.as_bytes(), "https://gateway", false);
            check(&answer.unwrap(), status, code);
        }
        check(
            &UnreadAnswer::late("https://gateway"),
            "408 Request Timeout",
            "request-timeout",
        );
    }

    #[test]
    fn other_answers_are_not_replaced() {
        for other in [
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Re",
            "",
        ] {
            assert!(
                UnreadAnswer::instead_of(other.as_bytes(), "", false).is_none(),
                "{other:?}"
            );
        }
    }
}
