//! The log's messages, and the variables of the environment.

use std::collections::BTreeSet;

use crate::assert_same;
use crate::markdown::{code, only_code, page};
use crate::sources::texts;

#[test]
fn every_message_of_the_log_is_explained() {
    let rows = page("docs/operating.md").rows("level | message | meaning, and what to do");
    let documented = rows.iter();
    let documented = documented.map(|row| (row[0].clone(), only_code(&row[1]).to_owned()));
    let real = texts("src").events.into_iter();
    assert_same("messages of the log", documented.collect(), real.collect());
}

/// What an operator reads at night is quoted as the program writes it: `…`, `NAME` and `N` stand
/// for what differs.
#[test]
fn quotations_are_the_programs_own_words() {
    let texts = texts("src").all.join("\n");
    let (mut wrong, mut count) = (Vec::new(), 0);
    let page = page("docs/operating.md");
    let symptoms = page.tables().into_iter();
    let symptoms = symptoms.filter(|table| table.header[0].starts_with("symptom"));
    for cell in symptoms
        .flat_map(|table| table.rows)
        .map(|row| row[0].clone())
    {
        for quotation in cell.split('"').skip(1).step_by(2) {
            count += 1;
            let fixed = quotation.replace("NAME", "…").replace(" N ", "…");
            // A reason follows its kind, and may be a text of its own.
            let fixed = fixed.replace(": ", "…");
            let parts = fixed.split('…').map(str::trim);
            let missing = parts.filter(|part| !part.is_empty() && !texts.contains(part));
            wrong.extend(missing.map(|part| format!("{quotation}: {part}")));
        }
    }
    crate::assert_none("quotations that the program does not say", wrong);
    assert!(count > 10, "only {count} quotations");
}

#[test]
fn every_variable_is_documented() {
    let rows = page("docs/configuration.md").rows("variable | meaning");
    let names = rows.iter().flat_map(|row| code(&row[0]));
    let documented: BTreeSet<String> = names.map(str::to_owned).collect();
    let mut real: BTreeSet<String> = texts("src")
        .all
        .into_iter()
        .filter(|text| is_variable(text))
        .collect();
    // All others that begin so are keys of the configuration.
    real.insert("OFFERGATE_SECTION__KEY".to_owned());
    assert_same("variables", documented, real);
}

#[test]
fn every_variable_of_the_tests_is_documented() {
    let rows = page("CONTRIBUTING.md").rows("variable | effect");
    let names = rows.iter().map(|row| only_code(&row[0]));
    let names = names.map(|name| name.split('=').next().unwrap().to_owned());
    let real = texts("tests").all.into_iter().filter(|text| {
        let is_ours = text.starts_with("OFFERGATE_TEST_") || text == "OFFERGATE_KILL_SEED";
        is_ours && text.len() > "OFFERGATE_TEST_".len() && !text.contains(' ')
    });
    assert_same("variables of the tests", names.collect(), real.collect());
}

/// Whether this is the name of a variable that is not the gateway's own.
fn is_variable(text: &str) -> bool {
    let prefixes = ["AZURE_", "IDENTITY_", "HTTPS_", "NO_", "SSL_"];
    let is_name = |b: u8| b.is_ascii_uppercase() || b == b'_';
    text.bytes().all(is_name)
        && prefixes
            .iter()
            .any(|prefix| text.len() > prefix.len() && text.starts_with(prefix))
}
