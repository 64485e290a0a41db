//! Credentials' names, publishers, callers and rules.

use super::*;
use crate::domain::Action;

const HASH_1: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const HASH_2: &str = "2222222222222222222222222222222222222222222222222222222222222222";

fn problems(text: &str) -> String {
    Fixture::over_good(text).problems().join("\n")
}

fn caller(name: &str, rest: &str) -> String {
    format!("[[callers]]\nname = \"{name}\"\n{rest}\n")
}

fn rule(actions: &str, publishers: &str, offers: &str) -> String {
    let keys = format!("api_key_sha256 = [\"{HASH_1}\"]");
    let allow = format!(
        "allow = [{{ actions = {actions}, publishers = {publishers}, offers = {offers} }}]"
    );
    caller("c", &format!("{keys}\n{allow}"))
}

#[test]
fn a_credential_can_be_set_from_the_environment_whatever_its_name() {
    for good in ["a", "0", "contoso-prod", "contoso_prod", "a1-b_c"] {
        let text = format!(
            "[credentials.{good}]\nkind = \"client-secret\"\ntenant_id = \"t\"\nclient_id = \"c\""
        );
        let variable = format!(
            "OFFERGATE_CREDENTIALS__{}__CLIENT_SECRET",
            good.to_uppercase()
        );
        let loaded = Fixture::over_good(&text).variable(&variable, "s").load();
        let kind = &loaded.settings.credentials[good].method;
        assert!(
            matches!(kind, CredentialMethod::ClientSecret { secret, .. } if secret.expose() == "s")
        );
        let unused = loaded.warnings.last().unwrap();
        assert_eq!(unused.key, format!("credentials.{good}"));
        assert_eq!(unused.message, "is not used by any publisher");
    }
    for bad in [
        "A",
        "\"\"",
        "\"a b\"",
        "a__b",
        "_a",
        "a_",
        "-a",
        "\"a.b\"",
        &"a".repeat(65),
    ] {
        let text = format!(
            "[credentials.{bad}]\nkind = \"client-secret\"\ntenant_id = \"t\"\nclient_id = \"c\"\n\
             client_secret = \"s\""
        );
        let problems = problems(&text);
        let expected = format!("t.toml: credentials.{bad}: a credential's name must be");
        assert!(problems.starts_with(&expected), "{problems}");
    }
}

#[test]
fn publishers_are_few_and_distinct() {
    let nothing = Fixture::empty().file("t.toml", "");
    assert_eq!(
        nothing.problems(),
        ["t.toml: publishers: at least one publisher is required"]
    );
    assert_eq!(
        problems("publishers = []"),
        "t.toml: publishers: at least one publisher is required"
    );
    let two = |a, b| {
        problems(&format!(
            "[[publishers]]\nid = \"{a}\"\ncredential = \"contoso\"\n\
             [[publishers]]\nid = \"contoso\"\ncredential = \"contoso\"\n\
             [[publishers]]\nid = \"{b}\"\ncredential = \"contoso\""
        ))
    };
    let same = "t.toml: publishers[2].id: is the same as publishers[0].id";
    assert_eq!(two("a", "a"), same);
    // The vendor would not tell them apart.
    assert_eq!(two("fabrikam", "Fabrikam"), same);
}

#[test]
fn callers_are_distinct_in_name_and_key() {
    let allow = "allow = [{ actions = [\"read\"], publishers = [\"*\"], offers = [\"*\"] }]";
    let one =
        |name, hashes: &[&str]| caller(name, &format!("api_key_sha256 = {hashes:?}\n{allow}"));

    let text = one("a", &[HASH_1, HASH_2]) + &one("a", &[HASH_2]);
    assert_eq!(
        problems(&text),
        "t.toml: callers[1].api_key_sha256[0]: is the same as callers[0].api_key_sha256[1]\n\
         t.toml: callers[1].name: is the same as callers[0].name"
    );
    let upper = "ABAB".repeat(16);
    let text = one("a", &[&upper, &upper.to_lowercase()]);
    assert_eq!(
        problems(&text),
        "t.toml: callers[0].api_key_sha256[1]: is the same as callers[0].api_key_sha256[0]"
    );
}

#[test]
fn a_caller_must_be_able_to_prove_itself() {
    let allow = "allow = [{ actions = [\"read\"], publishers = [\"*\"], offers = [\"*\"] }]";
    let with = |keys: &str| problems(&caller("c", &format!("{keys}\n{allow}")));
    assert_eq!(
        with(""),
        "t.toml: callers[0]: cannot authenticate: one of api_key_sha256, jwt and \
         certificate_san is required"
    );
    assert_eq!(
        with("api_key_sha256 = []"),
        "t.toml: callers[0].api_key_sha256: must not be empty: no credential could identify this caller"
    );
    for bad in ["", "abc", &"g".repeat(64), &"a".repeat(63), &"a".repeat(65)] {
        assert_eq!(
            with(&format!("api_key_sha256 = [\"{bad}\"]")),
            "t.toml: callers[0].api_key_sha256[0]: must be the 64 hexadecimal digits of a SHA-256; \
             `offergate keys new` prints them"
        );
    }
    let nothing = crate::settings::caller_credentials::HASH_OF_NOTHING.to_uppercase();
    assert_eq!(
        with(&format!("api_key_sha256 = [\"{nothing}\"]")),
        "t.toml: callers[0].api_key_sha256[0]: is the hash of an empty key"
    );
}

#[test]
fn the_sample_key_is_good_for_the_sandbox_only() {
    let sample = crate::settings::caller_credentials::HASH_OF_SAMPLE;
    let allow = "allow = [{ actions = [\"read\"], publishers = [\"*\"], offers = [\"*\"] }]";
    let caller = caller("c", &format!("api_key_sha256 = [\"{sample}\"]\n{allow}"));
    assert!(problems(&caller).contains("api_key_sha256[0]: is the hash of a published sample key"));
    Fixture::over_good(&format!(
        "{caller}\n[portal]\nbase_url = \"http://[::1]:7070\""
    ))
    .load();
}

#[test]
fn no_callers_and_no_rules_are_worth_a_warning() {
    assert_eq!(
        Fixture::over_good("callers = []").warnings(),
        ["t.toml: callers: there are no callers: every request is refused"]
    );
    for allow in ["", "allow = []"] {
        let text = caller("c", &format!("api_key_sha256 = [\"{HASH_1}\"]\n{allow}"));
        let scene = Fixture::over_good(&text);
        assert_eq!(
            scene.warnings(),
            ["t.toml: callers[0].allow: there are no rules: this caller may do nothing"]
        );
        assert!(scene.load().settings.callers[0].allow.is_empty());
    }
}

#[test]
fn every_action_only_where_a_star_is_written() {
    let actions = |text: &str| {
        let scene = Fixture::over_good(&rule(text, "[\"con*\"]", "[\"*\"]"));
        scene.load().settings.callers[0].allow[0]
            .rule
            .actions
            .clone()
    };
    assert_eq!(
        actions("[\"cancel\", \"read\", \"cancel\"]"),
        [Action::Read, Action::Cancel]
    );
    assert_eq!(actions("[\"*\"]"), Action::ALL);
    assert_eq!(actions("[\"read\", \"*\"]"), Action::ALL);
    for bad in ["", "all", "Cancel", "cancel ", "c*"] {
        let problems = problems(&rule(&format!("[\"{bad}\"]"), "[\"*\"]", "[\"*\"]"));
        let expected = "t.toml: callers[0].allow[0].actions[0]: must be one of read, cancel";
        assert!(problems.starts_with(expected), "{problems}");
    }
}

#[test]
fn a_rule_that_could_never_apply_is_refused() {
    let some = "[\"*\"]";
    let read = "[\"read\"]";
    for (text, expected) in [
        (rule("[]", some, some), "actions: must not be empty"),
        (rule(read, "[]", some), "publishers: must not be empty"),
        (rule(read, some, "[]"), "offers: must not be empty"),
        (
            rule(read, "[\"fabrikam\"]", some),
            "publishers[0]: matches none of the [[publishers]]",
        ),
        (
            rule(read, "[\"*\", \"Contoso\"]", some),
            "publishers[1]: matches none of the",
        ),
        (
            rule(read, "[\"[ab]\"]", some),
            "publishers[0]: must be 1 to 128 characters",
        ),
        (
            rule(read, some, "[\"a b\"]"),
            "offers[0]: must be 1 to 128 characters",
        ),
        (rule(read, some, "\"*\""), "offers: must be a list"),
        (
            rule(read, some, "[5]"),
            "offers[0]: must be text, not a whole number",
        ),
    ] {
        let problems = problems(&text);
        let expected = format!("t.toml: callers[0].allow[0].{expected}");
        assert!(problems.starts_with(&expected), "{text}: {problems}");
        assert!(!problems.contains('\n'), "{problems}");
    }
    let unknown = rule(read, some, some).replace("api_key", "default_publisher = \"x\"\napi_key");
    assert_eq!(
        problems(&unknown),
        "t.toml: callers[0].default_publisher: is not one of the [[publishers]] (case counts)"
    );
}

#[test]
fn a_bad_publisher_does_not_make_every_rule_look_bad() {
    assert_eq!(
        problems("[[publishers]]\nid = \"con toso\"\ncredential = \"contoso\"")
            .lines()
            .count(),
        1
    );
    // But one whose credential is unknown is still a publisher.
    let text = "[[publishers]]\nid = \"fabrikam\"\ncredential = \"nobody\"";
    assert_eq!(
        problems(text),
        "base.toml: callers[0].allow[0].publishers[0]: matches none of the [[publishers]] (case counts)\n\
         base.toml: callers[0].default_publisher: is not one of the [[publishers]] (case counts)\n\
         t.toml: publishers[0].credential: is not the name of a table under [credentials]"
    );
}
