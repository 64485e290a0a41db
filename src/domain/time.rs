//! How times are written in answers: RFC 3339 in UTC, always with six digits of fraction.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// A time as JSON text, for `#[serde(serialize_with)]`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize_time<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.6}"))
}

/// A time as JSON text, or null.
///
/// # Errors
/// Those of the serializer.
pub fn serialize_optional_time<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let text = time.map(|time| format!("{time:.6}"));
    text.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Times {
        #[serde(serialize_with = "serialize_time")]
        one: Timestamp,
        #[serde(serialize_with = "serialize_optional_time")]
        other: Option<Timestamp>,
    }

    #[test]
    fn times_have_six_digits_of_fraction() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_500_000, "1970-01-01T00:00:01.500000Z"),
            (1_000_001, "1970-01-01T00:00:01.000001Z"),
        ] {
            let one = Timestamp::from_microsecond(micros).unwrap();
            let times = Times {
                one,
                other: Some(one),
            };
            let json = format!("{{\"one\":\"{text}\",\"other\":\"{text}\"}}");
            assert_eq!(serde_json::to_string(&times).unwrap(), json);
        }
        let none = Times {
            one: Timestamp::UNIX_EPOCH,
            other: None,
        };
        let json = serde_json::to_value(none).unwrap();
        assert!(json["other"].is_null());
    }
}
