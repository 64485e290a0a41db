//! A text as somebody may read it: without the characters in between, or decoded. Each byte
//! of a view knows the part of the text that it comes from.

/// Bytes, and where each comes from.
pub(super) struct View<O> {
    bytes: Vec<u8>,
    origin: Vec<O>,
}

/// Where a byte of a view comes from: a range of the text's bytes, or `()` as long as it does
/// not matter.
pub(super) trait Origin: Copy {
    /// These bytes of the text.
    fn range(start: usize, end: usize) -> Self;

    /// From the beginning of the first of both to the end of the last.
    fn through(self, other: Self) -> Self;
}

impl Origin for (usize, usize) {
    fn range(start: usize, end: usize) -> Self {
        (start, end)
    }

    fn through(self, other: Self) -> Self {
        (self.0.min(other.0), self.1.max(other.1))
    }
}

impl Origin for () {
    fn range(_: usize, _: usize) -> Self {}

    fn through(self, _: Self) -> Self {}
}

/// How often percent signs and the like are undone in one another.
const MAX_ESCAPES: usize = 4;
/// How an [`escape`] begins.
const BEGIN_ESCAPE: &[u8] = b"%=\\&";
/// What may stand between two bytes in hexadecimal.
const SEPARATORS: &[u8] = b":-_.,;|";
/// The longest name of an HTML entity.
const MAX_ENTITY: usize = 32;
/// What a character that is left out stands for.
const NOTHING: char = '\0';
/// Stands between two stretches of text in a view.
const GAP: u8 = 0;
/// Stands between two rows of digits in a view.
const NO_DIGIT: u8 = 0xff;
/// The HTML entities of the visible ASCII characters, and those that browsers read without a
/// semicolon and show as nothing.
const ENTITIES: [(&[u8], char); 43] = [
    (b"DiacriticalGrave", '`'),
    (b"Hat", '^'),
    (b"UnderBar", '_'),
    (b"VerticalLine", '|'),
    (b"amp", '&'),
    (b"apos", '\''),
    (b"ast", '*'),
    (b"bsol", '\\'),
    (b"colon", ':'),
    (b"comma", ','),
    (b"commat", '@'),
    (b"dash", '-'),
    (b"dollar", '$'),
    (b"equals", '='),
    (b"excl", '!'),
    (b"grave", '`'),
    (b"gt", '>'),
    (b"hyphen", '-'),
    (b"lbrace", '{'),
    (b"lbrack", '['),
    (b"lcub", '{'),
    (b"lowbar", '_'),
    (b"lpar", '('),
    (b"lsqb", '['),
    (b"lt", '<'),
    (b"midast", '*'),
    (b"nbsp", '\u{a0}'),
    (b"num", '#'),
    (b"percnt", '%'),
    (b"period", '.'),
    (b"plus", '+'),
    (b"quest", '?'),
    (b"quot", '"'),
    (b"rbrace", '}'),
    (b"rbrack", ']'),
    (b"rcub", '}'),
    (b"rpar", ')'),
    (b"rsqb", ']'),
    (b"semi", ';'),
    (b"shy", '\u{ad}'),
    (b"sol", '/'),
    (b"verbar", '|'),
    (b"vert", '|'),
];

/// The visible ASCII characters of a text.
pub(super) fn graphic(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).collect()
}

impl<O: Origin> View<O> {
    /// The visible ASCII characters of a text: tokens consist of these alone.
    pub(super) fn of(text: &str) -> Self {
        let mut view = Self::with_capacity(text.len());
        for (at, byte) in text.bytes().enumerate() {
            if byte.is_ascii_graphic() {
                view.push(byte, O::range(at, at + 1));
            }
        }
        view
    }

    fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            origin: Vec::with_capacity(bytes),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The part of the text that these bytes come from.
    pub(super) fn origin(&self, start: usize, end: usize) -> O {
        self.origin[start].through(self.origin[end - 1])
    }

    fn push(&mut self, byte: u8, origin: O) {
        self.bytes.push(byte);
        self.origin.push(origin);
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
        let (hex, base64) = (self.hex_digits(), self.base64_digits());
        views.extend([0, 1].map(|offset| hex.regrouped(4, offset, shortest)));
        views.extend([0, 1, 2, 3].map(|offset| base64.regrouped(6, offset, shortest)));
        views.retain(|view| view.bytes.len() >= shortest);
        views
    }

    /// Percent signs, HTML entities, the escapes of JSON and JavaScript, and quoted-printable;
    /// none if there are none. What is not visible ASCII is left out.
    fn unescaped(&self) -> Option<Self> {
        if !self.bytes.iter().any(|byte| BEGIN_ESCAPE.contains(byte)) {
            return None;
        }
        let mut view = Self::with_capacity(self.bytes.len());
        let mut at = 0;
        while at < self.bytes.len() {
            let (c, length) = match escape(&self.bytes[at..]) {
                Some(found) => found,
                None => (char::from(self.bytes[at]), 1),
            };
            if let Ok(byte @ b'!'..=b'~') = u8::try_from(c) {
                view.push(byte, self.origin(at, at + length));
            }
            at += length;
        }
        (view.bytes.len() < self.bytes.len()).then_some(view)
    }

    /// The stretches of text in it that are at least so long, without white space: an encoding
    /// is text again, so nothing else is decoded once more. A zero byte keeps them apart.
    pub(super) fn texts(&self, shortest: usize) -> Self {
        let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
        let mut view = Self::with_capacity(0);
        let mut at = 0;
        for stretch in self.bytes.split(|byte| !is_text(byte)) {
            if stretch.len() >= shortest {
                let visible = (at..)
                    .zip(stretch)
                    .filter(|(_, byte)| byte.is_ascii_graphic());
                for (at, byte) in visible {
                    view.push(*byte, self.origin[at]);
                }
                view.push(GAP, self.origin[at]);
            }
            at += stretch.len() + 1;
        }
        view
    }

    /// The values of the hexadecimal digits in a row.
    fn hex_digits(&self) -> Self {
        let mut digits = Self::with_capacity(self.bytes.len());
        let mut at = 0;
        while at < self.bytes.len() {
            let byte = self.bytes[at];
            let is_prefix = byte == b'0' && matches!(self.bytes.get(at + 1), Some(b'x' | b'X'));
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'A'..=b'F' => byte - b'A' + 10,
                b'a'..=b'f' => byte - b'a' + 10,
                _ => NO_DIGIT,
            };
            if is_prefix {
                at += 1;
            } else if digit != NO_DIGIT || !SEPARATORS.contains(&byte) {
                digits.push(digit, self.origin[at]);
            }
            at += 1;
        }
        digits
    }

    /// The values of the base64 digits in a row, of either alphabet.
    fn base64_digits(&self) -> Self {
        let mut digits = Self::with_capacity(self.bytes.len());
        for (byte, origin) in self.bytes.iter().zip(&self.origin) {
            let digit = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                _ => NO_DIGIT,
            };
            digits.push(digit, *origin);
        }
        digits
    }

    /// The bytes that rows of digits of so many bits make, each row from its `offset`th digit
    /// on. Rows that make fewer than `shortest` bytes are left out.
    fn regrouped(&self, bits: usize, offset: usize, shortest: usize) -> Self {
        let mut view = Self::with_capacity(self.bytes.len() * bits / 8);
        let mut start = 0;
        for row in self.bytes.split(|digit| *digit == NO_DIGIT) {
            if row.len() * bits >= shortest * 8 {
                let (mut value, mut filled) = (0_u32, 0);
                for (at, digit) in (start..).zip(row).skip(offset) {
                    value = ((value << bits) | u32::from(*digit)) & 0xffff;
                    filled += bits;
                    if filled >= 8 {
                        filled -= 8;
                        let [.., byte] = (value >> filled).to_be_bytes();
                        view.push(byte, self.origin(at - 1, at + 1));
                    }
                }
            }
            start += row.len() + 1;
        }
        view
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
        [b'&', rest @ ..] => entity(rest),
        _ => None,
    }
}

/// The character of a named entity, behind its ampersand. One that is not listed is no
/// character of a token, so it stands for nothing, as what it shows would.
fn entity(rest: &[u8]) -> Option<(char, usize)> {
    let is_of_name = |byte: &&u8| byte.is_ascii_alphanumeric();
    let name_length = rest.iter().take(MAX_ENTITY).take_while(is_of_name).count();
    let (name, after) = rest.split_at(name_length);
    if name.first()?.is_ascii_alphabetic() && after.first() == Some(&b';') {
        let listed = ENTITIES.iter().find(|(listed, _)| *listed == name);
        return Some((listed.map_or(NOTHING, |(_, c)| *c), name_length + 2));
    }
    let open = ENTITIES
        .iter()
        .filter(|(listed, _)| name.starts_with(listed));
    let (listed, c) = open.max_by_key(|(listed, _)| listed.len())?;
    Some((*c, listed.len() + 1))
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
