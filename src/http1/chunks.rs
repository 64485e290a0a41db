//! Where a chunked body ends (RFC 9112 section 7.1).
//!
//! Every line must end with CR LF, and a CR or LF may stand nowhere else in it: recipients
//! disagree about those, and then about where a body ends (section 2.2).

/// How far a chunked body has been read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chunks(ChunkPart);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum ChunkPart {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunksRead {
    /// All of the body, and more has to come.
    Part,
    /// So many of them end the body.
    Whole(usize),
    /// What follows so many of them is no chunked body.
    Malformed(usize),
}

impl Chunks {
    /// Reads on. Nothing may be read behind the end, or behind what is malformed.
    pub fn read(&mut self, bytes: &[u8]) -> ChunksRead {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if let ChunkPart::Data(missing) = &mut self.0 {
                let wanted = usize::try_from(*missing).unwrap_or(usize::MAX);
                let taken = wanted.min(bytes.len() - at);
                *missing -= taken as u64;
                at += taken;
                if *missing == 0 {
                    self.0 = ChunkPart::DataEnd;
                }
                continue;
            }
            if (self.0, *byte) == (ChunkPart::LastLineFeed, b'\n') {
                return ChunksRead::Whole(at + 1);
            }
            let Some(next) = self.0.after(*byte) else {
                return ChunksRead::Malformed(at);
            };
            self.0 = next;
            at += 1;
        }
        ChunksRead::Part
    }

    /// Whether the last chunk has been read, and with it all data.
    #[must_use]
    pub fn is_behind_last_chunk(self) -> bool {
        use ChunkPart::{LastLineFeed, Line, Trailer, TrailerEnd};
        matches!(self.0, Line | Trailer | TrailerEnd | LastLineFeed)
    }
}

impl ChunkPart {
    /// The state after one more byte that is not data; none if it must not come here.
    fn after(self, byte: u8) -> Option<Self> {
        let is_text = matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
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
            (Self::Extension(size), _) if is_text => Self::Extension(size),
            (Self::SizeEnd(0), b'\n') => Self::Line,
            (Self::SizeEnd(size), b'\n') => Self::Data(size),
            (Self::DataEnd, b'\r') => Self::DataLineFeed,
            (Self::DataLineFeed, b'\n') => Self::Size,
            (Self::Line, b'\r') => Self::LastLineFeed,
            (Self::Trailer, b'\r') => Self::TrailerEnd,
            (Self::Line | Self::Trailer, _) if is_text => Self::Trailer,
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
            ("0\r\n\r\n", ChunksRead::Whole(5)),
            ("0\r\n\r\nHTTP/1.1 200 OK", ChunksRead::Whole(5)),
            ("2\r\n{}\r\n0\r\n\r\n", ChunksRead::Whole(12)),
            ("2\r\n{}\r\n0\r\n\r", ChunksRead::Part),
            ("2\r\n{}\r\n", ChunksRead::Part),
            (
                "0A\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n",
                ChunksRead::Whole(21),
            ),
            ("2;a=b;c=\"d\"\r\n{}\r\n00;x\r\n\r\n", ChunksRead::Whole(25)),
            ("2 \t\r\n{}\r\n0 ;x\r\n\r\n", ChunksRead::Whole(17)),
            ("0\r\nA: b\r\nC: d\r\n\r\n", ChunksRead::Whole(17)),
            ("ffffffffffffffff\r\n{", ChunksRead::Part),
            ("10000000000000000\r\n{", ChunksRead::Malformed(16)),
            ("", ChunksRead::Part),
            ("x", ChunksRead::Malformed(0)),
            ("\r\n", ChunksRead::Malformed(0)),
            ("-1\r\n", ChunksRead::Malformed(0)),
            ("2\n{}", ChunksRead::Malformed(1)),
            ("2 2\r\n{}", ChunksRead::Malformed(2)),
            ("2\r\n{}0\r\n\r\n", ChunksRead::Malformed(5)),
            ("2;\0\r\n{}", ChunksRead::Malformed(2)),
            ("0\r\n\r\r\n", ChunksRead::Malformed(4)),
            ("0\r\n\n", ChunksRead::Malformed(3)),
            ("0\r\nA\n\r\n", ChunksRead::Malformed(4)),
            ("0\r\nA\r\r\n\r\n", ChunksRead::Malformed(5)),
            ("0\r\nA: b\rc\r\n\r\n", ChunksRead::Malformed(8)),
            ("0\r\nA: \0\r\n\r\n", ChunksRead::Malformed(6)),
            ("0;x\n\r\n", ChunksRead::Malformed(3)),
        ] {
            assert_eq!(
                Chunks::default().read(text.as_bytes()),
                expected,
                "{text:?}"
            );
            // However it is split.
            let mut chunks = Chunks::default();
            let mut last = ChunksRead::Part;
            for at in 0..text.len() {
                last = match chunks.read(&text.as_bytes()[at..=at]) {
                    ChunksRead::Part => continue,
                    ChunksRead::Whole(length) => ChunksRead::Whole(at + length),
                    ChunksRead::Malformed(length) => ChunksRead::Malformed(at + length),
                };
                break;
            }
            assert_eq!(last, expected, "{text:?}");
        }
    }
}
