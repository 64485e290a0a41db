//! The one task that answers finds: everything that waits becomes one query,
//! since each statement is a trip to another thread.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::queue::{Asked, Counter};
use super::{Found, MAX_BATCH, Store};
use crate::domain::{Operation, OperationId};

type Find = Asked<OperationId, Option<Operation>>;

pub struct Reader {
    pub store: Arc<dyn Store>,
    pub queue: Counter<OperationId, Option<Operation>>,
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
        batch.sort_by_key(|find| find.what);
        ids.clear();
        ids.extend(batch.iter().map(|find| find.what));
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

/// Gives each of `batch`, in the order of the ids, what was found under its id.
fn hand_out(batch: &mut Vec<Find>, mut found: Vec<Found>) {
    found.sort_by_key(|(id, _)| *id);
    let mut found = found.into_iter().peekable();
    let mut finds = batch.drain(..).peekable();
    while let Some(find) = finds.next() {
        while found.next_if(|(id, _)| *id < find.what).is_some() {}
        let operation = if finds.peek().is_some_and(|next| next.what == find.what) {
            found.peek().filter(|(id, _)| *id == find.what).cloned()
        } else {
            found.next_if(|(id, _)| *id == find.what)
        };
        find.answer(operation.map(|(_, operation)| operation).transpose());
    }
}
