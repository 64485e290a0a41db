//! Patterns over identifiers: `*` stands for any run of characters, nothing
//! else is special, and case counts.

use std::fmt;

/// A pattern that an offer or publisher id matches or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Box<str>);

/// A pattern that no legal identifier could ever match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 128 characters of A-Z a-z 0-9 . _ - and *")]
pub struct InvalidGlob;

impl Glob {
    /// Accepts the characters of an identifier and `*`.
    ///
    /// # Errors
    /// [`InvalidGlob`] for an empty pattern, for one longer than an identifier,
    /// and for any other character (`?`, `[`, `{` included: they are not special
    /// here, so whoever writes them expects something else).
    pub fn parse(text: &str) -> Result<Self, InvalidGlob> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'*');
        if (1..=128).contains(&text.len()) && text.bytes().all(legal) && text != "." && text != ".."
        {
            Ok(Self(text.into()))
        } else {
            Err(InvalidGlob)
        }
    }

    /// Whether the whole of `text` matches. Linear in the length of `text` for
    /// one star, and never worse than the product of both lengths.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        // Where to go back to: behind the last star, and the text it has eaten so far.
        let mut retry: Option<(usize, usize)> = None;
        while t < text.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    p += 1;
                    retry = Some((p, t));
                }
                Some(b) if *b == text[t] => {
                    p += 1;
                    t += 1;
                }
                _ => match retry {
                    Some((star, eaten)) => {
                        p = star;
                        t = eaten + 1;
                        retry = Some((star, t));
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|b| *b == b'*')
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn matches_whole_ids_and_minds_the_case() {
        let table = [
            ("*", "anything", true),
            ("contoso-*", "contoso-vm", true),
            ("contoso-*", "contoso-", true),
            ("contoso-*", "Contoso-vm", false),
            ("contoso-*", "x-contoso-vm", false),
            ("contoso", "contoso", true),
            ("contoso", "contoso2", false),
            ("*-vm", "a-vm-vm", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("**", "x", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(
                Glob::parse(pattern).unwrap().matches(text),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn refuses_what_could_match_no_id() {
        for bad in ["", ".", "..", "a b", "a?", "[ab]", "{a,b}", "a/b", "é"] {
            assert_eq!(Glob::parse(bad), Err(InvalidGlob), "{bad:?}");
        }
    }

    /// The same thing, written as slowly and plainly as possible.
    fn plainly(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|n| plainly(rest, &text[n..])),
            Some((b, rest)) => text.first() == Some(b) && plainly(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_definition(pattern in "[ab*]{1,8}", text in "[ab]{0,10}") {
            let glob = Glob::parse(&pattern).unwrap();
            prop_assert_eq!(glob.matches(&text), plainly(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
