//! The files that are delivered: true to the program, and to each other.

use std::collections::BTreeSet;
use std::fs;

use config::{FileFormat, Format, Value, ValueKind};
use sha2::{Digest, Sha256};

use super::super::problem::{Findings, KeyPath, Place};
use super::super::{ManagedEndpoint, load as settings_load, raw};
use super::*;

/// `base.toml` with every switched-off key switched on.
fn switched_on() -> String {
    let on = |line: &str| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with(' ') => format!("{key}\n"),
        _ => format!("{line}\n"),
    };
    BASE.lines().map(on).collect()
}

/// The keys that have values, as `callers[0].name`.
fn leaves(value: &Value, path: &KeyPath, found: &mut BTreeSet<String>) {
    match &value.kind {
        ValueKind::Table(table) => {
            for (key, value) in table {
                leaves(value, &path.key(key), found);
            }
        }
        ValueKind::Array(list) if list.iter().all(|e| matches!(e.kind, ValueKind::Table(_))) => {
            for (index, value) in list.iter().enumerate() {
                leaves(value, &path.index(index), found);
            }
        }
        _ => {
            found.insert(path.to_string());
        }
    }
}

#[test]
fn the_built_in_defaults_are_the_file() {
    let profile = Scene::empty().file("t.toml", GOOD);
    let with_file = Scene::empty()
        .file(
            "base.toml",
            fs::read(delivered().join("base.toml")).unwrap(),
        )
        .file("t.toml", GOOD);
    let print = |scene: &Scene| {
        let dir = scene.dir.path().display().to_string();
        format!("{:?}", scene.load().settings).replace(&dir, "")
    };
    assert_eq!(print(&profile), print(&with_file));
    let only = |dir| {
        let source = Source {
            dir,
            ..Source::default()
        };
        load(&source).unwrap_err().as_slice()[0].message.clone()
    };
    assert_eq!(only(Some(delivered())), only(None));
}

#[test]
fn base_names_every_key_and_no_other() {
    let table = FileFormat::Toml.parse(None, &switched_on()).unwrap();
    let mut named = BTreeSet::new();
    leaves(&Value::from(table), &KeyPath::default(), &mut named);

    let rule = KeyPath::of("callers").index(0).key("allow").index(0);
    let mut known: BTreeSet<String> = BTreeSet::new();
    for table in [
        KeyPath::of("server"),
        KeyPath::of("server").key("tls"),
        KeyPath::of("admin"),
        KeyPath::of("portal"),
        KeyPath::of("operations"),
        KeyPath::of("credentials").key("contoso"),
        KeyPath::of("publishers").index(0),
        KeyPath::of("identity").key("jwt").index(0),
        KeyPath::of("callers").index(0),
        KeyPath::of("callers").index(0).key("jwt"),
        KeyPath::of("callers").index(0).key("rate_limit"),
        rule,
        KeyPath::of("ledger"),
        KeyPath::of("telemetry"),
    ] {
        let keys = raw::known_keys(&table);
        assert!(!keys.is_empty(), "{table}");
        known.extend(keys.iter().map(|key| table.key(key).to_string()));
    }
    for table in [
        "server.tls",
        "identity.jwt",
        "callers[0].jwt",
        "callers[0].rate_limit",
        "callers[0].allow",
    ] {
        known.remove(table);
    }
    // Whose keys are names.
    assert!(known.remove("callers[0].jwt.claims"));
    known.insert("callers[0].jwt.claims.azp".to_owned());
    assert_eq!(named, known);

    let sections: BTreeSet<&str> = raw::known_keys(&KeyPath::default())
        .iter()
        .copied()
        .collect();
    let named = named
        .iter()
        .map(|key| key.split(['.', '[']).next().unwrap());
    assert_eq!(named.collect::<BTreeSet<_>>(), sections);
}

#[test]
fn every_key_of_base_is_of_the_right_type() {
    let missing = "names a file that cannot be read: No such file or directory (os error 2)";
    // Every kind in turn: what is of another is not looked at.
    let twice = |key: &str| format!("{key}_file: {key} is set too (t.toml); keep one of them");
    let resource = "resource: belongs to endpoint_version v1; v2 takes scope".to_owned();
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
        let problems = Scene::empty().file("t.toml", text).problems();
        let credential = |line: &&String| line.contains(": credentials.contoso.");
        let own = |line: &&String| credential(line) && !line.contains(": belongs to kind ");
        let found: Vec<String> = problems.iter().filter(own).cloned().collect();
        assert_eq!(short(&found), expected.join("\n"), "{kind}");
        assert_eq!(problems.iter().filter(|line| !credential(line)).count(), 6);
    }
    let scene = Scene::empty().file("t.toml", switched_on());
    let problems = scene.problems();
    let others = problems
        .iter()
        .filter(|line| !line.contains(": credentials."));
    assert_eq!(
        others.cloned().collect::<Vec<_>>(),
        [
            format!("t.toml: identity.jwt[0].bearer_token_file: {missing}"),
            format!("t.toml: identity.jwt[0].ca_file: {missing}"),
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
    let scene = Scene::over_good("");
    let credential = scene.credential();
    let application = scene.application();
    assert!(shown.contains(&format!("authority = \"{}\"", application.authority)));
    assert!(shown.contains(&format!("wait_ms = {}", credential.wait.as_millis())));
    let super::super::TokenEndpoint::V2 { scope } = application.endpoint else {
        panic!("the default is not v2");
    };
    assert!(shown.contains(&format!("scope = \"{scope}\"")));
    assert!(shown.contains("endpoint_version = \"v2\""));
    assert!(shown.contains("assertion_algorithm = \"PS256\""));
    let CredentialKind::ManagedIdentity {
        endpoint: ManagedEndpoint::Imds { url },
        resource,
        ..
    } = Scene::of("kind = \"managed-identity\"\n").kind()
    else {
        panic!("another kind");
    };
    assert!(shown.contains(&format!("\nendpoint = \"{url}\"")));
    assert!(shown.contains(&format!("\nresource = \"{resource}\"")));
}

#[test]
fn the_sandbox_profile_is_ready_to_run() {
    let source = Source {
        dir: Some(delivered()),
        profile: Some("sandbox".into()),
        ..Source::default()
    };
    let loaded = settings_load(&source).unwrap();
    assert_eq!(loaded.warnings, []);
    let settings = loaded.settings;
    assert_eq!(settings.portal.base_url, "http://127.0.0.1:7070");
    let credential = &settings.credentials["sandbox"];
    let CredentialKind::ClientSecret {
        application,
        secret,
        ..
    } = &credential.kind
    else {
        panic!("another kind");
    };
    assert_eq!(application.authority, "http://127.0.0.1:7070");
    assert_eq!(application.tenant_id, "sandbox");
    assert_eq!(application.client_id, "offergate");
    assert_eq!(secret.expose(), "sandbox-secret");
    let hash: [u8; 32] = Sha256::digest("sandbox-key-0123456789").into();
    assert_eq!(settings.callers[0].api_key_sha256, [hash.into()]);
    let sample = crate::domain::ApiKeyHash::parse(super::super::proof::HASH_OF_SAMPLE);
    assert_eq!(sample, Ok(hash.into()));
    let nothing = crate::domain::ApiKeyHash::parse(super::super::proof::HASH_OF_NOTHING);
    assert_eq!(nothing, Ok(<[u8; 32]>::from(Sha256::digest("")).into()));
}

#[test]
fn the_production_example_loads_once_it_is_filled_in() {
    let text = fs::read_to_string(delivered().join("production.toml")).unwrap();
    let scene = Scene::empty().file("t.toml", &text);
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
        .replace("<host that callers use>", "offergate.example.com")
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
    let scene = Scene::empty()
        .file("t.toml", without_file)
        .variable("OFFERGATE_CREDENTIALS__MARKETPLACE__CLIENT_SECRET", "s");
    assert_eq!(scene.warnings(), [""; 0]);

    // As its comment says, a workload identity needs no more than its kind.
    let (before, after) = filled.split_once("[credentials.marketplace]").unwrap();
    let (_, after) = after.split_once("[[publishers]]").unwrap();
    let kind = "[credentials.marketplace]\nkind = \"workload-identity\"";
    let scene = Scene::empty()
        .file("t.toml", format!("{before}{kind}\n[[publishers]]{after}"))
        .file("assertion", "");
    let file = scene.path("assertion").display().to_string();
    let scene = scene
        .variable("AZURE_FEDERATED_TOKEN_FILE", &file)
        .variable("AZURE_TENANT_ID", "8c3c7d0e-0000-4000-8000-000000000000")
        .variable("AZURE_CLIENT_ID", "8c3c7d0e-0000-4000-8000-000000000001");
    assert_eq!(scene.warnings(), [""; 0]);
}

#[test]
fn a_key_that_the_mirror_forgets_would_be_noticed() {
    // The test above relies on this: what has no field is reported.
    let mut findings = Findings::default();
    let mut layers = super::super::load::Layers::default();
    layers.add_text(Place::BuiltIn, "[server]\nforgotten = 1", &mut findings);
    let (table, origins) = layers.finish();
    assert!(super::super::load::mirror(table, &origins, &mut findings).is_some());
    assert_eq!(
        findings.into_problems().to_string(),
        "built-in defaults: server.forgotten: is not a known key"
    );
}
