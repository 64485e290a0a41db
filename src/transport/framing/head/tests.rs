//! Heads by table: what passes, what is rewritten, what is refused.

use super::*;

fn framing(head: &str) -> Result<(Framing, bool), Misframed> {
    match read(head.as_bytes())? {
        Some((length, Head::Final { framing, rewritten })) => {
            assert_eq!(length, head.len(), "{head}");
            Ok((framing, rewritten.is_some()))
        }
        other => panic!("{head}: {other:?}"),
    }
}

#[test]
fn the_framing_is_what_the_head_says() {
    use Framing::{Chunked, Length, None, UntilEnd};
    for (status_line, fields, expected) in [
        ("HTTP/1.1 200 OK", "Content-Length: 7", (Length(7), false)),
        ("HTTP/1.1 200", "content-length:\t007 ", (Length(7), false)),
        ("HTTP/1.1 202 ", "CONTENT-LENGTH: 0", (Length(0), false)),
        (
            "HTTP/1.1 200 OK",
            "Transfer-Encoding: Chunked",
            (Chunked, false),
        ),
        ("HTTP/1.1 200 OK", "X: y", (UntilEnd, true)),
        (
            "HTTP/1.1 200 OK",
            "Transfer-Encoding: identity",
            (UntilEnd, true),
        ),
        ("HTTP/1.0 200 OK", "Content-Length: 7", (Length(7), true)),
        ("HTTP/1.0 200 OK", "X: y", (UntilEnd, true)),
        (
            "HTTP/1.1 200 OK",
            "Upgrade: websocket\r\nContent-Length: 7",
            (Length(7), true),
        ),
        (
            "HTTP/1.1 200 OK",
            "X: a\r\n\tb\r\nContent-Length: 7",
            (Length(7), true),
        ),
        (
            "HTTP/1.1 200 OK",
            "Content-Length:\r\n 7",
            (Length(7), true),
        ),
        (
            "HTTP/1.1 200 OK",
            "Host: a\r\nContent-Length: 7",
            (Length(7), false),
        ),
        (
            "HTTP/1.1 200 OK",
            "Host: a\r\nContent-Length: 7\r\nhost: a",
            (Length(7), true),
        ),
        ("HTTP/1.1 204 No Content", "X: y", (None, false)),
        (
            "HTTP/1.1 204 No Content",
            "Content-Length: 0",
            (None, false),
        ),
        ("HTTP/1.1 204 No Content", "Content-Length: 7", (None, true)),
        (
            "HTTP/1.1 304 Not Modified",
            "Content-Length: 7",
            (None, true),
        ),
        (
            "HTTP/1.1 304 Not Modified",
            "Transfer-Encoding: chunked",
            (None, true),
        ),
    ] {
        let head = format!("{status_line}\r\n{fields}\r\n\r\n");
        assert_eq!(framing(&head), Ok(expected), "{head}");
    }
}

#[test]
fn a_framing_in_doubt_is_refused() {
    use Misframed::{Length, NotHttp, SwitchingProtocols, TransferEncoding};
    for (status_line, fields, expected) in [
        (
            "HTTP/1.1 200 OK",
            "Content-Length: 7\r\nContent-Length: 7",
            Length,
        ),
        (
            "HTTP/1.1 200 OK",
            "Content-Length: 7\r\nContent-Length: 8",
            Length,
        ),
        ("HTTP/1.1 200 OK", "Content-Length: 7, 7", Length),
        ("HTTP/1.1 200 OK", "Content-Length: +7", Length),
        ("HTTP/1.1 200 OK", "Content-Length: -7", Length),
        ("HTTP/1.1 200 OK", "Content-Length: 0x7", Length),
        ("HTTP/1.1 200 OK", "Content-Length:", Length),
        (
            "HTTP/1.1 200 OK",
            "Content-Length: 99999999999999999999",
            Length,
        ),
        (
            "HTTP/1.1 200 OK",
            "Content-Length: 7\r\nTransfer-Encoding: chunked",
            Length,
        ),
        (
            "HTTP/1.1 200 OK",
            "Transfer-Encoding: identity\r\nContent-Length: 7",
            Length,
        ),
        (
            "HTTP/1.1 200 OK",
            "Transfer-Encoding: gzip, chunked",
            TransferEncoding,
        ),
        (
            "HTTP/1.1 200 OK",
            "Transfer-Encoding: chunked, identity",
            TransferEncoding,
        ),
        (
            "HTTP/1.1 200 OK",
            "Transfer-Encoding: xchunked",
            TransferEncoding,
        ),
        (
            "HTTP/1.1 200 OK",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            TransferEncoding,
        ),
        (
            "HTTP/1.0 200 OK",
            "Transfer-Encoding: chunked",
            TransferEncoding,
        ),
        (
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: h2c",
            SwitchingProtocols,
        ),
        ("HTTP/1.1 099 Low", "X: y", NotHttp),
        ("HTTP/2 200 OK", "X: y", NotHttp),
        ("HTTP/1.1 20 OK", "X: y", NotHttp),
        ("HTTP/1.1 200 OK", "A\0: b", NotHttp),
        ("ICY 200 OK", "X: y", NotHttp),
    ] {
        let head = format!("{status_line}\r\n{fields}\r\n\r\n");
        assert_eq!(read(head.as_bytes()), Err(expected), "{head}");
    }
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(97));
    assert_eq!(read(many.as_bytes()), Err(Misframed::LongHead));
}

#[test]
fn a_rewritten_head_keeps_everything_but_the_framing() {
    let old = "HTTP/1.0 202 Accepted\r\nLocation: /x\r\nX: a\r\n  b\r\nUpgrade: h2c\r\n\
               Host: a\r\nHost: b\r\n\r\n";
    let Ok(Some((
        _,
        Head::Final {
            rewritten: Some(head),
            ..
        },
    ))) = read(old.as_bytes())
    else {
        panic!("not rewritten");
    };
    assert_eq!(
        String::from_utf8(head.to_vec()).unwrap(),
        "HTTP/1.1 202 \r\nLocation: /x\r\nX: a    b\r\ntransfer-encoding: chunked\r\n\
         connection: close\r\n\r\n"
    );
}

#[test]
fn what_has_come_of_a_head_is_judged() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
    for end in 0..head.len() {
        assert_eq!(read(&head[..end]), Ok(None), "{end}");
    }
    for text in [
        "HTTP/1.1 2x",
        "HTTP/1.1 200 OK\r\nA\0",
        "HTTP/1.1 200 OK\r\rA",
    ] {
        assert_eq!(read(text.as_bytes()), Err(Misframed::NotHttp), "{text:?}");
    }
}
