//! The body of an action: read within limits of size and time, then understood.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::{BytesMut, Payload};
use futures_util::StreamExt;
use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::from_slice;
use tokio::time::{Instant, timeout_at};

use crate::domain::{Email, MAX_EMAILS, ProblemCode, nearest};
use crate::http::{BodyLimits, Problem};

/// The addresses that an action's body names.
///
/// # Errors
/// 400 `invalid-body`, 408, 413, and 415 for a body that is not plain JSON.
pub async fn action_body(
    request: &HttpRequest,
    payload: Payload,
    limits: BodyLimits,
) -> Result<Vec<Email>, Problem> {
    let body = read(request, payload, limits).await?;
    if body.is_empty() {
        return Ok(Vec::new());
    }
    check_media_type(request)?;
    parse(&body)
}

/// Reads the whole body.
async fn read(
    request: &HttpRequest,
    mut payload: Payload,
    limits: BodyLimits,
) -> Result<BytesMut, Problem> {
    let mut body = BytesMut::new();
    match announced(request) {
        Some(0) => return Ok(body),
        Some(length) if length > limits.max_bytes => {
            return Err(too_large(limits));
        }
        _ => {}
    }
    let deadline = Instant::now() + limits.timeout;
    loop {
        let Ok(next) = timeout_at(deadline, payload.next()).await else {
            let detail = format!(
                "The body did not arrive within {:?} (server.body_timeout_ms).",
                limits.timeout
            );
            return Err(Problem::new(ProblemCode::RequestTimeout, detail).closing());
        };
        match next {
            None => return Ok(body),
            Some(Err(_)) => {
                let detail = "The body ended before its announced length.";
                return Err(Problem::new(ProblemCode::InvalidBody, detail).closing());
            }
            Some(Ok(chunk)) if body.len() + chunk.len() > limits.max_bytes => {
                return Err(too_large(limits));
            }
            Some(Ok(chunk)) => body.extend_from_slice(&chunk),
        }
    }
}

/// The length that the head announces, if it does. A head that names none, and no
/// encoding either, has no body (RFC 9112 section 6.3).
fn announced(request: &HttpRequest) -> Option<usize> {
    let headers = request.headers();
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return None;
    }
    match headers.get(header::CONTENT_LENGTH) {
        None => Some(0),
        Some(length) => length.to_str().ok()?.trim().parse().ok(),
    }
}

/// The connection is closed after this; until then the rest of the body is read for a moment,
/// so that its sender can read the answer.
fn too_large(limits: BodyLimits) -> Problem {
    let detail = format!(
        "The body may have at most {} bytes (server.max_body_bytes).",
        limits.max_bytes
    );
    Problem::new(ProblemCode::BodyTooLarge, detail).closing()
}

/// Refuses any body but plain JSON.
fn check_media_type(request: &HttpRequest) -> Result<(), Problem> {
    let headers = request.headers();
    if headers.contains_key(header::CONTENT_ENCODING) {
        let detail = "Content-Encoding is not supported; send plain JSON.";
        return Err(Problem::new(ProblemCode::UnsupportedMediaType, detail));
    }
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = value.to_str().unwrap_or_default().split(';').next();
    if essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let detail = "The Content-Type must be application/json.";
    Err(Problem::new(ProblemCode::UnsupportedMediaType, detail))
}

/// The body of an action, in the gateway's shape or in the vendor's own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionBody {
    #[serde(rename = "notificationEmails")]
    notification_emails: Option<Vec<String>>,
    metadata: Option<Object<Metadata>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    #[serde(rename = "notification-emails")]
    notification_emails: Option<String>,
}

/// A value that is written as an object: what serde derives takes an array of the members, too.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

/// Understands a body.
///
/// # Errors
/// 400 `invalid-body`, which names the member that is wrong, never its value.
pub fn parse(body: &[u8]) -> Result<Vec<Email>, Problem> {
    emails(body).map_err(|detail| Problem::new(ProblemCode::InvalidBody, detail))
}

/// The addresses in a body, or what is wrong with it.
fn emails(body: &[u8]) -> Result<Vec<Email>, String> {
    let Object(body): Object<ActionBody> =
        from_slice(body).map_err(|error| match error.is_data() {
            true => misfit(body),
            false => no_json(&error),
        })?;
    let (member, texts): (&str, Vec<String>) = match (body.notification_emails, body.metadata) {
        (Some(_), Some(_)) => {
            return Err("The body has both notificationEmails and metadata; use one.".into());
        }
        (Some(list), None) => ("notificationEmails", list),
        (None, metadata) => (
            "metadata.notification-emails",
            metadata
                .and_then(|Object(metadata)| metadata.notification_emails)
                .map(|list| list.split(',').map(|text| text.trim().to_owned()).collect())
                .unwrap_or_default(),
        ),
    };
    if texts.len() > MAX_EMAILS {
        return Err(format!("{member} has more than {MAX_EMAILS} addresses."));
    }
    texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            Email::parse(text).map_err(|error| format!("{member}[{index}] {error}."))
        })
        .collect()
}

/// The names in an object, whatever their values are.
type MemberNames = BTreeMap<String, IgnoredAny>;

/// Why JSON is not the body of an action: the first reason that is found.
fn misfit(body: &[u8]) -> String {
    /// The member alone, whatever the others are.
    #[derive(Deserialize)]
    struct Outer<T> {
        metadata: Option<T>,
    }

    let members: MemberNames = match from_slice(body) {
        Ok(members) => members,
        Err(error) if error.is_data() => return "The body must be a JSON object.".into(),
        Err(error) => return no_json(&error),
    };
    if let Some(text) = unknown(&members, "", &["notificationEmails", "metadata"]) {
        return text;
    }
    let Ok(Outer { metadata }) = from_slice::<Outer<MemberNames>>(body) else {
        return "metadata must be an object, and be there only once.".into();
    };
    let metadata = metadata.unwrap_or_default();
    if let Some(text) = unknown(&metadata, "metadata.", &["notification-emails"]) {
        return text;
    }
    let member = match from_slice::<Outer<Metadata>>(body) {
        Ok(_) => "notificationEmails must be a list of texts",
        Err(_) => "metadata.notification-emails must be one text, with commas in between",
    };
    format!("{member}, and be there only once.")
}

fn no_json(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    format!("The body is not JSON (line {line}, column {column}).")
}

/// What to say of the first member that is not among the known ones of this object. Its name is
/// repeated only if it is nearly a known one: anything else may be a secret in the wrong place.
fn unknown(members: &MemberNames, object: &str, known: &[&str]) -> Option<String> {
    let name = members
        .keys()
        .find(|name| !known.contains(&name.as_str()))?;
    let is_plain = name.bytes().all(|b| b.is_ascii_graphic());
    Some(match nearest(name, known.iter().copied()) {
        Some(near) if is_plain => {
            format!("The body's member {object}{name} is unknown; did you mean {object}{near}?")
        }
        _ => {
            let known: Vec<String> = known.iter().map(|name| format!("{object}{name}")).collect();
            format!("The body has a member other than {}.", known.join(" and "))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(body: &str) -> Result<Vec<String>, String> {
        parse(body.as_bytes())
            .map(|emails| emails.iter().map(|e| e.as_str().to_owned()).collect())
            .map_err(|problem| problem.code().as_str().to_owned())
    }

    #[test]
    fn both_shapes_are_read() {
        let two = Ok(vec!["a@b.c".to_owned(), "d@e.f".to_owned()]);
        assert_eq!(
            addresses(r#"{"notificationEmails":["a@b.c","d@e.f"]}"#),
            two
        );
        assert_eq!(
            addresses(r#"{"metadata":{"notification-emails":"a@b.c,d@e.f"}}"#),
            two
        );
        assert_eq!(
            addresses(r#"{"metadata":{"notification-emails":"a@b.c, d@e.f"}}"#),
            two
        );
        for nothing in ["{}", r#"{"metadata":{}}"#, r#"{"notificationEmails":[]}"#] {
            assert_eq!(addresses(nothing), Ok(vec![]), "{nothing}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let many = format!(
            r#"{{"notificationEmails":[{}"a@b.c"]}}"#,
            r#""a@b.c","#.repeat(20)
        );
        for bad in [
            "null",
            "[]",
            "\"x\"",
            "{",
            "{}x",
            "nonsense",
            "\u{feff}{}",
            r#"{"notificationEmails":"a@b.c"}"#,
            r#"[["a@b.c"],null]"#,
            r#"{"metadata":["a@b.c"]}"#,
            r#"{"notificationEmails":["a"]}"#,
            r#"{"notificationEmails":["a@b.c,d@e.f"]}"#,
            r#"{"notificationEmails":["a@b.c"],"metadata":{}}"#,
            r#"{"notificationEmails":[],"notificationEmails":[]}"#,
            r#"{"metadata":{"notification-emails":""}}"#,
            r#"{"metadata":{"notification-emails":"a@b.c,,d@e.f"}}"#,
            r#"{"metadata":{"other":1}}"#,
            r#"{"offerId":"x"}"#,
            &many,
        ] {
            assert_eq!(addresses(bad), Err("invalid-body".into()), "{bad}");
        }
    }

    #[test]
    fn the_member_that_is_wrong_is_named() {
        let long = format!(r#"{{"{}":1}}"#, "notificationEmails".repeat(500));
        for (body, expected) in [
            ("[]", "The body must be a JSON object."),
            ("null", "The body must be a JSON object."),
            ("{", "The body is not JSON (line 1, column 1)."),
            (
                r#"{"offerId":1,]"#,
                "The body is not JSON (line 1, column 14).",
            ),
            (
                r#"{"notificationEmail":["a@b.c"]}"#,
                "The body's member notificationEmail is unknown; did you mean notificationEmails?",
            ),
            (
                r#"{"notification-emails":"a@b.c"}"#,
                "The body's member notification-emails is unknown; did you mean notificationEmails?",
            ),
            (
                r#"{"metadata":{},"offerId":"vm"}"#,
                "The body has a member other than notificationEmails and metadata.",
            ),
            (
                r#"{"metadata":{"notificationEmails":"a@b.c"}}"#,
                "The body's member metadata.notificationEmails is unknown; did you mean \
                 metadata.notification-emails?",
            ),
            (
                r#"{"metadata":{"x":1}}"#,
                "The body has a member other than metadata.notification-emails.",
            ),
            (
                &long,
                "The body has a member other than notificationEmails and metadata.",
            ),
            (
                r#"{"metadata\u0007":1}"#,
                "The body has a member other than notificationEmails and metadata.",
            ),
            (
                r#"{"notificationEmails":"a@b.c"}"#,
                "notificationEmails must be a list of texts, and be there only once.",
            ),
            (
                r#"{"notificationEmails":[],"notificationEmails":[]}"#,
                "notificationEmails must be a list of texts, and be there only once.",
            ),
            (
                r#"{"metadata":[]}"#,
                "metadata must be an object, and be there only once.",
            ),
            (
                r#"{"metadata":{"notification-emails":["a@b.c"]}}"#,
                "metadata.notification-emails must be one text, with commas in between, and be \
                 there only once.",
            ),
        ] {
            let detail = emails(body.as_bytes()).unwrap_err();
            assert_eq!(detail, expected, "{body}");
        }
    }
}
