//! A rush: many requests at once, each on a connection of its own, to a gateway that has
//! no token yet.

use std::io::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, timeout};

use super::{Ask, Credential, Generator, PATIENCE, Shared, read_any};
use crate::process::Server;
use crate::standin::StandIn;

/// What the answer says to one that is put off.
const OVERLOADED: &str = r#""code":"overloaded""#;
/// When a request comes again that was put off.
const AGAIN: Duration = Duration::from_millis(250);

/// What became of a rush.
pub struct Rush {
    pub requests: usize,
    /// How many of them were under way at a time.
    pub connections: usize,
    /// How often one was told to come again, since too much was under way.
    pub put_off: usize,
    /// From the first request until the last was answered.
    pub took: Duration,
    /// How often the gateway has asked for a token.
    pub tokens: usize,
}

impl Generator {
    /// Sends a request on each of as many connections as there may be, and only then lets
    /// the stand-in make the first token; the rest follows on the same connections. The
    /// gateway has as many wait for the token as it may have in flight, and puts off the
    /// others: those come again.
    pub fn rush(&self, gateway: &Server, vendor: &StandIn, requests: usize) -> Result<Rush, Error> {
        let connections = requests.min(gateway.connections()?);
        LocalSet::new().block_on(&self.runtime, async {
            let mut streams = Vec::with_capacity(connections);
            for _ in 0..connections {
                streams.push(TcpStream::connect(gateway.address()).await?);
            }
            let begun = Instant::now();
            for stream in &mut streams {
                self.shared.ask(stream).await?;
            }
            vendor.release().await?;
            let mut answers = JoinSet::new();
            for (n, mut stream) in streams.into_iter().enumerate() {
                let shared = Rc::clone(&self.shared);
                let more = n < requests - connections;
                answers.spawn_local(async move {
                    let mut put_off = shared.answered_at_last(&mut stream).await?;
                    if more {
                        shared.ask(&mut stream).await?;
                        put_off += shared.answered_at_last(&mut stream).await?;
                    }
                    Ok::<_, Error>(put_off)
                });
            }
            let mut put_off = 0;
            while let Some(ended) = timeout(PATIENCE, answers.join_next()).await? {
                put_off += ended.map_err(Error::other)??;
            }
            Ok(Rush {
                requests,
                connections,
                put_off,
                took: begun.elapsed(),
                tokens: vendor.asked().await?.len(),
            })
        })
    }

    /// When this stand-in was asked for tokens, since 1970.
    pub fn asked(&self, vendor: &StandIn) -> Result<Vec<Duration>, Error> {
        self.runtime.block_on(vendor.asked())
    }
}

impl Shared {
    async fn ask(&self, stream: &mut TcpStream) -> Result<(), Error> {
        let mut request = Vec::with_capacity(256);
        self.write_request(&mut request, Ask::Cancel, Credential::Key)?;
        stream.write_all(&request).await
    }

    /// Waits for a 200, and asks again as long as it is put off; says how often it was.
    async fn answered_at_last(&self, stream: &mut TcpStream) -> Result<usize, Error> {
        let mut buffer = vec![0; 4 * 1024];
        let mut put_off = 0;
        loop {
            let (status, body) = read_any(stream, &mut buffer).await?;
            let text = String::from_utf8_lossy(body);
            match status {
                200 => return Ok(put_off),
                503 if text.contains(OVERLOADED) => put_off += 1,
                _ => return Err(Error::other(format!("{status} {text}"))),
            }
            sleep(AGAIN).await;
            self.ask(stream).await?;
        }
    }
}
