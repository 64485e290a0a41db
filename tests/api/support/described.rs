//! Holds every answer that a test receives from the public listener against the API's
//! description: its status, code, media type, headers and document must be in there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

use crate::client::Answer;

/// Headers that HTTP itself or every answer has.
const COMMON_HEADERS: [&str; 8] = [
    "cache-control",
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "transfer-encoding",
    "x-content-type-options",
];
const URL: &str = "http://description.test/openapi.json";

static DESCRIPTION: LazyLock<Description> = LazyLock::new(Description::read);

/// The description, with its schemas made strict: a member that they do not name is refused.
struct Description {
    document: Value,
    schemas: Schemas,
    /// The schemas of answers, by their place in the document.
    bodies: BTreeMap<String, SchemaIndex>,
}

/// An answer to a request of the public listener must be described. Answers of others have no
/// `X-Request-Id`.
#[track_caller]
pub fn check(method: &str, target: &str, answer: &Answer) {
    if answer.header("x-request-id").is_none() {
        return;
    }
    let found = DESCRIPTION.find(method, target);
    let mut wrong = Vec::new();
    for place in &found {
        match DESCRIPTION.objections(place, method, answer) {
            none if none.is_empty() => return,
            some => wrong.extend(some.into_iter().map(|it| format!("{place}: {it}"))),
        }
    }
    panic!("{method} {target} is not described so: {wrong:#?}\n{answer:?}");
}

/// As [`check`], for an answer to an unknown request: some route must have it.
#[track_caller]
pub fn check_any(answer: &Answer) {
    check("", "", answer);
}

/// The document of an operation, as in an event.
#[track_caller]
pub fn check_operation(operation: &Value) {
    let place = "/components/schemas/Operation";
    let objection = DESCRIPTION.invalid(place, operation);
    assert_eq!(objection, None, "{operation}");
}

/// A schema of the description, by its place there, and a document: why it is not valid.
pub fn invalid(place: &str, document: &Value) -> Option<String> {
    DESCRIPTION.invalid(place, document)
}

/// The description itself.
pub fn document() -> &'static Value {
    &DESCRIPTION.document
}

/// A key as a part of a JSON pointer (RFC 6901 section 3).
pub fn part(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The places of all operations: path, method and JSON pointer.
pub fn operations() -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    for (path, item) in DESCRIPTION.document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let place = format!("/paths/{}/{method}", part(path));
            all.push((path.clone(), method.clone(), place));
        }
    }
    all
}

impl Description {
    fn read() -> Self {
        let json = offergate::http::contract("http://gateway.test").json();
        let document: Value = serde_json::from_slice(&json).unwrap();
        let mut strict = document.clone();
        for schema in strict["components"]["schemas"]
            .as_object_mut()
            .unwrap()
            .values_mut()
        {
            if schema["type"] == "object" {
                schema["additionalProperties"] = json!(false);
            }
        }
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        compiler.add_resource(URL, strict.clone()).unwrap();
        let mut places = BTreeSet::new();
        for name in strict["components"]["schemas"].as_object().unwrap().keys() {
            places.insert(format!("/components/schemas/{name}"));
        }
        schemas_below("", &strict["paths"], &mut places);
        let places = places
            .into_iter()
            .map(|place| match place.starts_with("/components") {
                true => place,
                false => format!("/paths{place}"),
            });
        let mut schemas = Schemas::new();
        let bodies = places.map(|place| {
            let escaped = place.replace('{', "%7B").replace('}', "%7D");
            let compiled = compiler.compile(&format!("{URL}#{escaped}"), &mut schemas);
            let index = compiled.unwrap_or_else(|error| panic!("{place}: {error:#}"));
            (place, index)
        });
        let bodies = bodies.collect();
        Self {
            document,
            schemas,
            bodies,
        }
    }

    fn invalid(&self, place: &str, document: &Value) -> Option<String> {
        let schema = self.bodies.get(place);
        let schema = *schema.unwrap_or_else(|| panic!("no schema at {place}"));
        let checked = self.schemas.validate(document, schema);
        checked.err().map(|error| format!("{error:#}"))
    }

    /// The places that may describe the answer to this request: of its route; or of any, if it
    /// met none.
    fn find(&self, method: &str, target: &str) -> Vec<String> {
        let target = target.split(['?', '#']).next().unwrap_or_default();
        let of_path = |(path, _, _): &(String, _, _)| fits(path, target);
        let all = operations();
        let route: Vec<_> = all.iter().filter(|it| of_path(it)).collect();
        let wanted = match method {
            "HEAD" => "get".to_owned(),
            other => other.to_ascii_lowercase(),
        };
        let exact: Vec<_> = route.iter().filter(|it| it.1 == wanted).collect();
        let places: Vec<&String> = match (route.is_empty(), exact.is_empty()) {
            (true, _) => all.iter().map(|it| &it.2).collect(),
            (false, true) => route.iter().map(|it| &it.2).collect(),
            (false, false) => exact.iter().map(|it| &it.2).collect(),
        };
        places.into_iter().cloned().collect()
    }

    /// What is not as the operation at this place says.
    fn objections(&self, place: &str, method: &str, answer: &Answer) -> Vec<String> {
        let place = format!("{place}/responses/{}", answer.status);
        let Some(response) = self.document.pointer(&place) else {
            return vec![format!("no status {}", answer.status)];
        };
        let mut wrong = Vec::new();
        let headers = response["headers"].as_object().unwrap();
        let names: Vec<String> = headers.keys().map(|it| it.to_ascii_lowercase()).collect();
        for (name, reference) in headers {
            let pointer = reference["$ref"].as_str().unwrap().trim_start_matches('#');
            let header = self.document.pointer(pointer).unwrap();
            let is_there = answer.header(&name.to_ascii_lowercase()).is_some();
            if header["required"] == true && !is_there {
                wrong.push(format!("{name} is missing"));
            }
        }
        for (name, _) in &answer.headers {
            if !COMMON_HEADERS.contains(&name.as_str()) && !names.contains(name) {
                wrong.push(format!("{name} is not described"));
            }
        }
        let media_type = answer.header("content-type").unwrap_or_default();
        let essence = media_type.split(';').next().unwrap();
        let known = response["content"].as_object();
        if !known.map_or(essence.is_empty(), |known| known.contains_key(essence)) {
            wrong.push(format!("media type {media_type:?}"));
            return wrong;
        }
        // A body that came in part says nothing.
        let length = answer
            .header("content-length")
            .and_then(|it| it.parse().ok());
        let body = length.and_then(|length: usize| answer.body.get(..length));
        if let Some(body) = body.filter(|_| essence.ends_with("json") && method != "HEAD") {
            let document = serde_json::from_str(body).unwrap();
            let schema = format!("{place}/content/{}/schema", part(essence));
            wrong.extend(self.invalid(&schema, &document));
        }
        wrong
    }
}

/// Whether a path is one of a template.
fn fits(template: &str, path: &str) -> bool {
    let (known, given) = (template.split('/'), path.split('/'));
    known.clone().count() == given.clone().count()
        && known.zip(given).all(|(known, given)| match known {
            placeholder if placeholder.starts_with('{') => !given.is_empty(),
            literal => literal == given,
        })
}

/// The places of the schemas of parameters and bodies.
fn schemas_below(place: &str, value: &Value, into: &mut BTreeSet<String>) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, it)| (part(name), it)).collect(),
        Value::Array(items) => (0..).map(|n: usize| n.to_string()).zip(items).collect(),
        _ => return,
    };
    for (name, member) in members {
        let below = format!("{place}/{name}");
        match name.as_str() {
            "schema" => {
                into.insert(below);
            }
            "example" | "examples" => {}
            _ => schemas_below(&below, member, into),
        }
    }
}
