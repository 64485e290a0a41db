//! The keys of the configuration with their defaults and limits, from the registry of the
//! settings' own reader.

use std::collections::{BTreeMap, BTreeSet};

use config::{FileFormat, Format, Value, ValueKind};
use offergate::settings::{BASE, ConfigSource, KeyKind, known_keys, load};

use crate::assert_same;
use crate::markdown::{code, only_code, page, root};

/// The rows of the tables of keys.
fn rows() -> Vec<Vec<String>> {
    page("docs/configuration.md").rows("key | default | limits | meaning")
}

/// Every key with a value of its own.
fn keys() -> BTreeMap<String, KeyKind> {
    let keys = known_keys().into_iter();
    keys.filter(|(_, kind)| *kind != KeyKind::Table).collect()
}

/// The default of a row, if it is a value.
fn written_default(row: &[String]) -> Option<&str> {
    let cell = row[1].as_str();
    let value = cell.strip_prefix('`')?.strip_suffix('`')?;
    let is_value = value.starts_with(['"', '[']) || matches!(value, "true" | "false");
    (is_value || value.bytes().all(|b| b.is_ascii_digit())).then_some(value)
}

#[test]
fn every_key_has_a_row() {
    let documented = rows();
    let documented = documented.iter().map(|row| only_code(&row[0]).to_owned());
    assert_same("keys", documented.collect(), keys().into_keys().collect());
}

#[test]
fn the_limits_of_numbers_are_those_of_the_reader() {
    let documented = rows()
        .into_iter()
        .map(|row| (only_code(&row[0]).to_owned(), row[2].clone()));
    let real = keys().into_iter().map(|(key, kind)| match kind {
        KeyKind::Number { least, most } => (key, format!("{least} to {most}")),
        _ => (key, String::new()),
    });
    assert_same("limits", documented.collect(), real.collect());
}

#[test]
fn the_comments_of_base_have_the_same_limits() {
    let mut wrong = Vec::new();
    for (key, kind) in keys() {
        let KeyKind::Number { least, most } = kind else {
            continue;
        };
        let name = key.rsplit('.').next().unwrap();
        let comment = comment(&key, name);
        // "each 1 to 100000" speaks of both numbers of a table in one line.
        let spaced = format!(" {} ", comment.replace([',', ';', '.', ':'], " "));
        if !spaced.contains(&format!(" {least} to {most} ")) {
            wrong.push(format!("{key}: no \"{least} to {most}\" in: {comment}"));
        }
    }
    crate::assert_none("limits in config/base.toml", wrong);
}

/// The comment above a key of `base.toml`, on one line.
fn comment(key: &str, name: &str) -> String {
    // `rate_limit = { per_second = …, burst = … }`
    let name = if key.contains(".rate_limit.") {
        "rate_limit"
    } else {
        name
    };
    let table = key.split('.').next().unwrap().replace("[]", "");
    let (mut in_table, mut comment) = (false, String::new());
    for line in BASE.lines() {
        let line = line.trim();
        if let Some(heading) = line.trim_start_matches('#').strip_prefix('[') {
            in_table = heading.trim_start_matches('[').starts_with(&table);
        }
        let assigned = line.trim_start_matches('#').split_once(" = ");
        if in_table && assigned.is_some_and(|(found, _)| found == name) {
            return comment;
        }
        match line.strip_prefix("# ") {
            Some(text) => comment.push_str(&format!("{text} ")),
            None => comment.clear(),
        }
    }
    panic!("{key} is not in base.toml");
}

/// What is set in a tree, each with its key as the registry writes it.
fn values(value: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    match &value.kind {
        ValueKind::Table(table) => {
            for (name, value) in table {
                let dot = if path.is_empty() { "" } else { "." };
                values(value, &format!("{path}{dot}{name}"), found);
            }
        }
        ValueKind::String(text) => drop(found.insert(path.to_owned(), format!("\"{text}\""))),
        other => drop(found.insert(path.to_owned(), other.to_string())),
    }
}

#[test]
fn the_built_in_defaults_are_in_the_tables() {
    let mut real = BTreeMap::new();
    let tree = FileFormat::Toml.parse(None, BASE).unwrap();
    values(&Value::from(tree), "", &mut real);
    let documented: BTreeMap<String, String> = rows()
        .iter()
        .filter_map(|row| {
            let key = only_code(&row[0]);
            let default = written_default(row)?;
            real.contains_key(key)
                .then(|| (key.to_owned(), default.to_owned()))
        })
        .collect();
    assert_same(
        "defaults",
        documented.into_iter().collect(),
        real.into_iter().collect(),
    );
}

/// Settings that a key's default must not change: everything that has one is in them.
const SAMPLE: &str = r#"
[credentials.contoso]
kind = "client-certificate"
tenant_id = "contoso.example"
client_id = "app"
certificate_file = "contoso.pem"
key_file = "contoso.key"
[[publishers]]
id = "contoso"
credential = "contoso"
[[identity.jwt]]
issuer = "https://issuer.example"
audience = "offergate"
[[callers]]
name = "release"
jwt = { issuer = "https://issuer.example", claims = { sub = "x" } }
allow = [ { actions = ["cancel"], publishers = ["*"], offers = ["*"] } ]
"#;

/// A key that is set explicitly to the default in its row changes nothing.
#[test]
fn other_defaults_are_those_of_the_reader() {
    let directory = tempfile::TempDir::new().unwrap();
    crate::toml_blocks::write_files(directory.path());
    let print = |toml: &str| {
        std::fs::write(directory.path().join("base.toml"), toml).unwrap();
        let source = ConfigSource {
            dir: Some(directory.path().to_owned()),
            ..ConfigSource::default()
        };
        let loaded = load(&source).unwrap_or_else(|error| panic!("{error}\n{toml}"));
        format!("{:?}", loaded.settings)
    };
    let without = print(SAMPLE);
    let mut built_in = BTreeMap::new();
    values(
        &Value::from(FileFormat::Toml.parse(None, BASE).unwrap()),
        "",
        &mut built_in,
    );
    let mut checked = BTreeSet::new();
    for row in rows() {
        let key = only_code(&row[0]).to_owned();
        let Some(default) = written_default(&row) else {
            continue;
        };
        if built_in.contains_key(&key) {
            continue;
        }
        let (table, name) = key.rsplit_once('.').unwrap();
        let header = match table {
            "credentials.NAME" => "[credentials.contoso]\n",
            "identity.jwt[]" => "[[identity.jwt]]\n",
            other => panic!("{other}"),
        };
        let with = SAMPLE.replace(header, &format!("{header}{name} = {default}\n"));
        assert_ne!(with, SAMPLE);
        assert_eq!(print(&with), without, "{key} = {default}");
        checked.insert(key);
    }
    assert!(checked.len() >= 6, "{checked:?}");
}

/// Numbers in words elsewhere are those of the tables: the limits of callers.
#[test]
fn a_callers_limits_are_in_both_pages() {
    let rows = page("docs/callers.md").rows("key | limits | beyond it");
    let documented = rows.iter().map(|row| only_code(&row[0]).to_owned());
    let real = known_keys().into_keys().filter_map(|key| {
        let name = key.strip_prefix("callers[].")?;
        (name.starts_with("max_") || name == "rate_limit").then(|| name.to_owned())
    });
    assert_same("limits of callers", documented.collect(), real.collect());
}

#[test]
fn every_kind_of_credential_has_its_keys() {
    let rows = page("docs/credentials.md").rows("kind | authenticates with | keys of this kind");
    let mut documented: BTreeSet<String> = rows
        .iter()
        .flat_map(|row| code(&row[2]))
        .map(str::to_owned)
        .collect();
    for shared in ["kind", "wait_ms"] {
        documented.insert(shared.to_owned());
    }
    let text = page("docs/credentials.md").text;
    let (_, application) = text.split_once("The keys of an application are ").unwrap();
    let (application, _) = application.split_once(". Every kind").unwrap();
    documented.extend(code(application).into_iter().map(str::to_owned));
    let real = keys().into_keys();
    let real = real.filter_map(|key| Some(key.strip_prefix("credentials.NAME.")?.to_owned()));
    assert_same("keys of credentials", documented, real.collect());
}

/// The delivered profiles name keys that exist; the program's own tests load them.
#[test]
fn profiles_name_known_keys() {
    for name in ["production", "sandbox"] {
        let text = std::fs::read_to_string(root().join(format!("config/{name}.toml"))).unwrap();
        let tree = FileFormat::Toml.parse(None, &text).unwrap();
        let mut found = BTreeMap::new();
        values(&Value::from(tree), "", &mut found);
        let known: BTreeSet<&str> = found
            .keys()
            .map(|key| key.split('.').next().unwrap())
            .collect();
        let sections: BTreeSet<String> = known_keys()
            .into_keys()
            .filter(|key| !key.contains('.'))
            .collect();
        for section in known {
            assert!(sections.contains(section), "{name}.toml: {section}");
        }
    }
}
