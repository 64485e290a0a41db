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

use super::keys::Keys;
use super::queue::{Asked, Counter};
use super::{LedgerError, MAX_BATCH, News, Pace, Store, Stored, Write};
use crate::domain::{KeptAnswer, Operation};

/// How many rows are removed at once: a few milliseconds' work, so that writes
/// hardly notice.
const PRUNE_CHUNK: u32 = 500;
/// How long writes have the disk for themselves between two chunks.
const PRUNE_GAP: Duration = Duration::from_millis(50);

type Writing = Asked<Write, ()>;

/// What is written together.
#[derive(Default)]
struct Batch {
    operations: Vec<Arc<Operation>>,
    answers: Vec<Arc<KeptAnswer>>,
}

pub struct Writer {
    pub news: Arc<News>,
    pub keys: Arc<Keys>,
    pub store: Arc<dyn Store>,
    pub queue: Counter<Write, ()>,
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
        let mut waiting: Vec<Writing> = Vec::with_capacity(MAX_BATCH);
        let mut batch = Batch::default();
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
                count = self.queue.next(&mut waiting, MAX_BATCH) => {
                    if count == 0 {
                        return;
                    }
                    self.commit(&mut waiting, &mut batch).await;
                }
            }
        }
    }

    async fn commit(&mut self, waiting: &mut Vec<Writing>, batch: &mut Batch) {
        batch.collect(waiting);
        let health = &self.health;
        let save = match batch.answers.is_empty() {
            true => self.store.save(&batch.operations),
            false => self.store.save_answered(&batch.operations, &batch.answers),
        };
        let result = self
            .queue
            .patiently(waiting, self.pace.patience, save, |late| {
                note(health, Err(late))
            })
            .await;
        note(health, result.as_ref().copied());
        if result.is_ok() {
            self.news.recent.keep(&batch.operations);
        }
        for writing in waiting.drain(..) {
            writing.answer(result.clone());
        }
        // However many listen, nobody who has written waits for them.
        if result.is_ok() {
            self.news.changes.tell(&batch.operations);
        }
        batch.clear();
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
        let store = Arc::clone(&self.store);
        let operations = self.remove(store.prune(before, PRUNE_CHUNK)).await;
        let horizon = self.keys.horizon();
        let answers = self
            .remove(store.forget_answers(horizon, PRUNE_CHUNK))
            .await;
        if operations.max(answers) >= u64::from(PRUNE_CHUNK) {
            PRUNE_GAP
        } else {
            self.keys.expire();
            self.pace.prune_every
        }
    }

    /// How many rows `work` has removed.
    async fn remove(&mut self, work: Stored<'_, u64>) -> u64 {
        let health = &self.health;
        let result = self
            .queue
            .patiently(&mut Vec::new(), self.pace.patience, work, |late| {
                note(health, Err(late))
            })
            .await;
        result.unwrap_or_else(|error| {
            tracing::warn!(%error, "old operations could not be removed from the ledger");
            0
        })
    }
}

impl Batch {
    fn collect(&mut self, waiting: &[Writing]) {
        let writes = || waiting.iter().flat_map(|writing| &writing.what);
        self.operations
            .extend(writes().filter_map(|write| write.operation.clone()));
        self.answers
            .extend(writes().filter_map(|write| write.answer.clone()));
        merge(&mut self.operations);
    }

    fn clear(&mut self) {
        self.operations.clear();
        self.answers.clear();
    }
}

/// Leaves one state of each operation, the latest, in the order of their ids. A finished
/// one is left as it is, as it would be in the ledger.
fn merge(operations: &mut Vec<Arc<Operation>>) {
    operations.sort_by_key(|operation| operation.id);
    operations.dedup_by(|later, kept| {
        let same = later.id == kept.id;
        let is_newer = later.updated_at >= kept.updated_at;
        if same && is_newer && !kept.status.is_final() {
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
