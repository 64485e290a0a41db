//! The vendor, emulated: Microsoft's Cloud Partner Portal API and the Entra token endpoint
//! on one port, with every way of answering that was ever seen, and, by order, every way of
//! failing. It imports nothing of the gateway, so that it can be the judge of it.
//!
//! `GET /_sandbox/` prints the scenarios, the faults and the controls.

mod control;
mod entra;
mod faults;
mod journal;
mod offer;
mod options;
mod redact;
mod route;
mod serve;
mod text;
mod vendor;
mod wire;
mod world;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use options::Options;

/// Connections served at once; further ones wait in the listener's queue.
const CONNECTIONS: usize = 8_192;
/// Connections that may wait to be accepted.
const QUEUE: u32 = 4_096;
/// How long answers that are being sent may take once the sandbox is to stop.
const GRACE: Duration = Duration::from_secs(1);

/// A sandbox that holds its port and is ready to run.
pub struct Sandbox {
    listener: TcpListener,
    address: SocketAddr,
    world: Arc<world::World>,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox")
            .field("address", &self.address)
            .field("options", &self.world.options)
            .finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Takes the port. Connections made from now on are served as soon as it runs.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on, or (`InvalidInput`) when an option cannot
    /// work.
    pub async fn bind(options: Options) -> io::Result<Self> {
        options.check()?;
        let listener = listen(options.listen)?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            world: Arc::new(world::World::new(options)),
        })
    }

    /// The address that it listens on, with the port that was found if 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` completes. Answers being sent then get one second; whoever
    /// is kept waiting by a fault is dropped after that.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
        let tasks = TaskTracker::new();
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let accept = async {
            let mut number = 0;
            loop {
                // The semaphore is never closed, so there always is a permit in the end.
                let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                    return;
                };
                match self.listener.accept().await {
                    Ok((stream, _)) => {
                        number += 1;
                        let wire = wire::Connection::new(stream, number);
                        let serve = serve::connection(Arc::clone(&self.world), wire, stop.clone());
                        let abort = abort.clone();
                        tasks.spawn(async move {
                            tokio::select! {
                                () = abort.cancelled() => {}
                                () = serve => {}
                            }
                            drop(permit);
                        });
                    }
                    Err(error) => {
                        // Out of descriptors, most likely: trying again at once would spin.
                        tracing::warn!(%error, "the sandbox could not accept a connection");
                        sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        };
        tokio::select! {
            () = shutdown => {}
            () = accept => {}
        }
        stop.cancel();
        tasks.close();
        if timeout(GRACE, tasks.wait()).await.is_err() {
            abort.cancel();
            tasks.wait().await;
        }
    }
}

/// Listens with a queue that a thousand clients at once do not overflow; the usual one is
/// so short that some would wait a second for their next try, and a few be reset.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

#[cfg(test)]
mod tests;
