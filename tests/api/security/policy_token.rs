//! `offergate policy explain --token`: whether a token is valid, which caller it identifies
//! and what that caller may do; the token itself is never printed.

use std::fs::File;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::config::write_config;
use crate::helpers::Setup;
use crate::idp::Idp;
use crate::jwt::{cancel_with, spawn_jwt, toml};
use crate::marks::windows;
use crate::mint::{Signer, now};
use crate::policy::explain;
use crate::process::{Ended, Process};

const ES256: &str = r#"algorithms = ["ES256"]"#;
const CANCEL: &str = "--token token --action cancel --offer sync-1";

/// A configuration for this issuer, and its key set in the same directory.
fn configured(idp: &Idp, signer: &Signer) -> TempDir {
    let directory = TempDir::new().unwrap();
    let setup = Setup {
        toml: toml(idp, ES256),
        ..Setup::default()
    };
    write_config(&directory, idp.address, &setup);
    let keys = json!({"keys": [signer.jwk()]}).to_string();
    std::fs::write(directory.path().join("keys.json"), keys).unwrap();
    directory
}

/// Explains a token and checks that it is not printed.
async fn explain_token(directory: &TempDir, token: &str, arguments: &str) -> Ended {
    std::fs::write(directory.path().join("token"), format!("{token}\n")).unwrap();
    let ended = explain(directory, &format!("{CANCEL} {arguments}")).await;
    assert_hidden(&ended, token);
    ended
}

/// Checks that no 16 consecutive characters of the token are printed.
#[track_caller]
fn assert_hidden(ended: &Ended, token: &str) {
    for window in windows(token) {
        let printed = ended.stdout.contains(window) || ended.stderr.contains(window);
        assert!(!printed, "{window}: {ended:?}");
    }
}

/// The claims of a client's token, with these members replaced.
fn with(idp: &Idp, client: &str, members: Value) -> Value {
    let mut claims = idp.claims(client);
    for (name, value) in members.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_token_is_explained_as_its_caller() {
    let signer = Signer::ec("k");
    let idp = Idp::start(&[&signer]);
    let directory = configured(&idp, &signer);
    let token = signer.token(&idp.claims("release"));
    let rule = "./test.toml: callers[1].allow[0]";
    let facts = format!(
        "issuer: {}\nsubject: sub-release\ncaller: release\nsignature: good\n",
        idp.issuer()
    );
    let allowed = format!(
        "ALLOWED  release may cancel contoso/sync-1\n\
         rule: {rule}  (actions cancel; publishers contoso; offers *)\n{facts}"
    );
    let ended = explain_token(&directory, &token, "--jwks keys.json").await;
    assert_eq!(
        (ended.code, &*ended.stdout),
        (Some(0), &*allowed),
        "{ended:?}"
    );
    assert_eq!(idp.fetches(), (0, 0), "the file is enough");
    // With the issuer's keys, as the gateway fetches them; also after the scheme "bearer".
    let bearer = format!("bearer  {token}");
    for text in [&token, &bearer] {
        let ended = explain_token(&directory, text, "").await;
        assert_eq!(
            (ended.code, &*ended.stdout),
            (Some(0), &*allowed),
            "{ended:?}"
        );
    }
    assert_eq!(idp.fetches(), (2, 2), "once each");
    // A valid token is subject to the rules.
    std::fs::write(directory.path().join("token"), &token).unwrap();
    let arguments = "--token token --action read --offer x --jwks keys.json";
    let ended = explain(&directory, arguments).await;
    let denied = format!(
        "DENIED  release may not read contoso/x\n\
         {rule}: the action is not one of cancel\n{facts}"
    );
    assert_eq!(
        (ended.code, &*ended.stdout),
        (Some(1), &*denied),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_input_and_unusable_files() {
    let signer = Signer::ec("k");
    let idp = Idp::start(&[&signer]);
    let directory = configured(&idp, &signer);
    let token = signer.token(&idp.claims("release"));
    let path = directory.path().join("token");
    std::fs::write(&path, format!("\n {token}\r\n\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_offergate"));
    command.current_dir(directory.path()).env_clear();
    command.args("policy explain --config . --profile test --token - --offline".split(' '));
    command.args("--action cancel --offer sync-1".split(' '));
    command.stdin(File::open(&path).unwrap());
    let ended = Process::spawn(&mut command).ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("caller: release\n"), "{ended:?}");
    // The token given as a file name, and files that are not a key set or are missing.
    for arguments in [
        format!("--token {token} --action cancel --offer sync-1"),
        format!("{CANCEL} --jwks token"),
        format!("{CANCEL} --jwks missing"),
        "--token missing --action cancel --offer sync-1".to_owned(),
    ] {
        let ended = explain(&directory, &arguments).await;
        assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{ended:?}");
        assert!(ended.stderr.starts_with("offergate: cannot "), "{ended:?}");
        assert_hidden(&ended, &token);
    }
}

/// Every reason, with its remedy and the state of the signature.
#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_token_is_denied_with_its_reason() {
    let (signer, other) = (Signer::ec("k"), Signer::ec("k"));
    let idp = Idp::start(&[&signer]);
    let directory = configured(&idp, &signer);
    let world = spawn_jwt(&idp, ES256).await;
    let claims = |members: Value| with(&idp, "release", members);
    let signed = |header: Value| signer.sign(&header, &idp.claims("release"));
    let before = "not checked: the token was rejected before that";
    let table = [
        (
            signer.token(&claims(json!({"exp": 1_700_000_000}))),
            "expired",
            "exp of this one is 2023-11-14T22:13:20Z",
            "good",
        ),
        (
            signer.token(&claims(json!({"nbf": now() + 900}))),
            "not-yet-valid",
            "clocks",
            "good",
        ),
        (
            signer.token(&claims(json!({"aud": ["a", "b\u{1b}[2J"]}))),
            "wrong-audience",
            "get a token for \"offergate\"; aud of this one is \"a\", \"b\\u{1b}[2J\"",
            "good",
        ),
        (
            signer.token(&claims(json!({"aud": null}))),
            "missing-claim",
            "exp, iss and aud",
            "good",
        ),
        (
            other.token(&idp.claims("release")),
            "wrong-signature",
            "get a new token",
            "wrong",
        ),
        (
            signed(json!({"alg": "ES256", "kid": "new"})),
            "unknown-signing-key",
            "the token's kid: \"new\"",
            "not checked: key not found",
        ),
        (
            signed(json!({"alg": "RS256", "kid": "k"})),
            "wrong-algorithm",
            "signs with RS256, add it to the issuer's algorithms: ES256",
            before,
        ),
        (
            signed(json!({"alg": "ES256", "crit": ["b64"]})),
            "critical-extension",
            "omit crit",
            before,
        ),
        (
            signer.token(&claims(json!({"iss": "https://else\u{1b}where"}))),
            "unknown-issuer",
            "Configured: http://127.0.0.1",
            before,
        ),
        (
            signed(json!({"alg": "none"})),
            "malformed-token",
            "an access token in JWT format",
            before,
        ),
        (
            "not-a-token-but-long-enough".to_owned(),
            "malformed-token",
            "an access token in JWT format",
            before,
        ),
    ];
    for (token, reason, todo, signature) in &table {
        let ended = explain_token(&directory, token, "--jwks keys.json").await;
        assert_eq!(ended.code, Some(1), "{reason}: {ended:?}");
        let lines: Vec<&str> = ended.stdout.lines().collect();
        assert!(
            lines[0].starts_with("DENIED  token rejected: "),
            "{ended:?}"
        );
        assert!(lines[0].ends_with(&format!("({reason})")), "{ended:?}");
        assert!(
            lines[1].starts_with("to do: ") && lines[1].contains(todo),
            "{ended:?}"
        );
        let last = format!("signature: {signature}");
        assert_eq!(lines.last(), Some(&&*last), "{ended:?}");
        assert!(!ended.stdout.contains('\u{1b}'), "{ended:?}");
        // The gateway rejects it, too.
        assert_eq!(cancel_with(&world, token).await.status, 401, "{reason}");
    }
    let expired = explain_token(&directory, &table[0].0, "--jwks keys.json").await;
    let caller = "caller: release (if the token were accepted)\n";
    assert!(expired.stdout.contains(caller), "{expired:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_token_that_matches_no_caller_or_several_shows_its_claims() {
    let signer = Signer::ec("k");
    let idp = Idp::start(&[&signer]);
    let directory = configured(&idp, &signer);
    let world = spawn_jwt(&idp, ES256).await;
    let stranger = json!({"sub": "a \"b\"\u{1b}[2J\u{202e}", "oid": 7, "appid": "x"});
    let table = [
        (
            "stranger",
            stranger,
            "DENIED  the token matches no caller\n\
             identifying claims: sub = \"a \\\"b\\\"\\u{1b}[2J\\u{202e}\", azp = \"stranger\", \
             appid = \"x\", oid (not a string)\n\
             to do: add one of these claims to jwt.claims",
            "caller: none\n",
        ),
        (
            "two-faced",
            json!({}),
            "DENIED  the token matches several callers: second-sub, second-azp\n\
             identifying claims: sub = \"sub-two-faced\", azp = \"two-faced\"\n\
             to do: require a claim in jwt.claims of each",
            "caller: second-sub, second-azp\n",
        ),
        // sub matches the caller, but another claim does not.
        (
            "board",
            json!({"roles": ["writer"]}),
            "DENIED  the token matches no caller\n",
            "caller: none\n",
        ),
        (
            "x",
            json!({"sub": null, "azp": ["release"]}),
            "DENIED  the token matches no caller\n\
             identifying claims: sub (not a string), azp (not a string)\n",
            "subject: -\n",
        ),
    ];
    for (client, members, start, part) in table {
        let token = signer.token(&with(&idp, client, members));
        let ended = explain_token(&directory, &token, "--jwks keys.json").await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stdout.starts_with(start), "{start}: {}", ended.stdout);
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
        assert!(ended.stdout.ends_with("signature: good\n"), "{ended:?}");
        let answer = cancel_with(&world, &token).await;
        answer.problem(403, "caller-not-allowed");
    }
    let mut claims = idp.claims("x");
    for name in ["sub", "azp"] {
        claims.as_object_mut().unwrap().remove(name);
    }
    let ended = explain_token(&directory, &signer.token(&claims), "--jwks keys.json").await;
    let none = "identifying claims: none of sub, azp, appid, client_id, oid\n";
    assert!(ended.stdout.contains(none), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_the_explanation_warns_of_unverified_claims() {
    let (signer, other) = (Signer::ec("k"), Signer::ec("other"));
    let idp = Idp::start(&[&signer]);
    let directory = configured(&idp, &signer);
    let warning = "warning: the claims are unverified, since the signature was not checked\n";
    // Signed with a key that the issuer does not publish.
    let token = other.token(&idp.claims("release"));
    let expected = |why: &str| {
        format!(
            "ALLOWED  release may cancel contoso/sync-1, if the token is valid\n\
             rule: ./test.toml: callers[1].allow[0]  (actions cancel; publishers contoso; offers *)\n\
             issuer: {}\nsubject: sub-release\ncaller: release\n\
             signature: not checked: {why}\n{warning}",
            idp.issuer()
        )
    };
    let ended = explain_token(&directory, &token, "--offline").await;
    let stdout = expected("--offline");
    assert_eq!(
        (ended.code, &*ended.stdout),
        (Some(0), &*stdout),
        "{ended:?}"
    );
    assert_eq!(idp.fetches(), (0, 0));
    idp.answer_with(Some(503));
    let ended = explain_token(&directory, &token, "").await;
    let stdout = expected("the discovery document: the issuer answered 503");
    assert_eq!(
        (ended.code, &*ended.stdout),
        (Some(0), &*stdout),
        "{ended:?}"
    );
    // Reasons that need no key are found without one.
    let expired = with(&idp, "release", json!({"exp": now() - 600}));
    let table = [
        (
            other.token(&expired),
            "DENIED  token rejected: it has expired (expired)\n",
        ),
        (
            other.token(&with(&idp, "release", json!({"aud": "else"}))),
            "DENIED  token rejected: its issuer's [[identity.jwt]] does not list its audience (wrong-audience)\n",
        ),
        (
            other.token(&idp.claims("two-faced")),
            "DENIED  the token matches several callers: second-sub, second-azp\n",
        ),
        (
            other.token(&idp.claims("stranger")),
            "DENIED  the token matches no caller\n",
        ),
        (
            other.token(&with(&idp, "board", json!({"roles": "reader"}))),
            "DENIED  board may not cancel contoso/sync-1, if the token is valid\n",
        ),
    ];
    for (token, start) in table {
        let ended = explain_token(&directory, &token, "--offline").await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stdout.starts_with(start), "{start}: {}", ended.stdout);
        let end = format!("signature: not checked: --offline\n{warning}");
        assert!(ended.stdout.ends_with(&end), "{}", ended.stdout);
    }
}

/// The claims of a token may contain parts of the token.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_quotes_itself_is_not_shown() {
    let signer = Signer::ec("k");
    let idp = Idp::start(&[&signer]);
    let directory = configured(&idp, &signer);
    let signature = "c2lnbmF0dXJlLXNpZ25hdHVyZQ";
    let claims = with(&idp, "release", json!({"sub": signature}));
    let header = json!({"alg": "ES256", "kid": "k"});
    let token = format!("{}.{signature}", crate::mint::message(&header, &claims));
    for arguments in ["--offline", "--jwks keys.json"] {
        let ended = explain_token(&directory, &token, arguments).await;
        assert!(ended.stdout.contains("subject: [redacted]\n"), "{ended:?}");
    }
}
