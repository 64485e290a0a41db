//! Whether a 200 says that the action is over, which is only so if it says that the publish
//! is canceled, or says nothing.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::wire::RunState;
use crate::domain::parse_json;

/// The members that state how something stands, without case and separators. Where there are
/// several, all have to agree.
const STATUS_WORDS: [&str; 6] = [
    "status",
    "state",
    "provisioningstate",
    "operationstatus",
    "operationstate",
    "submissionstate",
];

/// Whether a 200 with this body ends a cancel: an empty object, or one whose status is
/// `canceled` and that has no error and names no operation. A word of another end is not
/// enough: it does not say what became of the publish.
#[must_use]
pub fn is_canceled_or_nothing(body: &[u8]) -> bool {
    parse_json::<Statement>(body).is_ok_and(|it| match it.canceled {
        _ if it.is_doubtful => false,
        Some(canceled) => canceled,
        None => it.is_empty,
    })
}

/// What an object says about itself. Every member is read, one that is there twice too, of
/// which a map would keep only the last.
struct Statement {
    is_empty: bool,
    /// Whether all its status words are `canceled`; none: it has no such word.
    canceled: Option<bool>,
    /// It has an error, names an operation, or has a status that is no text.
    is_doubtful: bool,
}

impl Statement {
    fn add_word(&mut self, canceled: bool) {
        self.canceled = Some(canceled && self.canceled.unwrap_or(true));
    }

    fn add(&mut self, name: &str, value: &Value) {
        let is_none = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        match (name, value) {
            _ if is_none => {}
            ("error" | "errors", _) => self.is_doubtful = true,
            (name, Value::String(word)) if STATUS_WORDS.contains(&name) => {
                self.add_word(RunState::of(word) == RunState::Canceled);
            }
            (name, _) if STATUS_WORDS.contains(&name) => self.is_doubtful = true,
            (name, value) => self.is_doubtful |= names_operation(name, value),
        }
    }
}

impl<'de> Deserialize<'de> for Statement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(StatementVisitor)
    }
}

struct StatementVisitor;

impl<'de> Visitor<'de> for StatementVisitor {
    type Value = Statement;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Statement, A::Error> {
        let mut statement = Statement {
            is_empty: true,
            canceled: None,
            is_doubtful: false,
        };
        while let Some(name) = members.next_key::<String>()? {
            statement.is_empty = false;
            let name = plain(&name);
            if name == "properties" {
                if let Some(inner) = members.next_value::<Option<Statement>>()? {
                    statement.is_doubtful |= inner.is_doubtful;
                    if let Some(canceled) = inner.canceled {
                        statement.add_word(canceled);
                    }
                }
            } else {
                statement.add(&name, &members.next_value()?);
            }
        }
        Ok(statement)
    }
}

/// Whether a member, or anything in it, names an operation by its name or by a path.
fn names_operation(name: &str, value: &Value) -> bool {
    let is_named = name.contains("operation") || name.ends_with("location");
    match value {
        Value::Null | Value::Bool(_) => false,
        _ if is_named => true,
        Value::Number(_) => false,
        Value::String(text) => text.to_ascii_lowercase().contains("/operation"),
        Value::Array(items) => items.iter().any(|item| names_operation("", item)),
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| names_operation(&plain(name), value)),
    }
}

/// A member's name without case and separators.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, ' ' | '-' | '_' | '.'))
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canceled_or_nothing_ends_a_cancel() {
        for body in [
            "{}",
            " {\n} ",
            "\u{feff}{}",
            r#"{"status":"canceled"}"#,
            r#"{"status":"Cancelled"}"#,
            r#"{"Status":"CANCELED"}"#,
            r#"{"STATUS":" canceled "}"#,
            "\u{feff}{\"status\":\"canceled\"}",
            r#"{"state":"Canceled"}"#,
            r#"{"provisioningState":"Canceled"}"#,
            r#"{"provisioning_state":"canceled"}"#,
            r#"{"properties":{"status":"canceled"}}"#,
            r#"{"Properties":{"ProvisioningState":"Canceled"}}"#,
            r#"{"status":"canceled","properties":{"provisioningState":"Canceled"}}"#,
            r#"{"status":"canceled","properties":null}"#,
            r#"{"status":"canceled","properties":{}}"#,
            r#"{"status":"canceled","state":null}"#,
            r#"{"status":"canceled","error":null,"errors":[]}"#,
            r#"{"status":"canceled","messages":[],"offerVersion":3,"steps":[{"status":"complete"}]}"#,
            r#"{"id":"56615b67-2185-49fe-80d2-c4ddf77bb2e8","submissionState":"canceled"}"#,
            r#"{"status":"canceled","operationLocation":null}"#,
        ] {
            assert!(is_canceled_or_nothing(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn everything_else_is_followed() {
        for body in [
            // Another word, or none.
            r#"{"status":"running"}"#,
            r#"{"Status":"Running"}"#,
            r#"{"status":"canceling"}"#,
            r#"{"status":"not canceled"}"#,
            r#"{"status":"succeeded"}"#,
            r#"{"status":"Completed"}"#,
            r#"{"status":"failed"}"#,
            r#"{"status":""}"#,
            r#"{"state":"InProgress"}"#,
            r#"{"properties":{"provisioningState":"InProgress"}}"#,
            r#"{"properties":{"properties":{"state":"Deleting"}}}"#,
            r#"{"message":"The cancel was queued."}"#,
            r#"{"result":"ok"}"#,
            r#"{"canceled":true}"#,
            r#"{"properties":{}}"#,
            r#"{"properties":null}"#,
            r#"{"value":[]}"#,
            // A status that is no text.
            r#"{"status":3}"#,
            r#"{"status":null}"#,
            r#"{"status":["canceled"]}"#,
            r#"{"status":{"code":"canceled"}}"#,
            r#"{"status":true,"state":"canceled"}"#,
            // Words that do not agree.
            r#"{"status":"canceled","state":"running"}"#,
            r#"{"status":"running","status":"canceled"}"#,
            r#"{"status":"canceled","Status":"Running"}"#,
            r#"{"status":"canceled","properties":{"provisioningState":"InProgress"}}"#,
            r#"{"properties":{"state":"running","state":"canceled"}}"#,
            // Errors.
            r#"{"error":{"code":"Busy"}}"#,
            r#"{"Error":"busy"}"#,
            r#"{"errors":[{"code":"Busy"}]}"#,
            r#"{"status":"canceled","error":{"code":"Busy"}}"#,
            r#"{"status":"canceled","errors":["busy"]}"#,
            r#"{"status":"canceled","properties":{"error":{"code":"Busy"}}}"#,
            // Operations.
            r#"{"status":"canceled","operationId":"1"}"#,
            r#"{"status":"canceled","operation":{"id":7}}"#,
            r#"{"status":"canceled","Operation-Location":"/x"}"#,
            r#"{"status":"canceled","location":"/x"}"#,
            r#"{"status":"canceled","id":"/api/operations/1"}"#,
            r#"{"status":"canceled","links":[{"href":"https://x/Operations/1"}]}"#,
            r#"{"status":"canceled","properties":{"azureAsyncOperation":"1"}}"#,
            // No object, or not one whole document.
            "",
            " ",
            "[]",
            "[{}]",
            r#"[{"status":"canceled"}]"#,
            "\"canceled\"",
            "canceled",
            "null",
            "true",
            "200",
            "{",
            r#"{"status":"canceled""#,
            r#"{"status":"canceled"}}"#,
            r#"{"status":"canceled"}{"error":1}"#,
            r#"{}{"error":{"code":"Busy"}}"#,
            "<html>canceled</html>",
            r#"{"status":"canceled","properties":"text"}"#,
        ] {
            assert!(!is_canceled_or_nothing(body.as_bytes()), "{body}");
        }
    }
}
