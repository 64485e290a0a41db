//! The program as a process: the demo, which is a gateway with the emulated vendor behind it,
//! and requests to both.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The time limit of everything here.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// A running demo, which is killed when dropped.
pub struct Demo {
    child: Child,
    /// `http://127.0.0.1:8080` in the documents, and so on.
    pub gateway: String,
    pub admin: String,
    pub vendor: String,
    /// The caller's API key.
    pub key: String,
    _temporary: TempDir,
}

impl Demo {
    pub fn start() -> Self {
        let temporary = TempDir::new().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_offergate"))
            .args([
                "demo",
                "--port",
                "0",
                "--admin-port",
                "0",
                "--sandbox-port",
                "0",
            ])
            .env_clear()
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = lines(child.stdout.take().unwrap());
        let deadline = Instant::now() + TIMEOUT;
        let wait = |start: &str| loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line: String = lines
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("no {start}"));
            if let Some(rest) = line.strip_prefix(start) {
                break rest.to_owned();
            }
        };
        let gateway = wait("gateway").trim().to_owned();
        let admin = wait("health").trim().trim_end_matches("/readyz").to_owned();
        let vendor = wait("vendor").split_whitespace().next().unwrap().to_owned();
        let key = wait("curl -i -X POST -H 'X-Api-Key: ")
            .split('\'')
            .next()
            .unwrap()
            .to_owned();
        wait("Serving");
        Self {
            child,
            gateway,
            admin,
            vendor,
            key,
            _temporary: temporary,
        }
    }

    /// A document's text with the addresses of this demo.
    pub fn at_its_addresses(&self, text: &str) -> String {
        text.replace("http://127.0.0.1:8080", &self.gateway)
            .replace("http://127.0.0.1:9090", &self.admin)
            .replace("http://127.0.0.1:7070", &self.vendor)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The lines of an output, read by a thread, so that a full pipe stops nothing.
fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Nobody may be reading any more.
            let _unread = sender.send(line);
        }
    });
    lines
}

/// An answer.
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// A request on a connection of its own.
pub fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let rest = url.strip_prefix("http://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let mut stream = TcpStream::connect(authority).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut text =
        format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// Reports that a test was skipped; fails if the variable requires it.
pub fn skip(why: &str) {
    const VARIABLE: &str = "OFFERGATE_TEST_README";
    let thread = std::thread::current();
    let line = format!("SKIPPED: {}: {why}\n", thread.name().unwrap_or("a test"));
    let required = std::env::var(VARIABLE).is_ok_and(|value| value == "required");
    assert!(!required, "{VARIABLE}=required, but: {line}");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
