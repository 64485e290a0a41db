//! Where a head ends: with its first blank line (RFC 9112 section 2.1).

use memchr::memchr;

/// The longest line of a head, in bytes: actix-http panics at a header's name of 64 KiB.
const MAX_LINE: usize = 65_000;

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
    #[must_use]
    pub fn has_begun(self) -> bool {
        self.begun
    }

    /// Whether a line was longer than 65,000 bytes, which no library has to read.
    #[must_use]
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
}
