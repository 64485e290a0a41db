//! The command line: the output and the exit code of each subcommand.

use std::fs;

use offergate_sandbox::Options;
use serde_json::Value;
use tempfile::TempDir;

use crate::client;
use crate::config::write_config;
use crate::helpers::{KEY, Setup};
use crate::idp::Idp;
use crate::mint::Signer;
use crate::process::{Process, Served, run};
use crate::vendor::Vendor;

const SERVED: [&str; 4] = ["--config", ".", "--profile", "test"];

async fn configured(setup: &Setup) -> (Vendor, TempDir) {
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let directory = TempDir::new().unwrap();
    write_config(&directory, vendor.address, setup);
    (vendor, directory)
}

fn command<'a>(name: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [&[name], rest].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_makes_one_cancel_and_shows_it() {
    let directory = TempDir::new().unwrap();
    // A configuration and an environment that it must not read.
    fs::write(directory.path().join("base.toml"), "nonsense").unwrap();
    let arguments = [
        "demo",
        "--once",
        "--port",
        "0",
        "--admin-port",
        "0",
        "--sandbox-port",
        "0",
    ];
    let variables = [
        ("OFFERGATE_SERVER__LISTEN", "nonsense"),
        ("TMPDIR", directory.path().to_str().unwrap()),
    ];
    let ended = Process::start(directory.path(), &arguments, &variables)
        .ended()
        .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let curls: Vec<&str> = ended
        .stdout
        .lines()
        .filter(|line| line.starts_with("curl "))
        .collect();
    let [curl] = &curls[..] else {
        panic!("{}", ended.stdout)
    };
    assert!(
        curl.contains("-X POST") && curl.contains("X-Api-Key: offergate_"),
        "{curl}"
    );
    assert!(curl.ends_with("/offers/contoso-vm/cancel"), "{curl}");
    let (_, answer) = ended.stdout.split_once("HTTP 202").unwrap();
    let json = &answer[answer.find('{').unwrap()..];
    let operation: Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!(operation["status"], "Running");
    assert_eq!(operation["action"], "cancel");
    assert_eq!(ended.stderr, "");
    // It removes everything it has created.
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demos_curl_line_works_while_it_serves() {
    let directory = TempDir::new().unwrap();
    let arguments = [
        "demo",
        "--port",
        "0",
        "--admin-port",
        "0",
        "--sandbox-port",
        "0",
    ];
    let mut demo = Process::start(directory.path(), &arguments, &[]);
    let curl = demo
        .wait_for_line(|line| line.starts_with("curl ").then(|| line.to_owned()))
        .await;
    demo.wait_for_line(|line| line.starts_with("Serving until").then_some(()))
        .await;
    let key = curl
        .split("X-Api-Key: ")
        .nth(1)
        .unwrap()
        .split('\'')
        .next()
        .unwrap();
    let url = curl
        .rsplit(' ')
        .next()
        .unwrap()
        .strip_prefix("http://")
        .unwrap();
    let (address, path) = url.split_once('/').unwrap();
    let headers = [("X-Api-Key", key)];
    let path = format!("/{path}");
    let answer = client::send(address.parse().unwrap(), "POST", &path, &headers, "").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    demo.signal("INT");
    assert_eq!(demo.ended().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_reports_success() {
    let (vendor, directory) = configured(&Setup::default()).await;
    let ended = run(directory.path(), &command("check", &SERVED)).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for subject in ["configuration", "credential main", "publisher contoso"] {
        let line = ended.stdout.lines().find(|line| line.contains(subject));
        assert!(
            line.is_some_and(|line| line.starts_with("ok ")),
            "{}",
            ended.stdout
        );
    }
    // One token and one read only, and no file.
    assert_eq!(vendor.received("/oauth2/").await.len(), 1);
    let reads = vendor.received("/api/").await;
    assert_eq!(reads.len(), 1, "{reads:?}");
    assert_eq!(reads[0]["method"], "GET");
    assert!(!directory.path().join("offergate.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn check_fetches_issuers_keys() {
    let idp = Idp::start(&[&Signer::ec("a"), &Signer::ec("b")]);
    let setup = Setup {
        toml: crate::jwt::toml(&idp, ""),
        ..Setup::default()
    };
    let (_vendor, directory) = configured(&setup).await;
    let subject = format!("issuer {}", idp.issuer());
    let one_left_out = "2 usable key(s) received; left out: 1 of a type, curve or algorithm that \
                        is not supported";
    for (number, (status, code, mark, expected)) in [
        (None, 0, "ok", "2 usable key(s) received"),
        (Some(503), 69, "FAIL", "the issuer answered 503"),
        (None, 0, "ok", one_left_out),
    ]
    .into_iter()
    .enumerate()
    {
        idp.answer_with(status);
        if number == 2 {
            let secret = serde_json::json!({"kty": "oct", "k": "c2VjcmV0"});
            idp.publish_as(vec![Signer::ec("a").jwk(), secret, Signer::ec("b").jwk()]);
        }
        let ended = run(directory.path(), &command("check", &SERVED)).await;
        assert_eq!(ended.code, Some(code), "{ended:?}");
        let line = ended.stdout.lines().find(|line| line.contains(&subject));
        let line = line.unwrap_or_else(|| panic!("{ended:?}"));
        assert!(line.starts_with(mark) && line.contains(expected), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_each_failure_with_a_remedy() {
    let wrong = |key: &str, value: &str| format!("[credentials.main]\n{key} = \"{value}\"");
    for (toml, expected) in [
        (
            wrong("client_secret", "wrong"),
            "AADSTS7000215, invalid_client): the client secret is wrong",
        ),
        (wrong("tenant_id", "nowhere"), "AADSTS90002"),
        (wrong("client_id", "nobody"), "AADSTS700016"),
        (wrong("authority", "http://127.0.0.1:1"), "check authority"),
        (
            "[portal]\nbase_url = \"http://127.0.0.1:1\"".into(),
            "check portal.base_url",
        ),
        (
            "[portal]\napi_version = \"2016-08-01-preview\"".into(),
            "check portal.api_version",
        ),
        (
            "[[publishers]]\nid = \"unknown\"\ncredential = \"main\"\n\
          [[callers]]\nname = \"p\"\napi_key_sha256 = [\"$pipeline\"]\nallow = []"
                .into(),
            "add the application to the publisher's account",
        ),
    ] {
        let setup = Setup {
            toml,
            ..Setup::default()
        };
        let (_vendor, directory) = configured(&setup).await;
        let ended = run(directory.path(), &command("check", &SERVED)).await;
        assert_eq!(ended.code, Some(69), "{expected}: {ended:?}");
        let line = ended.stdout.lines().find(|line| line.contains(expected));
        assert!(
            line.is_some_and(|line| line.starts_with("FAIL")),
            "{expected}: {ended:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_configuration_problems_are_reported() {
    let (_vendor, directory) = configured(&Setup {
        toml: "[server]\nlisten = \"nowhere\"\nworkers = -1\ncolour = \"red\"\n\
               [portal]\nbase_url = \"ftp://x\"\n[metrics]\nlisten = \"x\"\n\
               [[publishers]]\nid = \"a/b\"\ncredential = \"none\""
            .into(),
        ..Setup::default()
    })
    .await;
    for name in ["check", "serve"] {
        let ended = run(directory.path(), &command(name, &SERVED)).await;
        assert_eq!(ended.code, Some(78), "{ended:?}");
        for key in [
            "server.listen",
            "server.workers",
            "server.colour",
            "portal.base_url",
            "metrics",
            "publishers[0].id",
            "publishers[0].credential",
        ] {
            let line = ended.stderr.lines().find(|line| line.contains(key));
            assert!(
                line.is_some_and(|line| line.contains("test.toml")),
                "{key}: {}",
                ended.stderr
            );
        }
        assert_eq!(ended.stdout, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_key_hash_is_refused() {
    let (_vendor, directory) = configured(&Setup::default()).await;
    for (toml, code) in [
        ("[portal]\nbase_url = \"http://192.0.2.1\"", 78),
        ("[credentials.main]\nauthority = \"http://192.0.2.1\"", 78),
        ("[server]\nlisten = \"0.0.0.0:0\"", 78),
        ("[[callers]]\nname = \"x\"\nallow = []", 78),
        (
            "[[callers]]\nname = \"x\"\napi_key_sha256 = []\nallow = []",
            78,
        ),
        // The SHA-256 of an empty text.
        (
            "[[callers]]\nname = \"x\"\nallow = []\napi_key_sha256 = [\
          \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"]",
            78,
        ),
        ("[ledger]\nurl = \"sqlite:no-such-directory/x.db\"", 69),
    ] {
        fs::write(directory.path().join("test.toml"), toml).unwrap();
        let ended = run(directory.path(), &command("serve", &SERVED)).await;
        assert_eq!(ended.code, Some(code), "{toml}: {ended:?}");
    }
    let missing = ["serve", "--config", ".", "--profile", "missing"];
    assert_eq!(run(directory.path(), &missing).await.code, Some(78));
    let alone = ["serve", "--profile", "test"];
    assert_eq!(run(directory.path(), &alone).await.code, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let setup = Setup::default();
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let taken = format!("[admin]\nlisten = \"{}\"", vendor.address);
    let directory = TempDir::new().unwrap();
    write_config(
        &directory,
        vendor.address,
        &Setup {
            toml: taken,
            ..setup
        },
    );
    let ended = run(directory.path(), &command("serve", &SERVED)).await;
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(ended.stderr.contains("admin.listen"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_works_once_its_hash_is_configured() {
    let directory = TempDir::new().unwrap();
    let ended = run(directory.path(), &["keys", "new", "release-pipeline"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let key = ended
        .stdout
        .lines()
        .find(|line| line.starts_with("offergate_"))
        .unwrap();
    let start = ended.stdout.find("[[callers]]").unwrap();
    let caller = &ended.stdout[start..];
    assert!(
        !caller.contains(key) && caller.contains("release-pipeline"),
        "{caller}"
    );
    // The printed lines, as they are, in a configuration.
    let setup = Setup {
        toml: caller.to_owned(),
        ..Setup::default()
    };
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let served = Served::start(&vendor, &setup).await;
    let path = "/offers/contoso-vm/cancel";
    for (key, status) in [(key, 202), (KEY, 401)] {
        let answer = client::send(served.address, "POST", path, &[("X-Api-Key", key)], "").await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    for bad in [
        vec!["keys", "new"],
        vec!["keys", "new", "a b"],
        vec!["keys", "new", ""],
    ] {
        assert_eq!(run(directory.path(), &bad).await.code, Some(2), "{bad:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_come_from_files_and_the_environment_too() {
    let vendor = Vendor::start(Options {
        client_secret: "0123".into(),
        ..Setup::default().vendor
    })
    .await;
    let directory = TempDir::new().unwrap();
    let setup = Setup {
        toml: "[server]\nworkers = 1".into(),
        ..Setup::default()
    };
    write_config(&directory, vendor.address, &setup);
    let base = fs::read_to_string(directory.path().join("base.toml")).unwrap();
    let line = "client_secret = \"sandbox-secret\"\n";
    assert!(base.contains(line));
    fs::write(directory.path().join("base.toml"), base.replace(line, "")).unwrap();
    fs::write(directory.path().join("secret"), "0123\n").unwrap();
    let name = "OFFERGATE_CREDENTIALS__MAIN__CLIENT_SECRET";
    let file = "OFFERGATE_CREDENTIALS__MAIN__CLIENT_SECRET_FILE";
    for (variables, code) in [
        (vec![], 78),
        (vec![(name, "0123")], 0),
        (vec![(file, "secret")], 0),
        (vec![(name, "123")], 69),
        (vec![(name, "0123"), (file, "secret")], 78),
        (
            vec![(name, "0123"), ("OFFERGATE_PORT", "tcp://10.0.0.1:80")],
            0,
        ),
        (vec![(name, "0123"), ("OFFERGATE_SERVER__LISTENS", "x")], 78),
    ] {
        let arguments = command("check", &SERVED);
        let ended = Process::start(directory.path(), &arguments, &variables)
            .ended()
            .await;
        assert_eq!(ended.code, Some(code), "{variables:?}: {ended:?}");
    }
}
