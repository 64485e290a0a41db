//! Hashes of all windows of a text, and a set of them.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A polynomial over a random base, modulo the prime 2^61 - 1 (Rabin and Karp, 1987): the
/// hash of the next window costs two multiplications. A text that collides cannot be
/// constructed without knowing the base.
pub(super) struct RollingHash {
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
    pub(super) fn windows<'t>(
        &'t self,
        bytes: &'t [u8],
        length: usize,
    ) -> impl Iterator<Item = u64> + 't {
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

/// Hashes a number to itself: the hashes of windows are random already.
#[derive(Clone, Copy, Default)]
pub(super) struct Unhashed;

impl BuildHasher for Unhashed {
    type Hasher = UnhashedHasher;

    fn build_hasher(&self) -> UnhashedHasher {
        UnhashedHasher(0)
    }
}

pub(super) struct UnhashedHasher(u64);

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
