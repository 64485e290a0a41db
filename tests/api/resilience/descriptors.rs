//! Few descriptors, and many connections to the admin listener.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client;
use crate::config::write_config;
use crate::helpers::{Setup, spawn};
use crate::process::Process;
use crate::vendor::Vendor;

/// A gateway that is started with these limits of open files, soft and hard.
async fn limited(soft: u32, hard: u32, toml: &str) -> (Vendor, TempDir, Process) {
    let setup = Setup {
        toml: toml.into(),
        ..Setup::default()
    };
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let directory = TempDir::new().unwrap();
    write_config(&directory, vendor.address, &setup);
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!(
            "ulimit -S -n {soft} && ulimit -H -n {hard} && \
             exec \"$0\" serve --config . --profile test"
        ))
        .arg(env!("CARGO_BIN_EXE_offergate"))
        .current_dir(directory.path());
    let process = Process::spawn(&mut command);
    (vendor, directory, process)
}

fn warning(line: &str) -> Option<Value> {
    let line: Value = serde_json::from_str(line).ok()?;
    let message = line["message"].as_str()?;
    let found = message.starts_with("the limit of open files is too low");
    found.then_some(line)
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_answered_however_many_callers_connect() {
    let (_vendor, _directory, mut process) = limited(400, 400, "").await;
    let line = process.wait_for_line(warning).await;
    assert_eq!(
        (&line["limit"], &line["connections"]),
        (&400.into(), &75.into())
    );
    let (public, admin) = process.listens().await;
    let mut callers = Vec::new();
    for _ in 0..600 {
        callers.push(TcpStream::connect(public).await.unwrap());
    }
    for _ in 0..5 {
        let health = client::send(admin, "GET", "/healthz", &[], "");
        let health = timeout(Duration::from_secs(2), health).await;
        assert_eq!(health.unwrap().status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_is_raised_as_far_as_it_may() {
    let toml = "[server]\nmax_connections = 2000\n";
    let (_vendor, _directory, mut process) = limited(128, 4096, toml).await;
    process.listens().await;
    let path = format!("/proc/{}/limits", process.id());
    if let Ok(limits) = std::fs::read_to_string(path) {
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"));
        let soft = line.unwrap().split_ascii_whitespace().nth(3);
        assert_eq!(soft, Some("4096"));
    }
    assert!(process.stdout().lines().find_map(warning).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_whose_workers_cannot_start_does_not_listen() {
    let (_vendor, _directory, process) = limited(60, 60, "[server]\nworkers = 64\n").await;
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(
        !ended.stdout.contains("offergate is listening"),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("open files"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_drip_heads_do_not_keep_health_from_answering() {
    let world = spawn().await;
    let mut dripping = Vec::new();
    for count in 0..700 {
        let mut stream = TcpStream::connect(world.admin_address()).await.unwrap();
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
            .await
            .unwrap();
        dripping.push(stream);
        if count % 100 == 99 {
            for stream in &mut dripping {
                // One that had to make room is closed.
                let _closed = stream.write_all(b"a").await;
            }
            let health = timeout(Duration::from_secs(2), world.admin("/healthz")).await;
            assert_eq!(health.unwrap().status, 200, "after {count}");
        }
    }
}
