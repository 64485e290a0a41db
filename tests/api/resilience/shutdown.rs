//! The end of the process: bounded in time, and at once after a second signal, whatever hangs.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client;
use crate::config::write_config;
use crate::helpers::{KEY, Setup};
use crate::process::{Process, Served};
use crate::vendor::Vendor;

/// A gateway whose standard output is not read any more once it listens.
struct Unread {
    child: Child,
    _stdout: BufReader<ChildStdout>,
    address: SocketAddr,
    admin: SocketAddr,
    _directory: TempDir,
    _vendor: Vendor,
}

impl Unread {
    async fn start() -> Self {
        let setup = Setup {
            toml: "[server]\ndrain_seconds = 1\n".into(),
            ..Setup::default()
        };
        let vendor = Vendor::start(setup.vendor.clone()).await;
        let directory = TempDir::new().unwrap();
        write_config(&directory, vendor.address, &setup);
        let mut child = Command::new(env!("CARGO_BIN_EXE_offergate"))
            .args(["serve", "--config", ".", "--profile", "test"])
            .current_dir(directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let line = loop {
            let mut line = String::new();
            assert!(stdout.read_line(&mut line).unwrap() > 0);
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["listen"].is_string() {
                break line;
            }
        };
        let address = |name: &str| line[name].as_str().unwrap().parse().unwrap();
        Self {
            address: address("listen"),
            admin: address("admin"),
            child,
            _stdout: stdout,
            _directory: directory,
            _vendor: vendor,
        }
    }

    /// Requests, each of which logs a line, until no further line can wait.
    async fn fill(&self) {
        const LINES: usize = 17_500;
        const CONNECTIONS: usize = 7;
        let head = client::request(
            self.address,
            "GET",
            "/operations/01996b2e-0000-7000-8000-000000000000",
            &[("X-Api-Key", KEY)],
            "",
        );
        let all = (0..CONNECTIONS).map(|_| {
            let head = head.replace("Connection: close\r\n", "");
            async move {
                let stream = TcpStream::connect(self.address).await.unwrap();
                let (mut reader, mut writer) = stream.into_split();
                let sending = tokio::spawn(async move {
                    for _ in 0..LINES / CONNECTIONS {
                        writer.write_all(head.as_bytes()).await.unwrap();
                    }
                    writer
                });
                let mut answered = 0;
                let mut buffer = vec![0; 256 * 1024];
                while answered < LINES / CONNECTIONS {
                    let count = reader.read(&mut buffer).await.unwrap();
                    assert!(count > 0, "closed after {answered} answers");
                    let text = String::from_utf8_lossy(&buffer[..count]);
                    answered += text.matches("HTTP/1.1 ").count();
                }
                drop(sending.await.unwrap());
            }
        });
        futures_util::future::join_all(all).await;
    }

    fn signal(&self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Its exit code, and how long it took to end.
    async fn ended(&mut self) -> (Option<i32>, Duration) {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), began.elapsed());
            }
            assert!(began.elapsed() < Duration::from_secs(20), "does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_is_reported_and_stops_no_shutdown() {
    let mut unread = Unread::start().await;
    unread.fill().await;
    let warned = async {
        loop {
            let readiness = client::send(unread.admin, "GET", "/readyz", &[], "").await;
            assert_eq!(readiness.status, 200);
            if readiness.body.contains("standard output has taken nothing") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), warned).await;
    in_time.unwrap();
    unread.signal();
    let (code, took) = unread.ended().await;
    assert_eq!(code, Some(0));
    // drain_seconds and five more.
    assert!(took < Duration::from_secs(7), "{took:?}");
    let mut stderr = String::new();
    let pipe = unread.child.stderr.as_mut().unwrap();
    pipe.read_to_string(&mut stderr).unwrap();
    assert_eq!(stderr, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_served_for_the_delay_after_readiness_has_failed() {
    let setup = Setup {
        toml: "[server]\nshutdown_delay_seconds = 2\n".into(),
        ..Setup::default()
    };
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let served = Served::start(&vendor, &setup).await;
    let began = Instant::now();
    served.process.signal("TERM");
    while served.admin("/readyz").await.status == 200 {
        tokio::task::yield_now().await;
    }
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(served.admin("/healthz").await.status, 200);
    for offer in ["sync-1", "sync-2"] {
        let answer = served.cancel(offer).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let ended = served.process.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(began.elapsed() >= Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_delayed_shutdown_at_once() {
    let setup = Setup {
        toml: "[server]\nshutdown_delay_seconds = 600\n".into(),
        ..Setup::default()
    };
    let vendor = Vendor::start(setup.vendor.clone()).await;
    for (first, second) in [("TERM", "INT"), ("INT", "INT")] {
        let served = Served::start(&vendor, &setup).await;
        served.process.signal(first);
        while served.admin("/readyz").await.status == 200 {
            tokio::task::yield_now().await;
        }
        served.process.signal(second);
        let ended = served.process.ended().await;
        assert_eq!(ended.code, Some(130), "{first} {second}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_which_version_starts_and_what_is_left_unfinished() {
    let setup = Setup {
        toml: "[server]\ndrain_seconds = 1\n[portal]\nrequest_timeout_ms = 60000\n".into(),
        ..Setup::default()
    };
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let hang = json!({"kind": "delay", "ms": 600_000});
    vendor
        .order(json!({"on": "cancel", "offer": "sync-slow", "fault": hang}))
        .await;
    let served = Served::start(&vendor, &setup).await;
    let (address, key) = (served.address, [("X-Api-Key", KEY)]);
    let bytes = client::request(address, "POST", "/offers/sync-slow/cancel", &key, "");
    let asking = tokio::spawn(async move { client::send_raw(address, bytes.as_bytes()).await });
    vendor.receives("sync-slow/cancel", 1).await;
    served.process.signal("TERM");
    let Served {
        process, directory, ..
    } = served;
    let ended = process.ended().await;
    let _cut = asking.await;
    let line = |stdout: &str, message: &str| -> Value {
        let lines = stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let mut found = lines.filter(|line: &Value| line["message"] == message);
        found.next().unwrap_or_else(|| panic!("{stdout}"))
    };
    let started = line(&ended.stdout, "offergate is listening");
    assert_eq!(started["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(started["unfinished_operations"], 0);
    assert_eq!(line(&ended.stdout, "stopped")["unfinished_operations"], 1);
    let mut process = Process::serve(directory.path());
    process.listens().await;
    process.signal("TERM");
    let ended = process.ended().await;
    let started = line(&ended.stdout, "offergate is listening");
    assert_eq!(started["unfinished_operations"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_hangs_says_where_and_ends_in_time() {
    let setup = Setup {
        toml: "[server]\ndrain_seconds = 1\n".into(),
        ..Setup::default()
    };
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let directory = TempDir::new().unwrap();
    write_config(&directory, vendor.address, &setup);
    let pipe = directory.path().join("certificates");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let mut process = Process::start(
        directory.path(),
        &["serve", "--config", ".", "--profile", "test"],
        &[("SSL_CERT_FILE", pipe.to_str().unwrap())],
    );
    let is_step = |line: &str| line.contains("\"start: certificates\"").then_some(());
    process.wait_for_line(is_step).await;
    let began = Instant::now();
    process.signal("TERM");
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(70), "{ended:?}");
    assert!(began.elapsed() < Duration::from_secs(8));
    let last = ended.stdout.lines().last().unwrap();
    assert!(last.contains("shutdown took too long") && is_step(last).is_some());
}
