//! Takes secrets out of text that others wrote.
//!
//! A hostile or careless vendor can reflect our Authorization header. Whatever
//! text of theirs we use passes through here first: any 16 characters in a row
//! of a known secret are cut out.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{PoisonError, RwLock};

/// This many characters in a row of a secret are as good as the secret.
const WINDOW: usize = 16;
/// How many former tokens are remembered. At one an hour, more than two days.
const MAX_FORMER: usize = 64;
/// What is put in place of a secret.
const MARK: &str = "[redacted]";

/// Knows every secret that must not get out, as keyed hashes of its windows:
/// the secrets themselves are not kept.
#[derive(Default)]
pub struct Redactor {
    hasher: RandomState,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    /// Windows of secrets from the configuration, kept for good.
    configured: Vec<Fingerprint>,
    /// Windows of tokens, newest last.
    tokens: VecDeque<Fingerprint>,
    /// All of the above, by window length.
    windows: HashMap<usize, HashSet<u64>>,
}

#[derive(PartialEq, Eq)]
struct Fingerprint {
    window: usize,
    hashes: Vec<u64>,
}

impl Redactor {
    /// Remembers a secret of the configuration, also in its form-encoded spelling.
    pub fn guard(&self, secret: &str) {
        let encoded = form_encoded(secret);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for spelling in [secret, &encoded] {
            if let Some(fingerprint) = self.fingerprint(spelling) {
                known.configured.push(fingerprint);
            }
        }
        known.rebuild();
    }

    /// Remembers a token, live from now on and former later.
    pub fn remember_token(&self, token: &str) {
        let Some(fingerprint) = self.fingerprint(token) else {
            return;
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.tokens.contains(&fingerprint) {
            return;
        }
        if known.tokens.len() == MAX_FORMER {
            known.tokens.pop_front();
        }
        known.tokens.push_back(fingerprint);
        known.rebuild();
    }

    /// The text without any secret, or any 16 characters in a row of one.
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let bytes = text.as_bytes();
        let mut tainted: Vec<(usize, usize)> = Vec::new();
        for (&length, hashes) in &known.windows {
            for (start, window) in bytes.windows(length).enumerate() {
                if hashes.contains(&self.hasher.hash_one(window)) {
                    tainted.push((start, start + length));
                }
            }
        }
        if tainted.is_empty() {
            return Cow::Borrowed(text);
        }
        tainted.sort_unstable();
        Cow::Owned(without(text, &tainted))
    }

    fn fingerprint(&self, secret: &str) -> Option<Fingerprint> {
        if secret.is_empty() {
            return None;
        }
        let window = secret.len().min(WINDOW);
        let hashes = secret
            .as_bytes()
            .windows(window)
            .map(|bytes| self.hasher.hash_one(bytes))
            .collect();
        Some(Fingerprint { window, hashes })
    }
}

impl Known {
    fn rebuild(&mut self) {
        self.windows.clear();
        for fingerprint in self.configured.iter().chain(&self.tokens) {
            self.windows
                .entry(fingerprint.window)
                .or_default()
                .extend(&fingerprint.hashes);
        }
    }
}

/// `text` with the (sorted) byte ranges replaced, neighbours as one.
fn without(text: &str, ranges: &[(usize, usize)]) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut covered_to = 0;
    let mut ranges = ranges.iter().peekable();
    let mut in_mark = false;
    for (at, c) in text.char_indices() {
        while let Some((_, end)) = ranges.next_if(|(start, _)| *start < at + c.len_utf8()) {
            covered_to = covered_to.max(*end);
        }
        if at < covered_to {
            if !in_mark {
                clean.push_str(MARK);
            }
            in_mark = true;
        } else {
            clean.push(c);
            in_mark = false;
        }
    }
    clean
}

/// The secret as it stands in an `application/x-www-form-urlencoded` body.
fn form_encoded(secret: &str) -> String {
    let mut encoded = String::with_capacity(secret.len());
    for byte in secret.bytes() {
        match byte {
            b'*' | b'-' | b'.' | b'_' => encoded.push(char::from(byte)),
            b if b.is_ascii_alphanumeric() => encoded.push(char::from(b)),
            b' ' => encoded.push('+'),
            b => encoded.push_str(&format!("%{b:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOKEN: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.abcdefghijklmnop";

    fn knowing(token: &str) -> Redactor {
        let redactor = Redactor::default();
        redactor.remember_token(token);
        redactor
    }

    #[test]
    fn cuts_out_the_token_and_keeps_the_rest() {
        let text = format!("bad: Bearer {TOKEN}, sorry");
        assert_eq!(
            knowing(TOKEN).redact(&text),
            "bad: Bearer [redacted], sorry"
        );
    }

    #[test]
    fn sixteen_in_a_row_are_enough_and_fifteen_are_not() {
        let redactor = knowing(TOKEN);
        assert_eq!(redactor.redact(&TOKEN[7..23]), MARK);
        assert_eq!(redactor.redact(&TOKEN[7..22]), &TOKEN[7..22]);
    }

    #[test]
    fn a_short_secret_is_found_whole_and_form_encoded() {
        let redactor = Redactor::default();
        redactor.guard("p~q&r");
        assert_eq!(redactor.redact("s=p~q&r;"), "s=[redacted];");
        assert_eq!(
            redactor.redact("client_secret=p%7Eq%26r"),
            "client_secret=[redacted]"
        );
    }

    #[test]
    fn former_tokens_count_too() {
        let redactor = knowing(TOKEN);
        redactor.remember_token("another-token-that-came-afterwards");
        assert_eq!(redactor.redact(TOKEN), MARK);
    }

    #[test]
    fn text_beside_the_secret_may_be_of_any_alphabet() {
        let text = format!("é{TOKEN}é");
        assert_eq!(knowing(TOKEN).redact(&text), "é[redacted]é");
    }

    proptest! {
        #[test]
        fn no_sixteen_characters_survive(
            before in "\\PC{0,20}", after in "\\PC{0,20}", from in 0_usize..20, len in 16_usize..30,
        ) {
            let piece = &TOKEN[from..(from + len).min(TOKEN.len())];
            let redactor = knowing(TOKEN);
            let text = format!("{before}{piece}{after}");
            let clean = redactor.redact(&text).into_owned();
            for window in TOKEN.as_bytes().windows(WINDOW) {
                let window = std::str::from_utf8(window).unwrap();
                prop_assert!(!clean.contains(window), "{clean}");
            }
        }
    }
}
