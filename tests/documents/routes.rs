//! The routes of both listeners: documented ones are asked, others are found in the table.

use std::collections::BTreeSet;

use crate::assert_same;
use crate::markdown::{only_code, page, root};
use crate::program::{Demo, request};

/// A path of this route.
fn filled(route: &str) -> String {
    route
        .replace("{offerId}", "contoso-vm")
        .replace("{publisherId}", "contoso")
        .replace("{id}", "01a2084c-d024-7348-8d3c-d2e873877d61")
        .replace("{code}", "conflict")
}

/// The routes that a source file names, in any of its texts.
fn templates(file: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    let templates = text
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|text| text.starts_with('/'));
    templates.map(str::to_owned).collect()
}

#[test]
fn every_public_route_is_documented_with_its_methods() {
    let demo = Demo::start();
    let rows = page("docs/api.md").rows("method | route | answer");
    let mut documented = BTreeSet::new();
    for row in &rows {
        let (method, route) = (row[0].as_str(), only_code(&row[1]));
        documented.insert(route.to_owned());
        let refused = request(
            "DELETE",
            &format!("{}{}", demo.gateway, filled(route)),
            &[],
            "",
        );
        assert_eq!(refused.status, 405, "{route}");
        let allowed = if method == "GET" { "GET, HEAD" } else { method };
        assert_eq!(refused.header("allow"), Some(allowed), "{route}");
    }
    let table = templates("src/http/mod.rs").into_iter();
    // Scopes, and paths below one, are parts of a route.
    let is_whole = |template: &String| {
        let url = format!("{}{}", demo.gateway, filled(template));
        request("DELETE", &url, &[], "").status == 405
    };
    assert_same(
        "public routes",
        documented,
        table.filter(is_whole).collect(),
    );
}

#[test]
fn every_admin_route_is_documented() {
    let demo = Demo::start();
    let rows = page("docs/operating.md").rows("route of the admin listener | answer");
    let mut documented = BTreeSet::new();
    for row in &rows {
        let (method, route) = only_code(&row[0]).split_once(' ').unwrap();
        assert_eq!(
            request(method, &format!("{}{route}", demo.admin), &[], "").status,
            200
        );
        documented.insert(route.to_owned());
    }
    assert_same("admin routes", documented, templates("src/admin/mod.rs"));
}
