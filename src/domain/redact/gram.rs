//! A quick look at whether bytes can hold a secret at all, since nearly none do.
//!
//! Of a secret's window of 16 bytes, one of its four bytes in a row is at a multiple of 13,
//! wherever the window is. So a thirteenth of the bytes tells that there is none.

use std::hash::{BuildHasher, RandomState};

/// How many bytes in a row are looked at.
const GRAM: usize = 4;
/// Bits of the filter for each gram in it. Of other grams, about one in 250 passes.
const BITS_OF_GRAM: usize = 32;

/// Hashes grams, with a random key. A gram and the same backwards have one hash.
pub(super) struct GramHash(u64);

impl Default for GramHash {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0) | 1)
    }
}

impl GramHash {
    /// The hash of each gram, in order.
    pub(super) fn all(&self, bytes: &[u8]) -> Vec<u32> {
        bytes.windows(GRAM).map(|gram| self.of(gram)).collect()
    }

    fn of(&self, gram: &[u8]) -> u32 {
        let &[a, b, c, d] = gram else { return 0 };
        let forwards = u32::from_be_bytes([a, b, c, d]);
        let either = forwards.min(forwards.swap_bytes());
        let product = u64::from(either).wrapping_mul(self.0).to_be_bytes();
        // The upper half depends on all bits of the gram.
        let [a, b, c, d, ..] = product;
        u32::from_be_bytes([a, b, c, d])
    }
}

/// The grams of all secrets, as a Bloom filter: it never misses one.
#[derive(Default)]
pub(super) struct GramFilter {
    /// As many as a power of two.
    words: Vec<u64>,
    /// In every window, a gram begins at a multiple of this; 0 if one is shorter than a gram.
    stride: usize,
}

impl GramFilter {
    /// The filter for these grams, of secrets with windows of at least `shortest` bytes.
    pub(super) fn new<'g>(grams: impl Iterator<Item = &'g u32> + Clone, shortest: usize) -> Self {
        let bits = grams.clone().count() * BITS_OF_GRAM;
        let words = bits.div_ceil(64).next_power_of_two();
        let mut filter = Self {
            words: vec![0; words],
            stride: (shortest + 1).saturating_sub(GRAM),
        };
        for gram in grams {
            let (word, bits) = filter.place(*gram);
            filter.words[word] |= bits;
        }
        filter
    }

    /// Whether a window may be in these bytes, forwards or backwards.
    pub(super) fn may_match(&self, hash: &GramHash, bytes: &[u8]) -> bool {
        let passes = |gram: &[u8]| {
            let (word, bits) = self.place(hash.of(gram));
            self.words[word] & bits == bits
        };
        self.stride == 0 || bytes.windows(GRAM).step_by(self.stride).any(passes)
    }

    /// A gram's word, and its two bits there.
    fn place(&self, gram: u32) -> (usize, u64) {
        let [first, second] = [gram & 63, (gram >> 6) & 63];
        let word = (gram >> 12) as usize & (self.words.len() - 1);
        (word, (1 << first) | (1 << second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.abcdefghijklmnop";

    fn filter(secret: &[u8], shortest: usize) -> (GramHash, GramFilter) {
        let hash = GramHash::default();
        let grams = hash.all(secret);
        let filter = GramFilter::new(grams.iter(), shortest);
        (hash, filter)
    }

    #[test]
    fn no_window_is_missed_wherever_it_is() {
        for length in 1..20 {
            let (hash, filter) = filter(SECRET, length);
            for (window, at) in SECRET.windows(length).zip((0..40).cycle()) {
                let mut bytes = vec![b' '; at];
                bytes.extend_from_slice(window);
                bytes.extend_from_slice(b" behind");
                assert!(filter.may_match(&hash, &bytes), "{length} at {at}");
                bytes.reverse();
                assert!(
                    filter.may_match(&hash, &bytes),
                    "{length} at {at}, backwards"
                );
            }
        }
    }

    #[test]
    fn hardly_any_other_bytes_pass() {
        let (hash, filter) = filter(SECRET, 16);
        let others = (0..1000).map(|n| format!("{n:04} no offer here, in {n:04x}"));
        let passed = others.filter(|text| filter.may_match(&hash, text.as_bytes()));
        assert!(passed.count() < 100);
    }
}
