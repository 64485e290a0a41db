//! What dies or hangs inside a running gateway is noticed within seconds, named, and ends the
//! process if it does not recover. The faults are made from outside, in single threads.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use nix::unistd::Pid;
use rustix::process::{Pid as RustixPid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::time::{Instant, sleep, timeout};

use crate::client;
use crate::helpers::Setup;
use crate::process::{Ended, Served};
use crate::support::threads::{StoppedThread, can_trace, fail_event_loop, stop, threads};
use crate::vendor::Vendor;

/// Threads as the operating system shortens their names. Of each name the admin listener's are
/// the oldest, and of the runtime's the one that runs the tasks.
const BACKGROUND: &str = "background";
const WORKER: &str = "actix-server wo";
const ACCEPTOR: &str = "actix-server ac";
const RUNTIME: &str = "tokio-rt-worker";
const LEDGER: &str = "sqlx-sqlite-wor";

/// `drain_seconds` of these gateways, and the five more that a shutdown may take, in which the
/// log has its share; the rest is for a busy machine.
const DRAIN: u64 = 1;
const LONGEST_SHUTDOWN: Duration = Duration::from_secs(DRAIN + 5 + 5);

/// The message about actions that are still running when `drain_seconds` are over.
const ACTIONS_LEFT: &str =
    "actions still running after server.drain_seconds; the next start polls them";

/// A gateway that may be traced; none if that is not possible here.
async fn served() -> Option<(Vendor, Served)> {
    let setup = Setup {
        toml: format!("[server]\ndrain_seconds = {DRAIN}\nallow_debugger = true\n"),
        ..Setup::default()
    };
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let served = Served::start(&vendor, &setup).await;
    can_trace(&served.process).then_some((vendor, served))
}

/// Chooses among the threads with a name.
type Which = fn(&[Pid]) -> Option<&Pid>;

/// The only thread with this name, or the oldest or latest of them.
fn thread(served: &Served, name: &str, which: Which) -> Pid {
    let found = threads(&served.process, name);
    *which(&found).unwrap_or_else(|| panic!("no thread {name}"))
}

/// Waits until health answers with this status; the reasons.
async fn health(served: &Served, path: &str, status: u16) -> String {
    reasons(served, path, status, &[]).await
}

/// Waits for this status and all of these reasons; returns all reasons.
async fn reasons(served: &Served, path: &str, status: u16, expected: &[String]) -> String {
    let asking = async {
        loop {
            let answer = served.admin(path).await;
            let reasons = answer.json()["reasons"].to_string();
            let has_all = expected.iter().all(|reason| reasons.contains(reason));
            if answer.status == status && has_all {
                return reasons;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let answered = timeout(Duration::from_secs(20), asking).await;
    answered.unwrap_or_else(|_| panic!("{path} is never {status} with {expected:?}"))
}

/// The log's lines with this message.
fn lines(ended: &Ended, message: &str) -> Vec<Value> {
    let lines = ended.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["message"] == message)
        .collect()
}

/// That a part of the gateway has failed in this way, which has ended the process.
fn assert_failed(ended: &Ended, task: &str, how: &str) {
    assert_eq!(ended.code, Some(70), "{ended:?}");
    let failures = lines(ended, "a part of the gateway has failed");
    let mut failures = failures.iter();
    let found = failures.any(|line| line["task"] == task && line["how"] == how);
    assert!(found, "{task} {how}: {ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_panics_ends_the_gateway() {
    const PANICKED: &str = "has ended because its thread has panicked";
    let cases: [(_, Which, _, _); 5] = [
        (BACKGROUND, <[Pid]>::last, "poller", PANICKED),
        (WORKER, <[Pid]>::last, "public worker", PANICKED),
        (WORKER, <[Pid]>::first, "admin worker", PANICKED),
        (ACCEPTOR, <[Pid]>::last, "public listener", "has ended"),
        (ACCEPTOR, <[Pid]>::first, "admin listener", "has ended"),
    ];
    for (name, which, task, how) in cases {
        let Some((_vendor, served)) = served().await else {
            return;
        };
        let began = Instant::now();
        fail_event_loop(thread(&served, name, which)).await;
        let ended = served.process.ended().await;
        assert_failed(&ended, task, how);
        let limit = Duration::from_secs(3) + LONGEST_SHUTDOWN;
        assert!(began.elapsed() < limit, "{task}: {:?}", began.elapsed());
    }
}

/// Shuts down the socket that listens at this address in another process.
fn shut_down_listener(served: &Served, address: SocketAddr) {
    let id = RustixPid::from_raw(i32::try_from(served.process.id()).unwrap()).unwrap();
    let process = pidfd_open(id, PidfdFlags::empty()).unwrap();
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", served.process.id())).unwrap();
    for descriptor in descriptors {
        let number = descriptor.unwrap().file_name();
        let number = number.to_str().unwrap().parse().unwrap();
        let Ok(copy) = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) else {
            continue;
        };
        let socket = TcpStream::from(copy);
        if socket.local_addr().is_ok_and(|local| local == address) && socket.peer_addr().is_err() {
            socket.shutdown(std::net::Shutdown::Both).unwrap();
            return;
        }
    }
    panic!("no socket listens at {address}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listening_socket_that_was_shut_down_ends_the_gateway() {
    let Some((_vendor, served)) = served().await else {
        return;
    };
    assert_eq!(served.cancel("sync-1").await.status, 200);
    shut_down_listener(&served, served.address);
    let ended = served.process.ended().await;
    assert_failed(&ended, "public listener", "has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_that_hang_are_named_by_health_until_they_get_on() {
    let Some((_vendor, served)) = served().await else {
        return;
    };
    let cases: [(_, Which, &[_]); 3] = [
        (
            BACKGROUND,
            <[Pid]>::last,
            &["poller", "refresher of credential main"],
        ),
        (WORKER, <[Pid]>::last, &["public worker"]),
        (
            RUNTIME,
            <[Pid]>::first,
            &["ledger", "public listener", "watcher of the configuration"],
        ),
    ];
    for (name, which, parts) in cases {
        let began = Instant::now();
        let stopped = stop(thread(&served, name, which)).unwrap();
        let hangs = |part: &&str| format!("{part} hangs; if this persists, restart the gateway");
        let expected: Vec<String> = parts.iter().map(hangs).collect();
        reasons(&served, "/healthz", 503, &expected).await;
        assert!(began.elapsed() < Duration::from_secs(10), "{name}");
        reasons(&served, "/readyz", 503, &expected).await;
        drop(stopped);
        health(&served, "/healthz", 200).await;
        health(&served, "/readyz", 200).await;
    }
    assert_eq!(served.cancel("sync-1").await.status, 200);
    served.process.signal("TERM");
    assert_eq!(served.process.ended().await.code, Some(0));
}

/// Waits for the end of a process, some of whose threads are stopped for ever.
async fn ended_with(served: Served, stopped: Vec<StoppedThread>) -> Ended {
    let Served {
        process,
        directory: _directory,
        ..
    } = served;
    let killed = stopped.into_iter().map(StoppedThread::killed);
    let killed = futures_util::future::join_all(killed);
    let (ended, _) = tokio::join!(process.ended(), killed);
    ended
}

/// Signals, and waits for the end within the time for a shutdown.
async fn terminated(served: Served, stopped: Vec<StoppedThread>) -> Ended {
    let began = Instant::now();
    served.process.signal("TERM");
    let ended = ended_with(served, stopped).await;
    assert!(began.elapsed() < LONGEST_SHUTDOWN, "{:?}", began.elapsed());
    ended
}

fn left_behind(ended: &Ended) -> Vec<Value> {
    let lines = lines(
        ended,
        "shutdown step did not end in time and is left behind",
    );
    lines.iter().map(|line| line["step"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_never_gets_on_ends_the_gateway_which_says_what_it_left_behind() {
    let Some((_vendor, mut served)) = served().await else {
        return;
    };
    let stopped = stop(thread(&served, BACKGROUND, <[Pid]>::last)).unwrap();
    for message in ["a part of the gateway hangs", "has failed"] {
        let has = |line: &str| line.contains(message).then_some(());
        served.process.wait_for_line(has).await;
    }
    let ended = ended_with(served, vec![stopped]).await;
    assert_failed(&ended, "poller", "hangs");
    assert_eq!(left_behind(&ended), ["background thread"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_worker_that_hangs_ends_the_gateway_though_health_cannot_answer() {
    let Some((_vendor, mut served)) = served().await else {
        return;
    };
    let stopped = stop(thread(&served, WORKER, <[Pid]>::first)).unwrap();
    for message in ["a part of the gateway hangs", "has failed"] {
        let has = |line: &str| line.contains(message).then_some(());
        served.process.wait_for_line(has).await;
    }
    let ended = ended_with(served, vec![stopped]).await;
    assert_failed(&ended, "admin worker", "hangs");
    assert_eq!(left_behind(&ended), ["admin listener"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_does_not_answer_is_reported_and_stops_no_shutdown() {
    let Some((vendor, served)) = served().await else {
        return;
    };
    let hung: Vec<_> = threads(&served.process, LEDGER)
        .into_iter()
        .map(|thread| stop(thread).unwrap())
        .collect();
    assert!(!hung.is_empty());
    let cancel = served.cancel("sync-1").await;
    cancel.problem(503, "ledger-unavailable");
    assert!(vendor.cancels("sync-1").await.is_empty());
    let reasons = health(&served, "/readyz", 503).await;
    assert!(reasons.contains("the disk did not answer"), "{reasons}");
    assert_eq!(served.admin("/healthz").await.status, 200);
    let ended = terminated(served, hung).await;
    assert_eq!(ended.code, Some(70), "{ended:?}");
    assert!(left_behind(&ended).contains(&"ledger".into()), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_ledger_stops_no_shutdown() {
    let Some((vendor, served)) = served().await else {
        return;
    };
    assert_eq!(served.cancel("sync-1").await.status, 200);
    let path = served.directory.path().join("offergate.db");
    let mut stranger = SqliteConnectOptions::new()
        .filename(path)
        .connect()
        .await
        .unwrap();
    let lock = sqlx::query("BEGIN IMMEDIATE").execute(&mut stranger).await;
    lock.unwrap();
    // Its intent waits for the lock when the shutdown begins.
    let address = served.address;
    let key = [("X-Api-Key", crate::helpers::KEY)];
    let cancel = client::request(address, "POST", "/offers/sync-2/cancel", &key, "");
    let waiting = tokio::spawn(async move { client::send_raw(address, cancel.as_bytes()).await });
    sleep(Duration::from_secs(1)).await;
    let ended = terminated(served, Vec::new()).await;
    assert_eq!(ended.code, Some(70), "{ended:?}");
    assert!(left_behind(&ended).contains(&"ledger".into()), "{ended:?}");
    let actions = lines(&ended, ACTIONS_LEFT);
    assert_eq!(actions[0]["actions"], 1, "{ended:?}");
    assert!(vendor.cancels("sync-2").await.is_empty());
    drop(waiting.await.unwrap());
    stranger.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_in_time_though_the_runtime_hangs_and_says_where() {
    let Some((_vendor, served)) = served().await else {
        return;
    };
    let stopped = stop(thread(&served, RUNTIME, <[Pid]>::first)).unwrap();
    let ended = terminated(served, vec![stopped]).await;
    assert_eq!(ended.code, Some(70), "{ended:?}");
    let last = lines(&ended, "shutdown took too long; ending at once");
    let step = last[0]["step"].as_str().unwrap();
    assert!(step.starts_with("shutdown: "), "{step}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_process_at_once_though_the_runtime_hangs() {
    let Some((_vendor, served)) = served().await else {
        return;
    };
    let stopped = stop(thread(&served, RUNTIME, <[Pid]>::first)).unwrap();
    served.process.signal("TERM");
    // Signals that arrive at the same moment are one.
    for _ in 0..20 {
        sleep(Duration::from_millis(50)).await;
        served.process.signal("TERM");
    }
    let ended = ended_with(served, vec![stopped]).await;
    assert_eq!(ended.code, Some(130), "{ended:?}");
}
