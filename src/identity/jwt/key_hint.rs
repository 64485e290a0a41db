//! What the header of a token says about the key that has signed it (RFC 7515 section 4.1),
//! and thumbprints of certificates, which some issuers use as the names of keys.

use jsonwebtoken::Algorithm;

use super::base64_text;

/// How a token names its key.
#[derive(Debug, Clone, Copy)]
pub struct KeyHint<'t> {
    /// `kid`.
    pub kid: Option<&'t str>,
    /// `x5t`: the SHA-1 thumbprint of the key's certificate.
    pub x5t: Option<&'t str>,
    /// `x5t#S256`: the SHA-256 thumbprint.
    pub x5t_s256: Option<&'t str>,
    /// The algorithm of the signature.
    pub algorithm: Algorithm,
}

impl KeyHint<'_> {
    /// The thumbprints, as far as they can be read.
    pub(super) fn thumbprints(&self) -> Thumbprints {
        Thumbprints {
            sha1: self.x5t.and_then(thumbprint),
            sha256: self.x5t_s256.and_then(thumbprint),
        }
    }
}

/// The thumbprints of a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Thumbprints {
    pub(super) sha1: Option<[u8; 20]>,
    pub(super) sha256: Option<[u8; 32]>,
}

impl Thumbprints {
    /// Whether one of these is that of the other certificate.
    pub(super) fn meets(&self, other: &Self) -> bool {
        (self.sha1.is_some() && self.sha1 == other.sha1)
            || (self.sha256.is_some() && self.sha256 == other.sha256)
    }

    /// These, and those of `other` where one is missing.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            sha1: self.sha1.or(other.sha1),
            sha256: self.sha256.or(other.sha256),
        }
    }
}

/// A thumbprint in base64url, as the standard says, or in hexadecimal, or in hexadecimal that
/// was put into base64url, as some issuers write it.
pub(super) fn thumbprint<const N: usize>(text: &str) -> Option<[u8; N]> {
    let from_hex = || hex(text.as_bytes());
    from_hex().or_else(|| {
        let bytes = base64_text::decode(text)?;
        <[u8; N]>::try_from(bytes.as_slice())
            .ok()
            .or_else(|| hex(&bytes))
    })
}

fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |b: u8| {
        char::from(b)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbprint_is_read_in_each_spelling() {
        let bytes: [u8; 20] = std::array::from_fn(|i| u8::try_from(i * 13).unwrap());
        let digits: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        let url = base64_text::encode(&bytes);
        for text in [
            url.clone(),
            format!("{url}="),
            url.replace('-', "+").replace('_', "/"),
            digits.clone(),
            digits.to_uppercase(),
            base64_text::encode(digits.as_bytes()),
        ] {
            assert_eq!(thumbprint(&text), Some(bytes), "{text}");
        }
        for text in ["", "AAAA", "not base64!", &digits[1..]] {
            assert_eq!(thumbprint::<20>(text), None, "{text}");
        }
    }
}
