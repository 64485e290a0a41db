//! The thread of keepers and poller, which no worker's end can take along.

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
    /// Ends it.
    pub stop: CancellationToken,
    /// Set when the thread has ended, for whatever reason.
    pub ended: CancellationToken,
    /// Where keepers of issuers' keys are handed in.
    pub keep_keys: KeepKeys,
    /// The thread itself.
    pub thread: JoinHandle<()>,
}

/// Takes in keepers of issuers' keys, which come and go with the configuration.
#[derive(Clone)]
pub struct KeepKeys(mpsc::UnboundedSender<NewKeyRefresher>);

impl KeepKeys {
    /// Begins to keep these issuers' keys.
    pub fn begin(&self, keepers: Vec<NewKeyRefresher>) {
        for keeper in keepers {
            if self.0.send(keeper).is_err() {
                tracing::error!("the background thread has ended; an issuer's keys are not kept");
            }
        }
    }
}

impl Background {
    /// Runs the poller and the keepers, each with its own connections, until
    /// stopped; ends early if one of them does.
    ///
    /// # Errors
    /// When there is no thread to be had.
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
        let (keep_keys, new_keepers) = mpsc::unbounded_channel();
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
                    tokio::task::spawn_local(take_in(new_keepers));
                    tokio::select! {
                        () = poller.run(vendors.here()) => {}
                        Some(_) = running.join_next() => {
                            tracing::error!("a token refresher has ended; stopping the background thread");
                        }
                    }
                });
            })?;
        Ok(Self {
            stop,
            ended,
            keep_keys: KeepKeys(keep_keys),
            thread,
        })
    }
}

async fn take_in(mut new_keepers: mpsc::UnboundedReceiver<NewKeyRefresher>) {
    while let Some(NewKeyRefresher {
        refresher,
        transport,
    }) = new_keepers.recv().await
    {
        tokio::task::spawn_local(refresher.run(transport.client()));
    }
}
