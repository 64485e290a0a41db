//! No configured value is ever printed, wherever it stands and whatever its type.

use proptest::prelude::*;

use super::*;

/// Every key, with the table it stands in.
const KEYS: [(&str, &str); 87] = [
    ("", "server"),
    ("", "credentials"),
    ("", "publishers"),
    ("", "callers"),
    ("", "unknown"),
    ("[server]", "listen"),
    ("[server]", "public_url"),
    ("[server]", "workers"),
    ("[server]", "drain_seconds"),
    ("[server]", "max_wait_seconds"),
    ("[server]", "events_beat_seconds"),
    ("[server]", "max_connections"),
    ("[server]", "max_body_bytes"),
    ("[server]", "allow_debugger"),
    ("[server]", "tls"),
    ("[server]", "unknown"),
    ("[server.tls]", "cert_file"),
    ("[server.tls]", "key_file"),
    ("[server.tls]", "client_ca_file"),
    ("[server.tls]", "unknown"),
    ("[admin]", "listen"),
    ("[portal]", "base_url"),
    ("[portal]", "api_version"),
    ("[portal]", "ca_file"),
    ("[portal]", "request_timeout_ms"),
    ("[portal]", "allow_plain_http"),
    ("[operations]", "poll_seconds"),
    ("[operations]", "give_up_seconds"),
    ("[credentials]", "contoso"),
    ("[credentials.contoso]", "kind"),
    ("[credentials.contoso]", "authority"),
    ("[credentials.contoso]", "tenant_id"),
    ("[credentials.contoso]", "client_id"),
    ("[credentials.contoso]", "client_secret"),
    ("[credentials.contoso]", "client_secret_file"),
    ("[credentials.contoso]", "client_secret_expires"),
    ("[credentials.contoso]", "certificate_file"),
    ("[credentials.contoso]", "key_file"),
    ("[credentials.contoso]", "assertion_algorithm"),
    ("[credentials.contoso]", "assertion_file"),
    ("[credentials.contoso]", "endpoint"),
    ("[credentials.contoso]", "identity_header"),
    ("[credentials.contoso]", "identity_header_file"),
    ("[credentials.contoso]", "token_file"),
    ("[credentials.contoso]", "endpoint_version"),
    ("[credentials.contoso]", "resource"),
    ("[credentials.contoso]", "scope"),
    ("[credentials.contoso]", "wait_ms"),
    ("[credentials.contoso]", "unknown"),
    ("[[publishers]]", "id"),
    ("[[publishers]]", "credential"),
    ("[identity]", "jwt"),
    ("[[identity.jwt]]", "issuer"),
    ("[[identity.jwt]]", "audience"),
    ("[[identity.jwt]]", "jwks_url"),
    ("[[identity.jwt]]", "algorithms"),
    ("[[identity.jwt]]", "typ"),
    ("[[identity.jwt]]", "ca_file"),
    ("[[identity.jwt]]", "bearer_token_file"),
    ("[[identity.jwt]]", "refresh_seconds"),
    ("[[identity.jwt]]", "unknown"),
    ("[[callers]]", "name"),
    ("[[callers]]", "default_publisher"),
    ("[[callers]]", "api_key_sha256"),
    ("[[callers]]", "certificate_san"),
    ("[[callers]]", "max_in_flight_actions"),
    ("[[callers]]", "jwt"),
    ("[[callers]]", "rate_limit"),
    ("[[callers]]", "allow"),
    ("[callers.jwt]", "issuer"),
    ("[callers.jwt]", "claims"),
    ("[callers.jwt]", "unknown"),
    ("[callers.jwt.claims]", "azp"),
    ("[callers.jwt.claims]", "unknown"),
    ("[callers.rate_limit]", "per_second"),
    ("[callers.rate_limit]", "burst"),
    ("[callers.rate_limit]", "unknown"),
    ("[[callers.allow]]", "actions"),
    ("[[callers.allow]]", "publishers"),
    ("[[callers.allow]]", "offers"),
    ("[[callers.allow]]", "unknown"),
    ("[ledger]", "url"),
    ("[ledger]", "durability"),
    ("[ledger]", "retention_days"),
    ("[ledger]", "idempotency_hours"),
    ("[telemetry]", "log_level"),
    ("[telemetry]", "log_format"),
];

/// Keys whose tables are written out as well.
const TABLES: [&str; 5] = ["tls", "jwt", "claims", "rate_limit", "allow"];

/// A table that only stands below a caller.
fn is_of_a_caller(table: &str) -> bool {
    table.trim_matches(['[', ']']).starts_with("callers.")
}

/// A value of any type that TOML has, which carries the mark.
fn marked(mark: u32, shape: usize) -> String {
    match shape {
        0 => format!("\"Zq{mark}\""),
        1 => format!("{mark}"),
        2 => format!("-{mark}"),
        3 => format!("{mark}.5"),
        4 => format!("[\"Zq{mark}\"]"),
        5 => format!("[{mark}, \"Zq{mark}\"]"),
        6 => format!("{{ a = \"Zq{mark}\" }}"),
        7 => format!("[{{ a = [\"Zq{mark}\"] }}]"),
        8 => format!("\"http://u:Zq{mark}@h/Zq{mark}?Zq{mark}#Zq{mark}\""),
        9 => format!("\"http://Zq{mark}.example\""),
        10 => format!("\"sqlite:Zq{mark}?\""),
        11 => format!("\"\"\"Zq{mark}\n{mark}\"\"\""),
        _ => format!("\"{mark} Zq\u{e9}\""),
    }
}
const SHAPES: usize = 13;
/// No number that the program itself would print.
const MARKS: std::ops::Range<u32> = 700_700_000..799_999_999;

/// Everything that loading says, but for the directory's name: that is random.
fn said(scene: &Scene) -> String {
    let profile = scene.path("t.toml").exists().then_some("t");
    let said = match load(&scene.source(profile)) {
        Err(problems) => format!("{problems}\n{problems:?}"),
        Ok(loaded) => format!("{:?}", loaded.warnings),
    };
    said.replace(&scene.dir.path().display().to_string(), "")
}

fn assert_silent(said: &str, mark: u32) {
    assert!(!said.contains(&mark.to_string()), "{mark}: {said}");
    assert!(!said.to_lowercase().contains("zq7"), "{said}");
}

#[test]
fn one_value_in_any_key_and_of_any_type() {
    let mark = 777_001_234;
    let mut refused = 0;
    for (table, key) in KEYS {
        for shape in 0..SHAPES {
            let value = marked(mark, shape);
            let list = if is_of_a_caller(table) {
                "[[callers]]\n"
            } else {
                ""
            };
            let text = format!("{list}{table}\n{key} = {value}");
            let said = said(&Scene::over_good(&text));
            refused += usize::from(said.contains("t.toml"));
            assert_silent(&said, mark);
        }
    }
    assert!(
        refused > KEYS.len() * SHAPES / 2,
        "only {refused} were refused"
    );
}

/// A credential of each kind, good as it is or with one more line.
const CREDENTIALS: [&str; 5] = [
    "kind = \"client-secret\"\ntenant_id = \"t\"\nclient_id = \"c\"\nclient_secret = \"s\"",
    "kind = \"client-certificate\"\ntenant_id = \"t\"\nclient_id = \"c\"\n\
     certificate_file = \"both\"\nkey_file = \"both\"",
    "kind = \"workload-identity\"\ntenant_id = \"t\"\nclient_id = \"c\"\n\
     assertion_file = \"both\"",
    "kind = \"managed-identity\"\nendpoint = \"http://127.0.0.1/x\"\nidentity_header = \"h\"",
    "kind = \"token-file\"\ntoken_file = \"both\"",
];

#[test]
fn one_value_in_any_key_of_any_kind_of_credential() {
    let mark = 777_001_234;
    for credential in CREDENTIALS {
        let good = good_with(&format!("{credential}\n"));
        let base = |text: &str| {
            let scene = Scene::empty().file("base.toml", &good);
            scene
                .file("both", include_str!("pem/pkcs1.pem"))
                .file("t.toml", text)
        };
        base("").load();
        let keys = KEYS
            .iter()
            .filter(|(table, _)| *table == "[credentials.contoso]");
        let mut refused = 0;
        for (table, key) in keys.clone() {
            for shape in 0..SHAPES {
                let value = marked(mark, shape);
                let said = said(&base(&format!("{table}\n{key} = {value}")));
                refused += usize::from(said.contains("t.toml"));
                assert_silent(&said, mark);
            }
        }
        assert!(
            refused > keys.count() * SHAPES / 2,
            "only {refused} were refused"
        );
    }
}

#[test]
fn one_value_in_any_variable_of_a_platform() {
    let mark = "Zq777001234";
    let mut refused = 0;
    for credential in [
        "kind = \"workload-identity\"\n",
        "kind = \"managed-identity\"\n",
        CLIENT_SECRET,
    ] {
        for name in [
            "AZURE_FEDERATED_TOKEN_FILE",
            "AZURE_TENANT_ID",
            "AZURE_CLIENT_ID",
            "AZURE_AUTHORITY_HOST",
            "IDENTITY_ENDPOINT",
            "IDENTITY_HEADER",
        ] {
            for value in [
                mark.to_owned(),
                format!("{mark} {mark}"),
                format!("http://u:{mark}@h/{mark}?{mark}#{mark}"),
                format!("http://{mark}.example/{mark}"),
                format!("/{mark}/../{mark}"),
            ] {
                let scene = Scene::of(credential)
                    .variable("IDENTITY_ENDPOINT", "http://127.0.0.1/x")
                    .variable("IDENTITY_HEADER", "h")
                    .variable(name, &value);
                let said = said(&scene);
                refused += usize::from(said.contains(&format!("place: \"{name}\"")));
                assert_silent(&said, 777_001_234);
            }
        }
    }
    assert!(refused > 15, "only {refused} were refused");
}

#[test]
fn what_is_in_a_platform_s_secret_stays_there() {
    let printed = |scene: &Scene| format!("{:?}", scene.load());
    let scene = Scene::of("kind = \"managed-identity\"\n")
        .variable("IDENTITY_ENDPOINT", "http://127.0.0.1/x")
        .variable("IDENTITY_HEADER", "Zq777001234");
    assert!(printed(&scene).contains("header: [secret]"));
    assert_silent(&printed(&scene), 777_001_234);
    for kind in [2, 4] {
        let text = format!("{}\n", CREDENTIALS[kind]);
        let scene = Scene::of(&text).file("both", "Zq777001234");
        assert_silent(&printed(&scene), 777_001_234);
    }
}

#[test]
fn one_value_in_any_variable() {
    let mark = 777_001_234;
    for (table, key) in KEYS {
        let levels = table.trim_matches(['[', ']']);
        let name = format!("OFFERGATE_{levels}.{key}")
            .replace('.', "__")
            .to_uppercase();
        for value in [format!("Zq{mark}"), format!("{mark}"), format!("-{mark}")] {
            assert_silent(&said(&Scene::over_good("").variable(&name, &value)), mark);
        }
    }
}

#[test]
fn one_value_where_the_file_stops_being_toml() {
    let mark = 777_001_234;
    for text in [
        format!("a = \"Zq{mark}"),
        format!("a = Zq{mark}"),
        format!("a = {mark}Zq"),
        format!("a = \"Zq{mark}\" Zq{mark}"),
        format!("Zq{mark}"),
        format!("a = 1\na = \"Zq{mark}\""),
        format!("a = '''Zq{mark}\nZq{mark}"),
        format!("a = [\"Zq{mark}\" \"Zq{mark}\"]"),
        format!("a = {{ b = \"Zq{mark}\""),
        format!("a = \"\\q Zq{mark}\""),
        format!("a = {mark}{mark}{mark}"),
        format!("a = {mark}e999"),
        format!("[a\nb = \"Zq{mark}\""),
        format!("server = \"Zq{mark}\"\nserver.listen = \"Zq{mark}\""),
    ] {
        let said = said(&Scene::over_good(&text));
        assert!(said.contains("t.toml: is not valid"), "{text}: {said}");
        assert_silent(&said, mark);
    }
}

#[test]
fn what_is_in_a_secret_file_stays_there() {
    for content in [&b"Zq777001234\xff"[..], b"Zq777001234"] {
        let text = GOOD.replace("client_secret = \"hush\"", "client_secret_file = \"s\"");
        let scene = Scene::empty().file("base.toml", text + "\n[server]\nworkers = 999");
        assert_silent(&said(&scene.file("s", content)), 777_001_234);
    }
}

#[test]
fn what_is_in_a_certificate_file_stays_there() {
    let mark = "Zq777001234";
    for content in [
        mark.to_owned(),
        format!("-----BEGIN {mark}\n{mark}"),
        format!("-----BEGIN CERTIFICATE-----\n{mark}\n-----END CERTIFICATE-----\n"),
        format!("-----BEGIN CERTIFICATE-----\n{mark}!\n-----END CERTIFICATE-----\n"),
        format!("-----BEGIN CERTIFICATE-----\n{mark}\n-----END {mark}-----\n"),
        format!("-----BEGIN PRIVATE KEY-----\n{mark}\n-----END PRIVATE KEY-----\n"),
    ] {
        let text = "[server.tls]\ncert_file = \"f\"\nkey_file = \"f\"\nclient_ca_file = \"f\"";
        let said = said(&Scene::over_good(text).file("f", content));
        assert_eq!(said.matches("t.toml: server.tls.").count(), 3, "{said}");
        assert_silent(&said, 777_001_234);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn many_values_at_once(
        choices in proptest::collection::vec((0..SHAPES, MARKS, any::<bool>()), KEYS.len())
    ) {
        // Tables in the order of KEYS; what is not chosen stays as it is in GOOD.
        let mut text = String::new();
        let mut open = "";
        for ((table, key), (shape, mark, chosen)) in KEYS.into_iter().zip(&choices) {
            let clashes = table.is_empty() || table == "[credentials]" || TABLES.contains(&key);
            if !chosen || (clashes && key != "unknown") {
                continue;
            }
            if table != open {
                if is_of_a_caller(table) && open != "[[callers]]" && !is_of_a_caller(open) {
                    text.push_str("[[callers]]\n");
                }
                text.push_str(&format!("{table}\n"));
                open = table;
            }
            text.push_str(&format!("{key} = {}\n", marked(*mark, *shape)));
        }
        let said = said(&Scene::over_good(&text));
        prop_assert!(!said.contains("is not valid TOML"), "{text}\n{said}");
        for (_, mark, _) in &choices {
            assert_silent(&said, *mark);
        }
    }
}
