//! Managed identities: whom they ask, and over what.

use super::*;
use crate::domain::ManagedEndpoint;

const KIND: &str = "kind = \"managed-identity\"\n";
const IMDS: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

fn scene(lines: &str) -> Fixture {
    Fixture::of(&format!("{KIND}{lines}"))
}

/// Where it asks, and with which header if it is App Service's.
fn asked(scene: &Fixture) -> (String, Option<String>) {
    match scene.method() {
        CredentialMethod::ManagedIdentity { endpoint, .. } => match endpoint {
            ManagedEndpoint::Imds { url } => (url, None),
            ManagedEndpoint::AppService { url, header } => (url, Some(header.expose().into())),
        },
        other => panic!("{other:?}"),
    }
}

fn in_app_service(lines: &str) -> Fixture {
    scene(lines)
        .variable("IDENTITY_ENDPOINT", "http://169.254.130.2:8081/msi/token/")
        .variable("IDENTITY_HEADER", "header-1")
}

#[test]
fn its_defaults_are_those_of_a_virtual_machine() {
    let CredentialMethod::ManagedIdentity {
        client_id,
        resource,
        ..
    } = scene("").method()
    else {
        panic!("another kind");
    };
    assert_eq!(client_id, None);
    assert_eq!(resource, "https://cloudpartner.azure.com");
    assert_eq!(asked(&scene("")), (IMDS.into(), None));
    let with = scene("client_id = \"c\"\nresource = \"r\"\n").method();
    assert!(
        matches!(with, CredentialMethod::ManagedIdentity { client_id, resource, .. }
            if client_id.as_deref() == Some("c") && resource == "r")
    );
}

#[test]
fn app_service_is_found_by_both_of_its_variables() {
    let there = "http://169.254.130.2:8081/msi/token/".to_owned();
    let header = Some("header-1".to_owned());
    assert_eq!(asked(&in_app_service("")), (there, header));
    for missing in ["IDENTITY_ENDPOINT", "IDENTITY_HEADER"] {
        let scene = in_app_service("").variable(missing, "");
        assert_eq!(asked(&scene), (IMDS.into(), None));
    }
    // Whoever writes an endpoint means that one.
    let written = "http://127.0.0.1:7070/token";
    let scene = in_app_service(&format!("endpoint = \"{written}\"\n"));
    assert_eq!(asked(&scene), (written.into(), None));
}

#[test]
fn a_header_makes_it_app_service() {
    let lines = "endpoint = \"http://127.0.0.1:7070/msi/token\"\n";
    let url = "http://127.0.0.1:7070/msi/token".to_owned();
    assert_eq!(asked(&scene(lines)), (url.clone(), None));
    let inline = scene(&format!("{lines}identity_header = \"h\"\n"));
    assert_eq!(asked(&inline), (url.clone(), Some("h".into())));
    let in_file = scene(&format!("{lines}identity_header_file = \"h\"\n")).file("h", "x\n");
    protect(&in_file.path("h"), 0o600);
    assert_eq!(asked(&in_file), (url, Some("x".into())));
    assert_eq!(in_file.warnings(), [""; 0]);

    let both = format!("{lines}identity_header = \"h\"\nidentity_header_file = \"h\"\n");
    assert_eq!(
        scene(&both).problems_of_credential(),
        "identity_header_file: identity_header is set too (t.toml); remove one of them"
    );
    assert_eq!(
        scene("identity_header = \"h\"\n").problems_of_credential(),
        "endpoint: is required with identity_header"
    );
}

#[test]
fn a_header_must_fit_into_one() {
    let lines = "endpoint = \"http://127.0.0.1:7070/msi/token\"\n";
    let bad = "must hold 1 to 1024 visible ASCII characters";
    for header in ["a b", "é", &"a".repeat(1025)] {
        let inline = scene(&format!("{lines}identity_header = \"{header}\"\n"));
        assert_eq!(
            inline.problems_of_credential(),
            format!("identity_header: {bad}")
        );
        let in_file = scene(&format!("{lines}identity_header_file = \"h\"\n"));
        let in_file = in_file.file("h", header);
        protect(&in_file.path("h"), 0o600);
        assert_eq!(
            in_file.problems_of_credential(),
            format!("identity_header_file: {bad}")
        );
    }
    let scene = in_app_service("").variable("IDENTITY_HEADER", "a b");
    assert_eq!(
        scene.problems_of_credential(),
        format!("IDENTITY_HEADER: identity_header: {bad}")
    );
}

#[test]
fn plain_http_is_for_the_platform_only() {
    let must =
        "must be https: plain HTTP would expose tokens and secrets on the network (exempt are";
    let or = "and everything with portal.allow_plain_http = true)";
    let written = |url: &str| scene(&format!("endpoint = \"{url}\"\n"));
    let platform = |url: &str| in_app_service("").variable("IDENTITY_ENDPOINT", url);
    for (url, fine_written, fine_from_platform) in [
        ("https://tokens.example/msi", true, true),
        ("http://169.254.169.254/x", true, true),
        ("http://127.0.0.1:1/x", true, true),
        ("http://localhost:42356/msi/token", true, true),
        ("http://[::1]/x", true, true),
        ("http://169.254.130.2:8081/msi/token", false, true),
        ("http://10.0.0.1/x", false, true),
        ("http://172.18.0.2:42356/msi/token", false, true),
        ("http://192.168.0.9/x", false, true),
        ("http://100.100.0.4:42356/msi/token", false, true),
        ("http://[fd12::1]/x", false, true),
        ("http://20.0.0.1/x", false, false),
        ("http://[2001:db8::1]/x", false, false),
        ("http://msi.internal/x", false, false),
        ("http://tokens.example/msi", false, false),
        ("http://169.254.169.254.example/x", false, false),
    ] {
        for (scene, fine, expected) in [
            (
                written(url),
                fine_written,
                format!("endpoint: {must} loopback and 169.254.169.254, {or}"),
            ),
            (
                platform(url),
                fine_from_platform,
                format!("IDENTITY_ENDPOINT: endpoint: {must} loopback and private addresses, {or}"),
            ),
        ] {
            if fine {
                assert_eq!(scene.warnings(), [""; 0], "{url}");
            } else {
                assert_eq!(scene.problems_of_credential(), expected, "{url}");
                let variable = "OFFERGATE_PORTAL__ALLOW_PLAIN_HTTP";
                let warnings = scene.variable(variable, "true").warnings_of_credential();
                let end = "is plain HTTP: tokens and secrets cross the network unprotected";
                assert!(warnings.ends_with(end), "{url}: {warnings}");
            }
        }
    }
}

#[test]
fn a_private_address_counts_only_as_the_platforms_own() {
    let url = "http://10.0.0.1/msi/token";
    // One of the two variables, or an endpoint of ours, is not the platform's pair.
    let key = "OFFERGATE_CREDENTIALS__CONTOSO__ENDPOINT";
    for scene in [
        scene("").variable(key, url),
        in_app_service("").variable(key, url),
        in_app_service(&format!("endpoint = \"{url}\"\n")),
        in_app_service("identity_header = \"h\"\n").variable(key, url),
    ] {
        let problems = scene.problems_of_credential();
        assert!(problems.contains("endpoint: must be https"), "{problems}");
    }
}

#[test]
fn an_endpoint_is_an_address_without_a_query() {
    let wanted = "must be http:// or https://, a host and perhaps a port and a path, without \
                  user, query or fragment";
    for bad in [
        "",
        "169.254.169.254",
        "http://127.0.0.1/x?y=z",
        "http://u@127.0.0.1/x",
    ] {
        let scene = scene(&format!("endpoint = \"{bad}\"\n"));
        assert_eq!(
            scene.problems_of_credential(),
            format!("endpoint: {wanted}")
        );
    }
    let scene = in_app_service("").variable("IDENTITY_ENDPOINT", "127.0.0.1:8081/msi");
    assert_eq!(
        scene.problems_of_credential(),
        format!("IDENTITY_ENDPOINT: endpoint: {wanted}")
    );
}
