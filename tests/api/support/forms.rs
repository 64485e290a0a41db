//! The forms in which one answer can be put on the wire, legal and broken.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

/// How an answer is put on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In this framing and coding, and with a byte order mark or without.
    Legal(Framing, Coding, bool),
    /// Legal, and followed by a refusal that answers no request.
    Followed(Framing),
    Broken(Fault),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Length,
    Chunked,
    /// Chunks with extensions, and trailers.
    Trailers,
    /// HTTP/1.1 without a length, ended by closing.
    Close,
    OldClose,
    OldLength,
    Continue,
    EarlyHints,
    /// Many interim answers.
    Interim,
    InterimClose,
    /// A header that goes on in the next line.
    Folded,
    /// Another protocol is offered.
    Upgrade,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    None,
    Identity,
    Empty,
    Gzip,
    XGzip,
    /// gzip in three members, the first one empty.
    Members,
    /// gzip of gzip.
    Twice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    BytesBehindGzip,
    CutGzip,
    CutSecondMember,
    UnknownCoding,
    CutChunked,
    MalformedChunk,
    ShortLength,
    CutClose,
    LengthAndChunked,
    TwoLengths,
    OldChunked,
    SwitchingProtocols,
}

pub const FRAMINGS: [Framing; 12] = [
    Framing::Length,
    Framing::Chunked,
    Framing::Trailers,
    Framing::Close,
    Framing::OldClose,
    Framing::OldLength,
    Framing::Continue,
    Framing::EarlyHints,
    Framing::Interim,
    Framing::InterimClose,
    Framing::Folded,
    Framing::Upgrade,
];

pub const CODINGS: [Coding; 7] = [
    Coding::None,
    Coding::Identity,
    Coding::Empty,
    Coding::Gzip,
    Coding::XGzip,
    Coding::Members,
    Coding::Twice,
];

pub const FAULTS: [Fault; 12] = [
    Fault::BytesBehindGzip,
    Fault::CutGzip,
    Fault::CutSecondMember,
    Fault::UnknownCoding,
    Fault::CutChunked,
    Fault::MalformedChunk,
    Fault::ShortLength,
    Fault::CutClose,
    Fault::LengthAndChunked,
    Fault::TwoLengths,
    Fault::OldChunked,
    Fault::SwitchingProtocols,
];

pub const PLAIN: Form = Form::Legal(Framing::Length, Coding::None, false);

impl Form {
    /// Every legal form.
    pub fn legal() -> impl Iterator<Item = Self> {
        FRAMINGS.into_iter().flat_map(|framing| {
            CODINGS.into_iter().flat_map(move |coding| {
                [false, true].map(|mark| Self::Legal(framing, coding, mark))
            })
        })
    }

    /// Each framing and each coding at least once, and each framing with a decoder.
    pub fn some_legal() -> Vec<Self> {
        let framings = FRAMINGS.into_iter().enumerate();
        let all = framings.flat_map(|(n, framing)| {
            let coding = CODINGS[n % CODINGS.len()];
            [
                Self::Legal(framing, coding, n % 2 == 0),
                Self::Legal(framing, Coding::Members, n % 2 == 1),
            ]
        });
        all.collect()
    }

    pub fn broken() -> impl Iterator<Item = Self> {
        FAULTS.into_iter().map(Self::Broken)
    }

    /// A name that can be part of an offer's id and of an address.
    pub fn name(&self) -> String {
        let name = format!("{self:?}");
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let name: String = name.chars().filter(|c| *c != ' ').map(plain).collect();
        name.trim_end_matches('-').to_owned()
    }

    /// The bytes of an answer with this status and these headers (lines with their ends), and
    /// whether the connection is closed behind it.
    pub fn bytes(&self, status: &str, headers: &str, body: &[u8]) -> (Vec<u8>, bool) {
        match *self {
            Self::Legal(framing, coding, mark) => {
                let mark: &[u8] = if mark { "\u{feff}".as_bytes() } else { b"" };
                let (named, body) = coded(coding, &[mark, body].concat());
                legal(framing, status, &format!("{headers}{named}"), &body)
            }
            Self::Followed(framing) => {
                let (mut all, closes) = legal(framing, status, headers, body);
                all.extend_from_slice(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
                (all, closes)
            }
            Self::Broken(fault) => (broken(fault, status, headers, body), true),
        }
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn coded(coding: Coding, body: &[u8]) -> (&'static str, Vec<u8>) {
    let (one, two) = body.split_at(body.len() / 2);
    match coding {
        Coding::None => ("", body.to_vec()),
        Coding::Identity => ("Content-Encoding: identity\r\n", body.to_vec()),
        Coding::Empty => ("Content-Encoding:\r\n", body.to_vec()),
        Coding::Gzip => ("Content-Encoding: gzip\r\n", gzip(body)),
        Coding::XGzip => ("content-encoding: X-GZIP\r\n", gzip(body)),
        Coding::Members => (
            "Content-Encoding: gzip\r\n",
            [gzip(b""), gzip(one), gzip(two)].concat(),
        ),
        Coding::Twice => (
            "Content-Encoding: gzip\r\nContent-Encoding: identity, gzip\r\n",
            gzip(&gzip(body)),
        ),
    }
}

/// Two chunks, each with this behind its size.
fn chunks(body: &[u8], extension: &str) -> Vec<u8> {
    let (one, two) = body.split_at(body.len() / 2);
    let mut all = Vec::new();
    for part in [one, two].into_iter().filter(|part| !part.is_empty()) {
        write!(all, "{:X}{extension}\r\n", part.len()).unwrap();
        all.extend_from_slice(part);
        all.extend_from_slice(b"\r\n");
    }
    all
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    [head.as_bytes(), b"\r\n", body].concat()
}

fn legal(framing: Framing, status: &str, headers: &str, body: &[u8]) -> (Vec<u8>, bool) {
    let head = format!("HTTP/1.1 {status}\r\n{headers}");
    let old = format!("HTTP/1.0 {status}\r\n{headers}");
    let length = format!("Content-Length: {}\r\n", body.len());
    let chunked = "Transfer-Encoding: chunked\r\n";
    let end: &[u8] = b"0\r\n\r\n";
    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n";
    let many = format!("{interim}HTTP/1.1 102 Processing\r\n\r\n{hints}").repeat(7);
    let all = match framing {
        Framing::Length => answer(&format!("{head}{length}"), body),
        Framing::Chunked => answer(
            &format!("{head}{chunked}"),
            &[&chunks(body, ""), end].concat(),
        ),
        Framing::Trailers => {
            let last = b"000;last\r\nDigest: x\r\nX-More: y\r\n\r\n";
            let body = [&chunks(body, " ;a=b;c=\"d; e\""), &last[..]].concat();
            answer(&format!("{head}{chunked}"), &body)
        }
        Framing::Close => answer(&head, body),
        Framing::OldClose => answer(&old, body),
        Framing::OldLength => answer(&format!("{old}{length}"), body),
        Framing::Continue => answer(&format!("{interim}{head}{length}"), body),
        Framing::EarlyHints => answer(
            &format!("{hints}{head}{chunked}"),
            &[&chunks(body, ""), end].concat(),
        ),
        Framing::Interim => answer(&format!("{many}{head}{length}"), body),
        Framing::InterimClose => answer(&format!("{interim}{head}"), body),
        Framing::Folded => answer(&format!("{head}X-Folded: a,\r\n b\r\n{length}"), body),
        Framing::Upgrade => answer(
            &format!("{head}Upgrade: websocket\r\nConnection: Upgrade\r\n{length}"),
            body,
        ),
    };
    let closes = [
        Framing::Close,
        Framing::OldClose,
        Framing::OldLength,
        Framing::InterimClose,
    ];
    (all, closes.contains(&framing))
}

fn broken(fault: Fault, status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}");
    let gzipped = gzip(body);
    let encoded = |body: &[u8]| {
        let length = body.len();
        let head = format!("{head}Content-Encoding: gzip\r\nContent-Length: {length}\r\n");
        answer(&head, body)
    };
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n");
    let whole = [&chunks(body, ""), &b"0\r\n\r\n"[..]].concat();
    let length = format!("Content-Length: {}\r\n", body.len());
    match fault {
        Fault::BytesBehindGzip => encoded(&[&gzipped, &b"{\"error\":1}"[..]].concat()),
        Fault::CutGzip => encoded(&gzipped[..gzipped.len() - 1]),
        Fault::CutSecondMember => encoded(&[&gzipped, &gzip(b" ")[..12]].concat()),
        Fault::UnknownCoding => answer(&format!("{head}Content-Encoding: br\r\n{length}"), body),
        Fault::CutChunked => answer(&chunked, &chunks(body, "")),
        Fault::MalformedChunk => answer(&chunked, &[&chunks(body, ""), &b"x\r\n"[..]].concat()),
        Fault::ShortLength => {
            let more = format!("{head}Content-Length: {}\r\n", body.len() + 1);
            answer(&more, body)
        }
        Fault::CutClose => answer(&head, &body[..body.len() - 1]),
        Fault::LengthAndChunked => answer(&format!("{chunked}{length}"), &whole),
        Fault::TwoLengths => answer(&format!("{head}{length}{length}"), body),
        Fault::OldChunked => {
            let old = format!("HTTP/1.0 {status}\r\n{headers}Transfer-Encoding: chunked\r\n");
            answer(&old, &whole)
        }
        Fault::SwitchingProtocols => {
            let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n";
            answer(&format!("{switch}{head}{length}"), body)
        }
    }
}
