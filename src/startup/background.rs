//! The background thread. It runs the poller and the refreshers, so that they do not depend
//! on any worker thread.

use std::io;
use std::thread::JoinHandle;

use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use super::access::NewKeyRefresher;
use super::worker::Vendors;
use crate::credential::TokenRefresher;
use crate::operation::Poller;
use crate::telemetry::{Lifetime, Supervisor};
use crate::transport::Transport;

/// The running thread.
pub struct Background {
    /// Stops it.
    pub stop: CancellationToken,
    /// Starts further refreshers of issuers' keys on it.
    pub key_refreshers: KeyRefresherSpawner,
    /// The thread itself.
    pub thread: JoinHandle<()>,
}

/// Starts refreshers of issuers' keys, which come and go with the configuration.
#[derive(Clone)]
pub struct KeyRefresherSpawner(mpsc::UnboundedSender<NewKeyRefresher>);

impl KeyRefresherSpawner {
    /// Starts these refreshers on the background thread.
    pub fn spawn(&self, refreshers: Vec<NewKeyRefresher>) {
        for refresher in refreshers {
            if self.0.send(refresher).is_err() {
                tracing::error!("issuer's keys not refreshed: the background thread has ended");
            }
        }
    }
}

impl Background {
    /// Runs the poller and the refreshers, each with its own connections, until stopped.
    ///
    /// # Errors
    /// The operating system's error if the thread cannot be created.
    pub fn start(
        poller: Poller,
        vendors: Vendors,
        refreshers: Vec<TokenRefresher>,
        token_transport: Transport,
        supervisor: &Supervisor,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (key_refreshers, new_refreshers) = mpsc::unbounded_channel();
        let supervisor = supervisor.clone();
        let thread = std::thread::Builder::new()
            .name("background".into())
            .spawn(move || {
                // First of all, so that the end of this thread cannot go unnoticed.
                let poller = supervisor.watch("poller", Lifetime::Process, async move {
                    poller.run(vendors.here()).await;
                });
                LocalSet::new().block_on(&runtime, async move {
                    for refresher in refreshers {
                        let name = format!("refresher of credential {}", refresher.name());
                        let transport = token_transport.clone();
                        let refreshing = async move { refresher.run(transport.client()).await };
                        let refreshing = supervisor.watch(name, Lifetime::Process, refreshing);
                        tokio::task::spawn_local(refreshing);
                    }
                    let spawning = spawn_key_refreshers(new_refreshers, supervisor.clone());
                    let name = "spawner of issuers' refreshers";
                    let spawning = supervisor.watch(name, Lifetime::Process, spawning);
                    tokio::task::spawn_local(spawning);
                    poller.await;
                });
                // Not waiting for an access to a file that hangs.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            stop,
            key_refreshers: KeyRefresherSpawner(key_refreshers),
            thread,
        })
    }
}

async fn spawn_key_refreshers(
    mut new_refreshers: mpsc::UnboundedReceiver<NewKeyRefresher>,
    supervisor: Supervisor,
) {
    while let Some(NewKeyRefresher {
        refresher,
        transport,
    }) = new_refreshers.recv().await
    {
        let name = format!("refresher of the keys of {}", refresher.issuer());
        let refreshing = async move { refresher.run(transport.client()).await };
        // It ends when a reload takes its issuer away.
        let refreshing = supervisor.watch(name, Lifetime::UntilDone, refreshing);
        tokio::task::spawn_local(refreshing);
    }
}
