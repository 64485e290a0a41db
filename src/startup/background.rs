//! The background thread. It runs the poller and the refreshers, so that they do not depend
//! on any worker thread.

use std::io;
use std::thread::JoinHandle;

use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};
use tokio_util::sync::CancellationToken;

use super::access::NewKeyRefresher;
use super::worker::Vendors;
use crate::credential::TokenRefresher;
use crate::operation::Poller;
use crate::transport::Transport;

/// The running thread.
pub struct Background {
    /// Stops it.
    pub stop: CancellationToken,
    /// Cancelled when the thread has ended for any reason.
    pub ended: CancellationToken,
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
    /// Ends early if one of them does.
    ///
    /// # Errors
    /// The operating system's error if the thread cannot be created.
    pub fn start(
        poller: Poller,
        vendors: Vendors,
        refreshers: Vec<TokenRefresher>,
        token_transport: Transport,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (key_refreshers, new_refreshers) = mpsc::unbounded_channel();
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        let thread = std::thread::Builder::new()
            .name("background".into())
            .spawn(move || {
                let _ended = guard;
                LocalSet::new().block_on(&runtime, async move {
                    let mut running = JoinSet::new();
                    for refresher in refreshers {
                        running.spawn_local(refresher.run(token_transport.client()));
                    }
                    tokio::task::spawn_local(spawn_key_refreshers(new_refreshers));
                    tokio::select! {
                        () = poller.run(vendors.here()) => {}
                        Some(_) = running.join_next() => {
                            tracing::error!("token refresher ended unexpectedly");
                        }
                    }
                });
            })?;
        Ok(Self {
            stop,
            ended,
            key_refreshers: KeyRefresherSpawner(key_refreshers),
            thread,
        })
    }
}

async fn spawn_key_refreshers(mut new_refreshers: mpsc::UnboundedReceiver<NewKeyRefresher>) {
    while let Some(NewKeyRefresher {
        refresher,
        transport,
    }) = new_refreshers.recv().await
    {
        tokio::task::spawn_local(refresher.run(transport.client()));
    }
}
