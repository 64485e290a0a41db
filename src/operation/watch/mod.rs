//! Follows every unfinished operation to its end.
//!
//! One task, on a thread of its own with its own connections. It takes its first look
//! at the moment of the vendor's answer, further ones ever more rarely, records what
//! it finds, and continues after a restart where it was. What it follows is a
//! [`table`]; only looks and saves under way are futures.

mod case;
mod followed;
mod holds;
mod lanes;
mod look;
#[cfg(test)]
mod model;
mod offer;
mod pace;
mod saves;
mod table;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use look::{Seen, look};
use saves::Saves;
use table::{Errand, Moment, Table};

use super::outcome::Patience;
use super::vendor::Vendor;
use crate::domain::Operation;
use crate::ledger::Ledger;

/// How long the watcher sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

/// An operation for the watcher, and whether the ledger has its present state.
struct Handed {
    operation: Arc<Operation>,
    is_recorded: bool,
}

/// Hands operations to the watcher. Cheap to clone, for any thread.
#[derive(Clone)]
pub struct Follower(mpsc::UnboundedSender<Handed>);

impl Follower {
    /// From here on the watcher sees to it that the operation is recorded and,
    /// while it is unfinished, followed: for `give_up_seconds` at the longest, which
    /// is what bounds how many there are.
    pub fn follow(&self, operation: Arc<Operation>) {
        self.hand(operation, false);
    }

    /// The same for an operation that was just read from the ledger.
    pub fn resume(&self, operation: Arc<Operation>) {
        self.hand(operation, true);
    }

    fn hand(&self, operation: Arc<Operation>, is_recorded: bool) {
        let handed = Handed {
            operation,
            is_recorded,
        };
        if let Err(returned) = self.0.send(handed) {
            // Only at the very end of draining; the next start finds the intent.
            tracing::warn!(operation = %returned.0.operation.id, "the watcher is gone; the next start continues");
        }
    }
}

/// The watcher's settings.
#[derive(Debug, Clone, Copy)]
pub struct WatcherOptions {
    /// The shortest time between two looks at one operation; it grows to a minute.
    pub poll: Duration,
    /// See [`Patience`].
    pub patience: Patience,
}

/// The watcher, before it runs.
pub struct Watcher {
    ledger: Ledger,
    options: WatcherOptions,
    incoming: mpsc::UnboundedReceiver<Handed>,
    stop: CancellationToken,
}

impl Watcher {
    /// A watcher that has not begun, and the way to hand it operations. `stop` ends
    /// its looking; what is to be recorded is recorded first.
    #[must_use]
    pub fn new(
        ledger: Ledger,
        options: WatcherOptions,
        stop: CancellationToken,
    ) -> (Self, Follower) {
        let (sender, incoming) = mpsc::unbounded_channel();
        let watcher = Self {
            ledger,
            options,
            incoming,
            stop,
        };
        (watcher, Follower(sender))
    }

    /// Runs until stopped.
    pub async fn run(mut self, vendor: Vendor) {
        let mut watch = Watch {
            vendor: Rc::new(vendor),
            table: Table::new(self.options.poll, self.options.patience),
            saves: Saves::new(self.ledger),
            looks: FuturesUnordered::new(),
        };
        let stopped = self.stop.cancelled();
        tokio::pin!(stopped);
        loop {
            let wake_at = watch.wakes_at();
            tokio::select! {
                () = &mut stopped => break,
                Some(handed) = self.incoming.recv() => {
                    watch.take_in(handed);
                    // What arrives at the same moment shares its first looks.
                    while let Ok(handed) = self.incoming.try_recv() {
                        watch.take_in(handed);
                    }
                }
                Some((errand, seen)) = watch.looks.next() => watch.seen(&errand, &seen),
                Some(()) = watch.saves.next() => {}
                () = sleep_until(wake_at) => watch.wake(),
            }
            watch.begin_looks();
        }
        self.incoming.close();
        while let Some(handed) = self.incoming.recv().await {
            watch.take_in(handed);
        }
        watch.saves.last().await;
    }
}

/// The watcher at work.
struct Watch {
    vendor: Rc<Vendor>,
    table: Table,
    saves: Saves,
    looks: FuturesUnordered<LocalBoxFuture<'static, (Errand, Seen)>>,
}

impl Watch {
    /// The vendor's answer is recorded while the first look is on its way: neither
    /// waits for the other.
    fn take_in(&mut self, handed: Handed) {
        let mut operation = handed.operation;
        // What is followed already is known better here.
        if self.table.follows(operation.id) && !operation.status.is_final() {
            return;
        }
        if case::begin(&mut operation) || !handed.is_recorded {
            self.saves.put(Arc::clone(&operation));
        }
        if operation.status.is_final() {
            self.table.drop_finished(operation.id);
        } else {
            self.table.add(operation, Moment::now());
        }
    }

    fn begin_looks(&mut self) {
        while let Some(mut errand) = self.table.next_look(Moment::now()) {
            let vendor = Rc::clone(&self.vendor);
            self.looks.push(Box::pin(async move {
                let locations = std::mem::take(&mut errand.locations);
                let seen = look(vendor, Rc::clone(&errand.target), locations).await;
                (errand, seen)
            }));
        }
    }

    fn seen(&mut self, errand: &Errand, seen: &Seen) {
        for changed in self.table.seen(errand, seen, Moment::now()) {
            self.saves.put(changed);
        }
    }

    fn wake(&mut self) {
        let now = Moment::now();
        for over in self.table.wake(now) {
            self.saves.put(over);
        }
        self.saves.again(now.instant);
    }

    fn wakes_at(&self) -> Instant {
        let times = [self.table.wakes_at(), self.saves.again_at()];
        let soonest = times.into_iter().flatten().min();
        soonest.unwrap_or_else(|| Instant::now() + IDLE)
    }
}
