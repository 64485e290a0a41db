//! Removes secrets from text of other systems.
//!
//! A hostile or careless vendor can reflect the Authorization header. Its text is redacted
//! before any use: every run of 16 characters of a known secret is replaced.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// A run of this many characters of a secret is treated as the secret.
const WINDOW: usize = 16;
/// How many tokens of one owner are remembered, the live one among them.
const MAX_TOKENS: usize = 32;
/// The replacement of a secret.
const MARK: &str = "[redacted]";

/// Knows every secret that must not leave the gateway, as keyed hashes of its windows. The
/// secrets themselves are not kept.
#[derive(Default)]
pub struct Redactor {
    hash: RollingHash,
    known: Mutex<KnownSecrets>,
    /// All windows of the known secrets. Replaced as a whole, so that redacting does not
    /// wait for an update.
    windows: RwLock<Arc<Windows>>,
}

/// By window length.
type Windows = HashMap<usize, HashSet<u64, Unhashed>>;

/// Where one owner's tokens are remembered: those of others never push them out.
#[derive(Clone, Default)]
pub struct TokenHistory {
    redactor: Arc<Redactor>,
    owner: Arc<str>,
}

impl TokenHistory {
    /// Remembers a token, live from now on and former later.
    pub fn remember(&self, token: &str) {
        self.redactor.remember(&self.owner, token);
    }
}

/// A polynomial over a random base, modulo the prime 2^61 - 1 (Rabin and Karp, 1987): the
/// hash of the next window costs two multiplications. A text that collides cannot be
/// constructed without knowing the base.
struct RollingHash {
    base: u64,
}

impl Default for RollingHash {
    fn default() -> Self {
        Self {
            base: RandomState::new().hash_one(0) % (Self::PRIME - 256) + 256,
        }
    }
}

impl RollingHash {
    const PRIME: u64 = (1 << 61) - 1;

    fn multiply(a: u64, b: u64) -> u64 {
        let product = u128::from(a) * u128::from(b);
        // Modulo a Mersenne prime, the high bits are added to the low ones.
        #[allow(clippy::cast_possible_truncation)] // both halves have at most 61 bits
        let folded = (product as u64 & Self::PRIME) + (product >> 61) as u64;
        folded % Self::PRIME
    }

    fn push(&self, hash: u64, byte: u8) -> u64 {
        (Self::multiply(hash, self.base) + u64::from(byte)) % Self::PRIME
    }

    /// The hash of each window of `length` bytes, in order.
    fn windows<'t>(&'t self, bytes: &'t [u8], length: usize) -> impl Iterator<Item = u64> + 't {
        let (first, rest) = bytes.split_at(length.min(bytes.len()));
        let is_one = first.len() == length && length > 0;
        let leading = (1..length).fold(1, |power, _| Self::multiply(power, self.base));
        let mut hash = first.iter().fold(0, |hash, byte| self.push(hash, *byte));
        let rolled = rest.iter().zip(bytes).map(move |(next, gone)| {
            let without = hash + Self::PRIME - Self::multiply(u64::from(*gone), leading);
            hash = self.push(without % Self::PRIME, *next);
            hash
        });
        is_one
            .then_some(first.iter().fold(0, |hash, byte| self.push(hash, *byte)))
            .into_iter()
            .chain(rolled.take(if is_one { rest.len() } else { 0 }))
    }
}

#[derive(Default)]
struct KnownSecrets {
    /// Secrets of the configuration, kept until the process ends.
    configured: Vec<Fingerprint>,
    /// Tokens by owner, newest last.
    tokens: HashMap<Arc<str>, VecDeque<Fingerprint>>,
}

/// Hashes a number to itself: the hashes of windows are random already.
#[derive(Clone, Copy, Default)]
struct Unhashed;

impl BuildHasher for Unhashed {
    type Hasher = UnhashedHasher;

    fn build_hasher(&self) -> UnhashedHasher {
        UnhashedHasher(0)
    }
}

struct UnhashedHasher(u64);

impl Hasher for UnhashedHasher {
    fn finish(&self) -> u64 {
        // The map uses the highest bits, which are 0 in a number below 2^61.
        self.0.rotate_left(3)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[derive(PartialEq, Eq)]
struct Fingerprint {
    window: usize,
    hashes: Vec<u64>,
}

impl Redactor {
    /// Where the tokens of `owner` are remembered.
    #[must_use]
    pub fn token_history(self: &Arc<Self>, owner: &str) -> TokenHistory {
        TokenHistory {
            redactor: Arc::clone(self),
            owner: owner.into(),
        }
    }

    /// Remembers a secret of the configuration, plain and form-encoded.
    pub fn guard(&self, secret: &str) {
        let encoded = form_encoded(secret);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for spelling in [secret, &encoded] {
            if let Some(fingerprint) = self.fingerprint(spelling) {
                known.configured.push(fingerprint);
            }
        }
        self.publish(&known);
    }

    fn remember(&self, owner: &Arc<str>, token: &str) {
        let Some(fingerprint) = self.fingerprint(token) else {
            return;
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = known.tokens.entry(Arc::clone(owner)).or_default();
        if tokens.contains(&fingerprint) {
            return;
        }
        if tokens.len() == MAX_TOKENS {
            tokens.pop_front();
        }
        tokens.push_back(fingerprint);
        self.publish(&known);
    }

    fn publish(&self, known: &KnownSecrets) {
        let windows = Arc::new(known.windows());
        *self.windows.write().unwrap_or_else(PoisonError::into_inner) = windows;
    }

    /// The text with every secret, and every run of 16 characters of one, replaced.
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let windows = Arc::clone(&self.windows.read().unwrap_or_else(PoisonError::into_inner));
        let bytes = text.as_bytes();
        let mut tainted: Vec<(usize, usize)> = Vec::new();
        for (&length, hashes) in windows.iter() {
            for (start, hash) in self.hash.windows(bytes, length).enumerate() {
                if hashes.contains(&hash) {
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
        let hashes = self.hash.windows(secret.as_bytes(), window).collect();
        Some(Fingerprint { window, hashes })
    }
}

impl KnownSecrets {
    fn windows(&self) -> Windows {
        let mut windows = Windows::new();
        let tokens = self.tokens.values().flatten();
        for fingerprint in self.configured.iter().chain(tokens) {
            windows
                .entry(fingerprint.window)
                .or_default()
                .extend(&fingerprint.hashes);
        }
        windows
    }
}

/// `text` with the sorted byte ranges replaced, adjacent ones by one mark.
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

/// The secret as in an `application/x-www-form-urlencoded` body.
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

    fn knowing(token: &str) -> Arc<Redactor> {
        let redactor = Arc::new(Redactor::default());
        redactor.token_history("a").remember(token);
        redactor
    }

    #[test]
    fn removes_the_token_and_keeps_the_rest() {
        let text = format!("bad: Bearer {TOKEN}, sorry");
        assert_eq!(
            knowing(TOKEN).redact(&text),
            "bad: Bearer [redacted], sorry"
        );
    }

    #[test]
    fn a_run_of_sixteen_is_removed_and_of_fifteen_is_not() {
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
    fn former_tokens_are_removed_too() {
        let redactor = knowing(TOKEN);
        redactor
            .token_history("a")
            .remember("another-token-that-came-afterwards");
        assert_eq!(redactor.redact(TOKEN), MARK);
    }

    #[test]
    fn tokens_of_one_owner_never_displace_those_of_another() {
        let redactor = knowing(TOKEN);
        for number in 0..MAX_TOKENS * 3 {
            let token = format!("a-token-of-another-owner-{number}");
            redactor.token_history("b").remember(&token);
            assert_eq!(redactor.redact(&token), MARK);
        }
        assert_eq!(redactor.redact(TOKEN), MARK);
    }

    #[test]
    fn the_text_around_a_secret_may_be_of_any_alphabet() {
        let text = format!("é{TOKEN}é");
        assert_eq!(knowing(TOKEN).redact(&text), "é[redacted]é");
    }

    #[test]
    fn the_hash_of_a_window_does_not_depend_on_its_position() {
        let hash = RollingHash::default();
        let all: Vec<u64> = hash.windows(b"abcabcabc", 3).collect();
        assert_eq!(all.len(), 7);
        assert_eq!((all[0], all[1]), (all[3], all[4]));
        assert_ne!(all[0], all[1]);
        assert_eq!(hash.windows(b"ab", 3).count(), 0);
        assert_eq!(hash.windows(b"abc", 3).count(), 1);
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
