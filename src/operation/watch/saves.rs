//! What the watcher has found is recorded: per operation one save at a time, the
//! newest state next, again until the ledger takes it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::domain::{Operation, OperationId};
use crate::ledger::{Ledger, LedgerError};

/// Saves under way at once: most of the ledger's line stays free for intents.
const MAX_SAVES: usize = 512;
/// How long to wait before writing again what the ledger did not take.
const AGAIN: Duration = Duration::from_secs(1);

/// Saves under way, and what waits to be saved.
pub struct Saves {
    ledger: Ledger,
    entries: HashMap<OperationId, Entry>,
    /// Those whose turn it is.
    waiting: VecDeque<OperationId>,
    /// Those that were not taken; when to try again, soonest first.
    refused: VecDeque<(Instant, OperationId)>,
    under_way: FuturesUnordered<LocalBoxFuture<'static, Saved>>,
    stopping: bool,
}

/// An operation that is not wholly saved.
#[derive(Default)]
struct Entry {
    /// Its newest state, unless that one is on its way.
    newest: Option<Arc<Operation>>,
    /// It is over, by some state that is saved here: none that is unfinished is newer.
    is_over: bool,
    under_way: bool,
    /// It waits in one of the two lines.
    queued: bool,
    /// Whether it was said already that it cannot be saved.
    complained: bool,
}

struct Saved {
    operation: Arc<Operation>,
    result: Result<(), LedgerError>,
    /// Whether there is no time for another attempt.
    last: bool,
}

impl Saves {
    /// Nothing to be saved yet.
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            entries: HashMap::new(),
            waiting: VecDeque::new(),
            refused: VecDeque::new(),
            under_way: FuturesUnordered::new(),
            stopping: false,
        }
    }

    /// Has the operation's present state saved, unless it is known to be over.
    pub fn put(&mut self, operation: Arc<Operation>) {
        let id = operation.id;
        let is_over = operation.status.is_final();
        let entry = self.entries.entry(id).or_default();
        if entry.is_over && !is_over {
            return;
        }
        entry.is_over = is_over;
        entry.newest = Some(operation);
        if !entry.under_way && !entry.queued {
            entry.queued = true;
            self.waiting.push_back(id);
        }
        self.begin();
    }

    /// When something that was not taken is to be tried again.
    #[must_use]
    pub fn again_at(&self) -> Option<Instant> {
        self.refused.front().map(|(at, _)| *at)
    }

    /// Tries again whatever is due.
    pub fn again(&mut self, now: Instant) {
        while let Some((_, id)) = self.refused.pop_front_if(|(at, _)| *at <= now) {
            self.waiting.push_back(id);
        }
        self.begin();
    }

    /// Goes on until a save has ended; none if none is under way. Loses nothing when
    /// it is dropped.
    pub async fn next(&mut self) -> Option<()> {
        let saved = self.under_way.next().await?;
        self.end(saved);
        self.begin();
        Some(())
    }

    /// Waits for what is under way and tries the rest once more; what is not taken
    /// then is left to the next start.
    pub async fn last(mut self) {
        self.stopping = true;
        let refused = std::mem::take(&mut self.refused);
        self.waiting.extend(refused.into_iter().map(|(_, id)| id));
        self.begin();
        while self.next().await.is_some() {}
    }

    fn begin(&mut self) {
        while self.under_way.len() < MAX_SAVES
            && let Some(id) = self.waiting.pop_front()
        {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            entry.queued = false;
            let Some(operation) = entry.newest.take() else {
                continue;
            };
            entry.under_way = true;
            let (ledger, last) = (self.ledger.clone(), self.stopping);
            self.under_way.push(Box::pin(async move {
                let result = ledger.save(Arc::clone(&operation)).await;
                Saved {
                    operation,
                    result,
                    last,
                }
            }));
        }
    }

    fn end(&mut self, saved: Saved) {
        let id = saved.operation.id;
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.under_way = false;
        if let Err(error) = saved.result {
            if !std::mem::replace(&mut entry.complained, true) {
                tracing::error!(operation = %id, %error, "not recorded; will be written again until it is");
            }
            if saved.last {
                self.entries.remove(&id);
                return;
            }
            entry.newest.get_or_insert(saved.operation);
            entry.queued = true;
            if self.stopping {
                self.waiting.push_back(id);
            } else {
                self.refused.push_back((Instant::now() + AGAIN, id));
            }
        } else if entry.newest.is_some() {
            entry.complained = false;
            entry.queued = true;
            self.waiting.push_back(id);
        } else {
            self.entries.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests;
