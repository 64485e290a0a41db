//! Headers that are read from answers of every kind.

use std::time::Duration;

use actix_web::http::header::{self, HeaderMap};
use jiff::Timestamp;
use jiff::ToSpan;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;

/// The longest pause that a server may ask for: a longer one counts as this, towards callers
/// too.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The `Date` of an answer (RFC 9110 section 6.6.1): the server's clock, in seconds.
#[must_use]
pub fn date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(header::DATE)?.to_str().ok()?)
}

/// `Retry-After` (RFC 9110 section 10.2.3), in seconds or as a date, at most an hour. A date is
/// compared with the server's own `Date`; with this machine's time `now` only if that is
/// missing.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let is_number = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    let wait = if is_number {
        // A number that does not fit is a long time, too.
        value.parse().map_or(Duration::MAX, Duration::from_secs)
    } else {
        let wait = http_date(value)?.duration_since(date(headers).unwrap_or(now));
        Duration::try_from(wait).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

/// A date in one of the three forms that every recipient must read (RFC 9110 section 5.6.7).
fn http_date(text: &str) -> Option<Timestamp> {
    let current = rfc2822::DateTimeParser::new().parse_timestamp(text).ok();
    current.or_else(|| obsolete_date(text, Timestamp::now()))
}

/// `Sunday, 06-Nov-94 08:49:37 GMT` (RFC 850) or `Sun Nov  6 08:49:37 1994` (asctime). The day
/// of the week is not needed, and not checked.
fn obsolete_date(text: &str, now: Timestamp) -> Option<Timestamp> {
    let parts: Vec<&str> = text
        .split([' ', ',', '-'])
        .filter(|part| !part.is_empty())
        .collect();
    let (day, month, year, time) = match parts[..] {
        [_, day, month, year, time, zone] if is_utc(zone) => (day, month, year, time),
        [_, month, day, time, year] => (day, month, year, time),
        _ => return None,
    };
    let month = MONTHS.iter().position(|m| m.eq_ignore_ascii_case(month))?;
    let month = i8::try_from(month + 1).ok()?;
    let day = number(day, 2)?;
    let time: Vec<i8> = time
        .split(':')
        .map(|part| number(part, 2))
        .collect::<Option<_>>()?;
    let [hour, minute, second] = time[..] else {
        return None;
    };
    let at = |year: i16| {
        // The sixtieth second is a leap second.
        let civil = DateTime::new(year, month, day, hour, minute, second.min(59), 0).ok()?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    match year.len() {
        4 => at(number(year, 4)?),
        2 => nearest(number(year, 2)?, now, at),
        _ => None,
    }
}

/// The latest moment with this two-digit year that is at most 50 years ahead.
fn nearest(year: i16, now: Timestamp, at: impl Fn(i16) -> Option<Timestamp>) -> Option<Timestamp> {
    let now = now.to_zoned(TimeZone::UTC);
    let century = now.year() - now.year() % 100;
    let latest = now.checked_add(50.years()).ok()?.timestamp();
    [100, 0, -100]
        .into_iter()
        .filter_map(|offset| at(century + offset + year))
        .find(|moment| *moment <= latest)
}

fn is_utc(zone: &str) -> bool {
    ["GMT", "UTC"]
        .iter()
        .any(|name| name.eq_ignore_ascii_case(zone))
}

/// A number of at most so many digits.
fn number<T: std::str::FromStr>(text: &str, digits: usize) -> Option<T> {
    let fits = text.len() <= digits && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
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
    fn a_date_has_three_forms() {
        let expected: Timestamp = "1994-11-06T08:49:37Z".parse().unwrap();
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun Nov 06 08:49:37 1994",
        ] {
            assert_eq!(http_date(text), Some(expected), "{text}");
        }
        let leap: Timestamp = "2016-12-31T23:59:59Z".parse().unwrap();
        let text = "Saturday, 31-Dec-16 23:59:60 GMT";
        assert_eq!(http_date(text), Some(leap));
        for text in [
            "",
            "now",
            "Sunday, 06-Nov-94 08:49:37 PST",
            "Sunday, 06-Nov-194 08:49:37 GMT",
            "Sunday, 31-Feb-94 08:49:37 GMT",
            "Sunday, 06-Foo-94 08:49:37 GMT",
            "Sunday, +6-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49 GMT",
            "Sun Nov  6 08:49:37",
        ] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }

    #[test]
    fn a_year_of_two_digits_is_at_most_fifty_years_ahead() {
        for (now, text, expected) in [
            (
                "2026-12-01T00:00:00Z",
                "Friday, 01-Dec-26 00:00:10 GMT",
                2026,
            ),
            (
                "2026-12-01T00:00:00Z",
                "Tuesday, 01-Dec-76 00:00:00 GMT",
                2076,
            ),
            (
                "2026-12-01T00:00:00Z",
                "Wednesday, 01-Dec-76 00:00:01 GMT",
                1976,
            ),
            (
                "2026-12-01T00:00:00Z",
                "Friday, 01-Jan-99 00:00:00 GMT",
                1999,
            ),
            (
                "2099-12-31T23:59:50Z",
                "Friday, 01-Jan-00 00:00:05 GMT",
                2100,
            ),
        ] {
            let moment = obsolete_date(text, now.parse().unwrap()).unwrap();
            let year = moment.to_zoned(TimeZone::UTC).year();
            assert_eq!(year, expected, "{text} at {now}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let rfc850 = "Thursday, 13-Sep-18 10:12:22 GMT";
        let asctime = "Thu Sep 13 10:12:22 2018";
        for (asked, seconds) in [
            ("7", Some(7)),
            (" 7 ", Some(7)),
            (LATER, Some(70)),
            (rfc850, Some(70)),
            (asctime, Some(70)),
            (NOW, Some(0)),
            ("-7", None),
            ("7.5", None),
            ("", None),
        ] {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(wait(asked, Some(NOW)), expected, "{asked}");
            assert_eq!(wait(asked, None), expected, "{asked}");
        }
        assert_eq!(wait("soon", Some(NOW)), None);
        // By the server's clock it is over already.
        assert_eq!(wait(NOW, Some(LATER)), Some(Duration::ZERO));
        let date = Some("Thursday, 13-Sep-18 10:12:12 GMT");
        assert_eq!(wait(rfc850, date), Some(Duration::from_secs(10)));
    }

    #[test]
    fn no_server_asks_for_more_than_an_hour() {
        for asked in [
            "3601",
            "4294967295",
            "4294967296",
            "99999999999999999999999999",
            "Thu, 13 Sep 2028 10:11:12 GMT",
            "Thursday, 13-Sep-28 10:11:12 GMT",
        ] {
            assert_eq!(wait(asked, Some(NOW)), Some(LONGEST_RETRY_AFTER), "{asked}");
        }
        assert_eq!(wait("3599", None), Some(Duration::from_secs(3599)));
    }
}
