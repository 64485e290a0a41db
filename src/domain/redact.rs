//! Removes secrets from text of other systems.
//!
//! A hostile or careless vendor can reflect the Authorization header. Its text is redacted
//! before any use: every run of 16 characters of a known secret is replaced, also where it is
//! encoded in a usual way, backwards, or interspersed with other characters.

mod hash;
mod invisible;
mod view;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use hash::{RollingHash, Unhashed};
use invisible::is_invisible;
use view::{View, graphic};

/// A run of this many characters of a secret is treated as the secret.
const WINDOW: usize = 16;
/// How many tokens of one owner are remembered, the live one among them.
const MAX_TOKENS: usize = 32;
/// How often an encoding inside an encoding is undone.
const MAX_LAYERS: usize = 2;
/// How much longer than the text that is shown the text may be that it is taken from.
const READ_AHEAD: usize = 4;
/// A secret is also known by its visible ASCII characters alone if there are this many.
const MIN_GRAPHIC: usize = 8;
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

#[derive(Default)]
struct KnownSecrets {
    /// Secrets of the configuration, kept until the process ends.
    configured: Vec<Fingerprint>,
    /// Tokens by owner, newest last.
    tokens: HashMap<Arc<str>, VecDeque<Fingerprint>>,
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
        let visible = graphic(secret);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let spellings = [secret, &encoded, &visible];
        let long = |spelling: &&str| *spelling == secret || spelling.len() >= MIN_GRAPHIC;
        for spelling in spellings.into_iter().filter(long) {
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

    fn windows(&self) -> Arc<Windows> {
        Arc::clone(&self.windows.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the bytes hold a secret, or 16 bytes in a row of one, forwards or backwards.
    #[must_use]
    pub fn knows(&self, bytes: &[u8]) -> bool {
        let windows = self.windows();
        let mut found = false;
        self.find(&windows, bytes, |_, _| found = true);
        found
    }

    /// The text with every secret, and every run of 16 characters of one, replaced: in plain
    /// sight, with other characters in between, backwards, or encoded.
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let windows = self.windows();
        let Some(shortest) = windows.keys().min() else {
            return Cow::Borrowed(text);
        };
        let mut tainted: Vec<(usize, usize)> = Vec::new();
        self.find(&windows, text.as_bytes(), |start, end| {
            tainted.push((start, end))
        });
        for view in views(text, *shortest) {
            self.find(&windows, view.bytes(), |start, end| {
                tainted.push(view.origin(start, end));
            });
        }
        if tainted.is_empty() {
            return Cow::Borrowed(text);
        }
        tainted.sort_unstable();
        Cow::Owned(without(text, &tainted))
    }

    /// What may be shown of a text: one line of visible characters without secrets, at most
    /// `max` bytes.
    #[must_use]
    pub fn plain_text(&self, text: &str, max: usize) -> String {
        let mut visible = String::new();
        for c in text.chars().filter(|c| !is_invisible(*c)) {
            if visible.len() >= max * READ_AHEAD {
                break;
            }
            visible.push(c);
        }
        let mut clean = self.redact(&visible).into_owned();
        clean.truncate(clean.floor_char_boundary(max));
        clean
    }

    /// Where the bytes hold a window of a secret, forwards or backwards.
    fn find(&self, windows: &Windows, bytes: &[u8], mut found: impl FnMut(usize, usize)) {
        let mut reversed = bytes.to_vec();
        reversed.reverse();
        for (&length, hashes) in windows {
            for (start, hash) in self.hash.windows(bytes, length).enumerate() {
                if hashes.contains(&hash) {
                    found(start, start + length);
                }
            }
            for (start, hash) in self.hash.windows(&reversed, length).enumerate() {
                if hashes.contains(&hash) {
                    found(bytes.len() - start - length, bytes.len() - start);
                }
            }
        }
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

/// All that is to be searched for secrets of at least `shortest` bytes, forwards and backwards,
/// besides the text itself.
fn views(text: &str, shortest: usize) -> Vec<View> {
    let visible = View::of(text);
    let mut outer = vec![visible.reversed(), visible];
    // Backwards, it needs no search of its own.
    let mut all = vec![View::of(text)];
    for _ in 0..MAX_LAYERS {
        let decoded: Vec<View> = outer
            .iter()
            .flat_map(|view| view.decoded(shortest))
            .collect();
        outer = decoded.iter().map(|view| view.texts(shortest)).collect();
        all.extend(decoded);
    }
    all
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
mod tests;
