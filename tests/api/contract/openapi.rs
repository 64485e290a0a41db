//! The API's description: served to machines and people, true to the routes, and with examples
//! that are valid. Beside these tests, `described` holds every answer of all tests against it.

use std::collections::BTreeSet;

use offergate::domain::ProblemCode;
use serde_json::Value;

use crate::client::{self, Answer};
use crate::described::{document, invalid, operations, part};
use crate::helpers::{World, spawn, spawn_toml};

async fn get(world: &World, path: &str, headers: &[(&str, &str)]) -> Answer {
    client::send(world.address(), "GET", path, headers, "").await
}

/// A path with something in its placeholders.
fn filled(template: &str) -> String {
    template
        .replace("{offerId}", "contoso-vm")
        .replace("{publisherId}", "contoso")
        .replace("{id}", "01996b2e-0000-7000-8000-000000000000")
        .replace("{code}", "conflict")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_served_to_anyone() {
    let world = spawn().await;
    let answer = get(&world, "/openapi.json", &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.guarded();
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.body.ends_with("}\n"));
    let mut served = answer.json();
    assert_eq!(served["openapi"], "3.1.0");
    let base = format!("http://{}", world.address());
    assert_eq!(served["servers"][0]["url"], base);
    // It differs from the one that answers are held against only in the address.
    let text = answer.body.replace(&base, "http://gateway.test");
    served = serde_json::from_str(&text).unwrap();
    assert_eq!(served, *document());
    let wrong = get(&world, "/openapi.json", &[("X-Api-Key", "wrong")]).await;
    assert_eq!(wrong.body, answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_callers_is_the_servers() {
    let world = spawn_toml("[server]\npublic_url = \"https://gateway.example/base\"").await;
    let document = get(&world, "/openapi.json", &[]).await.json();
    assert_eq!(
        document["servers"][0]["url"],
        "https://gateway.example/base"
    );
    let page = get(&world, "/docs", &[]).await.body;
    assert!(page.contains("href=\"https://gateway.example/base/problems/conflict\""));
    assert!(page.contains("href=\"https://gateway.example/base/openapi.json\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_has_the_routes_that_are_served() {
    let world = spawn().await;
    let mut ids = BTreeSet::new();
    for (path, item) in document()["paths"].as_object().unwrap() {
        let described: BTreeSet<&str> = item.as_object().unwrap().keys().map(|it| &**it).collect();
        let mut allowed = BTreeSet::new();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            let answer = client::send(world.address(), method, &filled(path), &[], "").await;
            let is_served = answer.status != 405;
            let is_described = described.contains(&*method.to_ascii_lowercase());
            assert_eq!(is_served, is_described, "{method} {path}: {answer:?}");
            if is_served {
                let needs = item[&method.to_ascii_lowercase()]["security"] != Value::Array(vec![]);
                assert_eq!(answer.status == 401, needs, "{method} {path}: {answer:?}");
                allowed.insert(method);
                if method == "GET" {
                    allowed.insert("HEAD");
                }
            } else {
                let allow = answer.header("allow").unwrap();
                let names: BTreeSet<&str> = allow.split(", ").collect();
                assert!(names.is_superset(&allowed), "{method} {path}: {allow}");
            }
        }
        for operation in item.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "two operations are called {id}");
        }
    }
    assert!(ids.len() >= 7, "{ids:?}");
    world.assert_nothing_sent().await;
}

#[test]
fn every_code_is_described_where_it_can_occur() {
    let mut found = BTreeSet::new();
    for (_, _, place) in operations() {
        let responses = &document().pointer(&place).unwrap()["responses"];
        for (status, response) in responses.as_object().unwrap() {
            let problem = &response["content"]["application/problem+json"];
            let Some(examples) = problem["examples"].as_object() else {
                continue;
            };
            for name in examples.keys() {
                let code = ProblemCode::from_name(name).unwrap();
                assert_eq!(*status, code.status().to_string(), "{place}");
                assert!(
                    response["description"]
                        .as_str()
                        .unwrap()
                        .contains(&format!("`{name}`"))
                );
                found.insert(name.as_str());
            }
        }
    }
    let all = ProblemCode::ALL.iter();
    let all = all
        .filter(|code| !code.is_of_operation())
        .map(|code| code.as_str());
    assert_eq!(found, all.collect());
}

#[test]
fn examples_are_valid() {
    let mut seen = 0;
    for (_, _, place) in operations() {
        let operation = document().pointer(&place).unwrap();
        if operation.get("requestBody").is_some() {
            let content = format!("{place}/requestBody/content/{}", part("application/json"));
            let example = &document().pointer(&content).unwrap()["example"];
            assert_eq!(invalid(&format!("{content}/schema"), example), None);
        }
        for (number, parameter) in operation["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
        {
            let schema = format!("{place}/parameters/{number}/schema");
            assert_eq!(invalid(&schema, &parameter["example"]), None, "{parameter}");
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            for (media_type, content) in response["content"].as_object().into_iter().flatten() {
                let schema = format!(
                    "{place}/responses/{status}/content/{}/schema",
                    part(media_type)
                );
                for (name, reference) in content["examples"].as_object().into_iter().flatten() {
                    let pointer = reference["$ref"].as_str().unwrap().trim_start_matches('#');
                    let example = &document().pointer(pointer).unwrap()["value"];
                    assert_eq!(invalid(&schema, example), None, "{name}");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 50, "only {seen}");
}

#[test]
fn a_document_that_is_not_described_is_found() {
    let operation = "/components/schemas/Operation";
    let example = &document()["components"]["examples"]["running"]["value"];
    assert_eq!(invalid(operation, example), None);
    let mut more = example.clone();
    more["surprise"] = true.into();
    let mut less = example.clone();
    less.as_object_mut().unwrap().remove("outcome");
    let mut other = example.clone();
    other["status"] = "Done".into();
    for wrong in [more, less, other] {
        assert!(invalid(operation, &wrong).is_some(), "{wrong}");
    }
    // As the answer to a request, too.
    let answer = |status: u16, document: &Value| {
        let body = document.to_string();
        Answer {
            status,
            headers: vec![
                ("x-request-id".into(), "x".into()),
                ("operation-location".into(), "x".into()),
                ("content-type".into(), "application/json".into()),
                ("content-length".into(), body.len().to_string()),
            ],
            body,
        }
    };
    let is_refused = |path: &str, answer: &Answer| {
        std::panic::catch_unwind(|| crate::described::check("GET", path, answer)).is_err()
    };
    let monitor = "/operations/x?y";
    assert!(!is_refused(monitor, &answer(200, example)));
    assert!(is_refused(monitor, &answer(202, example)));
    assert!(is_refused("/docs", &answer(200, example)));
    let mut without = answer(200, example);
    without.headers.remove(1);
    assert!(is_refused(monitor, &without));
    let mut with = answer(200, example);
    with.headers.push(("x-surprise".into(), "x".into()));
    assert!(is_refused(monitor, &with));
}

/// A page loads nothing, runs nothing and names no other site.
fn assert_plain_page(answer: &Answer, world: &World) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    for none in ["base-uri", "form-action", "frame-ancestors"] {
        assert!(policy.contains(&format!("{none} 'none'")), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let page = answer.body.to_ascii_lowercase();
    for loading in [
        "<script", "src=", "<link", "@import", "url(", " style=", " on",
    ] {
        let attribute = loading == " on" && !page.contains("onclick=") && !page.contains("onload=");
        assert!(attribute || !page.contains(loading), "{loading}");
    }
    let ours = format!("href=\"http://{}/", world.address());
    let elsewhere = page.replace(&ours, "").contains("href=\"http");
    assert!(!elsewhere, "a link leads to another site");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_every_route_and_code() {
    let world = spawn().await;
    let answer = get(&world, "/docs", &[]).await;
    assert_plain_page(&answer, &world);
    for (path, _, place) in operations() {
        let id = &document().pointer(&place).unwrap()["operationId"];
        assert!(
            answer
                .body
                .contains(&format!("<section id=\"{}\"", id.as_str().unwrap()))
        );
        assert!(
            answer.body.contains(&format!("<code>{path}</code>")),
            "{path}"
        );
    }
    for code in ProblemCode::ALL {
        let link = format!("/problems/{}\"", code.as_str());
        assert!(answer.body.contains(&link), "{code:?}");
    }
    for name in document()["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        assert!(
            answer.body.contains(&format!("<section id=\"{name}\"")),
            "{name}"
        );
    }
    // Every link within the page leads somewhere.
    for link in answer.body.split("href=\"#").skip(1) {
        let id = link.split('"').next().unwrap();
        assert!(answer.body.contains(&format!(" id=\"{id}\"")), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_gets_a_page_about_a_problem() {
    let world = spawn().await;
    let accept = [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    for code in ProblemCode::ALL {
        let path = format!("/problems/{}", code.as_str());
        let page = get(&world, &path, &accept).await;
        assert_plain_page(&page, &world);
        assert_eq!(page.header("vary"), Some("Accept"));
        assert!(
            page.body
                .contains(&format!("<code>{}</code>", code.as_str()))
        );
        let text = get(&world, &path, &[("Accept", "*/*")]).await;
        assert_eq!(
            text.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        for part in [code.title(), code.cause(), code.help(), code.retry_advice()] {
            assert!(text.body.contains(part), "{}", text.body);
        }
    }
}
