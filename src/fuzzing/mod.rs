//! What is to hold for every input from outside, whatever its bytes: one function a parser,
//! which panics where it does not hold. `fuzz/` calls them with inputs that it invents, and a
//! test here with those that are kept in `fuzz/corpus`.

mod framing;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::test::TestRequest;
use jiff::Timestamp;

use crate::credential::read_token_answer;
use crate::domain::{Email, MAX_EMAILS, ProblemCode, Redactor, Target};
use crate::http::{idempotency_key, parse_action_body, preferred_wait};
use crate::identity::{KeySet, UnverifiedToken};
use crate::portal::{Answer, Location, Meaning, action_answer};
use crate::settings::{ConfigSource, load};
use crate::transport::{Body, MemoryAnswer, MemoryServer};

pub use framing::framing;

/// A property of all inputs.
pub type Check = fn(&[u8]);

/// Every check, by the name of its corpus.
pub const CHECKS: [(&str, Check); 9] = [
    ("framing", framing),
    ("location", location),
    ("normalize", normalize),
    ("token_response", token_response),
    ("jwks", jwks),
    ("jwt", jwt),
    ("action_body", action_body),
    ("headers", headers),
    ("configuration", configuration),
];

/// A token of the gateway's, in no text that leaves it.
const TOKEN: &str =
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJodHRwcyJ9.c2lnbmF0dXJlLTEyMzQ1Njc4";
/// A secret in a configuration, in no error about it.
const SECRET: &str = "not-to-be-printed-9f3c2a";
const MAX_BODY: usize = 256 * 1024;

/// The location of an operation, as the vendor names it: never leaves its publisher and offer.
pub fn location(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let target = Target::sample("contoso", "contoso-vm");
    let Some(location) = Location::recognize(&text, &target) else {
        return;
    };
    let path = location.path(&target);
    stays(&path);
    assert_eq!(Location::recognize(&path, &target), Some(location));
    let lower = text.to_ascii_lowercase();
    assert!(
        lower.contains("contoso") && lower.contains("contoso-vm"),
        "{text}"
    );
}

fn stays(path: &str) {
    let operation = "/api/publishers/contoso/offers/contoso-vm/operations/";
    let guid = path.strip_prefix(operation);
    let is_guid = guid.is_some_and(|guid| {
        guid.len() == 36 && guid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
    });
    assert!(
        is_guid || path == "/api/operations/contoso$contoso-vm$2$preview",
        "{path}"
    );
}

/// The vendor's answer to an action: its text has no token, is short and plain; and a body
/// means the same with and without a coding.
pub fn normalize(input: &[u8]) {
    let message = Message::of(input);
    let Some(answer) = meaning(&message) else {
        return;
    };
    let texts = [
        &answer.said.code,
        &answer.said.message,
        &answer.correlation_id,
    ];
    for text in texts.into_iter().flatten() {
        assert!(text.len() <= 1024, "{} bytes", text.len());
        assert!(!text.contains(char::is_control), "{text:?}");
        let has_token = TOKEN.as_bytes().windows(16).any(|part| {
            let mut windows = text.as_bytes().windows(16);
            windows.any(|window| window == part)
        });
        assert!(!has_token, "{text}");
    }
    if let Some(location) = answer.location {
        stays(&location.path(&Target::sample("contoso", "contoso-vm")));
    }
    assert!(answer.meaning != Meaning::Finished || message.status == 200);
    // 204 and 304 have no body.
    let has_no_body = matches!(message.status, 204 | 304);
    if has_no_body || message.headers.contains_key("content-encoding") {
        return;
    }
    let mut plain = message;
    for name in ["content-length", "transfer-encoding"] {
        plain.headers.remove(name);
    }
    let encoded = gzip(plain.body);
    let mut coded = Message {
        status: plain.status,
        headers: plain.headers.clone(),
        body: &encoded,
    };
    coded.headers.insert(
        HeaderName::from_static("content-encoding"),
        HeaderValue::from_static("gzip"),
    );
    assert_eq!(meaning(&coded), meaning(&plain));
    // A cut body is never one that says that all is done.
    if let Some((_last, cut)) = encoded.split_last() {
        coded.body = cut;
        assert!(meaning(&coded).is_some_and(|cut| cut.meaning != Meaning::Finished));
    }
}

fn meaning(message: &Message<'_>) -> Option<Answer> {
    let redactor = Arc::new(Redactor::default());
    redactor.token_history("fuzzing").remember(TOKEN);
    let read = message.read()?;
    let target = Target::sample("contoso", "contoso-vm");
    let now = Timestamp::UNIX_EPOCH;
    Some(action_answer(
        read.status.as_u16(),
        &read.headers,
        &read.body,
        &target,
        &redactor,
        now,
    ))
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let written = encoder.write_all(plain);
    written.and_then(|()| encoder.finish()).unwrap_or_default()
}

/// The answer of a token endpoint: a token comes only with a 200, and no error repeats it.
pub fn token_response(input: &[u8]) {
    let message = Message::of(input);
    let Some(answer) = message.read() else {
        return;
    };
    let read = read_token_answer(answer.status.as_u16(), &answer.headers, &answer.body);
    let sent: &[u8] = match &answer.body {
        Body::Whole(body) | Body::Unverified(body) => body,
        Body::Cut | Body::Unreadable => message.body,
    };
    let granted = serde_json::from_slice::<serde_json::Value>(sent).ok();
    let token = granted
        .as_ref()
        .and_then(|body| body["access_token"].as_str());
    match read {
        Ok(authorization) => {
            assert_eq!(answer.status, 200);
            assert!(authorization.is_sensitive());
            let bearer = authorization.as_bytes().strip_prefix(b"Bearer ");
            assert!(bearer.is_some_and(|token| token.is_ascii() && !token.is_empty()));
        }
        Err(error) => {
            let token = token.filter(|token| token.len() >= 16);
            assert!(token.is_none_or(|token| !error.to_string().contains(token)));
        }
    }
}

/// A set of keys: bounded, and the same when it is read again.
pub fn jwks(input: &[u8]) {
    let Ok(set) = KeySet::parse(input, None) else {
        return;
    };
    assert!(set.count() <= 64);
    let again = KeySet::parse(input, Some(&set));
    assert!(again.is_ok_and(|again| again.is_same(&set)));
}

/// A token of a caller: three parts, one issuer, and no extension that is not understood.
pub fn jwt(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Ok(token) = UnverifiedToken::read(&text) else {
        return;
    };
    let parts: Vec<&str> = text.split('.').collect();
    assert_eq!(parts.len(), 3);
    let claim = token.unverified_claims().get("iss");
    assert_eq!(
        claim.and_then(serde_json::Value::as_str),
        Some(token.issuer())
    );
    let hint = token.key_hint();
    let set = KeySet::default();
    assert!(set.candidates(&hint).keys.is_empty());
}

/// The body of an action: a few good addresses, or none.
pub fn action_body(input: &[u8]) {
    let Ok(emails) = parse_action_body(input) else {
        return;
    };
    assert!(emails.len() <= MAX_EMAILS);
    for email in emails.iter().map(Email::as_str) {
        assert!(email.is_ascii() && email.len() <= 254, "{email}");
        assert_eq!(email.bytes().filter(|b| *b == b'@').count(), 1, "{email}");
        assert!(!email.contains([',', ';', ' ']) && !email.contains(char::is_control));
    }
    let list: Vec<&str> = emails.iter().map(Email::as_str).collect();
    let again = serde_json::json!({ "notificationEmails": list }).to_string();
    assert!(parse_action_body(again.as_bytes()).is_ok_and(|again| again == emails));
}

/// `Prefer` and `Idempotency-Key`, each line one of either: no wait is longer than allowed,
/// and only a string in quotes is a key.
pub fn headers(input: &[u8]) {
    for line in input.split(|byte| *byte == b'\n') {
        let Ok(value) = HeaderValue::from_bytes(line) else {
            continue;
        };
        let longest = Duration::from_secs(60);
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("prefer"), value.clone());
        assert!(preferred_wait(&headers, longest).is_none_or(|wait| wait <= longest));
        assert_eq!(preferred_wait(&headers, Duration::ZERO), None);

        let request = TestRequest::default().insert_header(("idempotency-key", value));
        match idempotency_key(&request.to_http_request()) {
            Ok(key) => {
                let text = line.trim_ascii();
                let ends = text.iter().skip(1).any(|byte| *byte == b'"');
                assert!(key.is_some() && text.first() == Some(&b'"') && ends);
            }
            Err(problem) => assert_eq!(problem.code(), ProblemCode::InvalidHeader),
        }
    }
}

/// A configuration, in its variables, each line one: no error shows a value.
pub fn configuration(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let variables = text.lines().filter_map(|line| line.split_once('='));
    let environment: BTreeMap<String, String> = variables
        .filter(|(name, _)| name.starts_with("OFFERGATE_") && !name.contains(SECRET))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let source = ConfigSource {
        dir: None,
        profile: None,
        environment,
    };
    if let Err(error) = load(&source) {
        let error = error.to_string();
        assert!(!error.is_empty() && !error.contains(SECRET), "{error}");
    }
}

/// An answer: the status, header lines, an empty line, the body.
struct Message<'m> {
    status: u16,
    headers: HeaderMap,
    body: &'m [u8],
}

impl<'m> Message<'m> {
    /// Reads as much of it as there is.
    fn of(input: &'m [u8]) -> Self {
        let end = input.windows(2).position(|pair| pair == b"\n\n");
        let (head, body) = match end {
            Some(end) => (&input[..end], &input[end + 2..]),
            None => (&b""[..], input),
        };
        let head = String::from_utf8_lossy(head);
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.trim().parse().ok());
        let mut headers = HeaderMap::new();
        // A head with more is refused; one is added below.
        let lines = lines.take(64);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let name = HeaderName::try_from(name);
            let value = HeaderValue::try_from(value.trim());
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
        }
        Self {
            status: status
                .filter(|status| (200..600).contains(status))
                .unwrap_or(200),
            headers,
            body,
        }
    }

    /// What is read of it when it comes over a connection whose end proves nothing; none if
    /// that is no answer.
    fn read(&self) -> Option<MemoryAnswer> {
        let mut sent = format!("HTTP/1.1 {} \r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                sent.extend_from_slice(part);
            }
        }
        sent.extend_from_slice(b"\r\n");
        sent.extend_from_slice(self.body);
        let server = MemoryServer::start().ok()?;
        server.answer(vec![Ok(sent)], false, MAX_BODY).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_corpus_holds() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let names = |folder: &str, ending: &str| -> BTreeSet<String> {
            let entries = fs::read_dir(root.join(folder)).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.map(|name| name.replace(ending, "")).collect()
        };
        let checks: BTreeSet<String> = CHECKS.iter().map(|(name, _)| (*name).into()).collect();
        assert_eq!(names("corpus", ""), checks);
        assert_eq!(names("fuzz_targets", ".rs"), checks);
        for (name, check) in CHECKS {
            let mut inputs = 0;
            for entry in fs::read_dir(root.join("corpus").join(name)).unwrap() {
                let input = fs::read(entry.unwrap().path()).unwrap();
                check(&input);
                // What is cut anywhere must hold as well.
                for end in (0..input.len()).step_by(input.len() / 16 + 1) {
                    check(&input[..end]);
                }
                inputs += 1;
            }
            assert!(inputs >= 8, "{name}: {inputs} inputs");
        }
    }
}
