//! The poller's event loop: one task, on a thread of its own with its own connections.
//! Only polls and writes in flight are futures; everything that waits is data.

use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::case;
use super::handle::{Enqueue, PollerHandle};
use super::look::{Seen, look};
use super::state_writer::StateWriter;
use super::table::{Errand, Moment, Table};
use crate::ledger::{Claim, Ledger, Write};
use crate::operation::authorized_portal::AuthorizedPortal;
use crate::operation::outcome::Patience;

/// How long the poller sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

/// The poller's settings.
#[derive(Debug, Clone, Copy)]
pub struct PollerOptions {
    /// The shortest time between two polls of one operation; it grows to a minute.
    pub poll: Duration,
    /// See [`Patience`].
    pub patience: Patience,
}

/// The poller, before it runs.
pub struct Poller {
    ledger: Ledger,
    options: PollerOptions,
    incoming: mpsc::UnboundedReceiver<Enqueue>,
    stop: CancellationToken,
}

/// The poller at work.
struct Running {
    portal: Rc<AuthorizedPortal>,
    table: Table,
    writer: StateWriter,
    looks: FuturesUnordered<LocalBoxFuture<'static, (Errand, Seen)>>,
}

impl Poller {
    /// A poller that has not started, and the handle to it. `stop` ends its polling;
    /// what is still to be recorded is recorded first.
    #[must_use]
    pub fn new(
        ledger: Ledger,
        options: PollerOptions,
        stop: CancellationToken,
    ) -> (Self, PollerHandle) {
        let (handle, incoming) = PollerHandle::new();
        let poller = Self {
            ledger,
            options,
            incoming,
            stop,
        };
        (poller, handle)
    }

    /// Runs until stopped.
    pub async fn run(mut self, portal: AuthorizedPortal) {
        let mut running = Running {
            portal: Rc::new(portal),
            table: Table::new(self.options.poll, self.options.patience),
            writer: StateWriter::new(self.ledger),
            looks: FuturesUnordered::new(),
        };
        let stopped = self.stop.cancelled();
        tokio::pin!(stopped);
        loop {
            let wake_at = running.table.wakes_at();
            let wake_at = wake_at.unwrap_or_else(|| Instant::now() + IDLE);
            tokio::select! {
                () = &mut stopped => break,
                Some(message) = self.incoming.recv() => {
                    running.take_in(message);
                    // What arrives at the same moment shares its first polls.
                    while let Ok(message) = self.incoming.try_recv() {
                        running.take_in(message);
                    }
                }
                Some((errand, seen)) = running.looks.next() => running.seen(&errand, &seen),
                Some(()) = running.writer.progress() => {}
                () = sleep_until(wake_at) => running.wake(),
            }
            running.start_polls();
        }
        self.incoming.close();
        while let Some(message) = self.incoming.recv().await {
            running.take_in(message);
        }
        running.writer.drain().await;
    }
}

impl Running {
    fn take_in(&mut self, message: Enqueue) {
        match message {
            Enqueue::Record(write, claim) => self.record(write, claim, false),
            Enqueue::Resume(operation) => self.record(operation.into(), None, true),
        }
    }

    /// Writes what is not in the ledger yet while the first poll is on its way: neither
    /// waits for the other.
    fn record(&mut self, mut write: Write, claim: Option<Claim>, is_recorded: bool) {
        if let Some(mut operation) = write.operation.take() {
            let is_final = operation.status.is_final();
            // The state of an operation that is already polled is newer here.
            if is_final || !self.table.follows(operation.id) {
                let has_changed = case::begin(&mut operation);
                if has_changed || !is_recorded {
                    write.operation = Some(operation.clone());
                }
                if is_final {
                    self.table.drop_finished(operation.id);
                } else {
                    self.table.add(operation, Moment::now());
                }
            }
        }
        self.writer.record(write, claim);
    }

    fn start_polls(&mut self) {
        while let Some(mut errand) = self.table.next_look(Moment::now()) {
            let portal = Rc::clone(&self.portal);
            self.looks.push(Box::pin(async move {
                let locations = std::mem::take(&mut errand.locations);
                let seen = look(portal, Rc::clone(&errand.target), locations).await;
                (errand, seen)
            }));
        }
    }

    fn seen(&mut self, errand: &Errand, seen: &Seen) {
        for changed in self.table.seen(errand, seen, Moment::now()) {
            self.writer.record(changed.into(), None);
        }
    }

    fn wake(&mut self) {
        for over in self.table.wake(Moment::now()) {
            self.writer.record(over.into(), None);
        }
    }
}
