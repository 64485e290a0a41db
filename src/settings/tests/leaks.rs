//! No configured value is ever printed, wherever it stands and whatever its type.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

/// Every key that the reader knows, and in each table one that it does not know.
static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut keys = BTreeSet::from(["unknown".to_owned()]);
    for key in known_keys().into_keys() {
        let named = key.replace("credentials.NAME", "credentials.contoso");
        let named = named.replace("claims.NAME", "claims.azp");
        if let Some((table, _)) = named.rsplit_once('.') {
            keys.insert(format!("{table}.unknown"));
        }
        keys.insert(named);
    }
    keys.into_iter().collect()
});

/// A TOML document, written as inline tables.
#[derive(Default)]
struct Document(BTreeMap<String, Node>);

enum Node {
    Value(String),
    Table(Document),
    /// A list of one table.
    List(Document),
}

impl Document {
    /// With this value alone.
    fn of(key: &str, value: String) -> Self {
        let mut document = Self::default();
        document.set(key, value);
        document
    }

    fn set(&mut self, key: &str, value: String) {
        let Some((first, rest)) = key.split_once('.') else {
            self.0.insert(key.to_owned(), Node::Value(value));
            return;
        };
        let (name, new): (_, fn(Self) -> Node) = match first.strip_suffix("[]") {
            Some(name) => (name, Node::List),
            None => (first, Node::Table),
        };
        let node = self.0.entry(name.to_owned());
        match node.or_insert_with(|| new(Self::default())) {
            Node::Table(table) | Node::List(table) => table.set(rest, value),
            Node::Value(_) => panic!("{key} is below a value"),
        }
    }

    fn lines(&self) -> Vec<String> {
        let table = |table: &Self| format!("{{ {} }}", table.lines().join(", "));
        let line = |(key, node): (&String, &Node)| match node {
            Node::Value(value) => format!("{key} = {value}"),
            Node::Table(inner) => format!("{key} = {}", table(inner)),
            Node::List(inner) => format!("{key} = [{}]", table(inner)),
        };
        self.0.iter().map(line).collect()
    }

    fn text(&self) -> String {
        self.lines().join("\n")
    }
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
fn said(scene: &Fixture) -> String {
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
    for key in KEYS.iter() {
        for shape in 0..SHAPES {
            let text = Document::of(key, marked(mark, shape)).text();
            let said = said(&Fixture::over_good(&text));
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
            let scene = Fixture::empty().file("base.toml", &good);
            scene
                .file("both", include_str!("pem/pkcs1.pem"))
                .file("t.toml", text)
        };
        base("").load();
        let keys = KEYS
            .iter()
            .filter(|key| key.starts_with("credentials.contoso."));
        let mut refused = 0;
        for key in keys.clone() {
            for shape in 0..SHAPES {
                let said = said(&base(&Document::of(key, marked(mark, shape)).text()));
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
                let scene = Fixture::of(credential)
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
    let printed = |scene: &Fixture| format!("{:?}", scene.load());
    let scene = Fixture::of("kind = \"managed-identity\"\n")
        .variable("IDENTITY_ENDPOINT", "http://127.0.0.1/x")
        .variable("IDENTITY_HEADER", "Zq777001234");
    assert!(printed(&scene).contains("header: [secret]"));
    assert_silent(&printed(&scene), 777_001_234);
    for kind in [2, 4] {
        let text = format!("{}\n", CREDENTIALS[kind]);
        let scene = Fixture::of(&text).file("both", "Zq777001234");
        assert_silent(&printed(&scene), 777_001_234);
    }
}

#[test]
fn one_value_in_any_variable() {
    let mark = 777_001_234;
    for key in KEYS.iter().filter(|key| key.contains('.')) {
        let levels = key.replace("[]", "").replace('.', "__");
        let name = format!("OFFERGATE_{}", levels.to_uppercase());
        for value in [format!("Zq{mark}"), format!("{mark}"), format!("-{mark}")] {
            assert_silent(&said(&Fixture::over_good("").variable(&name, &value)), mark);
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
        let said = said(&Fixture::over_good(&text));
        assert!(said.contains("t.toml: is not valid"), "{text}: {said}");
        assert_silent(&said, mark);
    }
}

#[test]
fn what_is_in_a_secret_file_stays_there() {
    for content in [&b"Zq777001234\xff"[..], b"Zq777001234"] {
        let text = GOOD.replace("client_secret = \"hush\"", "client_secret_file = \"s\"");
        let scene = Fixture::empty().file("base.toml", text + "\n[server]\nworkers = 999");
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
        let said = said(&Fixture::over_good(text).file("f", content));
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
        // What is not chosen stays as it is in GOOD.
        let mut document = Document::default();
        for (key, (shape, mark, chosen)) in KEYS.iter().zip(&choices) {
            let rest = |other: &String| other.strip_prefix(key.as_str()).map(str::to_owned);
            let is_below = |other| rest(other).is_some_and(|rest| rest.starts_with(['.', '[']));
            let is_table = KEYS.iter().any(is_below);
            if *chosen && !is_table {
                document.set(key, marked(*mark, *shape));
            }
        }
        let text = document.text();
        let said = said(&Fixture::over_good(&text));
        prop_assert!(!said.contains("is not valid TOML"), "{text}\n{said}");
        for (_, mark, _) in &choices {
            assert_silent(&said, *mark);
        }
    }
}
