//! The one task that answers finds: everything that waits becomes one query,
//! since each statement is a trip to another thread.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::queue::{Asked, Counter};
use super::{Found, LedgerError, MAX_BATCH, Store};
use crate::domain::{Operation, OperationId};

/// What was found under each id, in their order.
pub type Finds = Vec<Result<Option<Operation>, LedgerError>>;
type Find = Asked<OperationId, Finds>;

pub struct Reader {
    pub store: Arc<dyn Store>,
    pub queue: Counter<OperationId, Finds>,
    pub closing: CancellationToken,
    pub patience: Duration,
}

impl Reader {
    /// Serves until the ledger closes or nobody can ask any more.
    pub async fn run(mut self) {
        let mut batch: Vec<Find> = Vec::with_capacity(MAX_BATCH);
        let mut ids = Vec::with_capacity(MAX_BATCH);
        let closing = self.closing.clone();
        loop {
            tokio::select! {
                biased;
                () = closing.cancelled() => return,
                count = self.queue.next(&mut batch, MAX_BATCH) => {
                    if count == 0 {
                        return;
                    }
                    self.look_up(&mut batch, &mut ids).await;
                }
            }
        }
    }

    async fn look_up(&mut self, batch: &mut Vec<Find>, ids: &mut Vec<OperationId>) {
        ids.clear();
        ids.extend(batch.iter().flat_map(|find| &find.what));
        ids.sort_unstable();
        ids.dedup();
        let find = self.store.find(ids);
        let found = self
            .queue
            .patiently(batch, self.patience, find, |_| ())
            .await;
        match found {
            Ok(found) => hand_out(batch, found),
            Err(error) => batch
                .drain(..)
                .for_each(|find| find.answer(Err(error.clone()))),
        }
    }
}

/// Gives each of `batch` what was found under its ids.
fn hand_out(batch: &mut Vec<Find>, found: Vec<Found>) {
    let mut found: HashMap<OperationId, Result<Operation, LedgerError>> =
        found.into_iter().collect();
    let asked: usize = batch.iter().map(|find| find.what.len()).sum();
    let each_once = asked <= found.len();
    for find in batch.drain(..) {
        let mut under = |id: &OperationId| match each_once {
            true => found.remove(id),
            false => found.get(id).cloned(),
        };
        let answer = find
            .what
            .iter()
            .map(&mut under)
            .map(Option::transpose)
            .collect();
        find.answer(Ok(answer));
    }
}
