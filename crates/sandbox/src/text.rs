//! Small text codecs the emulator needs: hexadecimal, base64url, percent-decoding, and the
//! vendor's habit of spelling one word in several ways. Written out here because the sandbox
//! stands alone and a dependency for thirty lines would not pay.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// SHA-256 of `bytes`, in lower-case hexadecimal.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
            text
        })
}

/// Unpadded base64url (RFC 4648, section 5).
pub(super) fn base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .chain([&0, &0])
            .take(3)
            .fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        for place in 0..=chunk.len() {
            let index = (word >> (18 - 6 * place)) & 63;
            text.push(char::from(BASE64URL[index as usize]));
        }
    }
    text
}

/// The bytes behind unpadded base64url, or nothing if it is not that.
pub(super) fn base64url_decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut word, mut bits) = (0u32, 0);
    for byte in text.bytes() {
        let value = BASE64URL.iter().position(|&letter| letter == byte)?;
        word = word << 6 | u32::try_from(value).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits & 255) as u8);
        }
    }
    (bits < 6).then_some(bytes)
}

/// Decodes `%XX`; what is not a valid escape stays as it is, and invalid UTF-8 is replaced.
pub(super) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let nibble = |at: usize| {
        bytes
            .get(at)
            .and_then(|&byte| char::from(byte).to_digit(16))
    };
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, nibble(at + 1), nibble(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high << 4 | low) as u8);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The vendor writes `not started`, `notStarted` and `NotStarted` for one thing.
pub(super) fn same_word(one: &str, other: &str) -> bool {
    plain_word(one) == plain_word(other)
}

/// Lower case, without spaces and hyphens: the form in which the vendor's words compare.
pub(super) fn plain_word(word: &str) -> String {
    word.chars()
        .filter(|letter| !matches!(letter, ' ' | '-'))
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}

/// `moment` plus `duration`, stopping at the end of time instead of overflowing.
pub(super) fn later(moment: Timestamp, duration: Duration) -> Timestamp {
    moment.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// `moment` minus `duration`, stopping at the beginning of time instead of overflowing.
pub(super) fn earlier(moment: Timestamp, duration: Duration) -> Timestamp {
    moment.checked_sub(duration).unwrap_or(Timestamp::MIN)
}

/// RFC 3339 in UTC with microseconds, as the vendor prints it: `2018-03-26T21:46:01.179948Z`.
pub(super) fn rfc3339(moment: Timestamp) -> String {
    format!("{moment:.6}")
}

/// An HTTP date (RFC 9110, section 5.6.7).
pub(super) fn http_date(moment: Timestamp) -> String {
    moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn base64url_follows_the_rfc_and_comes_back() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
        ] {
            assert_eq!(base64url(bytes.as_bytes()), text);
            assert_eq!(base64url_decode(text).unwrap(), bytes.as_bytes());
        }
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
        assert_eq!(base64url_decode("a+b"), None);
        assert_eq!(base64url_decode("a"), None);
    }

    #[test]
    fn percent_decoding_leaves_what_is_no_escape() {
        assert_eq!(
            percent_decode("contoso%24vm%242%24preview"),
            "contoso$vm$2$preview"
        );
        assert_eq!(percent_decode("100%"), "100%");
        assert_eq!(percent_decode("%zz%2"), "%zz%2");
    }

    #[test]
    fn hashes_and_dates_have_their_standard_form() {
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let moment: Timestamp = "1994-11-06T08:49:37Z".parse().unwrap();
        assert_eq!(http_date(moment), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(rfc3339(moment), "1994-11-06T08:49:37.000000Z");
    }

    #[test]
    fn words_compare_without_case_spaces_and_hyphens() {
        assert!(same_word("not started", "NotStarted"));
        assert!(same_word("waiting-for-approval", "waitingForApproval"));
        assert!(!same_word("complete", "completed"));
    }
}
