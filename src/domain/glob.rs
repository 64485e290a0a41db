//! Patterns over identifiers: `*` matches any run of characters, nothing else is special,
//! and case matters.

use std::fmt;

/// A pattern for offer or publisher ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Box<str>);

/// Why a text is not a pattern: no valid identifier could match it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 128 characters of A-Z a-z 0-9 . _ - and *")]
pub struct InvalidGlob;

impl Glob {
    /// Accepts the characters of an identifier and `*`.
    ///
    /// # Errors
    /// [`InvalidGlob`] for an empty pattern, for one longer than an identifier, and for any
    /// other character. That includes `?`, `[` and `{`: they are not special here, which
    /// their author may expect.
    pub fn parse(text: &str) -> Result<Self, InvalidGlob> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'*');
        if (1..=128).contains(&text.len()) && text.bytes().all(legal) && text != "." && text != ".."
        {
            Ok(Self(text.into()))
        } else {
            Err(InvalidGlob)
        }
    }

    /// Whether the whole `text` matches. Takes time linear in its length for one star, and
    /// at most the product of both lengths.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        // Where to resume after a mismatch: behind the last star, which then matches one
        // more character.
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
                    Some((star, end)) => {
                        p = star;
                        t = end + 1;
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
    fn matches_whole_ids_and_is_case_sensitive() {
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
    fn refuses_patterns_that_match_no_id() {
        for bad in ["", ".", "..", "a b", "a?", "[ab]", "{a,b}", "a/b", "é"] {
            assert_eq!(Glob::parse(bad), Err(InvalidGlob), "{bad:?}");
        }
    }

    /// The definition of a match, without regard to speed.
    fn reference(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|n| reference(rest, &text[n..])),
            Some((b, rest)) => text.first() == Some(b) && reference(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*]{1,8}", text in "[ab]{0,10}") {
            let glob = Glob::parse(&pattern).unwrap();
            prop_assert_eq!(glob.matches(&text), reference(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
