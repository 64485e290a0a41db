//! An emulation of the vendor for tests: Microsoft's Cloud Partner Portal API and the Entra
//! token endpoint on one port, in plain HTTP or TLS, with every form of answer seen in the field
//! and faults on request. It shares no code with the gateway, so that a mistake there cannot
//! hide here.
//!
//! `GET /_sandbox/v1/` lists the scenarios, the faults and the control routes.

mod control;
mod entra;
mod fault_kind;
mod faults;
mod journal;
mod offer;
mod options;
mod redact;
mod route;
mod serve;
mod state;
mod text;
pub mod tls;
mod vendor;
mod wire;

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

/// Connections served at once; further ones wait in the backlog.
const MAX_CONNECTIONS: usize = 8_192;
/// The listener's backlog.
const BACKLOG: u32 = 4_096;
/// How long responses that are being sent may take once the sandbox is stopping.
const GRACE: Duration = Duration::from_secs(1);

/// A sandbox that is bound to its port and ready to run.
pub struct Sandbox {
    listener: TcpListener,
    address: SocketAddr,
    state: Arc<state::SandboxState>,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox")
            .field("address", &self.address)
            .field("options", &self.state.options)
            .finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Binds the port. Connections made from now on are served once the sandbox runs.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound, or (`InvalidInput`) when an option is invalid.
    pub async fn bind(options: Options) -> io::Result<Self> {
        options.check()?;
        let listener = listen(options.listen)?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            state: Arc::new(state::SandboxState::new(options)),
        })
    }

    /// The address that it listens on, with the port that was chosen if 0 was requested.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Its address as a URL, `https://…` if it speaks TLS.
    #[must_use]
    pub fn base_url(&self) -> String {
        let scheme = match self.state.options.tls {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://{}", self.address)
    }

    /// Serves until `shutdown` completes. Responses being sent then have one second to
    /// finish; connections held by a fault are dropped after that.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
        let tasks = TaskTracker::new();
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let accept = async {
            let mut number = 0;
            loop {
                // The semaphore is never closed, so a permit comes eventually.
                let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
                    return;
                };
                match self.listener.accept().await {
                    Ok((stream, _)) => {
                        number += 1;
                        let state = Arc::clone(&self.state);
                        let serve = serve::connection(state, stream, number, stop.clone());
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
                        // Most likely out of descriptors: retrying at once would spin.
                        tracing::warn!(%error, "sandbox: cannot accept a connection");
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

/// Listens with a backlog long enough for a thousand simultaneous clients; with the default
/// one, some would wait a second for their retry and a few would be reset.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests;
