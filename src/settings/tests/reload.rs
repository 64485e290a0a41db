//! Reading the configuration again: what has to wait for a restart, what a running
//! gateway forbids, and which files to look at.

use super::super::{Settings, reload};
use super::*;

/// What waits when the second profile is read over the first.
fn waiting(text: &str) -> Vec<&'static str> {
    let old = Scene::over_good("").load().settings;
    let new = Scene::over_good(text).load().settings;
    assert_eq!(new.waiting_for_restart(&new.clone()), [""; 0]);
    let there = old.waiting_for_restart(&new);
    assert_eq!(there, new.waiting_for_restart(&old), "{text}");
    there
}

#[test]
fn what_the_gateway_was_built_with_waits_for_a_restart() {
    for (text, expected) in [
        ("", vec![]),
        ("[server]\nlisten = \"127.0.0.1:81\"", vec!["server"]),
        ("[server]\npublic_url = \"https://x\"", vec!["server"]),
        ("[server]\nworkers = 77", vec!["server"]),
        ("[server]\ndrain_seconds = 7", vec!["server"]),
        ("[server]\nmax_connections = 7", vec!["server"]),
        ("[server]\nmax_in_flight_actions = 7", vec!["server"]),
        ("[server]\nbody_timeout_ms = 7", vec!["server"]),
        ("[server]\nhead_timeout_ms = 7000", vec!["server"]),
        ("[server]\nkeep_alive_seconds = 7", vec!["server"]),
        ("[server]\nmax_body_bytes = 7", vec!["server"]),
        ("[server]\nmax_uri_bytes = 700", vec!["server"]),
        ("[server]\nmax_header_bytes = 7000", vec!["server"]),
        ("[server]\nallow_debugger = true", vec!["server"]),
        ("[admin]\nlisten = \"127.0.0.1:81\"", vec!["admin"]),
        ("[portal]\nrequest_timeout_ms = 7", vec!["portal"]),
        ("[operations]\npoll_seconds = 7", vec!["operations"]),
        ("[ledger]\nretention_days = 7", vec!["ledger"]),
        ("[telemetry]\nlog_level = \"warn\"", vec!["telemetry"]),
        (
            "[telemetry]\nlog_level = \"warn\"\n[admin]\nlisten = \"127.0.0.1:81\"",
            vec!["admin", "telemetry"],
        ),
    ] {
        assert_eq!(waiting(text), expected, "{text}");
    }
}

#[test]
fn a_credential_and_its_publishers_wait_for_a_restart() {
    for line in [
        "client_secret = \"other\"",
        "client_secret = \"hus\"",
        "client_id = \"other\"",
        "tenant_id = \"other\"",
        "authority = \"https://other\"",
        "scope = \"other\"",
        "wait_ms = 7",
    ] {
        let text = format!("[credentials.contoso]\n{line}");
        assert_eq!(waiting(&text), ["credentials"], "{line}");
    }
    let second = "[credentials.other]\nkind = \"client-secret\"\ntenant_id = \"t\"\n\
                  client_id = \"c\"\nclient_secret = \"s\"";
    assert_eq!(waiting(second), ["credentials"]);
    let more = "[[publishers]]\nid = \"contoso\"\ncredential = \"contoso\"\n\
                [[publishers]]\nid = \"fabrikam\"\ncredential = \"contoso\"";
    assert_eq!(waiting(more), ["publishers"]);
}

#[test]
fn callers_rules_and_issuers_are_live() {
    let caller = format!(
        "[[callers]]\nname = \"x\"\napi_key_sha256 = [\"{}\"]",
        "ab".repeat(32)
    );
    let issuer = "[[identity.jwt]]\nissuer = \"https://x\"\naudience = \"a\"";
    for text in ["callers = []", &caller, issuer] {
        assert_eq!(waiting(text), [""; 0], "{text}");
    }
}

/// A scene with TLS.
fn with_tls(pem: &str) -> Scene {
    let tls = "[server.tls]\ncert_file = \"both\"\nkey_file = \"both\"";
    let scene = Scene::over_good(tls).file("both", pem);
    protect(&scene.path("both"), 0o600);
    scene
}

#[test]
fn tls_is_turned_on_by_a_restart_and_live_from_then_on() {
    let plain = Scene::over_good("").load().settings;
    let one = with_tls(include_str!("pem/sec1.pem")).load().settings;
    let other = with_tls(include_str!("pem/pkcs1.pem")).load().settings;
    assert_eq!(plain.waiting_for_restart(&one), ["server.tls"]);
    assert_eq!(one.waiting_for_restart(&plain), ["server.tls"]);
    assert_eq!(one.waiting_for_restart(&other), [""; 0]);
}

#[test]
fn the_sample_key_needs_a_running_portal_on_loopback_as_well() {
    let at = |base_url: &str| -> Settings {
        let mut settings = Scene::over_good("").load().settings;
        settings.portal.base_url = base_url.to_owned();
        settings
    };
    let sample = super::super::proof::HASH_OF_SAMPLE;
    let scene = Scene::over_good(&format!(
        "[portal]\nbase_url = \"http://127.0.0.1:7070\"\n\
         [[callers]]\nname = \"c\"\napi_key_sha256 = [\"{sample}\"]"
    ));
    let again = |running: &Settings| reload(&scene.source(Some("t")), running);
    assert!(again(&at("http://[::1]:7070")).is_ok());
    let problems = again(&at("https://cloudpartner.azure.com")).unwrap_err();
    assert_eq!(
        scene.lines(problems.as_slice()),
        [
            "t.toml: callers[0].api_key_sha256[0]: is the hash of a published sample key; it is \
          good for a portal on loopback only"
        ]
    );
    // Everything else is as when loading.
    let scene = Scene::over_good("");
    let far = at("https://cloudpartner.azure.com");
    assert!(reload(&scene.source(Some("t")), &far).is_ok());
    let scene = Scene::over_good("callers = 5");
    assert!(reload(&scene.source(Some("t")), &far).is_err());
}

#[test]
fn every_file_that_counts_is_known() {
    let scene = with_tls(include_str!("pem/sec1.pem"));
    let relative = |files: &[PathBuf]| -> Vec<String> {
        let name = |file: &PathBuf| {
            let file = file.strip_prefix(scene.dir.path()).unwrap();
            file.display().to_string()
        };
        files.iter().map(name).collect()
    };
    assert_eq!(
        relative(&scene.load().files),
        ["base.toml", "both", "t.toml"]
    );

    // Also those that are not there, or are not good.
    let text = "[server.tls]\ncert_file = \"cert\"\nkey_file = \"both\"\n\
                client_ca_file = \"clients\"\n[portal]\nca_file = \"portal-ca\"\n\
                [credentials.contoso]\nclient_secret_file = \"secret\"\n\
                [[identity.jwt]]\nca_file = \"jwt-ca\"\nbearer_token_file = \"token\"";
    fs::write(scene.path("t.toml"), text).unwrap();
    let without_secret = GOOD.replace("client_secret = \"hush\"", "");
    fs::write(scene.path("base.toml"), without_secret).unwrap();
    let problems = load(&scene.source(Some("t"))).unwrap_err();
    let expected = [
        "base.toml",
        "both",
        "cert",
        "clients",
        "jwt-ca",
        "portal-ca",
        "secret",
        "t.toml",
        "token",
    ];
    assert_eq!(relative(problems.files()), expected);

    fs::remove_file(scene.path("base.toml")).unwrap();
    fs::write(scene.path("t.toml"), "no TOML").unwrap();
    let problems = load(&scene.source(Some("t"))).unwrap_err();
    assert_eq!(relative(problems.files()), ["base.toml", "t.toml"]);
    let problems = load(&scene.source(Some("missing"))).unwrap_err();
    assert_eq!(relative(problems.files()), ["base.toml", "missing.toml"]);
}
