//! Issuers of JWTs: which are taken, and where their keys may come from.

use jsonwebtoken::Algorithm;

use super::*;
use crate::domain::TokenRules;
use crate::settings::JwtIssuerSettings;

const DISCOVERED: &str = "issuer = \"https://issuer.example/t/\"\naudience = \"api\"";

/// An issuer with these lines.
fn jwt(lines: &str) -> String {
    format!("[[identity.jwt]]\n{lines}\n")
}

fn issuer(lines: &str) -> JwtIssuerSettings {
    let settings = Fixture::over_good(&jwt(lines)).load().settings;
    settings.jwt_issuers[0].clone()
}

/// What is wrong, the common beginning left out.
fn wrong(lines: &str) -> String {
    let problems = Fixture::over_good(&jwt(lines)).problems().join("\n");
    problems.replace("t.toml: identity.jwt[0].", "")
}

#[test]
fn an_issuer_needs_little_to_be_discovered() {
    let expected = JwtIssuerSettings {
        rules: TokenRules {
            issuer: "https://issuer.example/t/".into(),
            audiences: vec!["api".into()],
            algorithms: vec![Algorithm::RS256],
            typ: None,
        },
        jwks_url: None,
        ca_file: None,
        bearer_token_file: None,
        refresh: std::time::Duration::from_secs(300),
    };
    assert_eq!(issuer(DISCOVERED), expected);
    assert!(BASE.contains("#algorithms = [\"RS256\"]"));
    assert!(BASE.contains("#refresh_seconds = 300"));
    assert!(
        Fixture::over_good("")
            .load()
            .settings
            .jwt_issuers
            .is_empty()
    );
    assert!(
        Fixture::over_good("[identity]")
            .load()
            .settings
            .jwt_issuers
            .is_empty()
    );
}

#[test]
fn every_key_of_an_issuer_is_read() {
    let text = jwt(
        "issuer = \"kubernetes/serviceaccount\"\naudience = [\"a\", \"b\"]\n\
                    jwks_url = \"https://K8s.example/openid/v1/jwks?a=B\"\n\
                    algorithms = [\"ES256\", \"RS256\"]\ntyp = \"at+jwt\"\nca_file = \"ca\"\n\
                    bearer_token_file = \"token\"\nrefresh_seconds = 60",
    );
    let scene = Fixture::over_good(&text).file("ca", "").file("token", "");
    let issuer = scene.load().settings.jwt_issuers[0].clone();
    assert_eq!(issuer.rules.issuer, "kubernetes/serviceaccount");
    assert_eq!(issuer.rules.audiences, ["a", "b"]);
    let url = "https://k8s.example/openid/v1/jwks?a=B";
    assert_eq!(issuer.jwks_url.as_deref(), Some(url));
    assert_eq!(
        issuer.rules.algorithms,
        [Algorithm::ES256, Algorithm::RS256]
    );
    assert_eq!(issuer.rules.typ.as_deref(), Some("at+jwt"));
    assert_eq!(issuer.ca_file, Some(scene.path("ca")));
    assert_eq!(issuer.bearer_token_file, Some(scene.path("token")));
    assert_eq!(issuer.refresh.as_secs(), 60);
}

#[cfg(unix)]
#[test]
fn a_platform_may_mount_a_bearer_token_that_everyone_can_read() {
    let text = jwt(&format!("{DISCOVERED}\nbearer_token_file = \"token\""));
    let scene = Fixture::over_good(&text).file("token", "t");
    protect(&scene.path("token"), 0o644);
    let warnings = scene.warnings();
    let about = |line: &String| line.contains("bearer_token_file");
    assert!(!warnings.iter().any(about), "{warnings:?}");
}

#[test]
fn an_issuer_says_who_it_is_and_whom_it_means() {
    assert_eq!(wrong(""), "audience: is required\nissuer: is required");
    let long = "a".repeat(1025);
    let visible = "must be 1 to 1024 visible ASCII characters";
    for bad in ["", "a b", "é", "a\\nb", &long] {
        let lines = format!("issuer = \"{bad}\"\naudience = \"a\"\njwks_url = \"https://x\"");
        assert_eq!(wrong(&lines), format!("issuer: {visible}"));
        let lines = |audience: &str| format!("issuer = \"https://x\"\naudience = {audience}");
        let one = wrong(&lines(&format!("\"{bad}\"")));
        assert_eq!(one, format!("audience: {visible}"));
        let second = wrong(&lines(&format!("[\"a\", \"{bad}\"]")));
        assert_eq!(second, format!("audience[1]: {visible}"));
    }
    for (audience, expected) in [
        (
            "[]",
            "audience: must not be empty: no token could be accepted",
        ),
        (
            "5",
            "audience: must be text or a list of texts, not a whole number",
        ),
        ("[5]", "audience[0]: must be text, not a whole number"),
        (
            "[\"a\", \"a\"]",
            "audience[1]: is the same as identity.jwt[0].audience[0]",
        ),
    ] {
        let lines = format!("issuer = \"https://x\"\naudience = {audience}");
        assert_eq!(wrong(&lines), expected);
    }
}

#[test]
fn an_issuer_without_an_address_for_its_keys_is_one() {
    let lines = |issuer: &str| format!("issuer = \"{issuer}\"\naudience = \"a\"");
    for good in [
        "https://sts.windows.net/8c3c7d0e/",
        "https://x",
        "http://127.0.0.1:7071/t",
        "http://[::1]:7071",
        "http://localhost:7071/",
    ] {
        assert_eq!(issuer(&lines(good)).rules.issuer, good);
    }
    let expected = "issuer: must be https:// (http:// on loopback only), without user, query or \
                    fragment, because its keys are discovered below it; or set jwks_url";
    for bad in [
        "kubernetes/serviceaccount",
        "http://issuer.example",
        "https://u@x",
        "https://x?q",
        "https://x/a?q",
        "https://x/a#f",
        "https://x//",
    ] {
        assert_eq!(wrong(&lines(bad)), expected, "{bad}");
        let elsewhere = format!("{}\njwks_url = \"https://keys.example\"", lines(bad));
        assert_eq!(issuer(&elsewhere).rules.issuer, bad);
    }
}

#[test]
fn keys_never_cross_a_network_in_the_clear() {
    let lines = |url: &str| format!("{DISCOVERED}\njwks_url = \"{url}\"");
    for good in [
        "https://x",
        "https://x/a/?p=q",
        "http://127.0.0.1:1/k",
        "http://[::1]/",
    ] {
        assert_eq!(issuer(&lines(good)).jwks_url.as_deref(), Some(good));
    }
    let plain = "jwks_url: must be https: an attacker who replaces the keys on their way can be any \
                 caller (exempt is loopback alone; portal.allow_plain_http does not apply)";
    for bad in [
        "http://keys.example/k",
        "http://10.0.0.1",
        "http://127.0.0.1.example.com",
    ] {
        assert_eq!(wrong(&lines(bad)), plain);
        let allowed = "\n[portal]\nallow_plain_http = true";
        assert_eq!(wrong(&format!("{}{allowed}", lines(bad))), plain);
    }
    for bad in [
        "",
        "keys.example",
        "https://u:p@x",
        "https://x/k#f",
        "file:///k",
    ] {
        let problem = wrong(&lines(bad));
        assert!(
            problem.starts_with("jwks_url: must be http:// or https://, a host"),
            "{problem}"
        );
    }
}

#[test]
fn only_asymmetric_signatures_count() {
    let lines = |algorithms: &str| format!("{DISCOVERED}\nalgorithms = {algorithms}");
    let names = "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA";
    for name in names.split(", ") {
        let read = issuer(&lines(&format!("[\"{name}\"]"))).rules.algorithms;
        assert_eq!(format!("{read:?}"), format!("[{name}]"));
    }
    for never in ["HS256", "HS384", "HS512", "hs256", "none", "None"] {
        assert_eq!(
            wrong(&lines(&format!("[\"RS256\", \"{never}\"]"))),
            format!(
                "algorithms[1]: must be one of {names}; symmetric and unsigned tokens are never \
                 accepted"
            )
        );
    }
    for bad in ["", "rs256", "ES512", "RS1", "nonesuch"] {
        let expected = format!("algorithms[0]: must be one of {names}");
        assert_eq!(wrong(&lines(&format!("[\"{bad}\"]"))), expected);
    }
    let empty = "algorithms: must not be empty: no token could be accepted";
    assert_eq!(wrong(&lines("[]")), empty);
    assert_eq!(
        wrong(&lines("[\"RS256\", \"RS256\"]")),
        "algorithms[1]: is the same as identity.jwt[0].algorithms[0]"
    );
    let text = "algorithms: must be a list (which only a file can hold), not text";
    assert_eq!(wrong(&lines("\"RS256\"")), text);
}

#[test]
fn the_rest_of_an_issuer_has_limits_too() {
    let missing = "names a file that cannot be read: No such file or directory (os error 2)";
    for (line, expected) in [
        (
            "typ = \"\"",
            "typ: must be 1 to 64 visible ASCII characters",
        ),
        (
            "typ = \"a b\"",
            "typ: must be 1 to 64 visible ASCII characters",
        ),
        (
            "refresh_seconds = 9",
            "refresh_seconds: must be a whole number from 10 to 86400",
        ),
        (
            "refresh_seconds = 86401",
            "refresh_seconds: must be a whole number from 10 to 86400",
        ),
        (
            "refresh_seconds = \"60\"",
            "refresh_seconds: must be a whole number from 10 to 86400, not text",
        ),
        ("ca_file = \"\"", "ca_file: must not be empty"),
        ("ca_file = \".\"", "ca_file: names a directory, not a file"),
        ("ca_file = \"x\"", &format!("ca_file: {missing}")),
        (
            "bearer_token_file = \".\"",
            "bearer_token_file: names a directory, not a file",
        ),
        (
            "bearer_token_file = \"x\"",
            &format!("bearer_token_file: {missing}"),
        ),
        (
            "audiences = \"x\"",
            "audiences: is not a known key; did you mean audience?",
        ),
    ] {
        assert_eq!(wrong(&format!("{DISCOVERED}\n{line}")), expected);
    }
    for seconds in [10, 86_400] {
        issuer(&format!("{DISCOVERED}\nrefresh_seconds = {seconds}"));
    }
}

#[test]
fn issuers_are_distinct_and_named_by_somebody() {
    let problems = |text: &str| Fixture::over_good(text).problems().join("\n");
    assert_eq!(
        problems(&(jwt(DISCOVERED) + &jwt(DISCOVERED))),
        "t.toml: identity.jwt[1].issuer: is the same as identity.jwt[0].issuer"
    );
    // Not even a slash apart.
    let other = DISCOVERED.replace("/t/", "/t");
    let scene = Fixture::over_good(&(jwt(DISCOVERED) + &jwt(&other)));
    let unnamed = |index| {
        format!("t.toml: identity.jwt[{index}].issuer: no caller names it: its tokens are refused")
    };
    assert_eq!(scene.warnings(), [unnamed(0), unnamed(1)]);
    let text = "must be a list (which only a file can hold), not a table";
    assert_eq!(
        problems(&format!("[identity.jwt]\n{DISCOVERED}")),
        format!("t.toml: identity.jwt: {text}")
    );
}
