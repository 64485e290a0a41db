//! The one task that writes. It commits everything that waits as one statement,
//! keeps readiness up to date with a real write every few seconds, and removes
//! what is older than the retention.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::queue::{Asked, Counter};
use super::recent::Recent;
use super::{LedgerError, MAX_BATCH, Pace, Store};
use crate::domain::Operation;

/// How many rows are removed at once: a few milliseconds' work, so that writes
/// hardly notice.
const PRUNE_CHUNK: u32 = 500;
/// How long writes have the disk for themselves between two chunks.
const PRUNE_GAP: Duration = Duration::from_millis(50);

pub type Write = Asked<Arc<Operation>, ()>;

pub struct Writer {
    pub recent: Arc<Recent>,
    pub store: Arc<dyn Store>,
    pub queue: Counter<Arc<Operation>, ()>,
    pub health: watch::Sender<Result<(), LedgerError>>,
    pub closing: CancellationToken,
    pub retention: Duration,
    pub pace: Pace,
}

impl Writer {
    /// Serves until the line is closed and empty.
    pub async fn run(mut self) {
        let closing = self.closing.clone();
        let mut closing = pin!(closing.cancelled());
        let mut closed = false;
        let mut probe = interval(self.pace.probe_every);
        probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut prune = pin!(sleep(Duration::ZERO));
        let mut batch: Vec<Write> = Vec::with_capacity(MAX_BATCH);
        let mut operations = Vec::with_capacity(MAX_BATCH);
        loop {
            tokio::select! {
                biased;
                () = &mut closing, if !closed => {
                    closed = true;
                    self.queue.close();
                }
                _ = probe.tick(), if !closed => self.probe().await,
                () = &mut prune, if !closed => {
                    let pause = self.prune().await;
                    prune.as_mut().reset(Instant::now() + pause);
                }
                count = self.queue.next(&mut batch, MAX_BATCH) => {
                    if count == 0 {
                        return;
                    }
                    self.commit(&mut batch, &mut operations).await;
                }
            }
        }
    }

    async fn commit(&mut self, batch: &mut Vec<Write>, operations: &mut Vec<Arc<Operation>>) {
        operations.extend(batch.iter().flat_map(|write| &write.what).cloned());
        merge(operations);
        let health = &self.health;
        let save = self.store.save(operations);
        let result = self
            .queue
            .patiently(batch, self.pace.patience, save, |late| {
                note(health, Err(late))
            })
            .await;
        note(health, result.as_ref().copied());
        if result.is_ok() {
            self.recent.keep(operations);
        }
        operations.clear();
        for write in batch.drain(..) {
            write.answer(result.clone());
        }
    }

    async fn probe(&mut self) {
        let health = &self.health;
        let probe = self.store.probe();
        let result = self
            .queue
            .patiently(&mut Vec::new(), self.pace.patience, probe, |late| {
                note(health, Err(late))
            })
            .await;
        note(health, result.as_ref().copied());
    }

    /// Removes one chunk of what is too old; returns when to come back.
    async fn prune(&mut self) -> Duration {
        let Ok(before) = Timestamp::now().checked_sub(self.retention) else {
            return self.pace.prune_every;
        };
        let health = &self.health;
        let prune = self.store.prune(before, PRUNE_CHUNK);
        let result = self
            .queue
            .patiently(&mut Vec::new(), self.pace.patience, prune, |late| {
                note(health, Err(late))
            })
            .await;
        match result {
            Ok(removed) if removed >= u64::from(PRUNE_CHUNK) => PRUNE_GAP,
            Ok(_) => self.pace.prune_every,
            Err(error) => {
                tracing::warn!(%error, "old operations could not be removed from the ledger");
                self.pace.prune_every
            }
        }
    }
}

/// Leaves one state of each operation, the last one, in the order of their ids.
/// A finished one is left as it is, as it would be in the ledger.
fn merge(operations: &mut Vec<Arc<Operation>>) {
    operations.sort_by_key(|operation| operation.id);
    operations.dedup_by(|later, kept| {
        let same = later.id == kept.id;
        if same && !kept.status.is_final() {
            std::mem::swap(later, kept);
        }
        same
    });
}

/// Remembers how the last write went, and logs when that has changed.
fn note(health: &watch::Sender<Result<(), LedgerError>>, now: Result<(), &LedgerError>) {
    let changed = health.send_if_modified(|known| {
        let changed = known.as_ref().copied() != now;
        if changed {
            *known = now.map_err(Clone::clone);
        }
        changed
    });
    if changed {
        match now {
            Ok(()) => tracing::info!("the ledger can be written again"),
            Err(error) => tracing::error!(%error, "the ledger cannot be written"),
        }
    }
}
