//! Clients that send many requests at once and read no answers: they cost next to nothing,
//! and get every answer once they read.

use std::time::Duration;

use rustls::ClientConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use crate::certs::Ca;
use crate::client::{self, read_answer};
use crate::helpers::{KEY, Setup, spawn, spawn_toml};
use crate::process::Served;
use crate::tls;
use crate::tls_client::{TlsClientOptions, handshake};
use crate::vendor::Vendor;

const TIMEOUT: Duration = Duration::from_secs(30);
/// A short request; pipelined by the thousand.
const GET: &str = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n";

/// How many of these clients there are.
const CLIENTS: u64 = 40;

/// A gateway that is a process of its own, whose use of memory and processor can be measured.
struct Measured {
    served: Served,
    vendor: Vendor,
    tls: Option<std::sync::Arc<ClientConfig>>,
    _files: tempfile::TempDir,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Measured {
    async fn start(over_tls: bool) -> Self {
        let files = tempfile::TempDir::new().unwrap();
        let portal = "[portal]\nrequest_timeout_ms = 60000\n";
        let mut setup = Setup {
            toml: portal.to_owned(),
            ..Setup::default()
        };
        let mut tls = None;
        if over_tls {
            let ca = Ca::new("servers");
            ca.server().write(files.path(), "server");
            setup.toml = tls::toml(files.path(), portal);
            tls = Some(TlsClientOptions::new(&ca).config());
        }
        let vendor = Vendor::start(setup.vendor.clone()).await;
        let served = Served::start(&vendor, &setup).await;
        Self {
            served,
            vendor,
            tls,
            _files: files,
        }
    }

    /// A client that takes little before it reads.
    async fn connect(&self) -> Box<dyn Stream> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(self.served.address).await.unwrap();
        match &self.tls {
            Some(tls) => Box::new(handshake(stream, tls).await.unwrap()),
            None => Box::new(stream),
        }
    }

    /// Resident memory in KiB.
    fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.served.process.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.unwrap().split_whitespace().nth(1).unwrap();
        number.parse().unwrap()
    }

    fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.served.process.id());
        std::fs::read_dir(path).unwrap().count()
    }

    /// The processor time that it has used, in ticks of 10 ms.
    fn ticks(&self) -> u64 {
        let path = format!("/proc/{}/stat", self.served.process.id());
        let stat = std::fs::read_to_string(path).unwrap();
        let fields = stat.rsplit(')').next().unwrap().split_whitespace();
        fields
            .skip(11)
            .take(2)
            .map(|n| n.parse::<u64>().unwrap())
            .sum()
    }

    /// The processor time of one second, once it has nothing else to do.
    async fn ticks_of_a_second(&self) -> u64 {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let before = self.ticks();
            sleep(Duration::from_secs(1)).await;
            let used = self.ticks() - before;
            if used <= 10 || Instant::now() > deadline {
                return used;
            }
        }
    }
}

/// Sends much more than is read: what is not taken in time is not sent.
async fn fill(stream: &mut (impl AsyncWrite + Unpin), first: &str) {
    let bytes = format!("{first}{}", GET.repeat(256 * 1024 / GET.len()));
    let _blocked = timeout(
        Duration::from_millis(200),
        stream.write_all(bytes.as_bytes()),
    )
    .await;
}

async fn pipelining_costs_nothing(over_tls: bool) {
    let measured = Measured::start(over_tls).await;
    let hold = json!({"kind": "delay", "ms": 60_000});
    measured.vendor.lasting_fault("cancel", hold).await;
    let cancel = client::request(
        measured.served.address,
        "POST",
        "/offers/held-1/cancel",
        &[("X-Api-Key", KEY)],
        "",
    );
    let cancel = cancel.replace("Connection: close\r\n", "");
    let before = measured.memory();
    let mut streams = Vec::new();
    for number in 0..CLIENTS {
        // Most of them behind an action that the vendor holds: the others are answered until
        // the network is full of answers, which takes a while.
        let first = if number < 2 { "" } else { &*cancel };
        let mut stream = measured.connect().await;
        streams.push(async move {
            fill(&mut stream, first).await;
            stream
        });
    }
    let streams = futures_util::future::join_all(streams).await;
    let used = measured.ticks_of_a_second().await;
    assert!(used <= 10, "{used} ticks in a second");
    let grown = measured.memory().saturating_sub(before);
    assert!(
        grown < CLIENTS * 300,
        "{grown} KiB more for {CLIENTS} connections"
    );
    assert_eq!(measured.served.admin("/healthz").await.status, 200);
    drop(streams);
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelining_without_reading_costs_nothing() {
    pipelining_costs_nothing(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelining_without_reading_costs_nothing_over_tls() {
    pipelining_costs_nothing(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelining_on_the_admin_listener_costs_nothing_and_ends_with_the_time_limit() {
    let measured = Measured::start(false).await;
    let (before, descriptors) = (measured.memory(), measured.descriptors());
    // Few, since each is answered until the network is full of answers.
    let streams = (0..2).map(|_| async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(measured.served.admin).await.unwrap();
        fill(
            &mut stream,
            &"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(6000),
        )
        .await;
        stream
    });
    let streams = futures_util::future::join_all(streams).await;
    let used = measured.ticks_of_a_second().await;
    assert!(used <= 10, "{used} ticks in a second");
    let grown = measured.memory().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB more");
    assert_eq!(measured.served.admin("/healthz").await.status, 200);
    // None of them reads anything, and none is kept.
    let deadline = Instant::now() + TIMEOUT;
    while measured.descriptors() > descriptors + 2 {
        assert!(Instant::now() < deadline, "connections are still open");
        sleep(Duration::from_millis(50)).await;
    }
    drop(streams);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pipelined_request_is_answered_in_its_order() {
    let world = spawn().await;
    let stream = TcpStream::connect(world.address()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let count = 1500;
    let body = "{\"refused\": true}";
    let sending = async move {
        for number in 0..count {
            let request = match number % 3 {
                0 => format!("GET /problems/{number} HTTP/1.1\r\nHost: x\r\n\r\n"),
                1 => format!(
                    "POST /offers/{number}/cancel HTTP/1.1\r\nHost: x\r\nX-Api-Key: {KEY}\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                ),
                _ => format!(
                    "POST /problems/{number} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                     {:x}\r\n{body}\r\n0\r\n\r\n",
                    body.len()
                ),
            };
            writing.write_all(request.as_bytes()).await.unwrap();
        }
        writing
    };
    let receiving = async {
        let mut received = String::new();
        let mut next = 0;
        let mut buffer = vec![0; 64 * 1024];
        while next < count {
            let read = reading.read(&mut buffer).await.unwrap();
            assert!(read > 0, "closed after {next} answers: {received}");
            received.push_str(str::from_utf8(&buffer[..read]).unwrap());
            while let Some((_, rest)) = received.split_once("\"instance\":\"") {
                let Some((instance, rest)) = rest.split_once('"') else {
                    break;
                };
                let number = instance.split('/').nth(2).unwrap();
                assert_eq!(number.parse(), Ok(next));
                received = rest.to_owned();
                next += 1;
            }
        }
    };
    let (_open, ()) = timeout(TIMEOUT, async { tokio::join!(sending, receiving) })
        .await
        .expect("no answer in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_is_answered_however_much_follows_it() {
    let world = spawn_toml("").await;
    let order = json!({"on": "cancel", "fault": {"kind": "delay", "ms": 500}});
    world.vendor.order(order).await;
    let headers = [("X-Api-Key", KEY)];
    let path = "/offers/sync-1/cancel";
    let cancel = client::request(world.address(), "POST", path, &headers, "");
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    fill(&mut stream, &cancel.replace("Connection: close\r\n", "")).await;
    let answer = timeout(TIMEOUT, read_answer(&mut stream)).await.unwrap();
    assert_eq!(answer.unwrap().status, 200);
}

/// The line of the log for a wait on this operation.
async fn line_of_wait(served: &mut Served, operation: &str) -> Value {
    served
        .process
        .wait_for_line(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let is_it = line["operation"] == operation && line["status"] == 499;
            is_it.then_some(line)
        })
        .await
}

async fn a_wait_ends_with_its_client(over_tls: bool) {
    let mut measured = Measured::start(over_tls).await;
    for (number, behind) in [0, 1, 100, 400].into_iter().enumerate() {
        let offer = format!("stubborn-{number}");
        let answer = match &measured.tls {
            None => measured.served.cancel(&offer).await,
            Some(tls) => {
                let path = format!("/offers/{offer}/cancel");
                let key = [("X-Api-Key", KEY)];
                crate::tls_client::send(measured.served.address, tls, "POST", &path, &key, "").await
            }
        };
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        let wait = client::request(
            measured.served.address,
            "GET",
            &format!("/operations/{id}"),
            &[("X-Api-Key", KEY), ("Prefer", "wait=50")],
            "",
        );
        let wait = wait.replace("Connection: close\r\n", "") + &GET.repeat(behind);
        let mut stream = measured.connect().await;
        let start = Instant::now();
        stream.write_all(wait.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        sleep(Duration::from_millis(300)).await;
        drop(stream);
        let line = line_of_wait(&mut measured.served, &id).await;
        assert!(start.elapsed() < Duration::from_secs(4), "{behind}: {line}");
        assert_eq!(line["route"], "/operations/{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_with_its_client_whatever_follows_it() {
    a_wait_ends_with_its_client(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_with_its_client_whatever_follows_it_over_tls() {
    a_wait_ends_with_its_client(true).await;
}
