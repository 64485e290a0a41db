//! Whether a 200 says that the action is over, which is only so if it says that the publish
//! is canceled, or says nothing.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::wire::RunState;
use crate::domain::parse_json;

/// The members that state how the action stands, without case and separators. They count at
/// the top and in `properties`.
const STATUS_WORDS: [&str; 6] = [
    "status",
    "state",
    "provisioningstate",
    "operationstatus",
    "operationstate",
    "submissionstate",
];

/// Whether a 200 with this body ends a cancel: an empty object, or one whose status is
/// `canceled` and in which nothing speaks against it: no other status, error or operation. A
/// word of another end is not enough: it does not say what became of the publish.
#[must_use]
pub fn is_canceled_or_nothing(body: &[u8]) -> bool {
    match parse_json(body) {
        Ok(Json::Object(members)) => {
            let is_doubtful = |(name, value): &(String, Json)| is_doubtful(name, value, false);
            members.is_empty() || (is_canceled(&members) && !members.iter().any(is_doubtful))
        }
        _ => false,
    }
}

/// JSON with every member of an object, one that is there twice too: a map would keep only the
/// last.
enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Whether a status word is `canceled`.
fn is_canceled(members: &[(String, Json)]) -> bool {
    members.iter().any(|(name, value)| match value {
        Json::Text(word) => {
            STATUS_WORDS.contains(&plain(name).as_str()) && RunState::of(word) == RunState::Canceled
        }
        Json::Object(inner) => plain(name) == "properties" && is_canceled(inner),
        _ => false,
    })
}

/// Whether a member, or anything in it, may mean that the action is not over, or has failed.
/// The states of what is `in_list`, such as the steps of a publish, are not the action's.
fn is_doubtful(name: &str, value: &Json, in_list: bool) -> bool {
    let name = plain(name);
    let is_status = !in_list && (name.ends_with("status") || name.ends_with("state"));
    match value {
        Json::Null => false,
        Json::Array(items) if items.is_empty() => false,
        Json::Text(word) if is_status => RunState::of(word) != RunState::Canceled,
        _ if is_status => true,
        _ if states_error(&name, value) || names_operation(&name, value) => true,
        Json::Array(items) => items.iter().any(|item| is_doubtful("", item, true)),
        Json::Object(members) => members
            .iter()
            .any(|(name, value)| is_doubtful(name, value, in_list)),
        _ => name == "properties",
    }
}

/// Whether a member is an error, in any of its names, and not an empty one.
fn states_error(name: &str, value: &Json) -> bool {
    let is_named = ["error", "exception", "fail", "fault"]
        .iter()
        .any(|word| name.replace("default", "").contains(word));
    match value {
        Json::Bool(false) if name.contains("success") || name.contains("succeeded") => true,
        Json::Null | Json::Bool(false) => false,
        Json::Number(number) => is_named && *number != 0.0,
        Json::Text(text) => is_named && !text.trim().is_empty(),
        Json::Bool(true) | Json::Array(_) | Json::Object(_) => is_named,
    }
}

/// Whether a member names an operation by its name or by a path.
fn names_operation(name: &str, value: &Json) -> bool {
    let is_named = name.contains("operation") || name.ends_with("location");
    match value {
        Json::Null | Json::Bool(_) => false,
        Json::Text(text) => is_named || text.to_ascii_lowercase().contains("/operation"),
        Json::Number(_) | Json::Array(_) | Json::Object(_) => is_named,
    }
}

/// A member's name without case and separators.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    #[allow(clippy::cast_precision_loss)] // only 0 is told from the others
    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    #[allow(clippy::cast_precision_loss)] // only 0 is told from the others
    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(Json::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut all = Vec::new();
        while let Some(member) = members.next_entry()? {
            all.push(member);
        }
        Ok(Json::Object(all))
    }
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
            r#"{"status":"canceled","errorCode":null,"errorMessage":"","hasErrors":false,"errorCount":0}"#,
            r#"{"status":"canceled","result":{"jobState":"Cancelled"},"isDefault":true,"success":true}"#,
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
            r#"{"status":"canceled","odata.error":{"code":"Busy"}}"#,
            r#"{"status":"canceled","@odata.error":{"code":"Busy"}}"#,
            r#"{"status":"canceled","errorCode":"Busy"}"#,
            r#"{"status":"canceled","error_message":"busy"}"#,
            r#"{"status":"canceled","innererror":{}}"#,
            r#"{"status":"canceled","errorCount":1}"#,
            r#"{"status":"canceled","hasErrors":true}"#,
            r#"{"status":"canceled","ExceptionMessage":"busy"}"#,
            r#"{"status":"canceled","fault":{"faultstring":"busy"}}"#,
            r#"{"status":"canceled","failureReason":"busy"}"#,
            r#"{"status":"canceled","success":false}"#,
            r#"{"status":"canceled","result":{"detail":{"errorCode":"Busy"}}}"#,
            r#"{"status":"canceled","results":[{"error":{"code":"Busy"}}]}"#,
            // Nested states, and those of other names.
            r#"{"status":"canceled","result":{"status":"running"}}"#,
            r#"{"status":"canceled","result":{"status":"running","status":"canceled"}}"#,
            r#"{"status":"canceled","submission":{"submissionState":"running"}}"#,
            r#"{"status":"canceled","a":{"b":{"State":"InProgress"}}}"#,
            r#"{"status":"canceled","cancelStatus":"pending"}"#,
            r#"{"status":"canceled","job":{"run-state":2}}"#,
            r#"{"result":{"status":"canceled"}}"#,
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
