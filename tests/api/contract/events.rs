//! `GET /operations/{id}/events`: every change of an operation, as it happens.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::client::{self, Answer};
use crate::described;
use crate::helpers::{KEY, READER_KEY, World, spawn, spawn_undecided};

/// The longest silence on a stream.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An open stream, read as a browser does.
struct Events {
    stream: TcpStream,
    head: Answer,
    /// Bytes after the head that do not form a whole chunk yet.
    chunked: Vec<u8>,
    /// Text that does not form a whole event yet.
    text: String,
    ended: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Event {
    id: String,
    operation: Value,
}

impl Event {
    fn parse(block: &str) -> Option<Self> {
        let field = |name| {
            let mut fields = block.lines().filter_map(|line| line.split_once(": "));
            fields.find(|(n, _)| *n == name).map(|(_, value)| value)
        };
        let operation = serde_json::from_str(field("data")?).unwrap();
        described::check_operation(&operation);
        Some(Self {
            id: field("id")?.to_owned(),
            operation,
        })
    }
}

impl Events {
    async fn open(world: &World, id: &str, headers: &[(&str, &str)]) -> Self {
        let path = format!("/operations/{id}/events");
        let mut all = vec![("X-Api-Key", KEY), ("Accept", "text/event-stream")];
        all.extend(headers);
        let request = client::request(world.address(), "GET", &path, &all, "");
        let mut stream = TcpStream::connect(world.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            let read = timeout(TIMEOUT, stream.read_buf(&mut bytes));
            assert_ne!(read.await.unwrap().unwrap(), 0);
        };
        let chunked = bytes.split_off(end);
        let head = Answer::parse(&bytes).unwrap();
        described::check("GET", &path, &head);
        Self {
            stream,
            head,
            chunked,
            text: String::new(),
            ended: false,
        }
    }

    /// The next event; none at the end of the stream.
    async fn next(&mut self) -> Option<Event> {
        // Some clients take a block without data for an event.
        let block = self.block().await?;
        let event = Event::parse(&block);
        Some(event.unwrap_or_else(|| panic!("no event: {block:?}")))
    }

    /// The next event, comment or instruction.
    async fn block(&mut self) -> Option<String> {
        loop {
            self.dechunk();
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            if self.ended {
                return None;
            }
            self.read().await;
        }
    }

    async fn read(&mut self) {
        let read = timeout(TIMEOUT, self.stream.read_buf(&mut self.chunked));
        assert_ne!(read.await.unwrap().unwrap(), 0, "cut short");
        self.dechunk();
    }

    /// Takes in whole chunks (RFC 9112 section 7.1).
    fn dechunk(&mut self) {
        while let Some(line) = self.chunked.windows(2).position(|two| two == b"\r\n") {
            let size = std::str::from_utf8(&self.chunked[..line]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            let whole = line + 2 + size + 2;
            if self.chunked.len() < whole {
                return;
            }
            let data = self.chunked[line + 2..whole - 2].to_vec();
            self.text.push_str(&String::from_utf8(data).unwrap());
            self.chunked.drain(..whole);
            self.ended |= size == 0;
        }
    }
}

async fn started(world: &World, offer: &str) -> String {
    let answer = world.cancel(offer).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_sent_until_the_end() {
    let world = spawn_undecided("").await;
    let id = started(&world, "migrated-1").await;
    let mut events = Events::open(&world, &id, &[]).await;
    let head = &events.head;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    head.guarded();
    let block = events.block().await.unwrap();
    let (retry, event) = block.split_once('\n').unwrap();
    assert_eq!(retry, "retry: 2000");
    let first = Event::parse(event).unwrap();
    assert_eq!(first.operation["id"], *id);
    assert_eq!(first.operation["status"], "Running");
    // The vendor's status text is a separate event unless it was there already.
    let says_running = |event: &Event| event.operation["portal"]["status"] == "running";
    let mut bitten = says_running(&first);
    if bitten {
        world.bite("migrated-1").await;
    }
    let mut seen = vec![first];
    while let Some(event) = events.next().await {
        assert_ne!(event.id, seen.last().unwrap().id);
        if !bitten && says_running(&event) {
            bitten = true;
            world.bite("migrated-1").await;
        }
        seen.push(event);
    }
    let last = seen.last().unwrap();
    assert_eq!(last.operation["outcome"], "canceled");
    assert_eq!(last.operation, world.operation(&id).await);
    assert!(
        seen[..seen.len() - 1]
            .iter()
            .all(|e| e.operation["status"] == "Running")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reconnecting_resumes_after_the_last_event() {
    let world = spawn_undecided("").await;
    let id = started(&world, "migrated-1").await;
    let mut events = Events::open(&world, &id, &[]).await;
    // The last change before the end, with the vendor's status text.
    let known = loop {
        let event = events.next().await.unwrap();
        if !event.operation["portal"]["status"].is_null() {
            break event;
        }
    };
    drop(events);
    let back = [("Last-Event-ID", &*known.id)];
    let mut resumed = Events::open(&world, &id, &back).await;
    world.bite("migrated-1").await;
    let next = resumed.next().await.unwrap();
    assert_ne!(next.id, known.id, "the same again: {next:?}");
    let mut last = next;
    while let Some(event) = resumed.next().await {
        last = event;
    }
    assert_eq!(last.operation["outcome"], "canceled");
    // Reconnecting before the final event returns it; reconnecting after it returns 204.
    let mut late = Events::open(&world, &id, &back).await;
    assert_eq!(late.next().await.as_ref(), Some(&last));
    assert_eq!(late.next().await, None);
    let path = format!("/operations/{id}/events");
    let knows = [("Last-Event-ID", &*last.id)];
    let nothing = world.send_with("GET", &path, &knows, "").await;
    assert_eq!((nothing.status, &*nothing.body), (204, ""));
    for strange in ["", "x", "99999999999999999999999", "-1"] {
        let mut events = Events::open(&world, &id, &[("Last-Event-ID", strange)]).await;
        assert_eq!(events.next().await.as_ref(), Some(&last), "{strange}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_visible_only_to_its_caller() {
    let world = spawn().await;
    let answer = world.cancel("sync-1").await;
    let path = format!(
        "/operations/{}/events",
        answer.json()["id"].as_str().unwrap()
    );
    let other = world.send_as(READER_KEY, "GET", &path, "").await;
    other.problem(404, "operation-not-found");
    let anonymous = world
        .send_as("not-a-key-of-anybody", "GET", &path, "")
        .await;
    anonymous.problem(401, "unauthenticated");
    let none = world.send("GET", "/operations/none/events", "").await;
    none.problem(404, "operation-not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_callers_rights() {
    let world = spawn_undecided("").await;
    let id = started(&world, "migrated-1").await;
    let mut events = Events::open(&world, &id, &[]).await;
    assert!(events.next().await.is_some());
    // A reload that keeps the caller does not end the stream.
    let callers = |name: &str| {
        format!(
            "[[callers]]\nname = \"{name}\"\ndefault_publisher = \"contoso\"\napi_key_sha256 = [\"${name}\"]\n\
             allow = [{{ actions = [\"read\"], publishers = [\"*\"], offers = [\"*\"] }}]\n"
        )
    };
    world.reload(&callers("pipeline")).await;
    let mut second = Events::open(&world, &id, &[]).await;
    assert!(second.next().await.is_some());
    let reloaded = Instant::now();
    world.reload(&callers("reader")).await;
    for stream in [&mut events, &mut second] {
        while stream.next().await.is_some() {}
    }
    // Not only at the next comment, which is due every 15 seconds.
    assert!(reloaded.elapsed() < Duration::from_secs(10));
    assert_eq!(world.vendor.received("migrated-1/cancel").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_keep_an_idle_stream_open() {
    let world = spawn_undecided(
        "[server]\nevents_beat_seconds = 1\nkeep_alive_seconds = 1\nhead_timeout_ms = 1000",
    )
    .await;
    let id = started(&world, "stubborn-1").await;
    let mut events = Events::open(&world, &id, &[]).await;
    // Longer than a connection may be idle.
    assert!(events.next().await.is_some());
    // A change of the operation may come in between.
    while events.text.matches(": nothing new\n").count() < 4 {
        assert!(!events.text.contains("new\n\n"), "{:?}", events.text);
        events.read().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_ends_every_stream_at_once() {
    let mut world = spawn_undecided("").await;
    let id = started(&world, "migrated-1").await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut events = Events::open(&world, &id, &[]).await;
        assert!(events.next().await.is_some());
        streams.push(events);
    }
    world.stop().await;
    for mut stream in streams {
        while let Some(event) = stream.next().await {
            assert_eq!(event.operation["status"], "Running");
        }
    }
}
