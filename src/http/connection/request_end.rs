//! Where a request ends in a stream of bytes: the blank line after its head, and the length
//! or the last chunk of its body.
//!
//! Only to pass no more than one request to HTTP at a time. What a request means is for the
//! HTTP library to say: it refuses whatever is malformed, and reads nothing after that.

use actix_web::http::header::{self, HeaderMap};
use memchr::memchr;

/// The search for the end of a head (RFC 9112 section 2.1). Blank lines before it are not
/// part of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeadScan {
    begun: bool,
    line: LinePart,
    /// Bytes of the present line.
    line_bytes: usize,
    has_long_line: bool,
}

/// The longest line of a head, in bytes: the library panics at a header's name of 64 KiB.
pub const MAX_LINE: usize = 65_000;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum LinePart {
    #[default]
    Text,
    /// At the beginning of a line.
    Start,
    /// After the CR that is the first byte of a line.
    Return,
}

impl HeadScan {
    /// Whether anything but blank lines was received.
    pub fn has_begun(self) -> bool {
        self.begun
    }

    /// Whether a line was longer than [`MAX_LINE`].
    pub fn has_long_line(self) -> bool {
        self.has_long_line
    }

    /// The index behind the head's end, if it is in these bytes, which follow those of the
    /// calls before.
    pub fn end_in(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        if !self.begun {
            at = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n'))?;
            self.begun = true;
        }
        loop {
            let next = *bytes.get(at)?;
            self.line = match (self.line, next) {
                (LinePart::Start | LinePart::Return, b'\n') => return Some(at + 1),
                (LinePart::Start, b'\r') => LinePart::Return,
                (LinePart::Start | LinePart::Return, _) => LinePart::Text,
                (LinePart::Text, _) => {
                    let end = memchr(b'\n', &bytes[at..]);
                    self.line_bytes += end.unwrap_or(bytes.len() - at);
                    self.has_long_line |= self.line_bytes > MAX_LINE;
                    at += end?;
                    self.line_bytes = 0;
                    LinePart::Start
                }
            };
            at += 1;
        }
    }
}

/// What a body still lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyScan {
    /// This many bytes.
    Length(u64),
    /// Its last chunk.
    Chunked(ChunkPart),
}

/// A place in a chunked body (RFC 9112 section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkPart {
    /// The digits of a chunk's size.
    Size(u64),
    /// The rest of the line with the size.
    Extension(u64),
    /// The chunk's data, with the line break behind it.
    Data(u64),
    /// The lines after the last chunk.
    Trailer {
        /// Whether the present line is empty so far.
        blank: bool,
        /// Whether the last byte was the CR that begins a line's end.
        ending: bool,
    },
    /// Behind the body.
    End,
    /// In the lines after the last chunk a CR or LF stands alone, which recipients read
    /// differently (RFC 9112 section 2.2).
    Malformed,
}

impl BodyScan {
    /// The body that a head announces, if it announces one (RFC 9112 section 6.3).
    pub fn announced(headers: &HeaderMap) -> Option<Self> {
        if headers.contains_key(header::TRANSFER_ENCODING) {
            return Some(Self::Chunked(ChunkPart::Size(0)));
        }
        let length = headers.get(header::CONTENT_LENGTH)?;
        let length = length.to_str().ok()?.trim().parse().ok()?;
        (length > 0).then_some(Self::Length(length))
    }

    /// Whether all of it was received.
    pub fn is_complete(self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(ChunkPart::End))
    }

    /// Whether it cannot be told where it ends.
    pub fn is_malformed(self) -> bool {
        matches!(self, Self::Chunked(ChunkPart::Malformed))
    }

    /// How many of these bytes belong to the body; they are taken as received.
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Length(left) => take_from(left, bytes),
            Self::Chunked(part) => {
                let mut taken = 0;
                while taken < bytes.len() && !matches!(part, ChunkPart::End | ChunkPart::Malformed)
                {
                    taken += part.step(&bytes[taken..]);
                }
                taken
            }
        }
    }
}

impl ChunkPart {
    /// The beginning of a line after the last chunk.
    const TRAILER: Self = Self::Trailer {
        blank: true,
        ending: false,
    };

    /// Takes one byte, or as many of a chunk's data as there are.
    fn step(&mut self, bytes: &[u8]) -> usize {
        if let Self::Data(left) = self {
            let taken = take_from(left, bytes);
            if *left == 0 {
                *self = Self::Size(0);
            }
            return taken;
        }
        let Some(&byte) = bytes.first() else {
            return 0;
        };
        *self = match (*self, byte) {
            (Self::Size(0) | Self::Extension(0), b'\n') => Self::TRAILER,
            (Self::Size(size) | Self::Extension(size), b'\n') => Self::Data(size.saturating_add(2)),
            (Self::Size(size), _) => match char::from(byte).to_digit(16) {
                Some(digit) => Self::Size(size.saturating_mul(16).saturating_add(digit.into())),
                None => Self::Extension(size),
            },
            (Self::Trailer { blank, ending }, byte) => match (ending, byte) {
                (true, b'\n') if blank => Self::End,
                (true, b'\n') => Self::TRAILER,
                (true, _) | (false, b'\n') => Self::Malformed,
                (false, b'\r') => Self::Trailer {
                    blank,
                    ending: true,
                },
                (false, _) => Self::Trailer {
                    blank: false,
                    ending: false,
                },
            },
            (other, _) => other,
        };
        1
    }
}

fn take_from(left: &mut u64, bytes: &[u8]) -> usize {
    let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
    *left -= taken as u64;
    taken
}

/// The length that a whole head announces for its body; 0 if it announces none. A head in
/// which this could be mistaken is refused by the HTTP library.
pub fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length:";
    let mut lines = head.split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(NAME.len())?;
        name.eq_ignore_ascii_case(NAME).then_some(value)
    });
    let text = value.and_then(|value| str::from_utf8(value).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The scan's answer must not depend on how the bytes are split.
    fn head_end(text: &str) -> Option<usize> {
        let bytes = text.as_bytes();
        let whole = HeadScan::default().end_in(bytes);
        for split in 0..bytes.len() {
            let (first, second) = bytes.split_at(split);
            let mut scan = HeadScan::default();
            let end = scan
                .end_in(first)
                .or_else(|| Some(split + scan.end_in(second)?));
            assert_eq!(end, whole, "{text:?} split at {split}");
        }
        whole
    }

    #[test]
    fn a_head_ends_with_its_first_blank_line() {
        for (text, rest) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", Some("")),
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET", Some("GET")),
            ("GET / HTTP/1.1\nHost: x\n\nGET\n\n", Some("GET\n\n")),
            ("\r\n\r\n\nGET / HTTP/1.0\r\n\nrest", Some("rest")),
            ("GET / HTTP/1.1\r\n\rx\r\n\r\nrest", Some("rest")),
            ("GET / HTTP/1.1\r\nHost: x\r\n\r", None),
            ("GET / HTTP/1.1\r\nHost: x\r\n", None),
            ("\r\n\r\n\r\n", None),
            ("", None),
        ] {
            let expected = rest.map(|rest| text.len() - rest.len());
            assert_eq!(head_end(text), expected, "{text:?}");
        }
    }

    fn body_end(scan: BodyScan, text: &str) -> Option<usize> {
        let bytes = text.as_bytes();
        let mut whole = scan;
        let taken = whole.take(bytes);
        for split in 0..bytes.len() {
            let (first, second) = bytes.split_at(split);
            let mut scan = scan;
            let mut parts = scan.take(first);
            parts += scan.take(second);
            assert_eq!((parts, scan), (taken, whole), "{text:?} split at {split}");
        }
        whole.is_complete().then_some(taken)
    }

    #[test]
    fn a_body_ends_with_its_length_or_its_last_chunk() {
        let chunked = BodyScan::Chunked(ChunkPart::Size(0));
        for (scan, text, rest) in [
            (BodyScan::Length(3), "abcGET", Some("GET")),
            (BodyScan::Length(3), "ab", None),
            (chunked, "0\r\n\r\nGET", Some("GET")),
            (chunked, "3\r\nabc\r\n0\r\n\r\nGET", Some("GET")),
            (
                chunked,
                "A;x=\"0\"\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n",
                Some(""),
            ),
            (
                chunked,
                "1 \r\nx\r\n000\r\nTrailer: 1\r\n\r\nGET",
                Some("GET"),
            ),
            (chunked, "0\r\nTrailer: 1\r\n", None),
            (chunked, "ffffffffffffffffff\r\nx", None),
            (chunked, "", None),
        ] {
            let expected = rest.map(|rest| text.len() - rest.len());
            assert_eq!(body_end(scan, text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_announced_length_is_found_at_the_beginning_of_a_line() {
        for (head, length) in [
            ("POST / HTTP/1.1\r\ncontent-LENGTH: 12\r\n\r\n", 12),
            ("POST / HTTP/1.1\nContent-Length:7\n\n", 7),
            ("POST / HTTP/1.1\r\nX: Content-Length: 9\r\n\r\n", 0),
            ("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 0),
            ("GET / HTTP/1.1\r\n\r\n", 0),
        ] {
            assert_eq!(content_length(head.as_bytes()), length, "{head:?}");
        }
    }

    #[test]
    fn lines_after_the_last_chunk_end_with_cr_lf_alone() {
        for text in [
            "0\r\nA\n\r\n",
            "0\r\n\n",
            "0\r\nA\r\r\n\r\n",
            "0\r\nA: b\rc\r\n\r\n",
        ] {
            let mut scan = BodyScan::Chunked(ChunkPart::Size(0));
            scan.take(format!("{text}GET / HTTP/1.1").as_bytes());
            assert!(scan.is_malformed() && !scan.is_complete(), "{text:?}");
        }
    }
}
