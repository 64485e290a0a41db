//! Reading the configuration again: what has to wait for a restart, what a running
//! gateway forbids, and which files to look at.

use super::*;
use crate::settings::{Settings, reload};

/// What waits when the second profile is read over the first.
fn waiting(text: &str) -> Vec<&'static str> {
    let old = Fixture::over_good("").load().settings;
    let new = Fixture::over_good(text).load().settings;
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
        ("[server]\nmax_wait_seconds = 7", vec!["server"]),
        ("[server]\nevents_beat_seconds = 7", vec!["server"]),
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
fn which_credentials_there_are_and_their_publishers_wait_for_a_restart() {
    let second = "[credentials.other]\nkind = \"client-secret\"\ntenant_id = \"t\"\n\
                  client_id = \"c\"\nclient_secret = \"s\"";
    assert_eq!(waiting(second), ["credentials"]);
    let wait = "[credentials.contoso]\nwait_ms = 7";
    assert_eq!(waiting(wait), ["credentials"]);
    let more = "[[publishers]]\nid = \"contoso\"\ncredential = \"contoso\"\n\
                [[publishers]]\nid = \"fabrikam\"\ncredential = \"contoso\"";
    assert_eq!(waiting(more), ["publishers"]);
}

/// Both must be taken as equal or not from either side, and nothing may wait.
fn assert_same(one: &Settings, other: &Settings, expected: bool, what: &str) {
    let (a, b) = (&one.credentials["contoso"], &other.credentials["contoso"]);
    assert!(
        a.method == a.method.clone() && b.method == b.method.clone(),
        "{what}"
    );
    assert_eq!(a.method == b.method, expected, "{what}");
    assert_eq!(b.method == a.method, expected, "{what}");
    assert_eq!(one.waiting_for_restart(other), [""; 0], "{what}");
}

#[test]
fn another_secret_is_live_and_told_from_the_old_one() {
    let old = Fixture::over_good("").load().settings;
    for line in [
        "client_secret = \"other\"",
        "client_secret = \"hus\"",
        "client_secret_expires = \"2999-01-31\"",
        "client_id = \"other\"",
        "tenant_id = \"other\"",
        "authority = \"https://other\"",
        "scope = \"other\"",
    ] {
        let text = format!("[credentials.contoso]\n{line}");
        let new = Fixture::over_good(&text).load().settings;
        assert_same(&old, &new, false, line);
    }
    assert_same(
        &old,
        &Fixture::over_good("").load().settings,
        true,
        "nothing",
    );
    let wait = Fixture::over_good("[credentials.contoso]\nwait_ms = 7").load();
    let wait = &wait.settings.credentials["contoso"];
    assert_eq!(old.credentials["contoso"].method, wait.method);
}

#[test]
fn so_is_every_other_kind() {
    let certificate = |pem: &str, rest: &str| {
        let text = "kind = \"client-certificate\"\ntenant_id = \"t\"\nclient_id = \"c\"\n\
                    certificate_file = \"both\"\nkey_file = \"both\"\n";
        Fixture::of(&format!("{text}{rest}"))
            .file("both", pem)
            .load()
    };
    let (rsa, other_rsa) = (
        include_str!("pem/pkcs1.pem"),
        include_str!("pem/version1.pem"),
    );
    // Paths are told apart as well, so the files are in one place.
    let place = TempDir::new().unwrap();
    let file = |name: &str| {
        let path = place.path().join(name);
        fs::write(&path, "").unwrap();
        path.display().to_string()
    };
    let workload = |name: &str, rest: &str| {
        let path = file(name);
        let text = "kind = \"workload-identity\"\ntenant_id = \"t\"\nclient_id = \"c\"\n";
        Fixture::of(&format!("{text}assertion_file = \"{path}\"\n{rest}")).load()
    };
    let managed = |rest: &str| Fixture::of(&format!("kind = \"managed-identity\"\n{rest}")).load();
    let url = "endpoint = \"http://127.0.0.1/x\"\n";
    let app_service = |header| managed(&format!("{url}identity_header = \"{header}\"\n"));
    let token = |name: &str| {
        let path = file(name);
        Fixture::of(&format!("kind = \"token-file\"\ntoken_file = \"{path}\"\n")).load()
    };
    let table = [
        certificate(rsa, ""),
        certificate(other_rsa, ""),
        certificate(rsa, "assertion_algorithm = \"RS256\"\n"),
        certificate(rsa, "scope = \"s\"\n"),
        workload("a", ""),
        workload("b", ""),
        workload("a", "authority = \"https://other\"\n"),
        managed(""),
        managed("client_id = \"c\"\n"),
        managed("resource = \"r\"\n"),
        managed(url),
        app_service("h"),
        app_service("i"),
        token("a"),
        token("b"),
        Fixture::of(CLIENT_SECRET).load(),
    ];
    for (index, one) in table.iter().enumerate() {
        for (number, other) in table.iter().enumerate() {
            let what = format!("{index} and {number}");
            assert_same(&one.settings, &other.settings, index == number, &what);
        }
    }
    let again = [
        certificate(rsa, ""),
        workload("a", ""),
        app_service("h"),
        token("a"),
    ];
    for (index, again) in [0, 4, 11, 13].into_iter().zip(again) {
        assert_same(&table[index].settings, &again.settings, true, "read again");
    }
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
fn with_tls(pem: &str) -> Fixture {
    let tls = "[server.tls]\ncert_file = \"both\"\nkey_file = \"both\"";
    let scene = Fixture::over_good(tls).file("both", pem);
    protect(&scene.path("both"), 0o600);
    scene
}

#[test]
fn tls_is_turned_on_by_a_restart_and_live_from_then_on() {
    let plain = Fixture::over_good("").load().settings;
    let one = with_tls(include_str!("pem/sec1.pem")).load().settings;
    let other = with_tls(include_str!("pem/pkcs1.pem")).load().settings;
    assert_eq!(plain.waiting_for_restart(&one), ["server.tls"]);
    assert_eq!(one.waiting_for_restart(&plain), ["server.tls"]);
    assert_eq!(one.waiting_for_restart(&other), [""; 0]);
}

#[test]
fn the_sample_key_needs_a_running_portal_on_loopback_as_well() {
    let at = |base_url: &str| -> Settings {
        let mut settings = Fixture::over_good("").load().settings;
        settings.portal.base_url = base_url.to_owned();
        settings
    };
    let sample = crate::settings::caller_credentials::HASH_OF_SAMPLE;
    let scene = Fixture::over_good(&format!(
        "[portal]\nbase_url = \"http://127.0.0.1:7070\"\n\
         [[callers]]\nname = \"c\"\napi_key_sha256 = [\"{sample}\"]"
    ));
    let again = |running: &Settings| reload(&scene.source(Some("t")), running);
    assert!(again(&at("http://[::1]:7070")).is_ok());
    let problems = again(&at("https://cloudpartner.azure.com")).unwrap_err();
    assert_eq!(
        scene.lines(problems.problems()),
        [
            "t.toml: callers[0].api_key_sha256[0]: is the hash of a published sample key, which is \
          accepted only while portal.base_url is on loopback; `offergate keys new` makes another"
        ]
    );
    // Everything else is as when loading.
    let scene = Fixture::over_good("");
    let far = at("https://cloudpartner.azure.com");
    assert!(reload(&scene.source(Some("t")), &far).is_ok());
    let scene = Fixture::over_good("callers = 5");
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
    ];
    assert_eq!(relative(problems.files()), expected);

    // Not those that are read again and again by whoever uses them.
    for (keys, expected) in [
        (
            "kind = \"client-certificate\"\ncertificate_file = \"both\"\nkey_file = \"key\"",
            ["base.toml", "both", "key", "t.toml"].as_slice(),
        ),
        (
            "kind = \"managed-identity\"\nidentity_header_file = \"header\"",
            &["base.toml", "header", "t.toml"],
        ),
        (
            "kind = \"workload-identity\"\nassertion_file = \"both\"",
            &["base.toml", "t.toml"],
        ),
        (
            "kind = \"token-file\"\ntoken_file = \"both\"\nclient_id = \"c\"",
            &["base.toml", "t.toml"],
        ),
    ] {
        fs::write(scene.path("base.toml"), good_with(keys)).unwrap();
        fs::write(scene.path("t.toml"), "").unwrap();
        let problems = load(&scene.source(Some("t"))).unwrap_err();
        assert_eq!(relative(problems.files()), expected);
    }

    fs::remove_file(scene.path("base.toml")).unwrap();
    fs::write(scene.path("t.toml"), "no TOML").unwrap();
    let problems = load(&scene.source(Some("t"))).unwrap_err();
    assert_eq!(relative(problems.files()), ["base.toml", "t.toml"]);
    let problems = load(&scene.source(Some("missing"))).unwrap_err();
    assert_eq!(relative(problems.files()), ["base.toml", "missing.toml"]);
}
