//! Conversions of text and time: hexadecimal, percent-decoding, the formats of dates, and the
//! vendor's habit of spelling one word in several ways.

use std::time::Duration;

use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

/// SHA-256 of `bytes`, in lower-case hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Decodes `%XX`; an invalid escape stays as it is, and invalid UTF-8 is replaced.
pub(crate) fn percent_decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The vendor writes `not started`, `notStarted` and `NotStarted` for one thing.
pub(crate) fn same_word(one: &str, other: &str) -> bool {
    plain_word(one) == plain_word(other)
}

/// Lower case, without spaces and hyphens: the form in which the vendor's words compare.
pub(crate) fn plain_word(word: &str) -> String {
    word.chars()
        .filter(|letter| !matches!(letter, ' ' | '-'))
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}

/// `moment` plus `duration`, stopping at the end of time instead of overflowing.
pub(crate) fn later(moment: Timestamp, duration: Duration) -> Timestamp {
    moment.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// `moment` minus `duration`, stopping at the beginning of time instead of overflowing.
pub(crate) fn earlier(moment: Timestamp, duration: Duration) -> Timestamp {
    moment.checked_sub(duration).unwrap_or(Timestamp::MIN)
}

/// RFC 3339 in UTC with microseconds, as the vendor prints it: `2018-03-26T21:46:01.179948Z`.
pub(crate) fn rfc3339(moment: Timestamp) -> String {
    format!("{moment:.6}")
}

/// An HTTP date (RFC 9110, section 5.6.7).
pub(crate) fn http_date(moment: Timestamp) -> String {
    moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
