//! Where a chunked body ends (RFC 9112 section 7.1).

/// How far a chunked body has been read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Chunks {
    /// At the size of a chunk.
    #[default]
    Size,
    /// Behind a digit of the size.
    SizeDigit(u64),
    /// Behind the size.
    SizeBlank(u64),
    /// In an extension.
    Extension(u64),
    /// At the line feed behind the size.
    SizeEnd(u64),
    /// In the data of a chunk, of which so many bytes are missing.
    Data(u64),
    /// Behind the data.
    DataEnd,
    /// At the line feed behind the data.
    DataLineFeed,
    /// At the beginning of a line behind the last chunk.
    Line,
    /// In a trailer field.
    Trailer,
    /// At the line feed behind it.
    TrailerEnd,
    /// At the last line feed.
    LastLineFeed,
}

/// What some bytes were.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// All of the body, and more has to come.
    Part,
    /// So many of them end the body.
    Whole(usize),
    /// What follows so many of them is no chunked body.
    Malformed(usize),
}

impl Chunks {
    /// Reads on.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Read {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if let Self::Data(missing) = self {
                let wanted = usize::try_from(*missing).unwrap_or(usize::MAX);
                let taken = wanted.min(bytes.len() - at);
                *missing -= taken as u64;
                at += taken;
                if *missing == 0 {
                    *self = Self::DataEnd;
                }
                continue;
            }
            if (*self, *byte) == (Self::LastLineFeed, b'\n') {
                return Read::Whole(at + 1);
            }
            let Some(next) = self.after(*byte) else {
                return Read::Malformed(at);
            };
            *self = next;
            at += 1;
        }
        Read::Part
    }

    /// The state after one more byte that is not data; none if it must not come here.
    fn after(self, byte: u8) -> Option<Self> {
        let digit = char::from(byte).to_digit(16).map(u64::from);
        Some(match (self, byte) {
            (Self::Size, _) => Self::SizeDigit(digit?),
            (Self::SizeDigit(size) | Self::SizeBlank(size), b' ' | b'\t') => Self::SizeBlank(size),
            (Self::SizeDigit(size) | Self::SizeBlank(size), b';') => Self::Extension(size),
            (Self::SizeDigit(size) | Self::SizeBlank(size) | Self::Extension(size), b'\r') => {
                Self::SizeEnd(size)
            }
            (Self::SizeDigit(size), _) => {
                Self::SizeDigit(size.checked_mul(16)?.checked_add(digit?)?)
            }
            (Self::Extension(size), b'\t' | b' '..=b'~' | 0x80..) => Self::Extension(size),
            (Self::SizeEnd(0), b'\n') => Self::Line,
            (Self::SizeEnd(size), b'\n') => Self::Data(size),
            (Self::DataEnd, b'\r') => Self::DataLineFeed,
            (Self::DataLineFeed, b'\n') => Self::Size,
            (Self::Line, b'\r') => Self::LastLineFeed,
            (Self::Trailer, b'\r') => Self::TrailerEnd,
            (Self::Line | Self::Trailer, _) => Self::Trailer,
            (Self::TrailerEnd, b'\n') => Self::Line,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found() {
        for (text, expected) in [
            ("0\r\n\r\n", Read::Whole(5)),
            ("0\r\n\r\nHTTP/1.1 200 OK", Read::Whole(5)),
            ("2\r\n{}\r\n0\r\n\r\n", Read::Whole(12)),
            ("2\r\n{}\r\n0\r\n\r", Read::Part),
            ("2\r\n{}\r\n", Read::Part),
            ("0A\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", Read::Whole(21)),
            ("2;a=b;c=\"d\"\r\n{}\r\n00;x\r\n\r\n", Read::Whole(25)),
            ("2 \t\r\n{}\r\n0 ;x\r\n\r\n", Read::Whole(17)),
            ("0\r\nA: b\r\nC: d\r\n\r\n", Read::Whole(17)),
            ("ffffffffffffffff\r\n{", Read::Part),
            ("10000000000000000\r\n{", Read::Malformed(16)),
            ("", Read::Part),
            ("x", Read::Malformed(0)),
            ("\r\n", Read::Malformed(0)),
            ("-1\r\n", Read::Malformed(0)),
            ("2\n{}", Read::Malformed(1)),
            ("2 2\r\n{}", Read::Malformed(2)),
            ("2\r\n{}0\r\n\r\n", Read::Malformed(5)),
            ("2;\0\r\n{}", Read::Malformed(2)),
            ("0\r\n\r\r\n", Read::Malformed(4)),
        ] {
            assert_eq!(
                Chunks::default().read(text.as_bytes()),
                expected,
                "{text:?}"
            );
            // However it is split.
            let mut chunks = Chunks::default();
            let mut last = Read::Part;
            for at in 0..text.len() {
                last = match chunks.read(&text.as_bytes()[at..=at]) {
                    Read::Part => continue,
                    Read::Whole(length) => Read::Whole(at + length),
                    Read::Malformed(length) => Read::Malformed(at + length),
                };
                break;
            }
            assert_eq!(last, expected, "{text:?}");
        }
    }
}
