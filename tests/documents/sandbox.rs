//! The sandbox's scenarios, faults and control routes, as a running one tells them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::markdown::{code, only_code, page, root};
use crate::program::{Demo, request};
use crate::{assert_none, assert_same};

fn control(demo: &Demo, method: &str, path: &str, body: &Value) -> (u16, String) {
    let url = format!("{}/_sandbox/v1/{path}", demo.vendor);
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let answer = request(method, &url, &[], &body);
    (answer.status, answer.body)
}

/// The names that an error's text lists after "expected": `a`, `b` or `c`.
fn expected(error: &str) -> BTreeSet<String> {
    let (_, names) = error.split_once("expected").unwrap_or((error, ""));
    code(names).into_iter().map(str::to_owned).collect()
}

#[test]
fn every_scenario_is_described() {
    let demo = Demo::start();
    let rows =
        page("docs/sandbox.md").rows("scenario | when a cancel arrives | the answer to it | then");
    let documented = rows.iter().map(|row| only_code(&row[0]).to_owned());
    let unknown = json!({"scenario": "no-such-scenario"});
    let (status, error) = control(&demo, "PUT", "offers/contoso/x", &unknown);
    assert_eq!(status, 400, "{error}");
    let error: Value = serde_json::from_str(&error).unwrap();
    let (_, known) = error["error"]
        .as_str()
        .unwrap()
        .split_once("known: ")
        .unwrap();
    let real = known.split(", ").map(str::to_owned);
    assert_same("scenarios", documented.collect(), real.collect());
}

/// What the answer to a cancel is, and what becomes of the publish, is the truth of the sandbox.
#[test]
fn every_scenario_answers_as_described() {
    let demo = Demo::start();
    let form = "grant_type=client_credentials&client_id=offergate&client_secret=sandbox-secret\
                &resource=https://cloudpartner.azure.com";
    let token = format!("{}/sandbox/oauth2/token", demo.vendor);
    let encoded = [("Content-Type", "application/x-www-form-urlencoded")];
    let token = request("POST", &token, &encoded, form).json();
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let mut wrong = Vec::new();
    for row in
        page("docs/sandbox.md").rows("scenario | when a cancel arrives | the answer to it | then")
    {
        let name = only_code(&row[0]);
        let publisher = if name == "fabrikam-vm" {
            "fabrikam"
        } else {
            "contoso"
        };
        let path = format!("api/publishers/{publisher}/offers/{name}/cancel");
        let url = format!("{}/{path}?api-version=2017-10-31", demo.vendor);
        let answer = request("POST", &url, &[("Authorization", &bearer)], "");
        if answer.status.to_string() != row[2][..3] {
            wrong.push(format!("{name}: {}", answer.status));
        }
        let (location, operation) = (
            answer.header("location"),
            answer.header("operation-location"),
        );
        let found = match (location, operation) {
            (Some(path), _) if path.contains('$') => "202 with a `Location` that names the offer",
            (Some(_), _) => "202 with a relative `Location`",
            (_, Some(url)) if url.starts_with("http") => {
                "202 with an absolute `Operation-Location`"
            }
            (_, Some(_)) => "202 with a relative `Operation-Location`",
            _ if answer.body.contains("operations/") => "202 with the location in the body",
            _ => "202 without a location",
        };
        if row[2].contains("ocation") && row[2].replace("with `L", "with a relative `L") != found {
            wrong.push(format!("{name}: {found}"));
        }
        if answer.status >= 400 {
            continue;
        }
        let path = format!("offers/{publisher}/{name}");
        let (_, truth) = control(&demo, "GET", &path, &Value::Null);
        let truth: Value = serde_json::from_str(&truth).unwrap();
        let met = truth["cancels"][0]["met"].is_string();
        let is_running = row[1].contains("running") || row[1].contains("waits");
        let is_described =
            is_running || row[1].contains("the same") || row[1].contains("production run");
        if met != is_described {
            wrong.push(format!("{name}: {truth}"));
        }
    }
    assert_none("scenarios", wrong);
}

#[test]
fn every_fault_has_its_parameters() {
    let demo = Demo::start();
    let order = |fault: Value| {
        control(
            &demo,
            "POST",
            "faults",
            &json!({"on": "cancel", "fault": fault}),
        )
    };
    let rows = page("docs/sandbox.md").rows("kind | parameters | what happens | acts");
    let (_, error) = order(json!({"kind": "no-such-kind"}));
    let kinds = expected(&error);
    let documented = rows.iter().map(|row| only_code(&row[0]).to_owned());
    assert_same("kinds of faults", documented.collect(), kinds);
    let (mut documented, mut real) = (BTreeMap::new(), BTreeMap::new());
    for row in &rows {
        let kind = only_code(&row[0]);
        let parameters: BTreeSet<String> = code(&row[1]).into_iter().map(str::to_owned).collect();
        documented.insert(kind.to_owned(), parameters);
        let (_, error) = order(json!({"kind": kind, "no-such-parameter": 1}));
        real.insert(kind.to_owned(), expected(&error));
        let mut fault = json!({"kind": kind});
        for (name, value) in [
            ("ms", json!(1)),
            (
                "status",
                json!(if kind == "informational" { 103 } else { 503 }),
            ),
            ("location", json!("/x")),
            ("code", json!(7_000_215)),
            ("bytes", json!(10)),
            ("everyMs", json!(1)),
        ] {
            if documented[kind].contains(name) && (kind, name) != ("garbage", "bytes") {
                fault[name] = value;
            }
        }
        let (status, pending) = order(fault);
        assert_eq!(status, 201, "{kind}: {pending}");
        let pending: Value = serde_json::from_str(&pending).unwrap();
        let acts = if pending["acts"] == true { "yes" } else { "no" };
        assert_eq!(row[3], acts, "{kind}");
    }
    assert_same(
        "parameters",
        documented.into_iter().collect(),
        real.into_iter().collect(),
    );
}

#[test]
fn every_member_of_an_order_is_described() {
    let demo = Demo::start();
    let rows = page("docs/sandbox.md").rows("member of an order | meaning");
    let documented = rows.iter().flat_map(|row| code(&row[0])).map(str::to_owned);
    let (_, error) = control(&demo, "POST", "faults", &json!({"no-such-member": 1}));
    assert_same(
        "members of an order",
        documented.collect(),
        expected(&error),
    );
    let subjects = rows.iter().find(|row| row[0] == "`on`").unwrap();
    let documented = code(&subjects[1]).into_iter().map(str::to_owned);
    let nothing = json!({"on": "nothing", "fault": {"kind": "hang"}});
    let (_, error) = control(&demo, "POST", "faults", &nothing);
    assert_same("subjects", documented.collect(), expected(&error));
}

#[test]
fn every_control_route_is_described() {
    let demo = Demo::start();
    let rows = page("docs/sandbox.md").rows("route | does");
    let mut documented = BTreeSet::new();
    for row in &rows {
        for route in code(&row[0]) {
            let (method, path) = route.split_once(" /_sandbox/v1/").unwrap();
            let filled = path
                .replace("{publisher}", "contoso")
                .replace("{offer}", "migrated-x");
            let filled = filled.replace("{id}", "x");
            let (_, answer) = control(&demo, method, &filled, &Value::Null);
            assert!(
                !answer.contains("no such control route"),
                "{route}: {answer}"
            );
            // The last segment of what is done to an offer is one of a few words.
            let is_step = path.starts_with("offers/{publisher}/{offer}/");
            let path = if is_step {
                "offers/{publisher}/{offer}/{step}"
            } else {
                path
            };
            documented.insert(path.to_owned());
        }
        for option in code(&row[1])
            .into_iter()
            .filter(|text| text.starts_with('?'))
        {
            assert_eq!(option, "?until=STATE");
        }
    }
    let table = "crates/sandbox/src/control/routes.rs";
    let table = std::fs::read_to_string(root().join(table)).unwrap();
    let (_, table) = table
        .split_once("match (request.method.as_str(), segments)")
        .unwrap();
    let patterns = table.lines().filter_map(|line| {
        let (_, pattern) = line.trim().strip_prefix('(')?.split_once(", [")?;
        let (pattern, _) = pattern.split_once("])")?;
        let segments = pattern
            .split(", ")
            .map(|segment| match segment.strip_prefix('"') {
                Some(word) => word.trim_end_matches('"').to_owned(),
                None => format!("{{{segment}}}"),
            });
        Some(segments.collect::<Vec<_>>().join("/").replace("{}", ""))
    });
    assert_same("control routes", documented, patterns.collect());
}

#[test]
fn every_step_of_an_offer_is_described() {
    let source = root().join("crates/sandbox/src/control/offers.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let (_, steps) = source.split_once("match step {").unwrap();
    let real = steps.lines().filter_map(|line| {
        let (name, _) = line.trim().strip_prefix('"')?.split_once("\" =>")?;
        Some(name.to_owned())
    });
    let rows = page("docs/sandbox.md").rows("route | does");
    let routes = rows.iter().flat_map(|row| code(&row[0]));
    let documented = routes.filter_map(|route| route.split_once("/{offer}/").map(|(_, step)| step));
    assert_same(
        "steps",
        documented.map(str::to_owned).collect(),
        real.collect(),
    );
}
