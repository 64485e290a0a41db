//! A text as somebody may read it: without the characters in between, or decoded. Each byte
//! of a view knows the part of the text that it comes from.

/// Bytes, and where they come from.
pub(super) struct View {
    bytes: Vec<u8>,
    /// Of each byte, the range of the text's bytes.
    origin: Vec<(usize, usize)>,
}

/// How often percent signs and the like are undone in one another.
const MAX_ESCAPES: usize = 4;
/// What may stand between two bytes in hexadecimal.
const SEPARATORS: &[u8] = b":-_.,;|";
/// The HTML entities of characters that tokens and other escapes consist of.
const ENTITIES: [(&[u8], u8); 12] = [
    (b"amp", b'&'),
    (b"bsol", b'\\'),
    (b"dash", b'-'),
    (b"equals", b'='),
    (b"hyphen", b'-'),
    (b"lowbar", b'_'),
    (b"num", b'#'),
    (b"percnt", b'%'),
    (b"period", b'.'),
    (b"plus", b'+'),
    (b"semi", b';'),
    (b"sol", b'/'),
];

/// The visible ASCII characters of a text.
pub(super) fn graphic(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).collect()
}

impl View {
    /// The visible ASCII characters of a text: tokens consist of these alone.
    pub(super) fn of(text: &str) -> Self {
        let mut view = Self::empty();
        for (at, c) in text.char_indices().filter(|(_, c)| c.is_ascii_graphic()) {
            view.push(c, (at, at + 1));
        }
        view
    }

    fn empty() -> Self {
        Self {
            bytes: Vec::new(),
            origin: Vec::new(),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The part of the text that these bytes come from.
    pub(super) fn origin(&self, start: usize, end: usize) -> (usize, usize) {
        let (first, last) = (self.origin[start], self.origin[end - 1]);
        (first.0.min(last.0), first.1.max(last.1))
    }

    /// The same backwards.
    pub(super) fn reversed(&self) -> Self {
        Self {
            bytes: self.bytes.iter().rev().copied().collect(),
            origin: self.origin.iter().rev().copied().collect(),
        }
    }

    /// All that it may be the encoded form of, if at least `shortest` bytes come out.
    pub(super) fn decoded(&self, shortest: usize) -> Vec<Self> {
        let mut views = Vec::new();
        let mut unescaped = self.unescaped();
        for _ in 1..MAX_ESCAPES {
            let Some(again) = unescaped.as_ref().and_then(Self::unescaped) else {
                break;
            };
            unescaped = Some(again);
        }
        views.extend(unescaped);
        views.extend([0, 1].map(|offset| self.hex(offset, shortest)));
        views.extend([0, 1, 2, 3].map(|offset| self.base64(offset, shortest)));
        views.retain(|view| view.bytes.len() >= shortest);
        views
    }

    fn push(&mut self, c: char, origin: (usize, usize)) {
        if let Ok(byte) = u8::try_from(c) {
            self.bytes.push(byte);
            self.origin.push(origin);
        }
    }

    /// Percent signs, HTML entities, the escapes of JSON and JavaScript, and quoted-printable;
    /// none if there are none. What is not visible ASCII is left out.
    fn unescaped(&self) -> Option<Self> {
        let mut view = Self::empty();
        let mut at = 0;
        while at < self.bytes.len() {
            let (c, length) = match escape(&self.bytes[at..]) {
                Some(found) => found,
                None => (char::from(self.bytes[at]), 1),
            };
            if c.is_ascii_graphic() {
                view.push(c, self.origin(at, at + length));
            }
            at += length;
        }
        (view.bytes.len() < self.bytes.len()).then_some(view)
    }

    /// Pairs of hexadecimal digits from the `offset`th digit of each run on.
    fn hex(&self, offset: usize, shortest: usize) -> Self {
        let mut runs = Runs::default();
        let mut at = 0;
        while at < self.bytes.len() {
            let byte = self.bytes[at];
            let is_prefix = byte == b'0' && matches!(self.bytes.get(at + 1), Some(b'x' | b'X'));
            match char::from(byte).to_digit(16) {
                _ if is_prefix => at += 1,
                Some(digit) => runs.push(digit, at),
                None if SEPARATORS.contains(&byte) => {}
                None => runs.end(),
            }
            at += 1;
        }
        self.regroup(&runs, 4, offset, shortest)
    }

    /// Groups of base64 digits, of either alphabet, from the `offset`th of each run on.
    fn base64(&self, offset: usize, shortest: usize) -> Self {
        let mut runs = Runs::default();
        for (at, byte) in self.bytes.iter().enumerate() {
            let digit = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                _ => {
                    runs.end();
                    continue;
                }
            };
            runs.push(digit.into(), at);
        }
        self.regroup(&runs, 6, offset, shortest)
    }

    /// Makes bytes of digits of so many bits.
    fn regroup(&self, runs: &Runs, bits: usize, offset: usize, shortest: usize) -> Self {
        let mut view = Self::empty();
        for run in runs.0.iter().filter(|run| run.len() * bits >= shortest * 8) {
            let (mut value, mut filled) = (0_u32, 0);
            for (index, (digit, at)) in run.iter().enumerate().skip(offset) {
                value = ((value << bits) | digit) & 0xffff;
                filled += bits;
                if filled >= 8 {
                    filled -= 8;
                    let from = run[index - 1].1;
                    let byte = u8::try_from((value >> filled) & 0xff).unwrap_or_default();
                    view.push(byte.into(), self.origin(from, at + 1));
                }
            }
        }
        view
    }
}

/// Digits in a row, and where they are.
#[derive(Default)]
struct Runs(Vec<Vec<(u32, usize)>>);

impl Runs {
    fn push(&mut self, digit: u32, at: usize) {
        match self.0.last_mut() {
            Some(run) => run.push((digit, at)),
            None => self.0.push(vec![(digit, at)]),
        }
    }

    fn end(&mut self) {
        if self.0.last().is_none_or(|run| !run.is_empty()) {
            self.0.push(Vec::new());
        }
    }
}

/// The character that an escape at the beginning stands for, and the escape's length.
fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    match bytes {
        [b'%', b'u' | b'U', rest @ ..] => code(rest, 16, 4..=4, 2),
        [b'%' | b'=', rest @ ..] => code(rest, 16, 2..=2, 1),
        [b'\\', b'u', b'{', rest @ ..] => code(rest, 16, 1..=6, 3),
        [b'\\', b'u', rest @ ..] => code(rest, 16, 4..=4, 2),
        [b'\\', b'U', rest @ ..] => code(rest, 16, 8..=8, 2),
        [b'\\', b'x' | b'X', rest @ ..] => code(rest, 16, 2..=2, 2),
        [b'&', b'#', b'x' | b'X', rest @ ..] => code(rest, 16, 1..=16, 3),
        [b'&', b'#', rest @ ..] => code(rest, 10, 1..=16, 2),
        [b'&', rest @ ..] => ENTITIES.iter().find_map(|(name, c)| {
            let after = rest.strip_prefix(*name)?;
            let length = 1 + name.len() + usize::from(after.first() == Some(&b';'));
            Some((char::from(*c), length))
        }),
        _ => None,
    }
}

/// A number of some digits behind the `start` of an escape; behind it there may be a closing
/// brace or semicolon.
fn code(
    rest: &[u8],
    radix: u32,
    digits: std::ops::RangeInclusive<usize>,
    start: usize,
) -> Option<(char, usize)> {
    let is_digit = |byte: &&u8| char::from(**byte).is_digit(radix);
    let found = rest.iter().take(*digits.end()).take_while(is_digit).count();
    let text = std::str::from_utf8(&rest[..found]).ok()?;
    let number = u32::from_str_radix(text, radix).ok()?;
    let is_open = *digits.start() < *digits.end();
    let is_closed = is_open && matches!(rest.get(found), Some(b'}' | b';'));
    let c = char::from_u32(number).filter(|_| digits.contains(&found))?;
    Some((c, start + found + usize::from(is_closed)))
}
