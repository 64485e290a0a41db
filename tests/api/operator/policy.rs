//! `offergate policy`: which caller may do what, and by which rule. Callers identified by a
//! token are in `security/policy_token.rs`.

use std::net::SocketAddr;

use tempfile::TempDir;

use crate::config::write_config;
use crate::helpers::{KEY, NOBODY_KEY, READER_KEY, Setup, spawn_toml};
use crate::process::{Ended, run};

/// The command sends the vendor nothing, so any address does.
const NO_VENDOR: &str = "127.0.0.1:9";
const CONFIG: [&str; 4] = ["--config", ".", "--profile", "test"];

/// Rules of every shape.
const RULES: &str = r#"
[[publishers]]
id = "contoso"
credential = "main"
[[publishers]]
id = "fabrikam"
credential = "main"
[[callers]]
name = "pipeline"
default_publisher = "contoso"
api_key_sha256 = ["$pipeline"]
rate_limit = { per_second = 50, burst = 100 }
max_in_flight_actions = 16
allow = [
  { actions = ["read"], publishers = ["*"], offers = ["*"] },
  { actions = ["cancel", "publish"], publishers = ["contoso"], offers = ["sync-a*", "*-b"] },
]
[[callers]]
name = "reader"
default_publisher = "fabrikam"
api_key_sha256 = ["$reader", "e49ce7dd5984e33f229dd820a814850c037f06391bb4dff69ac9e145406744db"]
rate_limit = { per_second = 100, burst = 1000 }
max_waits = 30
allow = [{ actions = ["*"], publishers = ["fab*"], offers = ["sync-a"] }]
[[callers]]
name = "nobody"
api_key_sha256 = ["$nobody"]
"#;

fn configured(toml: &str) -> TempDir {
    let directory = TempDir::new().unwrap();
    let setup = Setup {
        toml: toml.to_owned(),
        ..Setup::default()
    };
    let vendor: SocketAddr = NO_VENDOR.parse().unwrap();
    write_config(&directory, vendor, &setup);
    directory
}

/// `policy explain` with these arguments after those of the configuration.
pub async fn explain(directory: &TempDir, arguments: &str) -> Ended {
    let mut command = vec!["policy", "explain"];
    command.extend(CONFIG);
    command.extend(arguments.split_whitespace());
    run(directory.path(), &command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_action_is_explained_with_its_rule() {
    let directory = configured(RULES);
    let by_second = "rule: ./test.toml: callers[0].allow[1]  \
                     (actions cancel, publish; publishers contoso; offers sync-a*, *-b)\n";
    let table = [
        (
            "--caller pipeline --action cancel --offer sync-a1",
            format!("ALLOWED  pipeline may cancel contoso/sync-a1\n{by_second}"),
        ),
        (
            "--caller pipeline --action publish --offer x-b --publisher contoso",
            format!("ALLOWED  pipeline may publish contoso/x-b\n{by_second}"),
        ),
        (
            "--caller pipeline --action read --offer x --publisher fabrikam",
            "ALLOWED  pipeline may read fabrikam/x\nrule: ./test.toml: callers[0].allow[0]  \
             (actions read; publishers *; offers *)\n"
                .into(),
        ),
        (
            "--caller reader --action go-live --offer sync-a",
            "ALLOWED  reader may go-live fabrikam/sync-a\nrule: ./test.toml: callers[1].allow[0]  \
             (actions *; publishers fab*; offers sync-a)\n"
                .into(),
        ),
    ];
    for (arguments, expected) in table {
        let ended = explain(&directory, arguments).await;
        assert_eq!(ended.stdout, expected, "{arguments}: {ended:?}");
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{arguments}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_action_is_explained_with_every_mismatch() {
    let directory = configured(RULES);
    let first = "./test.toml: callers[0].allow[0]";
    let second = "./test.toml: callers[0].allow[1]";
    let table = [
        (
            "--caller pipeline --action cancel --offer other",
            format!(
                "DENIED  pipeline may not cancel contoso/other\n\
                 {first}: the action is not one of read\n\
                 {second}: the offer does not match sync-a*, *-b\n"
            ),
        ),
        (
            "--caller pipeline --action write --offer Sync-a --publisher fabrikam",
            format!(
                "DENIED  pipeline may not write fabrikam/Sync-a\n\
                 {first}: the action is not one of read\n\
                 {second}: the action is not one of cancel, publish; the publisher does not match contoso; \
                 the offer does not match sync-a*, *-b\n"
            ),
        ),
        (
            "--caller pipeline --action read --offer x --publisher Contoso",
            format!(
                "DENIED  pipeline may not read Contoso/x\n\
                 publisher Contoso is not one of [[publishers]]: contoso, fabrikam (case-sensitive)\n\
                 {second}: the action is not one of cancel, publish; the publisher does not match contoso; \
                 the offer does not match sync-a*, *-b\n"
            ),
        ),
        (
            "--caller nobody --action read --offer x --publisher contoso",
            "DENIED  nobody may not read contoso/x\nthe caller has no allow rules\n".into(),
        ),
        (
            "--caller nobody --action read --offer x",
            "DENIED  nobody may not read x\n\
             publisher missing: give --publisher, or configure default_publisher for the caller\n"
                .into(),
        ),
        (
            "--caller pipelin --action read --offer x",
            "DENIED  caller pipelin is not configured\ndid you mean pipeline?\n".into(),
        ),
        (
            "--caller release --action read --offer x",
            "DENIED  caller release is not configured\n`offergate policy table` lists the callers\n"
                .into(),
        ),
    ];
    for (arguments, expected) in table {
        let ended = explain(&directory, arguments).await;
        assert_eq!(ended.stdout, expected, "{arguments}: {ended:?}");
        assert_eq!((ended.code, &*ended.stderr), (Some(1), ""), "{arguments}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_and_configuration_problems_have_their_exit_codes() {
    let directory = configured(RULES);
    for arguments in [
        "--action read --offer x",
        "--caller pipeline --token x --action read --offer x",
        "--caller pipeline --action delete --offer x",
        "--caller pipeline --action * --offer x",
        "--caller pipeline --action read --offer a/b",
        "--caller pipeline --action read",
        "--caller pipeline --action read --offer x --publisher ..",
        "--caller a/b --action read --offer x",
        "--caller pipeline --action read --offer x --offline",
        "--caller pipeline --action read --offer x --jwks x",
        "--token x --action read --offer x --jwks x --offline",
    ] {
        let ended = explain(&directory, arguments).await;
        assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{arguments}");
    }
    std::fs::write(directory.path().join("test.toml"), "colour = 1").unwrap();
    let ended = explain(&directory, "--caller pipeline --action read --offer x").await;
    assert_eq!((ended.code, &*ended.stdout), (Some(78), ""), "{ended:?}");
    let table = [&["policy", "table"][..], &CONFIG].concat();
    let ended = run(directory.path(), &table).await;
    assert_eq!((ended.code, &*ended.stdout), (Some(78), ""), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_lists_rules_and_limits() {
    let directory = configured(RULES);
    let arguments = [&["policy", "table"][..], &CONFIG].concat();
    let ended = run(directory.path(), &arguments).await;
    let expected = "\
CALLER    CREDENTIALS  ACTIONS          PUBLISHERS  OFFERS        RULE
pipeline  key          read             *           *             ./test.toml: callers[0].allow[0]
pipeline  key          cancel, publish  contoso     sync-a*, *-b  ./test.toml: callers[0].allow[1]
reader    2 keys       *                fab*        sync-a        ./test.toml: callers[1].allow[0]
nobody    key          none

CALLER    REQUESTS                    CONCURRENT ACTIONS  WAITS AND STREAMS  IDEMPOTENCY KEYS
pipeline  50 per second, burst 100    16                  4500 (default)     500000 (default)
reader    100 per second, burst 1000  128 (default)       30                 500000 (default)
nobody    -                           128 (default)       4500 (default)     500000 (default)
";
    assert_eq!(ended.stdout, expected, "{ended:?}");
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    // Both are omitted without callers.
    std::fs::write(directory.path().join("test.toml"), "callers = []").unwrap();
    let ended = run(directory.path(), &arguments).await;
    let expected = "No callers are configured ([[callers]]), so every request is rejected.\n";
    assert_eq!((ended.code, &*ended.stdout), (Some(0), expected));
}

/// Compares the command with a running gateway for every combination of a few names.
#[tokio::test(flavor = "multi_thread")]
async fn explanations_agree_with_the_gateway() {
    let world = spawn_toml(RULES).await;
    let callers = [
        ("pipeline", KEY),
        ("reader", READER_KEY),
        ("nobody", NOBODY_KEY),
    ];
    let mut answers = Vec::new();
    for (caller, key) in callers {
        for publisher in [None, Some("contoso"), Some("fabrikam"), Some("other")] {
            for offer in ["sync-a", "sync-b", "sync-c"] {
                let (path, given) = match publisher {
                    Some(id) => (format!("/publishers/{id}"), format!("--publisher {id}")),
                    None => Default::default(),
                };
                let path = format!("{path}/offers/{offer}/cancel");
                let answer = world.send_as(key, "POST", &path, "").await;
                let arguments =
                    format!("--caller {caller} --action cancel --offer {offer} {given}");
                let ended = explain(&world.directory, &arguments).await;
                let allowed = match answer.status {
                    200 => true,
                    // The caller has no default publisher.
                    400 if publisher.is_none() && caller == "nobody" => false,
                    403 => false,
                    _ => panic!("{arguments}: {answer:?}"),
                };
                let code = Some(if allowed { 0 } else { 1 });
                assert_eq!(ended.code, code, "{arguments}: {ended:?} {answer:?}");
                answers.push(allowed);
            }
        }
    }
    assert_eq!(answers.len(), 36);
    assert_eq!(answers.iter().filter(|allowed| **allowed).count(), 6);
}
