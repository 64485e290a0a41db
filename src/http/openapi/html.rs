//! The document as a page: everything in it that a reader needs, without scripts.

use std::fmt::Write;

use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::schema::{AnyOf, ArrayItems, Object, SchemaType};
use utoipa::openapi::security::{ApiKey, SecurityScheme};
use utoipa::openapi::{OpenApi, RefOr, Response, Schema, Type};

use super::description::Topic;
use crate::domain::ProblemCode;
use crate::http::page::{escape, html, inline, prose};

/// The page.
pub fn page(document: &OpenApi, public_url: &str) -> String {
    let mut body = String::new();
    let info = &document.info;
    push(
        &mut body,
        format_args!(
            "<p class=\"lead\">{} {} · <code>{}</code></p>\n<h1>The API of this gateway</h1>\n",
            escape(&info.title),
            escape(&info.version),
            escape(public_url)
        ),
    );
    body.push_str(&prose(info.description.as_deref().unwrap_or_default()));
    let json = escape(&format!("{public_url}/openapi.json"));
    push(
        &mut body,
        format_args!("<p>For machines: <a href=\"{json}\">openapi.json</a> (OpenAPI 3.1).</p>\n"),
    );
    contents(&mut body, document);
    credentials(&mut body, document);
    for topic in Topic::ALL {
        push(
            &mut body,
            format_args!("<h2>{}</h2>\n{}\n", topic.name(), prose(topic.text())),
        );
        for (path, method, operation) in operations(document) {
            if operation
                .tags
                .iter()
                .flatten()
                .any(|tag| tag == topic.name())
            {
                route(&mut body, path, method, operation, public_url);
            }
        }
    }
    documents(&mut body, document);
    example(&mut body, document);
    codes(&mut body, public_url);
    html("API", &body)
}

/// Writes into memory, which cannot fail.
fn push(into: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = into.write_fmt(text);
}

/// Every route and method, in the order of the document.
fn operations(document: &OpenApi) -> impl Iterator<Item = (&str, &'static str, &Operation)> {
    document.paths.paths.iter().flat_map(|(path, item)| {
        let methods = [("GET", &item.get), ("POST", &item.post)].into_iter();
        methods.filter_map(|(name, operation)| Some((path.as_str(), name, operation.as_ref()?)))
    })
}

fn anchor(operation: &Operation) -> &str {
    operation.operation_id.as_deref().unwrap_or_default()
}

fn contents(body: &mut String, document: &OpenApi) {
    body.push_str("<nav><ul>\n");
    for (path, method, operation) in operations(document) {
        push(
            body,
            format_args!(
                "<li><a href=\"#{}\"><span class=\"method\">{method}</span> <code>{}</code></a> \
                 <span>{}</span></li>\n",
                anchor(operation),
                escape(path),
                escape(operation.summary.as_deref().unwrap_or_default())
            ),
        );
    }
    body.push_str(
        "<li><a href=\"#documents\">Documents</a></li>\n\
         <li><a href=\"#problems\">Problems</a></li>\n</ul></nav>\n",
    );
}

fn credentials(body: &mut String, document: &OpenApi) {
    body.push_str("<h2 id=\"credentials\">Credentials</h2>\n<dl>\n");
    let schemes = document
        .components
        .iter()
        .flat_map(|it| &it.security_schemes);
    for (_, scheme) in schemes {
        let RefOr::T(scheme) = scheme else { continue };
        let (name, text) = match scheme {
            SecurityScheme::ApiKey(ApiKey::Header(key)) => {
                ("X-Api-Key: …", key.description.clone())
            }
            SecurityScheme::Http(http) => ("Authorization: Bearer …", http.description.clone()),
            SecurityScheme::MutualTls { description, .. } => ("TLS", description.clone()),
            _ => continue,
        };
        push(
            body,
            format_args!(
                "<dt><code>{name}</code></dt><dd>{}</dd>\n",
                inline(&text.unwrap_or_default())
            ),
        );
    }
    body.push_str("</dl>\n");
}

fn route(body: &mut String, path: &str, method: &str, operation: &Operation, public_url: &str) {
    push(
        body,
        format_args!(
            "<section id=\"{}\">\n<h3><span class=\"method\">{method}</span> <code>{}</code></h3>\n\
             <p class=\"summary\">{}{}</p>\n{}\n",
            anchor(operation),
            escape(path),
            escape(operation.summary.as_deref().unwrap_or_default()),
            match operation.security.iter().flatten().next() {
                Some(_) => "",
                None => " · no credential needed",
            },
            prose(operation.description.as_deref().unwrap_or_default())
        ),
    );
    let parameters = operation.parameters.iter().flatten();
    let parameters: Vec<&Parameter> = parameters
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        })
        .collect();
    if !parameters.is_empty() || operation.request_body.is_some() {
        body.push_str("<h4>Request</h4>\n<dl>\n");
        for parameter in parameters {
            let text = parameter.description.as_deref().unwrap_or_default();
            push(
                body,
                format_args!(
                    "<dt><code>{}</code></dt><dd>{}</dd>\n",
                    escape(&parameter.name),
                    inline(text)
                ),
            );
        }
        if let Some(RefOr::T(request)) = &operation.request_body {
            let text = request.description.as_deref().unwrap_or_default();
            push(
                body,
                format_args!(
                    "<dt>Body</dt><dd>{} <a href=\"#ActionBody\">ActionBody</a></dd>\n",
                    inline(text)
                ),
            );
        }
        body.push_str("</dl>\n");
    }
    body.push_str("<h4>Answers</h4>\n<dl class=\"answers\">\n");
    for (status, response) in &operation.responses.responses {
        if let RefOr::T(response) = response {
            push(
                body,
                format_args!(
                    "<dt>{status}</dt><dd>{}</dd>\n",
                    answer(response, public_url)
                ),
            );
        }
    }
    body.push_str("</dl>\n</section>\n");
}

/// An answer: its problems with links, or what it is; then its headers.
fn answer(response: &Response, public_url: &str) -> String {
    let mut text = match response.content.get("application/problem+json") {
        Some(RefOr::T(problem)) => {
            let known = ProblemCode::ALL.iter();
            let named = known.filter(|code| problem.examples.contains_key(code.as_str()));
            let links: Vec<String> = named
                .map(|code| {
                    let name = code.as_str();
                    let page = escape(&format!("{public_url}/problems/{name}"));
                    format!("<a href=\"{page}\"><code>{name}</code></a>")
                })
                .collect();
            links.join(", ")
        }
        _ => inline(&response.description),
    };
    let types = response.content.keys();
    let types: Vec<&str> = types
        .map(String::as_str)
        .filter(|name| *name != "application/problem+json")
        .collect();
    if !types.is_empty() {
        push(
            &mut text,
            format_args!("<br><small>{}</small>", escape(&types.join(", "))),
        );
    }
    let headers: Vec<&str> = response
        .headers
        .keys()
        .map(String::as_str)
        .filter(|name| *name != "X-Request-Id" && !name.starts_with("RateLimit"))
        .collect();
    if !headers.is_empty() {
        push(
            &mut text,
            format_args!("<br><small>{}</small>", escape(&headers.join(", "))),
        );
    }
    text
}

fn documents(body: &mut String, document: &OpenApi) {
    body.push_str("<h2 id=\"documents\">Documents</h2>\n");
    let schemas = document.components.iter().flat_map(|it| &it.schemas);
    for (name, schema) in schemas {
        push(
            body,
            format_args!("<section id=\"{name}\">\n<h3>{name}</h3>\n"),
        );
        match schema {
            RefOr::T(Schema::Object(object)) => members(body, object),
            RefOr::T(Schema::AnyOf(forms)) => each_form(body, forms),
            _ => {}
        }
        body.push_str("</section>\n");
    }
}

fn each_form(body: &mut String, forms: &AnyOf) {
    body.push_str(&prose(forms.description.as_deref().unwrap_or_default()));
    for form in &forms.items {
        if let RefOr::T(Schema::Object(object)) = form {
            members(body, object);
        }
    }
}

fn members(body: &mut String, object: &Object) {
    body.push_str(&prose(object.description.as_deref().unwrap_or_default()));
    if object.properties.is_empty() {
        return;
    }
    body.push_str("<dl>\n");
    for (name, schema) in &object.properties {
        let (kind, text) = kind_and_text(schema);
        push(
            body,
            format_args!(
                "<dt><code>{name}</code> <small>{kind}</small></dt><dd>{}</dd>\n",
                inline(text)
            ),
        );
    }
    body.push_str("</dl>\n");
}

/// The type of a member, as HTML, and what it says.
fn kind_and_text(schema: &RefOr<Schema>) -> (String, &str) {
    match schema {
        RefOr::Ref(reference) => (link(&reference.ref_location), &reference.description),
        RefOr::T(Schema::OneOf(either)) => {
            let text = either.description.as_deref().unwrap_or_default();
            let first = either.items.first().map(|first| kind_and_text(first).0);
            (format!("{} or null", first.unwrap_or_default()), text)
        }
        RefOr::T(Schema::Array(array)) => {
            let text = array.description.as_deref().unwrap_or_default();
            let items = match &array.items {
                ArrayItems::RefOrSchema(items) => kind_and_text(items).0,
                ArrayItems::False => String::new(),
            };
            (format!("list of {items}"), text)
        }
        RefOr::T(Schema::Object(object)) => {
            let text = object.description.as_deref().unwrap_or_default();
            (types(&object.schema_type), text)
        }
        RefOr::T(_) => (String::new(), ""),
    }
}

fn link(reference: &str) -> String {
    let name = reference.rsplit('/').next().unwrap_or_default();
    format!("<a href=\"#{name}\">{name}</a>")
}

fn types(all: &SchemaType) -> String {
    let name = |one: &Type| match one {
        Type::Object => "object",
        Type::String => "text",
        Type::Integer => "integer",
        Type::Number => "number",
        Type::Boolean => "true or false",
        Type::Array => "list",
        Type::Null => "null",
    };
    match all {
        SchemaType::Type(one) => name(one).to_owned(),
        SchemaType::Array(some) => some.iter().map(name).collect::<Vec<_>>().join(" or "),
        SchemaType::AnyValue => "any".to_owned(),
    }
}

/// One operation and one problem in full.
fn example(body: &mut String, document: &OpenApi) {
    let examples = document.components.iter().flat_map(|it| &it.examples);
    body.push_str("<h2 id=\"examples\">Examples</h2>\n");
    for (name, example) in examples {
        let RefOr::T(example) = example else { continue };
        let is_shown = ["running", "conflict"].contains(&name.as_str());
        if let (true, Some(value)) = (is_shown, &example.value) {
            let json = serde_json::to_string_pretty(value).unwrap_or_default();
            push(
                body,
                format_args!(
                    "<p>{}</p>\n<pre>{}</pre>\n",
                    escape(&example.summary),
                    escape(&json)
                ),
            );
        }
    }
}

fn codes(body: &mut String, public_url: &str) {
    body.push_str("<h2 id=\"problems\">Problems</h2>\n<dl>\n");
    for code in ProblemCode::ALL {
        let name = code.as_str();
        let place = match code.is_of_operation() {
            true => "error.code".to_owned(),
            false => code.status().to_string(),
        };
        let page = escape(&format!("{public_url}/problems/{name}"));
        push(
            body,
            format_args!(
                "<dt><a href=\"{page}\"><code>{name}</code></a> <small>{place}</small></dt>\
                 <dd>{}.</dd>\n",
                escape(code.title())
            ),
        );
    }
    body.push_str("</dl>\n");
}
