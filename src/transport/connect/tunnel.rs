//! A tunnel through a proxy (CONNECT, RFC 9110 section 9.3.6).

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use zeroize::Zeroizing;

use super::stream::Channel;
use crate::domain::Proxy;
use crate::transport::unreachable::ProxyProblem;

/// The longest head of a proxy's answer that is read, interim answers included, in bytes.
const MAX_HEAD: u64 = 16 * 1024;

/// Asks the proxy at the other end of the channel for a tunnel to `target`, which is a host and
/// a port. The channel leads there afterwards.
///
/// # Errors
/// Why there is no tunnel.
pub(super) async fn open(
    mut channel: Channel,
    proxy: &Proxy,
    target: &str,
) -> Result<Channel, ProxyProblem> {
    let request = request(proxy, target);
    let written = channel.write_all(request.as_bytes()).await;
    drop(request);
    written.map_err(|_| ProxyProblem::Closed)?;
    channel.flush().await.map_err(|_| ProxyProblem::Closed)?;

    let mut answer = BufReader::with_capacity(1024, &mut channel);
    accept(&mut answer).await?;
    // The server speaks second in TLS, so these are the proxy's own.
    if !answer.buffer().is_empty() {
        return Err(ProxyProblem::NotATunnel);
    }
    Ok(channel)
}

/// The request for a tunnel. It may hold a password, so it is erased when dropped, and never
/// grows: that would leave a copy behind.
fn request(proxy: &Proxy, target: &str) -> Zeroizing<String> {
    let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    let authorization = proxy.authorization.as_ref();
    let parts = match authorization {
        Some(authorization) => [
            &head,
            "Proxy-Authorization: ",
            authorization.expose(),
            "\r\n\r\n",
        ],
        None => [&head, "\r\n", "", ""],
    };
    let length = parts.iter().map(|part| part.len()).sum();
    let mut request = Zeroizing::new(String::with_capacity(length));
    request.extend(parts);
    request
}

/// Reads the proxy's answer up to its blank line. In a successful one, fields that announce a
/// body mean nothing.
async fn accept(answer: &mut (impl AsyncBufRead + Unpin)) -> Result<(), ProxyProblem> {
    let mut answer = answer.take(MAX_HEAD);
    loop {
        let status = status(&line(&mut answer).await?).ok_or(ProxyProblem::NotHttp)?;
        while !line(&mut answer).await?.is_empty() {}
        match status {
            // Interim answers (section 15.2); 101 is none, and was not asked for.
            100 | 102..=199 => {}
            200..=299 => return Ok(()),
            status => return Err(ProxyProblem::Refused(status)),
        }
    }
}

/// The next line, without its end.
async fn line(
    answer: &mut tokio::io::Take<&mut (impl AsyncBufRead + Unpin)>,
) -> Result<Vec<u8>, ProxyProblem> {
    let mut line = Vec::new();
    let read = answer.read_until(b'\n', &mut line).await;
    read.map_err(|_| ProxyProblem::Closed)?;
    match line.pop() {
        Some(b'\n') => {
            line.pop_if(|last| *last == b'\r');
            Ok(line)
        }
        _ if answer.limit() == 0 => Err(ProxyProblem::HeadTooLong),
        // What came so far is not even the beginning of HTTP.
        Some(_) if !line.starts_with(b"HTTP") && !line.is_ascii() => Err(ProxyProblem::NotHttp),
        _ => Err(ProxyProblem::Closed),
    }
}

/// The status of a status line, of HTTP/1.0 or 1.1 (RFC 9112 section 4).
fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let [b'0'..=b'9', b' ', digits @ ..] = rest else {
        return None;
    };
    let (digits, reason) = digits.split_at_checked(3)?;
    let is_status = digits.iter().all(u8::is_ascii_digit) && matches!(reason, [] | [b' ', ..]);
    let status = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (is_status && (100..=599).contains(&status)).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;

    async fn answered(answer: &[u8]) -> (Result<(), ProxyProblem>, usize) {
        let mut answer = answer;
        let result = accept(&mut answer).await;
        (result, answer.len())
    }

    #[tokio::test]
    async fn an_answer_is_read_to_its_blank_line_and_no_further() {
        use ProxyProblem::{Closed, NotHttp, Refused};
        for (answer, result, left) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", Ok(()), 0),
            (
                "HTTP/1.0 200 OK\r\nVia: p\r\nContent-Length: 5\r\n\r\nhello",
                Ok(()),
                5,
            ),
            ("HTTP/1.1 200\r\n\r\n", Ok(()), 0),
            ("HTTP/1.1 204 \r\n\r\n", Ok(()), 0),
            ("HTTP/1.1 200 OK\n\n", Ok(()), 0),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
                Ok(()),
                0,
            ),
            (
                "HTTP/1.1 407 Wants a password\r\n\r\n",
                Err(Refused(407)),
                0,
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 No\r\n\r\n",
                Err(Refused(403)),
                0,
            ),
            (
                "HTTP/1.1 502 Bad Gateway\r\nA: b\r\n\r\n<html>",
                Err(Refused(502)),
                6,
            ),
            ("HTTP/1.1 302 Found\r\n\r\n", Err(Refused(302)), 0),
            ("HTTP/1.1 101 Switching\r\n\r\n", Err(Refused(101)), 0),
            ("", Err(Closed), 0),
            ("HTTP/1.1 200 OK", Err(Closed), 0),
            ("HTTP/1.1 200 OK\r\nA: b\r\n", Err(Closed), 0),
            ("SSH-2.0-OpenSSH_9.6\r\n", Err(NotHttp), 0),
            ("\u{15}\u{3}\u{3}\0\u{2}\u{2}\u{80}\n", Err(NotHttp), 0),
            ("\u{15}\u{3}\u{3}\0\u{2}\u{2}\u{80}", Err(NotHttp), 0),
            ("HTTP/2 200\r\n\r\n", Err(NotHttp), 2),
            ("HTTP/1.1 2000 OK\r\n\r\n", Err(NotHttp), 2),
            ("HTTP/1.1 20 OK\r\n\r\n", Err(NotHttp), 2),
            ("HTTP/1.1 +20 OK\r\n\r\n", Err(NotHttp), 2),
            ("HTTP/1.1 999 OK\r\n\r\n", Err(NotHttp), 2),
            ("\r\nHTTP/1.1 200 OK\r\n\r\n", Err(NotHttp), 19),
        ] {
            assert_eq!(
                answered(answer.as_bytes()).await,
                (result, left),
                "{answer:?}"
            );
        }
    }

    #[test]
    fn a_request_does_not_grow() {
        let secret = format!("Basic {}", "x".repeat(500));
        for (authorization, expected) in [
            (
                None,
                "CONNECT v:443 HTTP/1.1\r\nHost: v:443\r\n\r\n".to_owned(),
            ),
            (
                Some(secret.clone()),
                format!(
                    "CONNECT v:443 HTTP/1.1\r\nHost: v:443\r\nProxy-Authorization: {secret}\r\n\r\n"
                ),
            ),
        ] {
            let proxy = Proxy {
                secure: false,
                host: "proxy".into(),
                port: 3128,
                authorization: authorization.map(Secret::new),
                key: "outbound.proxy_url",
            };
            let request = request(&proxy, "v:443");
            assert_eq!(*request, expected);
            assert_eq!(request.capacity(), expected.len());
        }
    }

    #[tokio::test]
    async fn a_head_without_end_is_given_up() {
        let endless = [b"HTTP/1.1 200 OK\r\nA: ".as_slice(), &[b'x'; 20_000]].concat();
        assert_eq!(answered(&endless).await.0, Err(ProxyProblem::HeadTooLong));
        let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
        let result = answered(endless.as_bytes()).await.0;
        assert_eq!(result, Err(ProxyProblem::HeadTooLong));
    }
}
