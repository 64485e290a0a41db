//! What awc gets to read of what a server sends, however that is split.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::replay::Script;
use super::*;

impl AsyncWrite for Script {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// How what awc reads ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Whole, and the connection may be used again.
    Usable,
    /// Whole, or nothing at all, and the connection is of no more use.
    Over,
    Cut,
    Unproven,
    Misframed(Misframed),
}

/// What is passed on of the pieces after a request, and how it ends.
async fn filtered(request: &str, pieces: Vec<io::Result<Vec<u8>>>, tls: bool) -> (String, End) {
    let mut filter = Filter::new(Script(pieces.into()), tls);
    filter.write_all(request.as_bytes()).await.unwrap();
    let mut passed = Vec::new();
    let mut buffer = [0; 8192];
    let end = loop {
        if matches!(filter.state, State::Idle) && filter.pending.is_empty() {
            break End::Usable;
        }
        match filter.read(&mut buffer).await {
            Ok(0) => break End::Over,
            Ok(length) => passed.extend_from_slice(&buffer[..length]),
            Err(error) => {
                let inner = error.get_ref();
                if let Some(it) = inner.and_then(|it| it.downcast_ref::<Misframed>()) {
                    break End::Misframed(*it);
                }
                break match inner.is_some_and(|it| it.is::<UnprovenEnd>()) {
                    true => End::Unproven,
                    false => End::Cut,
                };
            }
        }
    };
    (String::from_utf8(passed).unwrap(), end)
}

/// The same, for a text that comes at once, and byte by byte.
async fn passed(request: &str, text: &str, tls: bool) -> (String, End) {
    let whole = filtered(request, vec![Ok(text.into())], tls).await;
    let bytes = text.bytes().map(|byte| Ok(vec![byte])).collect();
    let (split, end) = filtered(request, bytes, tls).await;
    assert_eq!(
        (joined(&split), end),
        (joined(&whole.0), whole.1),
        "{text:?}"
    );
    whole
}

/// With the chunks of a body that was passed on in several pieces put together.
fn joined(text: &str) -> String {
    text.replace("\r\n1\r\n", "").replace("1\r\n", "")
}

const GET: &str = "GET / HTTP/1.1\r\n\r\n";

#[tokio::test]
async fn what_awc_reads_rightly_passes_as_it_is() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\n{ }\r\n0\r\nA: b\r\n\r\n",
    ] {
        let expected = (text.to_owned(), End::Usable);
        assert_eq!(passed(GET, text, false).await, expected);
        // Interim answers before it are dropped.
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nContent-Length: 9\r\n\
                       Transfer-Encoding: chunked\r\n\r\n";
        for times in [1, 10, 50] {
            let text = format!("{}{text}", interim.repeat(times));
            assert_eq!(passed(GET, &text, false).await, expected, "{times}");
        }
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    let answer = passed("HEAD / HTTP/1.1\r\n\r\n", head, false).await;
    assert_eq!(answer, (head.to_owned(), End::Usable));
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_comes_in_chunks() {
    let head = "HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    for old in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n"] {
        for (body, chunks) in [
            ("", ""),
            ("{\"a\":\"bcdefgh\"}", "f\r\n{\"a\":\"bcdefgh\"}\r\n"),
        ] {
            // An empty piece would be the end.
            let sent = [old, body];
            let sent = sent.into_iter().filter(|piece| !piece.is_empty());
            let pieces = || {
                sent.clone()
                    .map(|piece| Ok(piece.into()))
                    .collect::<Vec<_>>()
            };
            let (text, end) = filtered(GET, pieces(), true).await;
            assert_eq!((text, end), (format!("{head}{chunks}0\r\n\r\n"), End::Over));
            let (text, end) = filtered(GET, pieces(), false).await;
            assert_eq!((text, end), (format!("{head}{chunks}"), End::Unproven));
            // TLS that ends without saying so.
            let mut rude = pieces();
            rude.push(Err(io::ErrorKind::UnexpectedEof.into()));
            let (text, end) = filtered(GET, rude, true).await;
            assert_eq!((text, end), (format!("{head}{chunks}"), End::Unproven));
            let mut reset = pieces();
            reset.push(Err(io::ErrorKind::ConnectionReset.into()));
            let (text, end) = filtered(GET, reset, false).await;
            assert_eq!((text, end), (format!("{head}{chunks}"), End::Cut));
        }
    }
    let long = "x".repeat(3 * PIECE);
    let text = format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{long}");
    let (text, end) = filtered(GET, vec![Ok(text.into_bytes())], true).await;
    assert_eq!((text.matches('x').count(), end), (long.len(), End::Over));
}

#[tokio::test]
async fn an_early_end_is_an_error() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let expected = (text.to_owned(), End::Cut);
        assert_eq!(passed(GET, text, true).await, expected);
    }
    for text in ["H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n"] {
        assert_eq!(passed(GET, text, true).await, (String::new(), End::Cut));
    }
    assert_eq!(passed(GET, "", true).await, (String::new(), End::Over));
}

#[tokio::test]
async fn what_follows_an_answer_ends_the_connection() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ] {
        for more in ["x", "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"] {
            for before in ["", "HTTP/1.1 102 Processing\r\n\r\n"] {
                let text = format!("{before}{answer}{more}");
                let pieces = vec![Ok(text.into_bytes())];
                let expected = (answer.to_owned(), End::Over);
                assert_eq!(filtered(GET, pieces, false).await, expected, "{more}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_in_doubt_is_refused() {
    let interim = "HTTP/1.1 102 Processing\r\n\r\n";
    let padded = format!("HTTP/1.1 103 Early\r\nLink: {}\r\n\r\n", "x".repeat(4000));
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    for (text, expected) in [
        ("garbage\r\n\r\n".to_owned(), Misframed::NotHttp),
        (format!("{interim}garbage\r\n\r\n"), Misframed::NotHttp),
        (
            format!("{interim}HTTP/1.1 101 Switching\r\n\r\n{last}"),
            Misframed::SwitchingProtocols,
        ),
        (
            format!("{}{last}", interim.repeat(MAX_INTERIM + 1)),
            Misframed::TooMuchInterim,
        ),
    ] {
        let (text, end) = passed(GET, &text, true).await;
        assert_eq!((text.as_str(), end), ("", End::Misframed(expected)));
    }
    let long = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(MAX_HEADS));
    let many = format!("{}{last}", padded.repeat(40));
    let name = format!("HTTP/1.1 200 OK\r\n{}: x\r\n\r\n", "x".repeat(70_000));
    for (text, expected) in [
        (long, Misframed::LongHead),
        (name, Misframed::LongHead),
        (many, Misframed::TooMuchInterim),
    ] {
        let (text, end) = filtered(GET, vec![Ok(text.into_bytes())], true).await;
        assert_eq!((text.as_str(), end), ("", End::Misframed(expected)));
    }
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n";
    let (text, end) = passed(GET, &format!("{head}x\r\n"), true).await;
    assert_eq!(
        (text.as_str(), end),
        (head, End::Misframed(Misframed::Chunk))
    );
}
