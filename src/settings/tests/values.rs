//! Each key's values: what is taken, what is not, and rules between keys.

use super::*;
use crate::domain::{Durability, TokenEndpoint};
use crate::telemetry::{LogFormat, LogLevel};

/// One line that is wrong over a good configuration, and what is said about it.
fn refused(text: &str, expected: &str) {
    let problems = Fixture::over_good(text).problems();
    assert_eq!(problems.len(), 1, "{text}: {problems:?}");
    let expected = format!("t.toml: {expected}");
    assert!(problems[0].starts_with(&expected), "{text}: {problems:?}");
}

fn taken(text: &str) -> Loaded {
    Fixture::over_good(text).load()
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let settings = taken("").settings;
    let server = &settings.server;
    assert_eq!(server.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(server.public_url, None);
    assert!(server.workers.get() >= 1);
    assert_eq!(server.drain.as_secs(), 30);
    assert_eq!(server.max_body_bytes, 16 * 1024);
    assert_eq!(server.max_uri_bytes, 8 * 1024);
    assert_eq!(server.max_header_bytes, 16 * 1024);
    assert_eq!(server.head_timeout.as_millis(), 5000);
    assert_eq!(server.body_timeout.as_millis(), 10_000);
    assert_eq!(server.keep_alive.as_secs(), 75);
    assert!(!server.allow_debugger);
    assert_eq!(settings.admin.listen, "127.0.0.1:9090".parse().unwrap());
    assert_eq!(settings.portal.base_url, "https://cloudpartner.azure.com");
    assert_eq!(settings.portal.api_version, "2017-10-31");
    assert_eq!(settings.portal.ca_file, None);
    assert_eq!(settings.portal.request_timeout.as_secs(), 90);
    assert!(!settings.portal.allow_plain_http);
    assert_eq!(settings.operations.poll.as_secs(), 5);
    assert_eq!(settings.operations.settle.as_secs(), 30);
    assert_eq!(settings.operations.give_up.as_secs(), 1800);
    let credential = &settings.credentials["contoso"];
    let application = Fixture::over_good("").application();
    assert_eq!(application.authority, "https://login.microsoftonline.com");
    assert_eq!(credential.wait.as_millis(), 5000);
    let scope = "https://cloudpartner.azure.com/.default".to_owned();
    assert_eq!(application.endpoint, TokenEndpoint::V2 { scope });
    assert_eq!(settings.ledger.path, Path::new("offergate.db"));
    assert_eq!(settings.ledger.durability, Durability::Full);
    assert_eq!(settings.ledger.retention.as_secs(), 90 * 86_400);
    assert_eq!(settings.ledger.idempotency.as_secs(), 86_400);
    assert_eq!(settings.server.max_wait.as_secs(), 50);
    assert_eq!(settings.server.events_beat.as_secs(), 15);
    assert_eq!(settings.telemetry.level, LogLevel::Info);
    assert_eq!(settings.telemetry.format, LogFormat::Json);
}

#[test]
fn numbers_have_limits() {
    for (table, key, least, most) in [
        ("server", "workers", 0_u64, 256_u64),
        ("server", "drain_seconds", 0, 3600),
        ("server", "max_wait_seconds", 0, 3600),
        ("server", "events_beat_seconds", 1, 300),
        ("server", "max_connections", 1, 1_000_000),
        ("server", "max_in_flight_actions", 1, 100_000),
        ("server", "head_timeout_ms", 1000, 600_000),
        ("server", "body_timeout_ms", 1, 600_000),
        ("server", "keep_alive_seconds", 1, 3600),
        ("server", "max_body_bytes", 1, 16_777_216),
        ("server", "max_uri_bytes", 256, 64_000),
        ("server", "max_header_bytes", 1024, 64_000),
        ("portal", "connect_timeout_ms", 1, 60_000),
        ("portal", "request_timeout_ms", 1, 600_000),
        ("operations", "give_up_seconds", 31, 604_800),
        ("ledger", "retention_days", 1, 3650),
        ("ledger", "idempotency_hours", 1, 2160),
        ("credentials.contoso", "wait_ms", 0, 60_000),
    ] {
        let line = |number| format!("[{table}]\n{key} = {number}");
        taken(&line(least));
        taken(&line(most));
        let from = if key == "give_up_seconds" { 1 } else { least };
        let expected = format!("{table}.{key}: must be a whole number from {from} to {most}");
        refused(&line(most + 1), &expected);
        refused(&line(i64::MAX as u64), &expected);
        if least > 0 {
            refused(&line(0), &expected);
        }
        refused(&format!("[{table}]\n{key} = -1"), &expected);
        for other in ["1.0", "\"5\"", "true", "[5]", "{ a = 5 }", "2020-01-01"] {
            let expected = format!("{expected}, not ");
            refused(&format!("[{table}]\n{key} = {other}"), &expected);
        }
    }
    refused(
        "[operations]\npoll_seconds = 0",
        "operations.poll_seconds: must be a whole number from 1 to 3600",
    );
    refused(
        "[operations]\nsettle_seconds = 0",
        "operations.settle_seconds: must be a whole number from 1 to 3600",
    );
}

#[test]
fn giving_up_comes_last() {
    refused(
        "[operations]\ngive_up_seconds = 30",
        "operations.give_up_seconds: operations.give_up_seconds must be greater than \
         operations.settle_seconds",
    );
    // A default is not to blame for what somebody wrote.
    refused(
        "[operations]\npoll_seconds = 1800",
        "operations.poll_seconds: operations.give_up_seconds must be greater than \
         operations.poll_seconds",
    );
}

#[test]
fn a_key_is_kept_no_longer_than_its_operation() {
    taken("[ledger]\nretention_days = 2\nidempotency_hours = 48");
    refused(
        "[ledger]\nretention_days = 2\nidempotency_hours = 49",
        "ledger.idempotency_hours: ledger.idempotency_hours must not be longer than \
         ledger.retention_days",
    );
}

#[test]
fn words_are_few() {
    for (table, key, words) in [
        (
            "telemetry",
            "log_level",
            vec!["error", "warn", "info", "debug", "trace"],
        ),
        ("telemetry", "log_format", vec!["json", "pretty"]),
        ("ledger", "durability", vec!["full", "relaxed"]),
    ] {
        for word in &words {
            taken(&format!("[{table}]\n{key} = \"{word}\""));
        }
        for bad in ["", "Full", "off", "JSON"] {
            refused(
                &format!("[{table}]\n{key} = \"{bad}\""),
                &format!("{table}.{key}: must be one of {}", words.join(", ")),
            );
        }
    }
}

#[test]
fn the_public_address_is_required_beyond_loopback() {
    for listen in ["127.0.0.1:8080", "127.1.2.3:0", "[::1]:8080"] {
        let settings = taken(&format!("[server]\nlisten = \"{listen}\"")).settings;
        assert_eq!(settings.server.public_url, None);
    }
    for listen in ["0.0.0.0:8080", "[::]:8080", "10.0.0.1:8080"] {
        let text = format!("[server]\nlisten = \"{listen}\"");
        refused(&text, "server.public_url: is required unless");
        let text = format!("{text}\npublic_url = \"https://Gate.example/og/\"");
        let settings = taken(&text).settings;
        let expected = "https://gate.example/og";
        assert_eq!(settings.server.public_url.as_deref(), Some(expected));
    }
    for bad in [
        "",
        "gate.example",
        "https://u@gate.example",
        "https://gate.example/?a",
        "ws://x",
    ] {
        let text = format!("[server]\npublic_url = \"{bad}\"");
        refused(&text, "server.public_url: must be http:// or https://");
    }
    let scene = Fixture::over_good("[server]\npublic_url = \"http://gate.example\"");
    assert_eq!(
        scene.warnings(),
        [
            "t.toml: server.public_url: is plain HTTP: callers' API keys cross the network unprotected"
        ]
    );
}

#[test]
fn the_two_listeners_do_not_meet() {
    let public_url = "public_url = \"https://gate.example\"";
    for (server, admin, meet) in [
        ("127.0.0.1:8080", "127.0.0.1:8080", true),
        ("0.0.0.0:8080", "127.0.0.1:8080", true),
        ("127.0.0.1:8080", "0.0.0.0:8080", true),
        ("[::]:8080", "0.0.0.0:8080", true),
        ("127.0.0.1:8080", "[::]:8080", true),
        ("0.0.0.0:8080", "[::1]:8080", false),
        ("127.0.0.1:8080", "127.0.0.2:8080", false),
        ("127.0.0.1:8080", "[::1]:8080", false),
        ("127.0.0.1:0", "127.0.0.1:0", false),
    ] {
        let text =
            format!("[server]\nlisten = \"{server}\"\n{public_url}\n[admin]\nlisten = \"{admin}\"");
        if meet {
            refused(
                &text,
                "admin.listen: server.listen and admin.listen must differ",
            );
        } else {
            taken(&text);
        }
    }
    // Also when something else is wrong with the server.
    let text = "[server]\nlisten = \"127.0.0.1:9090\"\nworkers = 1000";
    assert_eq!(
        Fixture::over_good(text).problems(),
        [
            "t.toml: server.listen: server.listen and admin.listen must differ: they would be one socket",
            "t.toml: server.workers: must be a whole number from 0 to 256",
        ]
    );
    for bad in [
        "",
        "localhost:8080",
        "127.0.0.1",
        "8080",
        ":8080",
        "127.0.0.1:99999",
    ] {
        refused(
            &format!("[server]\nlisten = \"{bad}\""),
            "server.listen: must be an IP address and a port",
        );
    }
}

#[test]
fn tokens_and_secrets_do_not_cross_a_network_in_the_clear() {
    let plain = "http://vendor.example";
    let base = format!("[portal]\nbase_url = \"{plain}\"");
    let authority = format!("[credentials.contoso]\nauthority = \"{plain}\"");
    refused(&base, "portal.base_url: must be https");
    refused(&authority, "credentials.contoso.authority: must be https");

    let allowed = format!("{base}\nallow_plain_http = true\n{authority}");
    let warnings = Fixture::over_good(&allowed).warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].starts_with("t.toml: credentials.contoso.authority: is plain HTTP: tokens")
    );
    assert!(warnings[1].starts_with("t.toml: portal.base_url: is plain HTTP: tokens"));

    for local in [
        "http://127.0.0.1:7070",
        "http://[::1]:7070",
        "http://localhost:7070",
    ] {
        let text = format!(
            "[portal]\nbase_url = \"{local}\"\n[credentials.contoso]\nauthority = \"{local}\""
        );
        let loaded = taken(&text);
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        assert_eq!(loaded.settings.portal.base_url, local);
    }
    for bad in [
        "https://vendor.example/api",
        "https://a:b@vendor.example",
        "vendor.example",
    ] {
        refused(
            &format!("[portal]\nbase_url = \"{bad}\""),
            "portal.base_url: must be http",
        );
    }
}

#[test]
fn the_api_version_is_a_plain_word() {
    taken("[portal]\napi_version = \"2018-01.A\"");
    for bad in ["", "2017 10", "2017&x=1", "é", &"1".repeat(65)] {
        let text = format!("[portal]\napi_version = \"{bad}\"");
        refused(&text, "portal.api_version: must be 1 to 64");
    }
}

#[test]
fn the_ca_file_is_looked_for_beside_the_file_that_names_it() {
    let scene = Fixture::over_good("[portal]\nca_file = \"ca.pem\"").file("ca.pem", "pem");
    assert_eq!(
        scene.load().settings.portal.ca_file,
        Some(scene.path("ca.pem"))
    );

    let missing = "portal.ca_file: names a file that cannot be read: No such file or directory";
    refused("[portal]\nca_file = \"ca.pem\"", missing);
    refused(
        "[portal]\nca_file = \".\"",
        "portal.ca_file: names a directory, not a file",
    );
    refused(
        "[portal]\nca_file = \"\"",
        "portal.ca_file: must not be empty",
    );

    // From the environment: the working directory, which is not the configuration's.
    let scene = Fixture::over_good("")
        .file("ca.pem", "pem")
        .variable("OFFERGATE_PORTAL__CA_FILE", "ca.pem");
    assert_eq!(scene.problems().len(), 1);
}

#[test]
fn the_ledger_is_a_file() {
    for (url, path) in [
        ("sqlite:a.db", "a.db"),
        ("sqlite://a.db", "a.db"),
        ("sqlite:/var/a.db", "/var/a.db"),
        ("sqlite:///var/a b.db", "/var/a b.db"),
    ] {
        let settings = taken(&format!("[ledger]\nurl = \"{url}\"")).settings;
        assert_eq!(settings.ledger.path, Path::new(path));
    }
    for (url, expected) in [
        ("postgres://db/offergate", "PostgreSQL is not supported yet"),
        (
            "postgresql://db/offergate",
            "PostgreSQL is not supported yet",
        ),
        ("sqlite::memory:", "must be a file: a database in memory"),
        ("sqlite://:memory:", "must be a file: a database in memory"),
        ("a.db", "must be sqlite: and a file"),
        ("", "must be sqlite: and a file"),
        ("sqlite:", "must be sqlite: and the plain path"),
        ("sqlite://", "must be sqlite: and the plain path"),
        ("sqlite:dir/", "must be sqlite: and the plain path"),
        (
            "sqlite:a.db?mode=memory",
            "must be sqlite: and the plain path",
        ),
        ("sqlite:file:a.db", "must be sqlite: and the plain path"),
        ("sqlite:a\\u0000b", "must be sqlite: and the plain path"),
    ] {
        refused(
            &format!("[ledger]\nurl = \"{url}\""),
            &format!("ledger.url: {expected}"),
        );
    }
}

#[test]
fn what_is_not_built_yet_is_an_unknown_key() {
    for (text, key) in [
        (
            "[telemetry]\notlp_endpoint = \"o\"",
            "telemetry.otlp_endpoint",
        ),
        ("[[identity.saml]]\nissuer = \"i\"", "identity.saml"),
        ("[rate_limit]\nper_second = 5", "rate_limit"),
    ] {
        refused(text, &format!("{key}: is not a known key"));
    }
}

#[test]
fn a_section_that_is_no_table_is_one_problem() {
    for (text, expected) in [
        ("server = 5", "server: must be a table, not a whole number"),
        ("portal = \"x\"", "portal: must be a table, not text"),
        ("publishers = 5", "publishers: must be a list"),
        ("callers = { name = \"x\" }", "callers: must be a list"),
        ("ledger = []", "ledger: must be a table, not a list"),
        (
            "credentials.contoso = true",
            "credentials.contoso: must be a table, not true or false",
        ),
    ] {
        refused(text, expected);
    }
}
