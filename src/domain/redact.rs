//! Removes secrets from text of other systems.
//!
//! A hostile or careless vendor can reflect the Authorization header. Its text is redacted
//! before any use: every run of 16 characters of a known secret is replaced, also where it is
//! encoded in a usual way, backwards, or interspersed with other characters.

mod gram;
mod hash;
mod invisible;
mod view;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use gram::{GramFilter, GramHash};
use hash::{RollingHash, Unhashed};
use invisible::is_invisible;
use view::{Origin, View, graphic};

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
    gram_hash: GramHash,
    known: Mutex<KnownSecrets>,
    /// All windows of the known secrets. Replaced as a whole, so that redacting does not
    /// wait for an update.
    windows: RwLock<Arc<Windows>>,
}

/// What is searched for.
#[derive(Default)]
struct Windows {
    /// The hashes of all windows, by their length.
    by_length: BTreeMap<usize, HashSet<u64, Unhashed>>,
    filter: GramFilter,
}

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
    grams: Vec<u32>,
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
        // Nearly every text is clean. Where the parts of its views come from is of no
        // interest then, and most of the work.
        let mut is_clean = true;
        self.search(&windows, text, |()| is_clean = false);
        if is_clean {
            return Cow::Borrowed(text);
        }
        let mut tainted: Vec<(usize, usize)> = Vec::new();
        self.search(&windows, text, |range| tainted.push(range));
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

    /// Where the text holds a window of a secret, in plain sight or in a view of it.
    fn search<O: Origin>(&self, windows: &Windows, text: &str, mut found: impl FnMut(O)) {
        let Some((&shortest, _)) = windows.by_length.first_key_value() else {
            return;
        };
        self.find(windows, text.as_bytes(), |start, end| {
            found(O::range(start, end));
        });
        for view in views::<O>(text, shortest) {
            self.find(windows, view.bytes(), |start, end| {
                found(view.origin(start, end));
            });
        }
    }

    /// Where the bytes hold a window of a secret, forwards or backwards.
    fn find(&self, windows: &Windows, bytes: &[u8], mut found: impl FnMut(usize, usize)) {
        if !windows.filter.may_match(&self.gram_hash, bytes) {
            return;
        }
        let mut reversed = bytes.to_vec();
        reversed.reverse();
        for (&length, hashes) in &windows.by_length {
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
        let grams = self.gram_hash.all(secret.as_bytes());
        Some(Fingerprint {
            window,
            hashes,
            grams,
        })
    }
}

impl KnownSecrets {
    fn windows(&self) -> Windows {
        let tokens = self.tokens.values().flatten();
        let all = self.configured.iter().chain(tokens);
        let mut by_length = BTreeMap::<usize, HashSet<u64, Unhashed>>::new();
        for fingerprint in all.clone() {
            let windows = by_length.entry(fingerprint.window).or_default();
            windows.extend(&fingerprint.hashes);
        }
        let shortest = by_length.keys().next().copied().unwrap_or_default();
        let grams = all.flat_map(|fingerprint| &fingerprint.grams);
        Windows {
            filter: GramFilter::new(grams, shortest),
            by_length,
        }
    }
}

/// All that is to be searched for secrets of at least `shortest` bytes, forwards and backwards,
/// besides the text itself.
fn views<O: Origin>(text: &str, shortest: usize) -> Vec<View<O>> {
    // Each encoding takes at least as many bytes as it stands for.
    if text.len() < shortest {
        return Vec::new();
    }
    let visible = View::of(text);
    let mut outer = vec![visible.reversed(), visible];
    // Backwards, it needs no search of its own.
    let mut all = vec![View::of(text)];
    for _ in 0..MAX_LAYERS {
        let decoded: Vec<View<O>> = outer
            .iter()
            .flat_map(|view| view.decoded(shortest))
            .collect();
        outer = decoded.iter().map(|view| view.texts(shortest)).collect();
        outer.retain(|view| !view.bytes().is_empty());
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
