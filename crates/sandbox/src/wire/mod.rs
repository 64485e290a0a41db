//! HTTP/1.1 on a TCP stream, by hand: the sandbox has to cut bodies, reset connections and
//! send what is not HTTP at all, which a well-behaved server library would not let it do.
//! Reading is strict and bounded; only what is sent may be broken, and only when ordered.

mod answer;
mod deliver;
mod request;

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

pub(super) use answer::Answer;
pub(super) use deliver::{Cut, Manner, Next, Reply};
pub(super) use request::Request;

/// Longest request head, in bytes.
const HEAD_LIMIT: usize = 64 * 1024;
/// Longest request body, in bytes.
const BODY_LIMIT: usize = 8 * 1024 * 1024;
/// How long a client may take to send one request, once it began; and how long a kept-alive
/// connection may stay idle.
const READ_LIMIT: Duration = Duration::from_secs(120);

/// One client connection and what was read from it but not used yet.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Counts connections from 1, so that a journal shows which requests shared one.
    pub(super) number: u64,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, number: u64) -> Self {
        // Answers are written in one piece; waiting for more would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "could not set TCP_NODELAY");
        }
        Self {
            stream,
            buffer: Vec::new(),
            number,
        }
    }

    /// Returns when the client has closed its side. What it sends meanwhile is kept for the
    /// next request, up to a limit.
    pub(super) async fn gone(&mut self) {
        loop {
            if self.buffer.len() > HEAD_LIMIT + BODY_LIMIT {
                return std::future::pending().await;
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}
