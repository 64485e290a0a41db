//! A rush: many requests at once, each on a connection of its own, to a gateway that has
//! no token yet.

use std::io::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;

use super::{Ask, Credential, Generator, PATIENCE, read_answer};
use crate::process::Server;
use crate::standin::StandIn;

/// What became of a rush.
pub struct Rush {
    pub requests: usize,
    /// How many of them were under way at a time.
    pub connections: usize,
    /// From the first request until the last was answered.
    pub took: Duration,
    /// How often the gateway has asked for a token.
    pub tokens: usize,
}

impl Generator {
    /// Has as many requests wait for the first token as there may be connections, and
    /// only then lets the stand-in make it; the rest follows on the same connections.
    pub fn rush(&self, gateway: &Server, vendor: &StandIn, requests: usize) -> Result<Rush, Error> {
        // A connection is one file here, and two in the gateway.
        let connections = requests.min(gateway.files()?.saturating_sub(200) / 2);
        LocalSet::new().block_on(&self.runtime, async {
            let mut streams = Vec::with_capacity(connections);
            for _ in 0..connections {
                streams.push(TcpStream::connect(gateway.address()).await?);
            }
            let begun = Instant::now();
            let mut request = Vec::with_capacity(2048);
            for stream in &mut streams {
                request.clear();
                self.shared
                    .write_request(&mut request, Ask::Cancel, Credential::Key)?;
                stream.write_all(&request).await?;
            }
            vendor.release().await?;
            let mut answers = JoinSet::new();
            for (n, mut stream) in streams.into_iter().enumerate() {
                let more = (n < requests - connections).then(|| Rc::clone(&self.shared));
                answers.spawn_local(async move {
                    let mut buffer = vec![0; 4 * 1024];
                    read_answer(&mut stream, &mut buffer).await?;
                    if let Some(shared) = more {
                        let mut request = Vec::new();
                        shared.write_request(&mut request, Ask::Cancel, Credential::Key)?;
                        stream.write_all(&request).await?;
                        read_answer(&mut stream, &mut buffer).await?;
                    }
                    Ok::<_, Error>(())
                });
            }
            while let Some(ended) = timeout(PATIENCE, answers.join_next()).await? {
                ended.map_err(Error::other)??;
            }
            Ok(Rush {
                requests,
                connections,
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
