//! The task that writes. It commits everything that waits in one transaction, tests every
//! few seconds whether the ledger works, with a real write if there was none, and removes
//! records that are older than the retention. Requests and this upkeep take turns, so that
//! neither waits for more than one step of the other.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::batch::{BatchReceiver, QueuedRequest};
use super::error::LedgerError;
use super::feed::UpdateFeed;
use super::keys::IdempotencyIndex;
use super::store::{MAX_BATCH, Store, Stored};
use crate::domain::clock::earliest_now;
use crate::domain::{FirstAnswer, Operation};

/// Rows removed by one statement: a few milliseconds of work, so that writes hardly notice.
const PRUNE_CHUNK: u32 = 500;
/// The pause between two chunks, in which writes go on.
const PRUNE_GAP: Duration = Duration::from_millis(50);
/// The pause between two parts of the index of keys.
const KEYS_GAP: Duration = Duration::from_millis(2);

/// An item to write.
#[derive(Debug, Clone, Default)]
pub struct Write {
    /// An operation's present state.
    pub operation: Option<Arc<Operation>>,
    /// The first answer to a request with an idempotency key.
    pub answer: Option<Arc<FirstAnswer>>,
}

impl From<Arc<Operation>> for Write {
    fn from(operation: Arc<Operation>) -> Self {
        Self {
            operation: Some(operation),
            answer: None,
        }
    }
}

/// The deadline of the store's work, and the intervals of the recurring tasks.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    pub deadline: Duration,
    pub probe_every: Duration,
    pub prune_every: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            probe_every: Duration::from_secs(5),
            prune_every: Duration::from_secs(3600),
        }
    }
}

/// The result of the latest write or probe.
pub type WriteHealth = Result<(), LedgerError>;

type WriteRequest = QueuedRequest<Write, ()>;

/// The next step of the removal of expired records.
#[derive(Debug, Clone, Copy)]
enum PruneStep {
    Operations,
    Answers,
    /// This part of the index of keys.
    Keys(usize),
}

/// The items of one transaction.
#[derive(Default)]
struct WriteBatch {
    operations: Vec<Arc<Operation>>,
    answers: Vec<Arc<FirstAnswer>>,
}

pub struct WriteTask {
    pub feed: Arc<UpdateFeed>,
    pub keys: Arc<IdempotencyIndex>,
    pub store: Arc<dyn Store>,
    pub requests: BatchReceiver<Write, ()>,
    pub health: watch::Sender<WriteHealth>,
    /// A write succeeded since the last check.
    pub written: bool,
    pub closing: CancellationToken,
    pub retention: Duration,
    pub schedule: Schedule,
    /// Cancelled when the store has given up.
    pub given_up: CancellationToken,
}

impl WriteTask {
    /// Runs until the queue is closed and empty.
    pub async fn run(mut self) {
        let closing = self.closing.clone();
        let mut closing = pin!(closing.cancelled());
        let mut closed = false;
        let mut probe = interval(self.schedule.probe_every);
        probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut prune = pin!(sleep(Duration::ZERO));
        let mut step = PruneStep::Operations;
        let mut requests: Vec<WriteRequest> = Vec::with_capacity(MAX_BATCH);
        let mut batch = WriteBatch::default();
        let mut upkept_last = false;
        loop {
            let requests_turn = upkept_last && self.requests.oldest().is_some();
            let upkeep = !closed && !requests_turn;
            tokio::select! {
                biased;
                () = &mut closing, if !closed => {
                    closed = true;
                    self.requests.close();
                }
                _ = probe.tick(), if upkeep => {
                    upkept_last = true;
                    self.check().await;
                }
                () = &mut prune, if upkeep => {
                    upkept_last = true;
                    let (next, pause) = self.prune(step).await;
                    step = next;
                    prune.as_mut().reset(Instant::now() + pause);
                }
                count = self.requests.next_batch(&mut requests, MAX_BATCH) => {
                    if count == 0 {
                        return;
                    }
                    upkept_last = false;
                    self.commit(&mut requests, &mut batch).await;
                }
            }
        }
    }

    /// Commits the requests together. If the file turns out to be damaged, each is tried
    /// alone, since only those that touch the damaged page have to fail.
    async fn commit(&mut self, requests: &mut Vec<WriteRequest>, batch: &mut WriteBatch) {
        let result = self.save(requests, batch).await;
        if result != Err(LedgerError::Corrupt) || requests.len() == 1 {
            return self.settle(requests, batch, result);
        }
        for request in std::mem::take(requests) {
            let mut one = vec![request];
            let result = self.save(&mut one, batch).await;
            self.settle(&mut one, batch, result);
        }
    }

    async fn save(
        &mut self,
        requests: &mut Vec<WriteRequest>,
        batch: &mut WriteBatch,
    ) -> Result<(), LedgerError> {
        batch.collect(requests);
        let save = match batch.answers.is_empty() {
            true => self.store.save(&batch.operations),
            false => self.store.save_answered(&batch.operations, &batch.answers),
        };
        let deadline = self.schedule.deadline;
        let result = self
            .requests
            .with_deadline(requests, deadline, save, |late| {
                record_health(&self.health, Err(late))
            })
            .await;
        record_health(&self.health, result.as_ref().copied());
        self.written |= result.is_ok();
        result
    }

    /// Replies to the requests and publishes what was written.
    fn settle(
        &self,
        requests: &mut Vec<WriteRequest>,
        batch: &WriteBatch,
        result: Result<(), LedgerError>,
    ) {
        if result.is_ok() {
            self.feed.remember(&batch.operations);
        }
        for request in requests.drain(..) {
            request.reply(result.clone());
        }
        // After the replies, so that writes do not wait for subscribers.
        if result.is_ok() {
            self.feed.notify(&batch.operations);
        }
    }

    /// Checks the database, and writes to it unless a write succeeded since the last time
    /// or one is about to be tried.
    async fn check(&mut self) {
        let written = std::mem::take(&mut self.written);
        let probes = !written && self.requests.oldest().is_none();
        let store = Arc::clone(&self.store);
        let check = async {
            store.check().await?;
            match probes {
                true => store.probe().await,
                false => Ok(()),
            }
        };
        let deadline = self.schedule.deadline;
        let result = self
            .requests
            .with_deadline(&mut Vec::new(), deadline, check, |late| {
                record_health(&self.health, Err(late))
            })
            .await;
        if self.store.has_given_up() {
            self.given_up.cancel();
        }
        // A check alone says nothing about writes.
        if result.is_err() || written || probes {
            record_health(&self.health, result.as_ref().copied());
        }
    }

    /// Removes one chunk of expired records; returns the next step and the pause before it.
    async fn prune(&mut self, step: PruneStep) -> (PruneStep, Duration) {
        let store = Arc::clone(&self.store);
        let (removed, next) = match step {
            PruneStep::Operations => {
                let before = earliest_now().checked_sub(self.retention);
                let before = before.unwrap_or(Timestamp::MIN);
                let removed = self.remove(store.prune(before, PRUNE_CHUNK)).await;
                (removed, PruneStep::Answers)
            }
            PruneStep::Answers => {
                let horizon = self.keys.horizon();
                let removed = store.forget_answers(horizon, PRUNE_CHUNK);
                (self.remove(removed).await, PruneStep::Keys(0))
            }
            PruneStep::Keys(part) => {
                return match self.keys.expire(part) {
                    Some(next) => (PruneStep::Keys(next), KEYS_GAP),
                    None => (PruneStep::Operations, self.schedule.prune_every),
                };
            }
        };
        match removed >= u64::from(PRUNE_CHUNK) {
            true => (step, PRUNE_GAP),
            false => (next, PRUNE_GAP),
        }
    }

    /// The number of rows that `work` has removed.
    async fn remove(&mut self, work: Stored<'_, u64>) -> u64 {
        let deadline = self.schedule.deadline;
        let result = self
            .requests
            .with_deadline(&mut Vec::new(), deadline, work, |late| {
                record_health(&self.health, Err(late))
            })
            .await;
        result.unwrap_or_else(|error| {
            tracing::warn!(%error, "expired records could not be removed from the ledger");
            0
        })
    }
}

impl WriteBatch {
    fn collect(&mut self, requests: &[WriteRequest]) {
        self.operations.clear();
        self.answers.clear();
        let writes = || requests.iter().flat_map(|request| &request.items);
        self.operations
            .extend(writes().filter_map(|write| write.operation.clone()));
        self.answers
            .extend(writes().filter_map(|write| write.answer.clone()));
        keep_latest(&mut self.operations);
    }
}

/// Keeps the latest state of each operation, sorted by id. As in the ledger, a finished
/// state is never replaced.
fn keep_latest(operations: &mut Vec<Arc<Operation>>) {
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

/// Records the result of a write, and logs it if it differs from the previous one.
fn record_health(health: &watch::Sender<WriteHealth>, now: Result<(), &LedgerError>) {
    let changed = health.send_if_modified(|last| {
        let changed = last.as_ref().copied() != now;
        if changed {
            *last = now.map_err(Clone::clone);
        }
        changed
    });
    if changed {
        match now {
            Ok(()) => tracing::info!("ledger writes succeed again"),
            Err(error) => tracing::error!(%error, "ledger writes fail"),
        }
    }
}
