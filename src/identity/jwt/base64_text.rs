//! base64 as issuers write it: base64url without padding is what RFC 7515 section 2 wants;
//! padding, the standard alphabet, line breaks and stray bits at the end are common, and none
//! of them makes the bytes ambiguous.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::NO_PAD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

const TOLERANT: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, STRAY_BITS);
const STRAY_BITS: GeneralPurposeConfig = NO_PAD.with_decode_allow_trailing_bits(true);

/// The bytes that a text stands for; none if it is not base64.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let unpadded = text.trim_end_matches(|c: char| c == '=' || c.is_ascii_whitespace());
    let url_safe = unpadded.bytes().filter(|b| !b.is_ascii_whitespace());
    let url_safe: Vec<u8> = url_safe
        .map(|b| match b {
            b'+' => b'-',
            b'/' => b'_',
            b => b,
        })
        .collect();
    TOLERANT.decode(url_safe).ok()
}

#[cfg(test)]
pub(super) fn encode(bytes: &[u8]) -> String {
    TOLERANT.encode(bytes)
}
