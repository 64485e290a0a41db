//! How commands end: with output that nobody reads, without any configuration, and by signals
//! as the first process of a container.

use std::fs::OpenOptions;
use std::future::pending;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::config::write_config;
use crate::helpers::Setup;
use crate::process::{Process, Served, run};
use crate::tools::skip;
use crate::vendor::Vendor;

/// Runs a command whose standard output is this.
fn run_into(directory: &TempDir, arguments: &[&str], stdout: Stdio) -> Output {
    let command = Command::new(env!("CARGO_BIN_EXE_offergate"))
        .args(arguments)
        .current_dir(directory.path())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn();
    command.unwrap().wait_with_output().unwrap()
}

async fn configured(setup: &Setup) -> (Vendor, TempDir) {
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let directory = TempDir::new().unwrap();
    write_config(&directory, vendor.address, setup);
    (vendor, directory)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_gone_ends_a_command_quietly() {
    let (_vendor, directory) = configured(&Setup::default()).await;
    let demo = "demo --once --port 0 --admin-port 0 --sandbox-port 0";
    for command in [
        "keys new x",
        "policy table --config . --profile test",
        "check --config . --profile test",
        "token show main --config . --profile test",
        "--help",
        demo,
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let arguments: Vec<&str> = command.split(' ').collect();
        let ended = run_into(&directory, &arguments, writer.into());
        assert_eq!(ended.status.code(), Some(0), "{command}: {ended:?}");
        assert!(ended.stderr.is_empty(), "{command}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_is_lost_is_a_failure() {
    let directory = TempDir::new().unwrap();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = run_into(&directory, &["keys", "new", "x"], full.into());
    assert_eq!(ended.status.code(), Some(69), "{ended:?}");
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert!(
        stderr.contains("cannot write to standard output"),
        "{stderr}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn that_no_configuration_was_read_is_said_first() {
    let directory = TempDir::new().unwrap();
    for name in ["empty", "misnamed", "other"] {
        std::fs::create_dir(directory.path().join(name)).unwrap();
    }
    std::fs::write(directory.path().join("misnamed/gateway.toml"), "").unwrap();
    std::fs::write(directory.path().join("other/base.toml.txt"), "").unwrap();
    for (arguments, expected) in [
        (
            vec!["serve"],
            "no configuration was read from a file: name its directory with --config DIR",
        ),
        (
            vec!["check", "--config", "empty"],
            "no configuration was read from empty: the directory is empty",
        ),
        (
            vec!["serve", "--config", "misnamed"],
            "no configuration was read from misnamed: it has no base.toml; name gateway.toml \
             base.toml, or select it with --profile gateway",
        ),
        (
            vec!["policy", "table", "--config", "other"],
            "no configuration was read from other: it has no base.toml",
        ),
    ] {
        let ended = run(directory.path(), &arguments).await;
        assert_eq!(ended.code, Some(78), "{ended:?}");
        let line = ended.stderr.lines().nth(1);
        assert_eq!(line, Some(expected), "{}", ended.stderr);
    }
    let variables = [("OFFERGATE_SERVER__LISTEN", "127.0.0.1:0")];
    let ended = Process::start(directory.path(), &["serve"], &variables);
    let ended = ended.ended().await;
    let said = "; only 1 environment variable(s) were";
    assert!(
        ended.stderr.lines().nth(1).unwrap().ends_with(said),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_asks_where_the_configuration_says_and_gives_reasons() {
    let setup = Setup::default();
    let vendor = Vendor::start(setup.vendor.clone()).await;
    vendor
        .order(json!({"on": "token", "times": 9, "fault": {"kind": "status", "status": 401}}))
        .await;
    let served = Served::start(&vendor, &setup).await;
    let directory = TempDir::new().unwrap();
    let admin = served.admin.to_string();
    // Everywhere, on this port; and other keys that are wrong.
    let toml = format!(
        "[admin]\nlisten = \"0.0.0.0:{}\"\n[server]\nx = 1\n",
        served.admin.port()
    );
    std::fs::write(directory.path().join("base.toml"), toml).unwrap();
    let from_file = ["healthcheck", "--config", "."];
    let from_environment = ["healthcheck"];
    let variable = [("OFFERGATE_ADMIN__LISTEN", admin.as_str())];
    for (arguments, variables) in [
        (&from_file[..], &[][..]),
        (&from_environment[..], &variable[..]),
    ] {
        let ended = Process::start(directory.path(), arguments, variables);
        let ended = ended.ended().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let expected = "offergate: alive, but not ready: credential main: no token";
        assert!(ended.stderr.starts_with(expected), "{ended:?}");
        let ready = [arguments, &["--ready"]].concat();
        let ended = Process::start(directory.path(), &ready, variables);
        assert_eq!(ended.ended().await.code, Some(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_sandbox_answers_the_healthcheck_of_a_configured_gateway() {
    let directory = TempDir::new().unwrap();
    let toml = "[admin]\nlisten = \"127.0.0.1:1\"\n";
    std::fs::write(directory.path().join("base.toml"), toml).unwrap();
    let variable = [("OFFERGATE_ADMIN__LISTEN", "127.0.0.1:1")];
    for (arguments, variables) in [
        (&["healthcheck", "--config", "."][..], &[][..]),
        (&["healthcheck"][..], &variable[..]),
        (&["healthcheck", "--ready"][..], &variable[..]),
    ] {
        let ended = Process::start(directory.path(), arguments, variables);
        let ended = ended.ended().await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let expected = "offergate: connection refused: http://127.0.0.1:1/healthz\n";
        assert_eq!(ended.stderr, expected);
    }
    // Whatever listens at the default address here.
    let ended = run(directory.path(), &["healthcheck", "--ready"]).await;
    assert!(!ended.stderr.contains("7070"), "{ended:?}");
    let invalid = [("OFFERGATE_ADMIN__LISTEN", "x")];
    let ended = Process::start(directory.path(), &["healthcheck"], &invalid);
    let ended = ended.ended().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("admin.listen"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthcheck_has_one_time_limit_for_all_that_it_asks() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = listener.local_addr().unwrap().to_string();
    // Alive after a while, and silent about whether it is ready.
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = [0; 1024];
                let count = stream.read(&mut head).await.unwrap_or_default();
                if head[..count].starts_with(b"GET /healthz") {
                    sleep(Duration::from_secs(2)).await;
                    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
                pending::<()>().await;
            });
        }
    });
    let directory = TempDir::new().unwrap();
    for (arguments, code) in [
        (&["healthcheck"][..], 0),
        (&["healthcheck", "--ready"][..], 1),
    ] {
        let began = Instant::now();
        let variable = [("OFFERGATE_ADMIN__LISTEN", admin.as_str())];
        let ended = Process::start(directory.path(), arguments, &variable);
        let ended = ended.ended().await;
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(began.elapsed() < Duration::from_millis(4500), "{ended:?}");
    }
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_process_of_a_container_ends_by_signals() {
    let unshare = ["--pid", "--fork", "--map-root-user", "--kill-child"];
    let possible = Command::new("unshare").args(unshare).arg("true").output();
    if !possible.is_ok_and(|ended| ended.status.success()) {
        let why = "no process may be the first of a namespace here (unshare --pid)";
        return skip("OFFERGATE_TEST_NAMESPACES", why);
    }
    let (vendor, directory) = configured(&Setup::default()).await;
    let hang = json!({"kind": "delay", "ms": 600_000});
    vendor
        .order(json!({"on": "token", "times": 9, "fault": hang}))
        .await;
    for (count, (command, signal, code)) in [
        ("check", "TERM", 143),
        ("token show main", "TERM", 143),
        ("check", "INT", 130),
        ("serve", "TERM", 0),
    ]
    .into_iter()
    .enumerate()
    {
        let mut unshared = Command::new("unshare");
        unshared
            .args(unshare)
            .arg(env!("CARGO_BIN_EXE_offergate"))
            .args(command.split(' '))
            .args(["--config", ".", "--profile", "test"])
            .current_dir(directory.path());
        let unshared = Process::spawn(&mut unshared);
        vendor.receives("/oauth2/", count + 1).await;
        let id = unshared.id();
        let children = format!("/proc/{id}/task/{id}/children");
        let first = std::fs::read_to_string(children).unwrap();
        let kill = ["-s", signal, first.trim()];
        assert!(Command::new("kill").args(kill).status().unwrap().success());
        let ended = tokio::time::timeout(Duration::from_secs(20), unshared.ended()).await;
        assert_eq!(ended.unwrap().code, Some(code), "{command} {signal}");
    }
}
