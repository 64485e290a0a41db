//! Answers as they come over a connection, in pieces: what awc makes of what the filter below
//! it passes on.

use std::io;

use crate::transport::{Body, MemoryServer, ReplayEnd, SendError, replay};

/// How much a head may grow when it is rewritten, in bytes.
const MAX_GROWTH: usize = 1024;
/// The longest body that is read, in bytes.
const MAX_BODY: usize = 256 * 1024;

/// An answer behind a line that ends with `tls` if the connection's end cannot be forged: awc
/// never gets an interim answer, reads what was sent, takes nothing for whole that is not, and
/// all of that whatever the pieces in which it comes.
///
/// # Panics
/// When that does not hold, and when no runtime can be had.
pub fn framing(input: &[u8]) {
    let server = MemoryServer::start();
    assert!(server.is_ok(), "no runtime");
    let Ok(server) = server else { return };
    let line_end = input.iter().position(|byte| *byte == b'\n');
    let (options, answer) = input.split_at(line_end.map_or(input.len(), |at| at + 1));
    let proves_end = options.trim_ascii_end().ends_with(b"tls");

    let whole = Received::of(&server, answer, usize::MAX, proves_end);
    for piece in [1, 2, 7, 61] {
        let split = Received::of(&server, answer, piece, proves_end);
        assert_eq!(split, whole, "in pieces of {piece}");
    }
    if let Some(sent) = sent(answer)
        && let Some(body) = whole.plain_body()
    {
        assert!(sent == body, "{body:?} is not {sent:?}");
    }
    every_frame_holds(&server, answer);
}

/// What was read of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Received {
    answer: Result<ReadAnswer, SendError>,
    end: ReplayEnd,
}

/// An answer that awc has read.
#[derive(Debug, PartialEq, Eq)]
struct ReadAnswer {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    /// None if it broke off.
    body: Option<Vec<u8>>,
}

impl Received {
    fn of(server: &MemoryServer, answer: &[u8], piece: usize, proves_end: bool) -> Self {
        let pieces = || -> Vec<io::Result<Vec<u8>>> {
            let pieces = answer.chunks(piece);
            pieces.map(|piece| Ok(piece.to_vec())).collect()
        };
        let replay = replay(pieces(), proves_end);
        assert!(replay.most_held <= answer.len() + MAX_GROWTH);

        let end = replay.end;
        let read = server.answer(pieces(), proves_end, MAX_BODY);
        // awc refuses nothing that the filter passes on.
        let is_passed = replay.passed.windows(4).any(|end| end == b"\r\n\r\n");
        assert!(read.is_ok() || !is_passed, "{:?}", replay.passed);
        let answer = read.map(|answer| {
            assert!(!answer.status.is_informational(), "{}", answer.status);
            let is_encoded = answer.headers.contains_key("content-encoding");
            let (body, is_expected) = match answer.body {
                Body::Whole(body) => (
                    Some(body.to_vec()),
                    matches!(end, ReplayEnd::Usable | ReplayEnd::Over),
                ),
                Body::Unverified(body) => (Some(body.to_vec()), end == ReplayEnd::Unproven),
                Body::Cut => (
                    None,
                    is_encoded || matches!(end, ReplayEnd::Cut | ReplayEnd::Refused(_)),
                ),
                Body::Unreadable => (None, is_encoded),
            };
            assert!(is_expected, "{end:?} of {:?}", replay.passed);
            let headers = answer.headers.iter();
            let headers =
                headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
            let mut headers: Vec<_> = headers.collect();
            // Names come in no order; the values of one do.
            headers.sort_by(|(one, _), (other, _)| one.cmp(other));
            ReadAnswer {
                status: answer.status.as_u16(),
                headers,
                body,
            }
        });
        Self { answer, end }
    }

    fn whole_body(&self) -> Option<&[u8]> {
        self.answer.as_ref().ok()?.body.as_deref()
    }

    /// The body, if it is whole and as it was sent.
    fn plain_body(&self) -> Option<&[u8]> {
        let headers = &self.answer.as_ref().ok()?.headers;
        let is_plain = headers.iter().all(|(name, _)| name != "content-encoding");
        self.whole_body().filter(|_| is_plain)
    }
}

/// The body of an answer as far as it came, where that can be told without the filter: not
/// with chunks, nor with lines that belong together.
fn sent(mut answer: &[u8]) -> Option<Vec<u8>> {
    loop {
        let mut space = [httparse::EMPTY_HEADER; 96];
        let mut head = httparse::Response::new(&mut space);
        let mut parser = httparse::ParserConfig::default();
        parser.allow_spaces_after_header_name_in_responses(true);
        let httparse::Status::Complete(length) = parser.parse_response(&mut head, answer).ok()?
        else {
            return None;
        };
        answer = &answer[length..];
        match head.code? {
            100..=199 => continue,
            204 | 304 => return Some(Vec::new()),
            _ => {}
        }
        let field = |name| {
            let mut fields = head.headers.iter();
            fields.find(|field| field.name.eq_ignore_ascii_case(name))
        };
        if field("transfer-encoding").is_some() {
            return None;
        }
        let Some(announced) = field("content-length") else {
            return Some(answer.to_vec());
        };
        let announced: usize = String::from_utf8_lossy(announced.value)
            .trim()
            .parse()
            .ok()?;
        return Some(answer[..announced.min(answer.len())].to_vec());
    }
}

/// A body is the same in every framing.
fn every_frame_holds(server: &MemoryServer, plain: &[u8]) {
    use ReplayEnd::{Over, Usable};
    let with_length = |head: &str| {
        let head = format!("{head}Content-Length: {}\r\n\r\n", plain.len());
        [head.as_bytes(), plain].concat()
    };
    let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in plain.chunks(19) {
        chunked.extend_from_slice(format!("{:X};a=b\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\nA: b\r\n\r\n");
    let interim = b"HTTP/1.1 103 Early\r\nContent-Length: 9\r\n\r\n";
    for (answer, end) in [
        (with_length("HTTP/1.1 200 OK\r\n"), Usable),
        (with_length("HTTP/1.0 200 OK\r\n"), Usable),
        (with_length("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n"), Usable),
        (chunked, Usable),
        ([b"HTTP/1.1 200 OK\r\n\r\n", plain].concat(), Over),
    ] {
        for answer in [[&interim[..], &answer].concat(), answer] {
            for piece in [3, usize::MAX] {
                let received = Received::of(server, &answer, piece, true);
                assert_eq!(received.end, end);
                assert_eq!(received.whole_body(), Some(plain));
            }
        }
    }
}
