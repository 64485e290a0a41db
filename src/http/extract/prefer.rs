//! `Prefer: wait=N` (RFC 7240): how long the caller prefers to wait for a finished answer.

use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName};

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The preferred wait in these headers, cut down to `longest`; none without one, and where
/// waiting is switched off. One that cannot be read is ignored, as RFC 7240 section 2
/// demands of every preference that is not understood; of several the first counts.
#[must_use]
pub fn preferred_wait(headers: &HeaderMap, longest: Duration) -> Option<Duration> {
    if longest.is_zero() {
        return None;
    }
    let mut preferences = headers
        .get_all(PREFER)
        .flat_map(|line| split(line.as_bytes()));
    let seconds = preferences.find_map(wait_seconds)??;
    Some(longest.min(Duration::from_secs(seconds)))
}

/// The preferences of a line: separated by commas, but not by those in quotes. A line may hold
/// bytes that are not ASCII (RFC 9110 section 5.5): these concern only their own preference.
fn split(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    line.split(move |&byte| {
        let was_escaped = std::mem::take(&mut escaped);
        if !was_escaped {
            quoted ^= byte == b'"';
            escaped = quoted && byte == b'\\';
        }
        byte == b',' && !quoted
    })
}

/// None for another preference; the seconds of `wait`, if they can be read. Parameters of
/// it have no meaning.
fn wait_seconds(preference: &[u8]) -> Option<Option<u64>> {
    let preference = preference.split(|&byte| byte == b';').next()?;
    let mut parts = preference.splitn(2, |&byte| byte == b'=');
    let name = parts.next()?.trim_ascii();
    if !name.eq_ignore_ascii_case(b"wait") {
        return None;
    }
    let value = parts.next().unwrap_or_default().trim_ascii();
    let unquoted = value
        .strip_prefix(b"\"")
        .and_then(|v| v.strip_suffix(b"\""));
    let digits = str::from_utf8(unquoted.unwrap_or(value)).unwrap_or_default();
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    Some(is_number.then(|| digits.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    /// Text as most clients send it that is not ASCII: one byte a character.
    fn latin1(text: &str) -> Vec<u8> {
        text.chars().map(|c| u8::try_from(c).unwrap()).collect()
    }

    fn wait(lines: &[&str]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(PREFER, HeaderValue::from_bytes(&latin1(line)).unwrap());
        }
        preferred_wait(&headers, Duration::from_secs(60)).map(|wait| wait.as_secs())
    }

    #[test]
    fn the_preference_is_found_among_others() {
        for (lines, seconds) in [
            (&["wait=10"][..], Some(10)),
            (&["Wait = \"10\""], Some(10)),
            (&["wait=0"], Some(0)),
            (&["wait=3600"], Some(60)),
            (&["wait=99999999999999999999999"], Some(60)),
            (&["respond-async, wait=10"], Some(10)),
            (&["wait=10;foo=bar, return=minimal"], Some(10)),
            (&["foo=\"a, wait=1, b\", wait=7"], Some(7)),
            (&["foo=\"a\\\", wait=1, b\", wait=7"], Some(7)),
            (&["respond-async", "wait=10"], Some(10)),
            (&["wait=5, wait=10"], Some(5)),
            (&["wait=5", "wait=10"], Some(5)),
            (&["foo=\"\u{fc}\", wait=10"], Some(10)),
            (&["wait=10;foo=\"\u{fc}\""], Some(10)),
            (&["\u{fc}, wait=10"], Some(10)),
        ] {
            assert_eq!(wait(lines), seconds, "{lines:?}");
        }
    }

    #[test]
    fn malformed_preferences_are_ignored() {
        for line in [
            "",
            "wait",
            "wait=",
            "wait=ten",
            "wait=-1",
            "wait=1.5",
            "wait=+1",
            "waits=1",
            "wait=\"1",
            "foo=\"wait=1\"",
            "wait=ten, wait=10",
            "wait=\u{fc}, wait=10",
            "\u{fc}wait=10",
        ] {
            assert_eq!(wait(&[line]), None, "{line}");
        }
        assert_eq!(
            preferred_wait(&HeaderMap::new(), Duration::from_secs(60)),
            None
        );
        let mut headers = HeaderMap::new();
        headers.insert(PREFER, HeaderValue::from_static("wait=10"));
        assert_eq!(preferred_wait(&headers, Duration::ZERO), None);
    }
}
