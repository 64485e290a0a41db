//! Which layer wins, and what each of them may say.

use std::fs;

use super::*;

/// `GOOD`, whose secret is to come from a variable.
fn without_secret() -> String {
    GOOD.replace("client_secret = \"hush\"\n", "")
}

#[test]
fn the_profile_covers_the_base_and_the_environment_covers_both() {
    let text =
        "[operations]\npoll_seconds = 7\nsettle_seconds = 8\n[portal]\nallow_plain_http = true";
    let scene = Fixture::over_good(text)
        .file(
            "base.toml",
            without_secret()
                + "\n[operations]\npoll_seconds = 6\n[telemetry]\nlog_level = \"warn\"",
        )
        .variable("OFFERGATE_OPERATIONS__SETTLE_SECONDS", "9")
        .variable("OFFERGATE_PORTAL__ALLOW_PLAIN_HTTP", "false")
        .variable("OFFERGATE_CREDENTIALS__CONTOSO__CLIENT_SECRET", "from-env");
    let settings = scene.load().settings;
    assert_eq!(settings.operations.poll.as_secs(), 7);
    assert_eq!(settings.operations.settle.as_secs(), 9);
    assert_eq!(settings.operations.give_up.as_secs(), 1800);
    assert_eq!(settings.telemetry.level, crate::telemetry::LogLevel::Warn);
    assert!(!settings.portal.allow_plain_http);
    assert_eq!(scene.client_secret(), "from-env");
    assert_eq!(scene.application().client_id, "app");
}

#[test]
fn a_list_is_replaced_as_a_whole() {
    let text = "[[publishers]]\nid = \"contoso\"\ncredential = \"contoso\"\n\
                [[publishers]]\nid = \"fabrikam\"\ncredential = \"contoso\"";
    let settings = Fixture::over_good(text).load().settings;
    assert_eq!(settings.publishers.len(), 2);
}

#[test]
fn variables_that_configure_nothing_are_ignored() {
    let scene = Fixture::over_good("")
        .variable("OFFERGATE_PORT", "tcp://10.0.0.1:80")
        .variable("OFFERGATE_PORT_8080_TCP_ADDR", "10.0.0.1")
        .variable("OFFERGATE__X_SERVICE_HOST", "10.0.0.1")
        .variable("OFFERGATE", "x")
        .variable("OTHER_SERVER__LISTEN", "x")
        .variable("offergate_server__listen", "x");
    assert_eq!(scene.warnings(), [""; 0]);
}

#[test]
fn a_variable_that_is_wrong_is_named() {
    let scene = Fixture::over_good("[server]\nworkers = 1")
        .variable("OFFERGATE_SERVER__LISTN", "a")
        .variable("OFFERGATE_SERVER__WORKERS", "many")
        .variable("OFFERGATE_PORTAL__ALLOW_PLAIN_HTTP", "yes")
        .variable("OFFERGATE_SERVER__HSTS__CERT_FILE", "c")
        .variable("OFFERGATE_SERVER__HSTS__KEY_FILE", "k")
        .variable("OFFERGATE_SERVER__", "a")
        .variable("OFFERGATE_server__listen", "a")
        .variable("OFFERGATE__SERVER__LISTEN", "a")
        .variable("OFFERGATE_CALLERS[9]__NAME", "a")
        .variable("OFFERGATE_CALLERS__0__NAME", "a")
        .variable("OFFERGATE_LEDGER", "ignored")
        .variable("OFFERGATE_TELEMETRY__LOG_LEVEL__X", "a")
        .variable("OFFERGATE_OPERATIONS__POLL_SECONDS", "+5")
        .variable("OFFERGATE_OPERATIONS__SETTLE_SECONDS", "")
        .variable(
            "OFFERGATE_OPERATIONS__GIVE_UP_SECONDS",
            "99999999999999999999",
        );
    let no_key = "names no key: levels are upper-case and separated by two underscores, \
                  as in OFFERGATE_SERVER__LISTEN";
    assert_eq!(
        scene.problems(),
        [
            &format!("OFFERGATE_CALLERS[9]__NAME: {no_key}"),
            "OFFERGATE_CALLERS__0__NAME: callers: must be a list (which only a file can hold), not a table",
            "OFFERGATE_OPERATIONS__GIVE_UP_SECONDS: operations.give_up_seconds: must be a whole number from 1 to 604800",
            "OFFERGATE_OPERATIONS__POLL_SECONDS: operations.poll_seconds: must be a whole number from 1 to 3600, not text",
            "OFFERGATE_OPERATIONS__SETTLE_SECONDS: operations.settle_seconds: must be a whole number from 1 to 3600, not text",
            "OFFERGATE_PORTAL__ALLOW_PLAIN_HTTP: portal.allow_plain_http: must be true or false, not text",
            &format!("OFFERGATE_SERVER__: {no_key}"),
            "OFFERGATE_SERVER__HSTS__CERT_FILE: server.hsts: is not a known key",
            "OFFERGATE_SERVER__HSTS__KEY_FILE: server.hsts: is not a known key",
            "OFFERGATE_SERVER__LISTN: server.listn: is not a known key; did you mean listen?",
            "OFFERGATE_SERVER__WORKERS: server.workers: must be a whole number from 0 to 256, not text",
            "OFFERGATE_TELEMETRY__LOG_LEVEL__X: telemetry.log_level: must be text, not a table",
            "OFFERGATE__SERVER__LISTEN: _server: is not a known key; did you mean server?",
            &format!("OFFERGATE_server__listen: {no_key}"),
        ]
    );
}

#[test]
fn text_from_the_environment_stays_text() {
    let scene = Fixture::empty()
        .file("base.toml", without_secret())
        .variable("OFFERGATE_CREDENTIALS__CONTOSO__CLIENT_SECRET", "0123e4")
        .variable("OFFERGATE_CREDENTIALS__CONTOSO__TENANT_ID", "007")
        .variable("OFFERGATE_CREDENTIALS__CONTOSO__CLIENT_ID", "true");
    assert_eq!(scene.client_secret(), "0123e4");
    assert_eq!(scene.application().tenant_id, "007");
    assert_eq!(scene.application().client_id, "true");
}

#[test]
fn a_profile_must_exist_and_stay_in_its_directory() {
    let scene = Fixture::empty().file("base.toml", GOOD);
    let problem = |profile| {
        let problems = load(&scene.source(Some(profile))).unwrap_err();
        scene.lines(problems.problems()).join("\n")
    };
    assert_eq!(
        problem("prod"),
        "prod.toml: cannot be read: No such file or directory (os error 2)"
    );
    for bad in [
        "",
        "../base",
        "a/b",
        ".hidden",
        "/etc/passwd",
        "a\\b",
        "a\0",
        "é",
    ] {
        assert!(problem(bad).starts_with("--profile: must be"), "{bad:?}");
    }
    let without_directory = ConfigSource {
        profile: Some("prod".into()),
        ..ConfigSource::default()
    };
    assert_eq!(
        load(&without_directory).unwrap_err().to_string(),
        "--profile: needs a configuration directory: --config DIR"
    );
    let nowhere = ConfigSource {
        dir: Some(scene.path("nowhere")),
        ..ConfigSource::default()
    };
    let problems = load(&nowhere).unwrap_err().to_string();
    assert!(
        problems.ends_with("nowhere: is not a directory"),
        "{problems}"
    );
}

#[test]
fn a_directory_needs_no_base() {
    let scene = Fixture::empty().file("t.toml", GOOD);
    assert_eq!(scene.warnings(), [""; 0]);
}

#[test]
fn a_file_that_is_no_toml_is_located_and_not_quoted() {
    let table = [
        ("a = 1\nkey = \"hunter2", "line 2, column 15"),
        ("\n\n  ключ hunter2 = 1", "line 3, column 8"),
        ("a = 1\na = 2", "line 2, column 1"),
        ("[a]\nx = 1\n[a]", "line 3, column"),
        ("a = hunter2", "line 1, column 5"),
        ("a = [1,\n hunter2]", "line 2, column 2"),
        ("a = 2020-99-99", "line 1, column 5"),
    ];
    for (text, location) in table {
        let problems = Fixture::over_good(text).problems().join("\n");
        let start = format!("t.toml: is not valid TOML at {location}");
        assert!(problems.starts_with(&start), "{text}: {problems}");
        assert!(!problems.contains("hunter2"), "{problems}");
    }
    for text in ["a = 99999999999999999999", "a = 1e999"] {
        assert_eq!(
            Fixture::over_good(text).problems(),
            ["t.toml: is not valid: a number in it is out of range"]
        );
    }
    let not_utf8 = Fixture::over_good("").file("t.toml", b"a = \"\xff\"");
    assert_eq!(not_utf8.problems(), ["t.toml: is not UTF-8 text"]);
    let directory = Fixture::empty();
    fs::create_dir(directory.path("base.toml")).unwrap();
    assert_eq!(
        directory.problems(),
        ["base.toml: is a directory, not a file"]
    );
}

#[test]
fn a_quoted_key_reaches_nowhere_else() {
    let scene = Fixture::over_good("\"server.workers\" = 5\n\"line\\nbreak\" = 1");
    assert_eq!(
        scene.problems(),
        [
            "t.toml: \"line\\nbreak\": is not a known key",
            "t.toml: \"server.workers\": is not a known key",
        ]
    );
}

#[test]
fn everything_wrong_is_reported_at_once_in_order() {
    let text = r#"
        surprise = 1
        [server]
        listen = "0.0.0.0:http"
        public_url = 5
        drain_second = 1
        workers = -1
        [portal]
        request_timeout_ms = 1.5
        [credentials.Contoso]
        kind = "client-certificate"
        client_secret = 5
        [[publishers]]
        id = "con toso"
        credential = "nobody"
        [[callers]]
        nam = "x"
        allow = [5, { actions = ["cancel", "destroy"], offers = [] }]
    "#;
    let mut expected: Vec<String> = [
        "callers[0].allow[0]: must be a table, not a whole number",
        "callers[0].allow[1].actions[1]: must be one of read, cancel, publish, go-live, write, or *",
        "callers[0].allow[1].offers: must not be empty: the rule could never apply",
        "callers[0].allow[1].publishers: is required",
        "callers[0]: cannot authenticate: one of api_key_sha256, jwt and certificate_san \
         is required",
        "callers[0].nam: is not a known key; did you mean name?",
        "callers[0].name: is required",
        "credentials.Contoso: a credential's name must be 1 to 64 characters of a-z 0-9 _ -, begin \
         and end with a letter or digit and have no two underscores in a row: it is part of the \
         variable OFFERGATE_CREDENTIALS__NAME__CLIENT_SECRET",
        "credentials.Contoso.certificate_file: is required for kind client-certificate",
        "credentials.Contoso.client_id: is required for kind client-certificate",
        "credentials.Contoso.client_secret: belongs to kind client-secret",
        "credentials.Contoso.key_file: is required for kind client-certificate",
        "credentials.Contoso.tenant_id: is required for kind client-certificate",
        "portal.request_timeout_ms: must be a whole number from 1 to 600000, not a fraction",
        "publishers[0].credential: is not the name of a table under [credentials]",
        "publishers[0].id: must be 1 to 128 characters of A-Z a-z 0-9 . _ - and neither \".\" nor \"..\"",
        "server.drain_second: is not a known key; did you mean drain_seconds?",
        "server.listen: must be an IP address and a port, as in 127.0.0.1:8080 or [::1]:8080",
        "server.public_url: must be text, not a whole number",
        "server.workers: must be a whole number from 0 to 256",
        "surprise: is not a known key",
    ]
    .iter()
    .map(|problem| format!("t.toml: {problem}"))
    .collect();
    expected.sort();
    let mut problems = Fixture::over_good(text).problems();
    problems.sort();
    assert_eq!(problems, expected);
}

#[test]
fn places_are_told_apart_and_numbers_sort_as_numbers() {
    let callers = "[[callers]]\nname = \"\"\n".repeat(11);
    let scene = Fixture::over_good(&callers)
        .file("base.toml", format!("{GOOD}\n[server]\nworkers = \"a\""))
        .variable("OFFERGATE_ADMIN__LISTEN", "a");
    let places: Vec<String> = scene
        .problems()
        .iter()
        .filter(|line| !line.contains("cannot authenticate"))
        .map(|line| line.rsplit_once(": must").unwrap().0.to_owned())
        .collect();
    let mut expected = vec!["base.toml: server.workers".to_owned()];
    expected.extend((0..11).map(|index| format!("t.toml: callers[{index}].name")));
    expected.push("OFFERGATE_ADMIN__LISTEN: admin.listen".to_owned());
    assert_eq!(places, expected);
}
