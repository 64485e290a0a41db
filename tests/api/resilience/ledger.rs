//! An intent is on disk before its request is sent; and the answers to callers when the disk
//! fails.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use offergate::startup::Gateway;
use serde_json::json;
use tempfile::TempDir;

use crate::client::{Answer, assert_not_delivered};
use crate::helpers::{World, spawn, spawn_toml};

/// Sets a delay for the vendor's answer to this offer's cancel.
async fn delay(world: &World, offer: &str, ms: u64) {
    let fault = json!({"kind": "delay", "ms": ms});
    let order = json!({"on": "cancel", "offer": offer, "fault": fault});
    world.vendor.order(order).await;
}

fn assert_not_recorded(answer: &Answer) {
    let problem = answer.problem(503, "ledger-unavailable");
    assert_not_delivered(&problem);
    assert_eq!(problem["retryable"], true);
    assert!(answer.retry_after().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_intent_is_durable_first_and_the_result_before_the_answer() {
    let world = spawn().await;
    for offer in ["sync-1", "forbidden-1"] {
        delay(&world, offer, 600).await;
        let (answer, before) = tokio::join!(world.cancel(offer), async {
            world.vendor.receives(&format!("{offer}/cancel"), 1).await;
            world.rows(offer).await
        });
        // A delay's answer is the normal one.
        let (status, state) = if offer == "sync-1" {
            (200, "Succeeded")
        } else {
            (403, "Failed")
        };
        assert_eq!(answer.status, status, "{answer:?}");
        let [(intent, delivered, id)] = &before[..] else {
            panic!("{before:?}");
        };
        assert_eq!((&**intent, &**delivered), ("NotStarted", "unknown"));
        assert!(answer.header("operation-location").unwrap().ends_with(id));
        let after = world.rows(offer).await;
        assert_eq!((&*after[0].0, &*after[0].1), (state, "yes"));
        assert_eq!(after.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_while_the_ledgers_file_is_gone() {
    let world = spawn_toml("[portal]\nrequest_timeout_ms = 30000").await;
    let file = world.directory.path().join("ledger.db");
    let away = world.directory.path().join("away.db");
    assert_eq!(world.cancel("sync-0").await.status, 200);
    // One request is at the vendor meanwhile.
    delay(&world, "sync-late", 8000).await;
    delay(&world, "forbidden-late", 8000).await;
    let late = world.cancel("sync-late");
    let key = [("Idempotency-Key", "\"late\"")];
    let path = "/offers/forbidden-late/cancel";
    let keyed = world.send_with("POST", path, &key, "");
    let meanwhile = async {
        world.vendor.receives("late/cancel", 2).await;
        fs::rename(&file, &away).unwrap();
        let readiness = world.readiness(503).await;
        let reasons = readiness["reasons"].to_string();
        assert!(reasons.contains("ledger"), "{readiness}");
        assert_eq!(world.admin("/healthz").await.status, 200);
        for _ in 0..3 {
            assert_not_recorded(&world.cancel("sync-1").await);
        }
        assert!(world.vendor.cancels("sync-1").await.is_empty());
    };
    let (late, keyed, ()) = tokio::join!(late, keyed, meanwhile);
    // Carried out, but not recorded: the caller must not repeat it.
    let problem = late.problem(503, "ledger-unavailable");
    assert_eq!(problem["delivered"], "yes");
    assert_eq!(problem["retryable"], false);
    keyed.problem(503, "ledger-unavailable");
    // The key stays in use until the vendor's answer is recorded.
    let again = world.send_with("POST", path, &key, "").await;
    again.problem(409, "idempotency-key-in-use");
    fs::rename(&away, &file).unwrap();
    world.readiness(200).await;
    let refused = loop {
        let answer = world.send_with("POST", path, &key, "").await;
        if answer.status != 409 {
            break answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(refused.status, 403, "{refused:?}");
    assert_eq!(refused.header("idempotent-replayed"), Some("true"));
    assert_eq!(refused.json()["code"], "publisher-access-denied");
    assert_eq!(world.vendor.cancels("forbidden-late").await.len(), 1);
    assert_eq!(world.cancel("sync-1").await.status, 200);
    let location = problem["operationLocation"].as_str().unwrap();
    let operation = world.ended(location.rsplit('/').next().unwrap()).await;
    assert_eq!(operation["outcome"], "canceled", "{operation}");
    assert_eq!(world.vendor.cancels("sync-late").await.len(), 1);
}

/// A file system of one MiB, if this process may mount one.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let directory = TempDir::new().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "none"]);
        let mounted = mount.arg(directory.path()).output().ok()?;
        mounted.status.success().then_some(Self(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.path().join("filler")).unwrap();
        while file.write(&[0; 4096]).is_ok() {}
    }

    fn empty(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_while_the_disk_is_full() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("SKIPPED: no tmpfs can be mounted here; nothing was checked");
        return;
    };
    let mut world = spawn().await;
    world.settings_mut().ledger.path = disk.path().join("ledger.db");
    world.restart().await;
    assert_eq!(world.cancel("sync-0").await.status, 200);
    disk.fill();
    for _ in 0..3 {
        assert_not_recorded(&world.cancel("sync-1").await);
    }
    let readiness = world.readiness(503).await;
    let reasons = readiness["reasons"].to_string();
    assert!(reasons.contains("the disk is full"), "{readiness}");
    assert!(world.vendor.cancels("sync-1").await.is_empty());
    disk.empty();
    assert_eq!(world.cancel("sync-1").await.status, 200);
    world.readiness(200).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_is_used_by_one_gateway() {
    let mut world = spawn().await;
    let settings = world.settings_mut().clone();
    let second = Gateway::start(settings).await;
    let error = second.err().expect("a second gateway on the same ledger");
    assert!(error.to_string().contains("in use"), "{error}");
    assert_eq!(world.cancel("sync-1").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_file_is_not_changed() {
    let mut world = spawn().await;
    let path = world.directory.path().join("notes.txt");
    fs::write(&path, "not a database, but somebody's notes\n").unwrap();
    let settings = world.settings_mut();
    settings.ledger.path = path.clone();
    let settings = settings.clone();
    assert!(Gateway::start(settings).await.is_err());
    let notes = fs::read_to_string(&path).unwrap();
    assert_eq!(notes, "not a database, but somebody's notes\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let world = spawn().await;
    assert_eq!(world.cancel("sync-1").await.status, 200);
    let mut files = 0;
    for entry in fs::read_dir(world.directory.path()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with("ledger.db") {
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{name} is {mode:o}");
            files += 1;
        }
    }
    assert!(files >= 2, "where is the ledger?");
}
