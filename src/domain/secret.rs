//! Secrets as values: they cannot be printed or serialized by accident, and are compared in
//! constant time.

use std::fmt;

use secrecy::zeroize::Zeroize;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// A secret text, wiped when dropped. Its `Debug` is a placeholder, and it has neither
/// `Display` nor `Serialize`. It is shared by `Arc` and not cloned, so that there is one
/// copy to wipe.
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(mut text: String) -> Self {
        // Copied into an allocation of the exact size, then wiped: shrinking the original
        // could move it and leave its bytes behind.
        let secret = Self(SecretString::from(text.as_str()));
        text.zeroize();
        secret
    }

    /// The secret itself, for the one line that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// In constant time: how long it takes reveals no more than whether the lengths are equal.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (self.expose().as_bytes(), other.expose().as_bytes());
        one.ct_eq(other).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The SHA-256 of an API key, the only form in which the gateway stores one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ApiKeyHash([u8; 32]);

/// Why a text is not a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the 64 hexadecimal digits of a SHA-256; `offergate keys new` prints them")]
pub struct InvalidApiKeyHash;

impl ApiKeyHash {
    /// Parses the hexadecimal form, in either case.
    ///
    /// # Errors
    /// [`InvalidApiKeyHash`] unless it is exactly 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, InvalidApiKeyHash> {
        let mut bytes = [0_u8; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(InvalidApiKeyHash);
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(pair).map_err(|_| InvalidApiKeyHash)?;
            if digits.starts_with('+') {
                return Err(InvalidApiKeyHash);
            }
            *byte = u8::from_str_radix(digits, 16).map_err(|_| InvalidApiKeyHash)?;
        }
        Ok(Self(bytes))
    }

    /// The bytes of the hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 8 hexadecimal digits, which identify a key in a log.
    #[must_use]
    pub fn prefix(&self) -> String {
        let [a, b, c, d, ..] = self.0;
        format!("{a:02x}{b:02x}{c:02x}{d:02x}")
    }
}

impl From<[u8; 32]> for ApiKeyHash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for ApiKeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.prefix())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new("hunter2".into());
        assert_eq!(format!("{secret:?}"), "[secret]");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn secrets_are_compared_by_content() {
        let secret = |text: &str| Secret::new(text.into());
        assert_eq!(secret("hunter2"), secret("hunter2"));
        for other in ["hunter3", "hunter", "hunter22", ""] {
            assert_ne!(secret("hunter2"), secret(other));
        }
    }

    #[test]
    fn a_hash_is_64_hexadecimal_digits() {
        let hash = ApiKeyHash::parse(&"aB".repeat(32)).unwrap();
        assert_eq!(hash.as_bytes(), &[0xab; 32]);
        assert_eq!(format!("{hash:?}"), "abababab…");
        for bad in ["", "ab", &"g".repeat(64), &"+a".repeat(32), &"é".repeat(32)] {
            assert_eq!(ApiKeyHash::parse(bad), Err(InvalidApiKeyHash));
        }
    }
}
