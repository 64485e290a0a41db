//! Headers that are read from answers of every kind.

use std::time::Duration;

use actix_web::http::header::{self, HeaderMap};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// The `Date` of an answer (RFC 9110 section 6.6.1): the server's clock, in seconds.
#[must_use]
pub fn date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(header::DATE)?.to_str().ok()?)
}

/// `Retry-After` (RFC 9110 section 10.2.3), in seconds or as a date. A date is compared
/// with the server's own `Date`; with this machine's time `now` only if that is missing.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let wait = http_date(value)?.duration_since(date(headers).unwrap_or(now));
    Some(Duration::try_from(wait).unwrap_or(Duration::ZERO))
}

/// A date in the one current form (RFC 9110 section 5.6.7).
fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    const NOW: &str = "Thu, 13 Sep 2018 10:11:12 GMT";
    const LATER: &str = "Thu, 13 Sep 2018 10:12:22 GMT";

    fn wait(retry_after_value: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        let value = |text| HeaderValue::from_str(text).unwrap();
        headers.insert(header::RETRY_AFTER, value(retry_after_value));
        if let Some(date) = date {
            headers.insert(header::DATE, value(date));
        }
        retry_after(&headers, http_date(NOW).unwrap())
    }

    #[test]
    fn a_date_has_one_form() {
        let expected: Timestamp = "2018-09-13T10:11:12Z".parse().unwrap();
        assert_eq!(http_date(NOW), Some(expected));
        assert_eq!(http_date("now"), None);
    }

    #[test]
    fn retry_after_has_two_forms() {
        for (asked, seconds) in [("7", Some(7)), (LATER, Some(70)), (NOW, Some(0))] {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(wait(asked, Some(NOW)), expected, "{asked}");
            assert_eq!(wait(asked, None), expected, "{asked}");
        }
        assert_eq!(wait("soon", Some(NOW)), None);
        // By the server's clock it is over already.
        assert_eq!(wait(NOW, Some(LATER)), Some(Duration::ZERO));
    }
}
