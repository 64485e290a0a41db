//! Answers that the HTTP library gives by itself to what it cannot read: they become
//! problem documents, and lines in the log.

use actix_web::web::Bytes;
use tokio::time::Instant;

use crate::domain::{ProblemCode, RequestId};
use crate::operation::{ProblemContext, RequestFailure, reply};

/// An answer in place of the library's own, and how far it was sent. The connection ends
/// with it.
pub struct LibraryAnswer {
    /// What was not sent yet.
    pub rest: Bytes,
    /// Until when the client may go on sending, once all was sent: closing on unread data
    /// would reset the connection before the answer is read.
    pub until: Option<Instant>,
    /// The status.
    pub status: u16,
    /// The problem's code.
    pub code: ProblemCode,
    /// The id in the answer, for the log.
    pub request_id: RequestId,
}

impl LibraryAnswer {
    /// The answer in place of these bytes, if they are an error of the library's own.
    /// `has_long_line`: the library could not be shown the head, since a line is too long.
    pub fn instead_of(answer: &[u8], public_url: &str, has_long_line: bool) -> Option<Self> {
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
        let head = str::from_utf8(&answer[..end]).ok()?;
        let mut lines = head.split("\r\n");
        let status_line = lines.next()?;
        let status: u16 = status_line.split(' ').nth(1)?.parse().ok()?;
        let (status, status_line) = match has_long_line && status == 400 {
            true => (431, "HTTP/1.1 431 Request Header Fields Too Large"),
            false => (status, status_line),
        };
        let (code, detail) = explain(status)?;
        let request_id = RequestId::generate();
        let failure = RequestFailure::new(code, detail);
        let reply = reply::problem(
            &failure,
            &ProblemContext {
                public_url,
                path: "",
                request_id: request_id.as_str(),
            },
        );
        let kept = lines.filter(|line| {
            let name = line.split(':').next().unwrap_or_default();
            ["date", "server"]
                .iter()
                .any(|kept| name.eq_ignore_ascii_case(kept))
        });
        let mut head = format!("{status_line}\r\n");
        for line in kept {
            head.push_str(line);
            head.push_str("\r\n");
        }
        head.push_str(&format!(
            "content-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n\
             x-content-type-options: nosniff\r\ncache-control: no-store\r\n\
             content-security-policy: default-src 'none'\r\nx-request-id: {}\r\n",
            reply.content_type,
            reply.body.len(),
            request_id.as_str(),
        ));
        if let Some(seconds) = reply.retry_after {
            head.push_str(&format!("retry-after: {seconds}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&reply.body);
        Some(Self {
            rest: bytes.into(),
            until: None,
            status,
            code,
            request_id,
        })
    }
}

fn explain(status: u16) -> Option<(ProblemCode, &'static str)> {
    Some(match status {
        400 => (
            ProblemCode::InvalidHeader,
            "What was received is not an HTTP/1.1 request: its first line or a header is \
             malformed, Host is missing or repeated, the lengths of its body contradict each \
             other, or it is another protocol (HTTP/2 without TLS, or TLS).",
        ),
        408 => (
            ProblemCode::RequestTimeout,
            "The request's head did not arrive in time (server.head_timeout_ms).",
        ),
        431 => (
            ProblemCode::HeadersTooLarge,
            "The request's head is longer than 128 KiB, or a line of it than 65,000 bytes, the \
             most that the gateway reads. Send fewer or shorter headers (server.max_uri_bytes, server.max_header_bytes).",
        ),
        500.. => (
            ProblemCode::InternalError,
            "Unexpected error in the gateway. Report the requestId to its operator.",
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_library_become_problem_documents() {
        for (status, code) in [
            ("400 Bad Request", "invalid-header"),
            ("408 Request Timeout", "request-timeout"),
            ("431 Request Header Fields Too Large", "headers-too-large"),
            ("500 Internal Server Error", "internal-error"),
        ] {
            let bare = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\ndate: today\r\n\r\n");
            let refusal =
                LibraryAnswer::instead_of(bare.as_bytes(), "https://gateway", false).unwrap();
            let text = str::from_utf8(&refusal.rest).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\ndate: today\r\n")));
            let length = format!("content-length: {}\r\n", body.len());
            assert!(head.contains(&length), "{head}");
            let document: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(document["code"], code);
            assert_eq!(document["requestId"], refusal.request_id.as_str());
            assert_eq!(refusal.code.as_str(), code);
        }
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
                LibraryAnswer::instead_of(other.as_bytes(), "", false).is_none(),
                "{other:?}"
            );
        }
    }
}
