//! Files that do not answer, or that cannot be read for a moment: pipes in their places, and
//! no descriptors left. Nothing else stands still, and what they say takes effect in the end.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::Value;

use crate::helpers::{KEY, NOBODY_KEY, READER_KEY, Setup, spawn_with};
use crate::idp::Idp;
use crate::jwt::{cancel_with, toml};
use crate::mint::Signer;
use crate::process::Served;
use crate::reload::{ALL, callers, hash, with_key};
use crate::vendor::Vendor;

/// Puts a pipe that nobody writes to in the place of a file.
fn replace_by_pipe(path: &Path) {
    let aside = path.with_extension("pipe");
    let made = Command::new("mkfifo").arg(&aside).status().unwrap();
    assert!(made.success());
    std::fs::rename(&aside, path).unwrap();
}

async fn served() -> (Vendor, Served) {
    let setup = Setup::default();
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let served = Served::start(&vendor, &setup).await;
    (vendor, served)
}

/// Waits for a refusal for this reason.
async fn refused(served: &mut Served, reason: &'static str) {
    served
        .process
        .wait_for_line(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let refused = line["message"] == "configuration refused"
                && line["problem"].as_str()?.contains(reason);
            refused.then_some(())
        })
        .await;
}

/// Waits until a key is answered with this status.
async fn until(served: &Served, key: &str, status: u16) {
    tokio::time::timeout(Duration::from_secs(30), async {
        while with_key(served, key).await != status {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_as_bearer_token_file_stops_neither_the_poller_nor_other_refreshers() {
    let signer = Signer::ec("k");
    let idp = Idp::start(&[&signer]);
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("bearer");
    std::fs::write(&file, "first").unwrap();
    let keys = format!(
        "algorithms = [\"ES256\"]\nbearer_token_file = \"{}\"",
        file.display()
    );
    let world = spawn_with(Setup {
        toml: toml(&idp, &keys),
        tune: |settings| settings.jwt_issuers[0].refresh = Duration::from_millis(100),
        ..Setup::default()
    })
    .await;
    let token = signer.token(&idp.claims("release"));
    assert_eq!(cancel_with(&world, &token).await.status, 200);
    replace_by_pipe(&file);
    let readiness = world
        .readiness_until(|body| {
            let warnings = body["warnings"].to_string();
            warnings.contains("bearer_token_file is a pipe or device, not a file")
        })
        .await;
    assert_eq!(readiness["ready"], true, "{readiness}");
    // The poller runs on the same thread.
    let operation = world.outcome_of("migrated-1").await;
    assert_eq!(operation["outcome"], "canceled", "{operation}");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "second").unwrap();
    world
        .readiness_until(|body| body["warnings"].as_array().unwrap().is_empty())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_as_configuration_file_is_refused_and_later_reloads_work() {
    let (_vendor, mut served) = served().await;
    let path = served.directory.path().join("test.toml");
    replace_by_pipe(&path);
    refused(&mut served, "is a pipe or device, not a file").await;
    // A request to reload does not hang either, and the old version stays in effect.
    served.process.signal("HUP");
    assert_eq!(with_key(&served, KEY).await, 200);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, callers(&hash(NOBODY_KEY), ALL)).unwrap();
    until(&served, NOBODY_KEY, 200).await;
    assert_eq!(with_key(&served, KEY).await, 401);
    served.process.signal("TERM");
    assert_eq!(served.process.ended().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_was_taken_away_without_descriptors_does_not_stay() {
    let (_vendor, mut served) = served().await;
    let id = Pid::from_raw(i32::try_from(served.process.id()).unwrap());
    let none = Rlimit {
        current: Some(3),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    let before = prlimit(id, Resource::Nofile, none).unwrap();
    let path = served.directory.path().join("test.toml");
    std::fs::write(&path, callers(&hash(READER_KEY), ALL)).unwrap();
    refused(&mut served, "Too many open files").await;
    // The files do not change any more.
    prlimit(id, Resource::Nofile, before).unwrap();
    until(&served, KEY, 401).await;
    assert_eq!(with_key(&served, READER_KEY).await, 200);
}
