//! Answers as they come over a connection, in pieces: what awc makes of what the filter below
//! it passes on.

use actix_http::h1::{ClientCodec, Message, MessageType};
use actix_http::{RequestHead, RequestHeadType, ServiceConfig, body::BodySize};
use actix_web::http::Method;
use actix_web::web::BytesMut;
use tokio::task::LocalSet;
use tokio_util::codec::{Decoder, Encoder};

use crate::transport::{ReplayEnd, replay};

/// Longer heads are refused, at a length that depends on the pieces.
const MAX_ANSWER: usize = 64 * 1024;
/// How much a head may grow when it is rewritten, in bytes.
const MAX_GROWTH: usize = 1024;

/// An answer behind a line with the method, and `tls` if its end is proven: awc never gets an
/// interim answer, reads what was sent, takes nothing for whole that is not, and all of that
/// whatever the pieces in which it comes.
pub fn framing(input: &[u8]) {
    let line_end = input.iter().position(|byte| *byte == b'\n');
    let (options, answer) = input.split_at(line_end.map_or(input.len(), |at| at + 1));
    let is_head = options.starts_with(b"HEAD");
    let proves_end = options.trim_ascii_end().ends_with(b"tls");
    let answer = &answer[..answer.len().min(MAX_ANSWER)];

    let whole = Received::of(answer, usize::MAX, is_head, proves_end);
    for piece in [1, 2, 7, 61] {
        let split = Received::of(answer, piece, is_head, proves_end);
        assert_eq!(split, whole, "in pieces of {piece}");
    }
    if let Some(sent) = sent(answer, is_head)
        && !whole.head.is_empty()
    {
        let is_broken = whole.end == ReplayEnd::Misframed;
        assert!(sent == whole.body || is_broken && sent.starts_with(&whole.body));
    }
    every_frame_holds(answer);
}

thread_local! {
    /// Of awc's. It starts a clock, which must have a place, though it never runs.
    static CONFIG: ServiceConfig = {
        let tasks = LocalSet::new();
        let _entered = tasks.enter();
        ServiceConfig::default()
    };
}

/// What awc has read of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Received {
    head: Vec<u8>,
    body: Vec<u8>,
    end: ReplayEnd,
}

impl Received {
    fn of(answer: &[u8], piece: usize, is_head: bool, proves_end: bool) -> Self {
        let method = if is_head { Method::HEAD } else { Method::GET };
        let request = format!("{method} / HTTP/1.1\r\n\r\n");
        let replay = replay(request.as_bytes(), answer, piece, proves_end);
        assert!(replay.most_held <= answer.len() + MAX_GROWTH);
        let is_proper = matches!(replay.end, ReplayEnd::Usable | ReplayEnd::Over);

        let mut rest = BytesMut::from(&replay.passed[..]);
        let mut received = Self {
            head: Vec::new(),
            body: Vec::new(),
            end: replay.end,
        };
        let mut codec = awc_after_request(method);
        let Ok(Some(head)) = codec.decode(&mut rest) else {
            // awc refuses a head with two of these.
            let text = String::from_utf8_lossy(&replay.passed).to_ascii_lowercase();
            assert!(
                rest.is_empty() || text.matches("host").count() > 1,
                "{text}"
            );
            return received;
        };
        assert!(!head.status.is_informational(), "{}", head.status);
        received.head = replay.passed[..replay.passed.len() - rest.len()].to_vec();
        // That would be another protocol.
        assert!(!matches!(codec.message_type(), MessageType::Stream));
        let is_whole = match codec.message_type() {
            MessageType::None => true,
            MessageType::Payload | MessageType::Stream => {
                let mut codec = codec.into_payload_codec();
                loop {
                    match codec.decode(&mut rest) {
                        Ok(Some(Some(chunk))) => received.body.extend_from_slice(&chunk),
                        Ok(Some(None)) => break true,
                        Ok(None) | Err(_) => break false,
                    }
                }
            }
        };
        assert_eq!(is_whole, is_proper, "{:?}", replay.end);
        assert!(!is_whole || rest.is_empty(), "{rest:?}");
        received
    }
}

/// The part of awc that reads an answer, behind a request.
fn awc_after_request(method: Method) -> ClientCodec {
    let mut codec = CONFIG.with(|config| ClientCodec::new(config.clone()));
    let mut head = RequestHead::default();
    head.method = method;
    let request = Message::Item((RequestHeadType::from(head), BodySize::None));
    assert!(codec.encode(request, &mut BytesMut::new()).is_ok());
    codec
}

/// The body of an answer as far as it came, where that can be told without the filter: not
/// with chunks, nor with lines that belong together.
fn sent(mut answer: &[u8], is_head: bool) -> Option<Vec<u8>> {
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
            _ if is_head => return Some(Vec::new()),
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
fn every_frame_holds(plain: &[u8]) {
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
                let received = Received::of(&answer, piece, false, true);
                assert_eq!((received.body.as_slice(), received.end), (plain, end));
            }
        }
    }
}
