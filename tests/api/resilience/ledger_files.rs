//! What happens to the ledger's files from outside: held locks, other names, wrong modes,
//! and files that are removed, emptied or cut.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::client::{self, Answer};
use crate::config::write_config;
use crate::helpers::{KEY, Setup, spawn};
use crate::process::{Ended, Process, run};
use crate::vendor::Vendor;

/// A vendor, and the directory of a gateway that is started and killed at will.
struct Home {
    _vendor: Vendor,
    directory: TempDir,
}

/// A gateway in its directory.
struct Running {
    process: Process,
    address: std::net::SocketAddr,
}

impl Home {
    async fn new() -> Self {
        let setup = Setup::default();
        let vendor = Vendor::start(setup.vendor.clone()).await;
        let directory = TempDir::new().unwrap();
        write_config(&directory, vendor.address, &setup);
        Self {
            _vendor: vendor,
            directory,
        }
    }

    fn file(&self, suffix: &str) -> PathBuf {
        self.directory.path().join(format!("offergate.db{suffix}"))
    }

    async fn start(&self) -> Running {
        let mut process = Process::serve(self.directory.path());
        let (address, _admin) = process.listens().await;
        Running { process, address }
    }

    /// The refusal of a gateway that must not start.
    async fn refusal(&self) -> Ended {
        let ended = Process::serve(self.directory.path()).ended().await;
        assert_eq!(ended.code, Some(69), "{ended:?}");
        ended
    }

    async fn check(&self) -> Ended {
        let arguments = ["check", "--config", ".", "--profile", "test"];
        run(self.directory.path(), &arguments).await
    }

    /// A ledger that held an operation, and no gateway.
    async fn used() -> Self {
        let home = Self::new().await;
        let running = home.start().await;
        assert_eq!(running.cancel("sync-1").await.status, 200);
        running.process.signal("TERM");
        assert_eq!(running.process.ended().await.code, Some(0));
        home
    }
}

impl Running {
    async fn send(&self, method: &str, path: &str) -> Answer {
        client::send(self.address, method, path, &[("X-Api-Key", KEY)], "").await
    }

    async fn cancel(&self, offer: &str) -> Answer {
        self.send("POST", &format!("/offers/{offer}/cancel")).await
    }

    async fn log(&mut self, message: &str) {
        let has = |line: &str| line.contains(message).then_some(());
        self.process.wait_for_line(has).await;
    }
}

fn operation_path(answer: &Answer) -> String {
    let location = answer.header("operation-location").unwrap();
    format!("/operations/{}", location.rsplit('/').next().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cancel_is_refused_in_time_while_another_process_holds_the_lock() {
    let world = spawn().await;
    assert_eq!(world.cancel("sync-0").await.status, 200);
    let path = world.directory.path().join("ledger.db");
    let options = SqliteConnectOptions::new().filename(path);
    let mut stranger = options.connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut stranger)
        .await
        .unwrap();
    let late = async |after| {
        sleep(Duration::from_millis(after)).await;
        let began = Instant::now();
        let answer = world.cancel("sync-1").await;
        answer.problem(503, "ledger-unavailable");
        let took = began.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
    };
    tokio::join!(late(0), late(1500), late(4000), late(5500));
    sqlx::query("ROLLBACK")
        .execute(&mut stranger)
        .await
        .unwrap();
    stranger.close().await.unwrap();
    assert!(world.vendor.cancels("sync-1").await.is_empty());
    assert_eq!(world.cancel("sync-1").await.status, 200);
    world.readiness(200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_is_held_under_another_name_and_without_its_lock_file() {
    let home = Home::new().await;
    let running = home.start().await;
    let second = Home::new().await;
    fs::hard_link(home.file(""), second.file("")).unwrap();
    fs::remove_file(home.file(".lock")).unwrap();
    for home in [&home, &second] {
        let refusal = home.refusal().await;
        assert!(refusal.stderr.contains("in use"), "{refusal:?}");
        let checked = home.check().await;
        assert_eq!(checked.code, Some(0), "{checked:?}");
        assert!(checked.stdout.contains("in use by a running gateway"));
    }
    assert_eq!(running.cancel("sync-1").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_log_loses_nothing_even_in_a_crash_afterwards() {
    let home = Home::new().await;
    let mut running = home.start().await;
    let cancel = running.cancel("sync-1").await;
    fs::remove_file(home.file("-wal")).unwrap();
    let other = running.cancel("sync-2").await;
    running.log("removed or replaced while in use").await;
    running.process.killed().await;
    let running = home.start().await;
    for answer in [cancel, other] {
        let found = running.send("GET", &operation_path(&answer)).await;
        assert_eq!(found.json()["outcome"], "canceled", "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_log_ends_the_gateway_and_what_was_lost_is_reported() {
    let home = Home::new().await;
    let mut running = home.start().await;
    assert_eq!(running.cancel("sync-1").await.status, 200);
    // The record names the operation once the files have been compared.
    let recorded = async {
        while fs::metadata(home.file(".lock")).unwrap().len() == 0 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), recorded)
        .await
        .unwrap();
    let log = OpenOptions::new().write(true).open(home.file("-wal"));
    log.unwrap().set_len(0).unwrap();
    running.log("the ledger is damaged").await;
    assert_eq!(running.process.ended().await.code, Some(70));
    // All that it held was in the log.
    let refusal = home.refusal().await;
    assert!(refusal.stderr.contains("held operations"), "{refusal:?}");
    fs::remove_file(home.file(".lock")).unwrap();
    assert_eq!(home.start().await.cancel("sync-3").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_cannot_be_opened_is_refused_by_serve_and_check_alike() {
    type Damage = fn(&Home);
    let damages: [(Damage, &str); 6] = [
        (
            |home| fs::write(home.file(""), "").unwrap(),
            "held operations",
        ),
        (
            |home| fs::remove_file(home.file("")).unwrap(),
            "held operations",
        ),
        (
            |home| {
                let file = OpenOptions::new().write(true).open(home.file(""));
                file.unwrap().set_len(8192).unwrap();
            },
            "damaged",
        ),
        (
            |home| fs::write(home.file(""), "text ".repeat(1000)).unwrap(),
            "damaged or not an SQLite database",
        ),
        (
            |home| {
                fs::remove_file(home.file("")).unwrap();
                fs::create_dir(home.file("")).unwrap();
            },
            "",
        ),
        (
            |home| {
                let toml = "[ledger]\nurl = \"sqlite:nowhere/offergate.db\"";
                fs::write(home.directory.path().join("test.toml"), toml).unwrap();
            },
            "its directory does not exist",
        ),
    ];
    for (damage, words) in damages {
        let home = Home::used().await;
        assert_eq!(home.check().await.code, Some(0));
        damage(&home);
        let refusal = home.refusal().await;
        assert!(refusal.stderr.contains(words), "{refusal:?}");
        let checked = home.check().await;
        assert_eq!(checked.code, Some(69), "{checked:?}");
        let mut lines = checked.stdout.lines();
        let line = lines.find(|line| line.starts_with("FAIL  ledger"));
        assert!(line.is_some_and(|line| line.contains(words)), "{checked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_others_could_read_are_private_after_the_start() {
    let home = Home::used().await;
    fs::write(home.file("-wal"), "").unwrap();
    let suffixes = ["", "-wal", ".lock"];
    for suffix in suffixes {
        let open = Permissions::from_mode(0o666);
        fs::set_permissions(home.file(suffix), open).unwrap();
    }
    let mut running = home.start().await;
    running.log("accessible to other users").await;
    for suffix in suffixes {
        let mode = fs::metadata(home.file(suffix))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix}");
    }
}
