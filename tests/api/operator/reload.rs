//! Reloading the configuration while requests are served: as a whole or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use offergate::startup::{FileSnapshot, FilesRead};
use tempfile::TempDir;

use crate::certs::Ca;
use crate::client;
use crate::config::{source, write_config};
use crate::helpers::{KEY, NOBODY_KEY, READER_KEY, Setup, World, spawn};
use crate::idp::Idp;
use crate::jwt::{cancel_with, spawn_jwt, toml};
use crate::mint::Signer;
use crate::process::{Process, Served};
use crate::tls::secured;
use crate::tls_client::{TlsClientOptions, connect};
use crate::vendor::Vendor;

const CANCEL: &str = "/offers/sync-1/cancel";

/// `pipeline` with the key of this name, and these rules.
pub fn callers(key: &str, allow: &str) -> String {
    format!(
        "[[callers]]\nname = \"pipeline\"\ndefault_publisher = \"contoso\"\n\
         api_key_sha256 = [\"{key}\"]\nallow = [ {allow} ]\n"
    )
}

pub const ALL: &str = r#"{ actions = ["*"], publishers = ["contoso"], offers = ["*"] }"#;

async fn status(world: &World, key: &str) -> u16 {
    world.send_as(key, "POST", CANCEL, "").await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_keys_and_rules_are_replaced() {
    let world = spawn().await;
    assert_eq!(status(&world, KEY).await, 200);
    world.reload(&callers("$nobody", ALL)).await;
    assert_eq!(status(&world, KEY).await, 401);
    assert_eq!(status(&world, READER_KEY).await, 401);
    assert_eq!(status(&world, NOBODY_KEY).await, 200);
    let other = r#"{ actions = ["cancel"], publishers = ["contoso"], offers = ["other-*"] }"#;
    world.reload(&callers("$nobody", other)).await;
    assert_eq!(status(&world, NOBODY_KEY).await, 403);
    world.reload("").await;
    assert_eq!(status(&world, KEY).await, 200);
    assert_eq!(status(&world, READER_KEY).await, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_keeps_its_version() {
    let world = spawn().await;
    let slow = json!({"kind": "delay", "ms": 1000});
    world
        .vendor
        .order(json!({"on": "cancel", "fault": slow}))
        .await;
    let running = world.send("POST", CANCEL, "");
    let removing = async {
        world.vendor.receives("/cancel", 1).await;
        world.reload(&callers("$nobody", ALL)).await;
        assert_eq!(status(&world, KEY).await, 401);
    };
    let (answer, ()) = tokio::join!(running, removing);
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_version_is_refused_and_reported() {
    let world = spawn().await;
    let broken = [
        ("no TOML", "[[callers"),
        (
            "unknown action",
            r#"[[callers]]
name = "x"
api_key_sha256 = ["$nobody"]
allow = [ { actions = ["destroy-hush"], publishers = ["contoso"], offers = ["*"] } ]"#,
        ),
        (
            "no such publisher",
            r#"[[callers]]
name = "x"
default_publisher = "fabrikam"
api_key_sha256 = ["$nobody"]"#,
        ),
        (
            "no such file",
            "[server.tls]\ncert_file = \"hush.pem\"\nkey_file = \"hush.key\"",
        ),
    ];
    for (name, toml) in broken {
        world.reload(toml).await;
        assert_eq!(status(&world, KEY).await, 200, "{name}");
        assert_eq!(status(&world, NOBODY_KEY).await, 400, "{name}");
        let body = world.readiness(200).await;
        let warnings = body["warnings"].to_string();
        assert!(
            warnings.contains("configuration refused; the previous version stays in effect"),
            "{name}: {body}"
        );
        assert!(warnings.contains("test.toml"), "{name}: {body}");
        assert!(!warnings.contains("hush"), "{name}: {body}");
    }
    world.reload("").await;
    let body = world.readiness(200).await;
    assert!(!body["warnings"].to_string().contains("refused"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_need_a_restart_are_reported_and_others_applied() {
    let world = spawn().await;
    let toml = format!("[ledger]\nretention_days = 7\n{}", callers("$nobody", ALL));
    world.reload(&toml).await;
    assert_eq!(status(&world, NOBODY_KEY).await, 200);
    let body = world.readiness(200).await;
    let warnings = body["warnings"].to_string();
    assert!(
        warnings.contains("ledger has changed; restart the gateway to apply it"),
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_for_another_vendor_are_not_applied_to_this_one() {
    let world = spawn().await;
    let elsewhere = format!(
        "[portal]\nbase_url = \"http://127.0.0.1:1\"\n{}",
        callers("$nobody", ALL)
    );
    let more = format!(
        "[[publishers]]\nid = \"contoso\"\ncredential = \"main\"\n\
         [[publishers]]\nid = \"fabrikam\"\ncredential = \"main\"\n{}",
        callers("$nobody", ALL)
    );
    for (section, toml) in [("portal", elsewhere), ("publishers", more)] {
        world.reload(&toml).await;
        assert_eq!(status(&world, NOBODY_KEY).await, 400, "{section}");
        assert_eq!(status(&world, KEY).await, 200, "{section}");
        let body = world.readiness(200).await;
        let expected = format!("the previous version stays in effect: {section} has changed");
        assert!(body["warnings"].to_string().contains(&expected), "{body}");
    }
    world.reload(&callers("$nobody", ALL)).await;
    assert_eq!(status(&world, NOBODY_KEY).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_during_reloads() {
    let world = Arc::new(spawn().await);
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let (world, stop) = (Arc::clone(&world), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut sent = 0;
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(status(&world, KEY).await, 200);
                    sent += 1;
                }
                sent
            })
        })
        .collect();
    let both = callers("$pipeline\", \"$nobody", ALL);
    for round in 0..20 {
        world.reload(if round % 2 == 0 { &both } else { "" }).await;
    }
    stop.store(true, Ordering::Relaxed);
    for sender in senders {
        assert!(sender.await.unwrap() > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_token_does_not_outlive_its_caller() {
    let signer = Signer::ec("k");
    let idp = Idp::start(&[&signer]);
    let keys = r#"algorithms = ["ES256"]"#;
    let world = spawn_jwt(&idp, keys).await;
    let token = signer.token(&idp.claims("release"));
    assert_eq!(cancel_with(&world, &token).await.status, 200);
    let fetched = idp.fetches();
    let with = toml(&idp, keys);
    world
        .reload(&with.replace("azp = \"release\"", "azp = \"other\""))
        .await;
    cancel_with(&world, &token)
        .await
        .problem(403, "caller-not-allowed");
    world.reload(&with).await;
    assert_eq!(cancel_with(&world, &token).await.status, 200);
    assert_eq!(idp.fetches(), fetched, "the keys were known all along");
    world
        .reload(&with.replace("audience = \"offergate\"", "audience = \"other\""))
        .await;
    cancel_with(&world, &token)
        .await
        .problem(401, "unauthenticated");
    // A new issuer's keys are fetched; a removed issuer is rejected.
    let other = Idp::start(&[&signer]);
    world.reload(&toml(&other, keys)).await;
    let theirs = signer.token(&other.claims("release"));
    assert_eq!(cancel_with(&world, &theirs).await.status, 200);
    cancel_with(&world, &token)
        .await
        .problem(401, "unauthenticated");
}

async fn served() -> (Vendor, Served) {
    let setup = Setup::default();
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let served = Served::start(&vendor, &setup).await;
    (vendor, served)
}

/// The line of the log with this message.
fn with_message(message: &'static str) -> impl Fn(&str) -> Option<Value> {
    move |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["message"].as_str()?.starts_with(message)).then_some(line)
    }
}

pub async fn with_key(served: &Served, key: &str) -> u16 {
    let headers = [("X-Api-Key", key)];
    client::send(served.address, "POST", CANCEL, &headers, "")
        .await
        .status
}

pub fn hash(key: &str) -> String {
    let hash = offergate::identity::hash(key.as_bytes());
    hash.as_bytes().iter().map(|b| format!("{b:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_noticed() {
    let (_vendor, mut served) = served().await;
    assert_eq!(with_key(&served, KEY).await, 200);
    let path = served.directory.path().join("test.toml");
    let (new, again) = (
        served.directory.path().join("new"),
        callers(&hash(KEY), ALL),
    );
    // Replaced as a mounted secret is: another file under the same name.
    std::fs::write(&new, callers(&hash(NOBODY_KEY), ALL)).unwrap();
    std::fs::rename(&new, &path).unwrap();
    let line = served
        .process
        .wait_for_line(with_message("configuration reloaded"))
        .await;
    assert_eq!(line["callers"], 1);
    assert_eq!(with_key(&served, KEY).await, 401);
    assert_eq!(with_key(&served, NOBODY_KEY).await, 200);
    std::fs::write(&path, "[[callers]]\nnam = 1\n").unwrap();
    let line = served
        .process
        .wait_for_line(with_message("configuration refused"))
        .await;
    assert_eq!(line["level"], "ERROR");
    assert!(
        line["key"].as_str().unwrap().starts_with("callers[0]"),
        "{line}"
    );
    assert_eq!(with_key(&served, NOBODY_KEY).await, 200);
    std::fs::write(&path, again).unwrap();
    tokio::time::timeout(Duration::from_secs(20), async {
        while with_key(&served, KEY).await != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_removed_and_restored_is_noticed() {
    let setup = Setup::default();
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let directory = TempDir::new().unwrap();
    write_config(&directory, vendor.address, &setup);
    let (here, away) = (
        directory.path().join("config"),
        directory.path().join("away"),
    );
    std::fs::create_dir(&here).unwrap();
    for name in ["base.toml", "test.toml"] {
        std::fs::rename(directory.path().join(name), here.join(name)).unwrap();
    }
    let arguments = ["serve", "--config", "config", "--profile", "test"];
    let mut process = Process::start(directory.path(), &arguments, &[]);
    process
        .wait_for_line(with_message("offergate is listening"))
        .await;
    std::fs::rename(&here, &away).unwrap();
    let line = process
        .wait_for_line(with_message("configuration refused"))
        .await;
    assert_eq!(line["problem"], "is not a directory");
    std::fs::rename(&away, &here).unwrap();
    process
        .wait_for_line(with_message("configuration reloaded"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_certificate_is_noticed() {
    let secured = secured("").await;
    let (world, files) = (&secured.world, secured.files.path());
    let certificate = FileSnapshot::begin().with(FilesRead {
        files: vec![files.join("server.pem"), files.join("server.key")],
        complete: true,
    });
    let reloader = world.gateway.as_ref().unwrap().reloader();
    let (_sender, requests) = tokio::sync::mpsc::channel(1);
    tokio::spawn(reloader.follow(source(&world.directory), certificate, requests));
    let renewed = Ca::new("others");
    renewed.server().write(files, "server");
    let config = TlsClientOptions::new(&renewed).config();
    tokio::time::timeout(Duration::from_secs(20), async {
        while connect(world.address(), &config).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads_at_once() {
    let (_vendor, mut served) = served().await;
    served.process.signal("HUP");
    served
        .process
        .wait_for_line(with_message("configuration reloaded"))
        .await;
    assert_eq!(with_key(&served, KEY).await, 200);
    served.process.signal("TERM");
    assert_eq!(served.process.ended().await.code, Some(0));
}
