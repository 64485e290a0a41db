//! The vendor's JSON.
//!
//! Only the members that the gateway uses are read, tolerantly; unknown members are skipped.
//! Microsoft's reference: "Cloud Partner Portal API", retrieve operations, retrieve submissions.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::domain::parse_json_leniently;

/// An entry of `GET …/submissions`: one publishing run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The vendor's id for the run.
    pub id: Uuid,
    /// Its state.
    pub state: RunState,
    /// Its last change, by the vendor's clock.
    pub changed: Option<Timestamp>,
}

/// The state of a run, for which the vendor has many texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Running.
    Running,
    /// Canceled.
    Canceled,
    /// Ended with an error.
    Failed,
    /// Ended as intended.
    Completed,
    /// An unknown text, which does not count as an end.
    Unrecognized,
}

impl RunState {
    /// From the vendor's text, compared without case, spaces, hyphens and underscores.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let plain: String = text
            .chars()
            .filter(|c| !matches!(c, ' ' | '-' | '_'))
            .map(|c| c.to_ascii_lowercase())
            .collect();
        match plain.as_str() {
            "running"
            | "notstarted"
            | "inprogress"
            | "waitingforpublisherreview"
            | "waitingforapproval"
            | "blocked" => Self::Running,
            "canceled" | "cancelled" => Self::Canceled,
            "failed" => Self::Failed,
            "completed" | "complete" | "succeeded" | "published" => Self::Completed,
            _ => Self::Unrecognized,
        }
    }

    /// Whether the run is known to be over.
    #[must_use]
    pub fn has_ended(self) -> bool {
        match self {
            Self::Canceled | Self::Failed | Self::Completed => true,
            Self::Running | Self::Unrecognized => false,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubmissionEntry {
    id: Uuid,
    /// A missing or malformed state reads as an unknown text.
    #[serde(default)]
    submission_state: Value,
    #[serde(default)]
    changed_time: Value,
}

/// Reads the list of submissions, in the vendor's order: newest first.
///
/// # Errors
/// When it is not a complete JSON array of submissions with GUIDs.
pub fn submissions(body: &[u8]) -> Result<Vec<Submission>, serde_json::Error> {
    let entries: Vec<SubmissionEntry> = parse_json_leniently(body)?;
    let read = |entry: SubmissionEntry| Submission {
        id: entry.id,
        state: RunState::of(entry.submission_state.as_str().unwrap_or_default()),
        changed: entry.changed_time.as_str().and_then(vendor_time),
    };
    Ok(entries.into_iter().map(read).collect())
}

/// A time from the vendor: RFC 3339; without a zone it is UTC.
#[must_use]
pub fn vendor_time(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| {
        let civil: DateTime = text.parse().ok()?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })
}

/// The status text at an operation's location: in an object, or, as the reference shows
/// it, in an array with one object. Anything but a text reads as none.
///
/// # Errors
/// When the body is neither.
pub fn monitor_status(body: &[u8]) -> Result<Option<String>, serde_json::Error> {
    let status = |monitor: &Map<String, Value>| Some(monitor.get("status")?.as_str()?.to_owned());
    if let Ok(monitors) = parse_json_leniently::<Vec<Map<String, Value>>>(body) {
        return Ok(monitors.first().and_then(status));
    }
    parse_json_leniently(body).map(|monitor| status(&monitor))
}

/// The texts of an error document, not cleaned yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ErrorText {
    /// The vendor's code, where it has one.
    pub code: Option<String>,
    /// The vendor's message.
    pub message: Option<String>,
}

/// Reads an error document in any of the vendor's shapes: an `error` object, a
/// bare JSON string, an object named after a service.
#[must_use]
pub fn error_text(document: &Value) -> ErrorText {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    match document {
        Value::String(message) => ErrorText {
            code: None,
            message: Some(message.clone()),
        },
        Value::Object(members) => match members.get("error") {
            Some(Value::Object(error)) => ErrorText {
                code: text(error.get("code")),
                message: text(error.get("message")),
            },
            Some(Value::String(message)) => ErrorText {
                code: text(members.get("code")),
                message: Some(message.clone()),
            },
            _ => {
                let inner = members.values().find_map(|value| value.get("error"));
                ErrorText {
                    code: text(members.get("code")),
                    message: text(inner).or_else(|| text(members.get("message"))),
                }
            }
        },
        _ => ErrorText::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_many_texts() {
        for (text, state) in [
            ("running", RunState::Running),
            ("not started", RunState::Running),
            ("notStarted", RunState::Running),
            ("In-Progress", RunState::Running),
            ("WaitingForPublisherReview", RunState::Running),
            ("canceled", RunState::Canceled),
            ("Cancelled", RunState::Canceled),
            ("failed", RunState::Failed),
            ("complete", RunState::Completed),
            ("Succeeded", RunState::Completed),
            ("", RunState::Unrecognized),
            ("resting", RunState::Unrecognized),
        ] {
            assert_eq!(RunState::of(text), state, "{text:?}");
        }
    }

    #[test]
    fn a_time_without_zone_is_utc() {
        let expected: Timestamp = "2018-03-28T06:47:52.7384563Z".parse().unwrap();
        assert_eq!(vendor_time("2018-03-28T06:47:52.7384563Z"), Some(expected));
        assert_eq!(vendor_time("2018-03-28T06:47:52.7384563"), Some(expected));
        assert_eq!(
            vendor_time("2018-03-28T08:47:52.7384563+02:00"),
            Some(expected)
        );
        assert_eq!(vendor_time("yesterday"), None);
    }

    #[test]
    fn a_cut_list_is_refused() {
        let one = r#"[{"id":"56615b67-2185-49fe-80d2-c4ddf77bb2e8","submissionState":"running","version":636576975611768314}"#;
        assert!(submissions(one.as_bytes()).is_err());
        let whole = submissions(format!("{one}]").as_bytes()).unwrap();
        assert_eq!(whole[0].state, RunState::Running);
        assert_eq!(whole[0].changed, None);
        assert!(submissions(b"").is_err());
        assert!(submissions(b"{}").is_err());
    }

    #[test]
    fn a_malformed_member_does_not_spoil_the_list() {
        let list = r#"[{"id":"56615b67-2185-49fe-80d2-c4ddf77bb2e8","submissionState":null,"changedTime":1e999}]"#;
        let read = submissions(list.as_bytes()).unwrap();
        assert_eq!(
            (read[0].state, read[0].changed),
            (RunState::Unrecognized, None)
        );
    }

    #[test]
    fn a_monitor_is_an_object_or_an_array() {
        let text = Some("running".to_owned());
        assert_eq!(monitor_status(br#"{"status":"running"}"#).unwrap(), text);
        assert_eq!(monitor_status(br#"[{"status":"running"}]"#).unwrap(), text);
        let marked = "\u{feff}{\"status\":\"running\"}".as_bytes();
        assert_eq!(monitor_status(marked).unwrap(), text);
        for odd in [
            r#"{"x":1e999,"status":"running"}"#,
            r#"[{"x":"\ud83d","status":"running"}]"#,
        ] {
            assert_eq!(monitor_status(odd.as_bytes()).unwrap(), text, "{odd}");
        }
        let half = monitor_status(br#"{"status":"running \ud83d"}"#).unwrap();
        assert_eq!(half.as_deref(), Some("running \u{fffd}"));
        for none in ["[]", "{}", r#"{"status":3}"#, r#"{"status":null}"#] {
            assert_eq!(monitor_status(none.as_bytes()).unwrap(), None, "{none}");
        }
        assert!(monitor_status(b"<html>").is_err());
    }

    #[test]
    fn error_documents_come_in_many_shapes() {
        let table: [(&str, Option<&str>, Option<&str>); 6] = [
            (
                r#"{"error":{"code":"Forbidden","message":"no"}}"#,
                Some("Forbidden"),
                Some("no"),
            ),
            (
                r#""Microsoft.Ingestion.Api.Http404Exception""#,
                None,
                Some("Microsoft.Ingestion.Api.Http404Exception"),
            ),
            (
                r#"{"Variant":{"serviceName":"Variant","error":"conflict"}}"#,
                None,
                Some("conflict"),
            ),
            (r#"{"error":"plain"}"#, None, Some("plain")),
            ("[]", None, None),
            ("{}", None, None),
        ];
        for (body, code, message) in table {
            let read = error_text(&body.parse().unwrap());
            assert_eq!(
                (read.code.as_deref(), read.message.as_deref()),
                (code, message),
                "{body}"
            );
        }
    }
}
