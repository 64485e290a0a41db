//! The limit of a file's size (`ulimit -f`), which acts like a full disk.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::client::{self, assert_not_delivered};
use crate::config::write_config;
use crate::helpers::Setup;
use crate::process::{Process, Served};
use crate::vendor::Vendor;

/// Lets the files of a process grow to this size, in bytes; returns the former limit.
fn limit(process: &Process, limit: Rlimit) -> Rlimit {
    let id = Pid::from_raw(i32::try_from(process.id()).unwrap());
    prlimit(id, Resource::Fsize, limit).unwrap()
}

fn bytes(current: u64) -> Rlimit {
    Rlimit {
        current: Some(current),
        maximum: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_while_the_ledger_may_not_grow() {
    let setup = Setup::default();
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let served = Served::start(&vendor, &setup).await;
    assert_eq!(served.cancel("sync-0").await.status, 200);
    let before = limit(&served.process, bytes(4096));
    for _ in 0..3 {
        let problem = served
            .cancel("sync-1")
            .await
            .problem(503, "ledger-unavailable");
        assert_not_delivered(&problem);
    }
    assert_eq!(served.admin("/readyz").await.status, 503);
    assert!(vendor.cancels("sync-1").await.is_empty());
    limit(&served.process, before);
    assert_eq!(served.cancel("sync-1").await.status, 200);
    served.process.signal("TERM");
    assert_eq!(served.process.ended().await.code, Some(0));
}

/// The address of the admin listener, once the log has it.
async fn admin_address(log: &Path) -> std::net::SocketAddr {
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let found = lines
            .filter_map(|line: Value| line["admin"].as_str()?.parse().ok())
            .next();
        if let Some(found) = found {
            return found;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_is_reported_by_readiness() {
    const PROBLEM: &str = "log: standard output cannot be written";
    let setup = Setup::default();
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let directory = TempDir::new().unwrap();
    write_config(&directory, vendor.address, &setup);
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg("exec \"$0\" serve --config . --profile test >>log")
        .arg(env!("CARGO_BIN_EXE_offergate"))
        .current_dir(directory.path());
    let process = Process::spawn(&mut command);
    let log = directory.path().join("log");
    let listening = timeout(Duration::from_secs(30), admin_address(&log)).await;
    let admin = listening.unwrap();
    let warned = async |expected: bool| {
        let asking = async {
            loop {
                let answer = client::send(admin, "GET", "/readyz", &[], "").await;
                if answer.json()["warnings"].to_string().contains(PROBLEM) == expected {
                    return;
                }
                // Each reload writes lines.
                process.signal("HUP");
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(20), asking).await.unwrap();
    };
    let before = limit(&process, bytes(1));
    warned(true).await;
    limit(&process, before);
    warned(false).await;
    process.signal("TERM");
    assert_eq!(process.ended().await.code, Some(0));
}
