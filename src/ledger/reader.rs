//! The task that reads. Each statement is a trip to another thread, so all waiting lookups
//! become one query.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::batch::{BatchReceiver, QueuedRequest};
use super::error::LedgerError;
use super::store::{Found, MAX_BATCH, Store};
use crate::domain::{Operation, OperationId};

/// The results of a lookup, in the order of its ids.
pub type Finds = Vec<Result<Option<Operation>, LedgerError>>;
type Find = QueuedRequest<OperationId, Finds>;

pub struct ReadTask {
    pub store: Arc<dyn Store>,
    pub requests: BatchReceiver<OperationId, Finds>,
    pub closing: CancellationToken,
    pub deadline: Duration,
}

impl ReadTask {
    /// Runs until the ledger closes or all its handles are gone.
    pub async fn run(mut self) {
        let mut batch: Vec<Find> = Vec::with_capacity(MAX_BATCH);
        let mut ids = Vec::with_capacity(MAX_BATCH);
        let closing = self.closing.clone();
        loop {
            tokio::select! {
                biased;
                () = closing.cancelled() => return,
                count = self.requests.next_batch(&mut batch, MAX_BATCH) => {
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
        ids.extend(batch.iter().flat_map(|find| &find.items));
        ids.sort_unstable();
        ids.dedup();
        let find = self.store.find(ids);
        let found = self
            .requests
            .with_deadline(batch, self.deadline, find, |_| ())
            .await;
        match found {
            Ok(found) => distribute(batch, found),
            Err(error) => batch
                .drain(..)
                .for_each(|find| find.reply(Err(error.clone()))),
        }
    }
}

/// Replies to each request with the records of its ids.
fn distribute(batch: &mut Vec<Find>, found: Vec<Found>) {
    let mut found: HashMap<OperationId, Result<Operation, LedgerError>> =
        found.into_iter().collect();
    let requested: usize = batch.iter().map(|find| find.items.len()).sum();
    // Without duplicates the records are moved instead of cloned.
    let each_once = requested <= found.len();
    for find in batch.drain(..) {
        let mut record = |id: &OperationId| match each_once {
            true => found.remove(id),
            false => found.get(id).cloned(),
        };
        let records = find.items.iter().map(&mut record);
        let records = records.map(Option::transpose).collect();
        find.reply(Ok(records));
    }
}
