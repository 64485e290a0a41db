//! The files that are delivered: true to the program, and to each other.

use std::fs;

use config::{FileFormat, Format, Value, ValueKind};
use sha2::{Digest, Sha256};

use super::*;
use crate::domain::{ApiKeyHash, ManagedEndpoint, TokenEndpoint};
use crate::settings::caller_credentials::{HASH_OF_NOTHING, HASH_OF_SAMPLE};

/// `base.toml` with every switched-off key switched on.
fn switched_on() -> String {
    let on = |line: &str| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with(' ') => format!("{key}\n"),
        _ => format!("{line}\n"),
    };
    BASE.lines().map(on).collect()
}

/// Every key, tables included, as [`known_keys`] writes them.
fn keys(value: &Value, path: &str, found: &mut BTreeMap<String, KeyKind>) {
    match &value.kind {
        ValueKind::Table(table) => {
            for (key, value) in table {
                let path = match path {
                    "" => key.clone(),
                    "credentials" | "callers[].jwt.claims" => format!("{path}.NAME"),
                    _ => format!("{path}.{key}"),
                };
                keys(value, &path, found);
                found.insert(path, kind(value));
            }
        }
        ValueKind::Array(list) => {
            for value in list {
                keys(value, &format!("{path}[]"), found);
            }
        }
        _ => {}
    }
}

/// A number, whatever its limits.
const NUMBER: KeyKind = KeyKind::Number { least: 0, most: 0 };

fn kind(value: &Value) -> KeyKind {
    match &value.kind {
        ValueKind::String(_) => KeyKind::Text,
        ValueKind::I64(_) => NUMBER,
        ValueKind::Boolean(_) => KeyKind::Flag,
        ValueKind::Array(list) if kind(&list[0]) == KeyKind::Text => KeyKind::Texts,
        ValueKind::Array(_) | ValueKind::Table(_) => KeyKind::Table,
        other => panic!("{other}"),
    }
}

#[test]
fn the_built_in_defaults_are_the_file() {
    let profile = Fixture::empty().file("t.toml", GOOD);
    let with_file = Fixture::empty()
        .file(
            "base.toml",
            fs::read(delivered().join("base.toml")).unwrap(),
        )
        .file("t.toml", GOOD);
    let print = |scene: &Fixture| {
        let dir = scene.dir.path().display().to_string();
        format!("{:?}", scene.load().settings).replace(&dir, "")
    };
    assert_eq!(print(&profile), print(&with_file));
    let only = |dir| {
        let source = ConfigSource {
            dir,
            ..ConfigSource::default()
        };
        load(&source)
            .unwrap_err()
            .problems()
            .last()
            .unwrap()
            .message
            .clone()
    };
    assert_eq!(only(Some(delivered())), only(None));
}

#[test]
fn base_names_every_key_and_no_other() {
    let table = FileFormat::Toml.parse(None, &switched_on()).unwrap();
    let mut named = BTreeMap::new();
    keys(&Value::from(table), "", &mut named);
    let known = known_keys().into_iter().map(|(key, kind)| match kind {
        KeyKind::Number { .. } => (key, NUMBER),
        kind => (key, kind),
    });
    assert_eq!(named, known.collect());
}

#[test]
fn every_key_of_base_is_of_the_right_type() {
    let missing = "names a file that cannot be read: No such file or directory (os error 2)";
    // Every kind in turn: what is of another is not looked at.
    let twice = |key: &str| format!("{key}_file: {key} is set too (t.toml); remove one of them");
    let resource = "resource: belongs to endpoint_version v1; v2 uses scope".to_owned();
    for (kind, expected) in [
        (
            "client-secret",
            vec![twice("client_secret"), resource.clone()],
        ),
        (
            "client-certificate",
            vec![
                format!("certificate_file: {missing}"),
                format!("key_file: {missing}"),
                resource.clone(),
            ],
        ),
        (
            "workload-identity",
            vec![format!("assertion_file: {missing}"), resource],
        ),
        ("managed-identity", vec![twice("identity_header")]),
        ("token-file", vec![format!("token_file: {missing}")]),
    ] {
        let kind = format!("kind = \"{kind}\"");
        let text = switched_on().replace("kind = \"client-secret\"", &kind);
        let problems = Fixture::empty().file("t.toml", text).problems();
        let credential = |line: &&String| line.contains(": credentials.contoso.");
        let own = |line: &&String| credential(line) && !line.contains(": belongs to kind ");
        let found: Vec<String> = problems.iter().filter(own).cloned().collect();
        assert_eq!(short(&found), expected.join("\n"), "{kind}");
        assert_eq!(problems.iter().filter(|line| !credential(line)).count(), 7);
    }
    let scene = Fixture::empty().file("t.toml", switched_on());
    let problems = scene.problems();
    let others = problems
        .iter()
        .filter(|line| !line.contains(": credentials."));
    assert_eq!(
        others.cloned().collect::<Vec<_>>(),
        [
            format!("t.toml: identity.jwt[0].bearer_token_file: {missing}"),
            format!("t.toml: identity.jwt[0].ca_file: {missing}"),
            "t.toml: outbound.proxy_url_file: outbound.proxy_url is set too (t.toml); remove one \
             of them"
                .into(),
            format!("t.toml: portal.ca_file: {missing}"),
            format!("t.toml: server.tls.cert_file: {missing}"),
            format!("t.toml: server.tls.client_ca_file: {missing}"),
            format!("t.toml: server.tls.key_file: {missing}"),
        ]
    );
}

#[test]
fn every_key_of_base_has_a_comment_above_it() {
    let mut above = "";
    for line in BASE.lines() {
        let is_key = line.split_once(" = ").is_some_and(|(key, _)| {
            let key = key.strip_prefix('#').unwrap_or(key);
            !key.is_empty()
                && key
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        });
        if is_key {
            assert!(above.starts_with("# "), "{line}");
        }
        above = line;
    }
}

#[test]
fn the_defaults_shown_for_a_credential_are_the_real_ones() {
    let shown = switched_on();
    let scene = Fixture::over_good("");
    let credential = scene.credential();
    let application = scene.application();
    assert!(shown.contains(&format!("authority = \"{}\"", application.authority)));
    assert!(shown.contains(&format!("wait_ms = {}", credential.wait.as_millis())));
    let TokenEndpoint::V2 { scope } = application.endpoint else {
        panic!("the default is not v2");
    };
    assert!(shown.contains(&format!("scope = \"{scope}\"")));
    assert!(shown.contains("endpoint_version = \"v2\""));
    assert!(shown.contains("assertion_algorithm = \"PS256\""));
    let CredentialMethod::ManagedIdentity {
        endpoint: ManagedEndpoint::Imds { url },
        resource,
        ..
    } = Fixture::of("kind = \"managed-identity\"\n").method()
    else {
        panic!("another kind");
    };
    assert!(shown.contains(&format!("\nendpoint = \"{url}\"")));
    assert!(shown.contains(&format!("\nresource = \"{resource}\"")));
}

#[test]
fn the_sandbox_profile_is_ready_to_run() {
    let source = ConfigSource {
        dir: Some(delivered()),
        profile: Some("sandbox".into()),
        ..ConfigSource::default()
    };
    let loaded = load(&source).unwrap();
    assert_eq!(loaded.warnings, []);
    let settings = loaded.settings;
    assert_eq!(settings.portal.base_url, "http://127.0.0.1:7070");
    let credential = &settings.credentials["sandbox"];
    let CredentialMethod::ClientSecret {
        application,
        secret,
        ..
    } = &credential.method
    else {
        panic!("another kind");
    };
    assert_eq!(application.authority, "http://127.0.0.1:7070");
    assert_eq!(application.tenant_id, "sandbox");
    assert_eq!(application.client_id, "offergate");
    assert_eq!(secret.expose(), "sandbox-secret");
    let hash: [u8; 32] = Sha256::digest("sandbox-key-0123456789").into();
    assert_eq!(settings.callers[0].api_key_sha256, [hash.into()]);
    let sample = ApiKeyHash::parse(HASH_OF_SAMPLE);
    assert_eq!(sample, Ok(hash.into()));
    let nothing = ApiKeyHash::parse(HASH_OF_NOTHING);
    assert_eq!(nothing, Ok(<[u8; 32]>::from(Sha256::digest("")).into()));
}

#[test]
fn the_production_example_loads_once_it_is_filled_in() {
    let text = fs::read_to_string(delivered().join("production.toml")).unwrap();
    let scene = Fixture::empty().file("t.toml", &text);
    let keys: Vec<String> = scene
        .problems()
        .iter()
        .map(|line| line.split(": ").nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(
        keys,
        [
            "callers[0].allow[0].offers[0]",
            "callers[0].allow[0].publishers[0]",
            "callers[0].api_key_sha256[0]",
            "callers[0].default_publisher",
            "credentials.marketplace.client_id",
            "credentials.marketplace.client_secret_file",
            "credentials.marketplace.tenant_id",
            "publishers[0].id",
            "server.public_url",
        ]
    );

    let filled = text
        .replace("<public host>", "offergate.example.com")
        .replace("<directory's GUID>", "8c3c7d0e-0000-4000-8000-000000000000")
        .replace(
            "<application's GUID>",
            "8c3c7d0e-0000-4000-8000-000000000001",
        )
        .replace("<publisher id>", "contoso")
        .replace("<prefix>", "contoso")
        .replace("<SHA-256 of its API key>", &"ab".repeat(32));
    let without_file: String = filled
        .lines()
        .filter(|line| !line.starts_with("client_secret_file"))
        .map(|line| format!("{line}\n"))
        .collect();
    let scene = Fixture::empty()
        .file("t.toml", without_file)
        .variable("OFFERGATE_CREDENTIALS__MARKETPLACE__CLIENT_SECRET", "s");
    assert_eq!(scene.warnings(), [""; 0]);

    // As its comment says, a workload identity needs no more than its kind.
    let (before, after) = filled.split_once("[credentials.marketplace]").unwrap();
    let (_, after) = after.split_once("[[publishers]]").unwrap();
    let kind = "[credentials.marketplace]\nkind = \"workload-identity\"";
    let scene = Fixture::empty()
        .file("t.toml", format!("{before}{kind}\n[[publishers]]{after}"))
        .file("assertion", "");
    let file = scene.path("assertion").display().to_string();
    let scene = scene
        .variable("AZURE_FEDERATED_TOKEN_FILE", &file)
        .variable("AZURE_TENANT_ID", "8c3c7d0e-0000-4000-8000-000000000000")
        .variable("AZURE_CLIENT_ID", "8c3c7d0e-0000-4000-8000-000000000001");
    assert_eq!(scene.warnings(), [""; 0]);
}
