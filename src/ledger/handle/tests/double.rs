//! A store in memory that hangs, fails and recovers on command.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::watch;

use super::*;
use crate::ledger::store::{Found, Stored, StoredKey};

pub struct StoreDouble {
    pub open: watch::Sender<bool>,
    pub takes: Mutex<Duration>,
    pub fails_with: Mutex<Option<LedgerError>>,
    /// What touches this operation fails.
    pub damaged: Mutex<Option<OperationId>>,
    pub batches: Mutex<Vec<Vec<Arc<Operation>>>>,
    pub answers: Mutex<Vec<Arc<FirstAnswer>>>,
    pub queries: Mutex<Vec<Vec<OperationId>>>,
    pub unreadable: Mutex<HashSet<OperationId>>,
    pub pruned: watch::Sender<Vec<Timestamp>>,
    pub prunable: Mutex<u64>,
}

impl StoreDouble {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            open: watch::Sender::new(true),
            takes: Mutex::default(),
            fails_with: Mutex::default(),
            damaged: Mutex::default(),
            batches: Mutex::default(),
            answers: Mutex::default(),
            queries: Mutex::default(),
            unreadable: Mutex::default(),
            pruned: watch::Sender::default(),
            prunable: Mutex::default(),
        })
    }

    pub fn hang(&self) {
        self.open.send_replace(false);
    }

    pub fn recover(&self) {
        self.open.send_replace(true);
    }

    pub fn fill_disk(&self) {
        *self.fails_with.lock().unwrap() = Some(disk_full());
    }

    pub fn free_disk(&self) {
        *self.fails_with.lock().unwrap() = None;
    }

    pub fn batches(&self) -> MutexGuard<'_, Vec<Vec<Arc<Operation>>>> {
        self.batches.lock().unwrap()
    }

    async fn work(&self) -> Result<(), LedgerError> {
        let mut open = self.open.subscribe();
        open.wait_for(|open| *open).await.unwrap();
        let takes = *self.takes.lock().unwrap();
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        self.fails_with.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

impl Store for StoreDouble {
    fn save<'a>(&'a self, batch: &'a [Arc<Operation>]) -> Stored<'a, ()> {
        Box::pin(async {
            let damaged = *self.damaged.lock().unwrap();
            if batch.iter().any(|operation| Some(operation.id) == damaged) {
                return Err(LedgerError::Corrupt);
            }
            self.batches().push(batch.to_vec());
            self.work().await
        })
    }

    fn save_answered<'a>(
        &'a self,
        operations: &'a [Arc<Operation>],
        answers: &'a [Arc<FirstAnswer>],
    ) -> Stored<'a, ()> {
        Box::pin(async {
            self.save(operations).await?;
            self.answers.lock().unwrap().extend_from_slice(answers);
            Ok(())
        })
    }

    fn first_answer<'a>(
        &'a self,
        operation: &'a Arc<Operation>,
    ) -> Stored<'a, Option<FirstAnswer>> {
        Box::pin(async move {
            self.work().await?;
            let answers = self.answers.lock().unwrap();
            let answer = answers
                .iter()
                .find(|answer| answer.operation.id == operation.id);
            Ok(answer.map(|answer| FirstAnswer::clone(answer)))
        })
    }

    fn keys_since<'a>(
        &'a self,
        _: Timestamp,
        _: &'a mut (dyn FnMut(StoredKey) + Send),
    ) -> Stored<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn forget_answers(&self, _: Timestamp, _: u32) -> Stored<'_, u64> {
        Box::pin(async { Ok(0) })
    }

    fn find<'a>(&'a self, ids: &'a [OperationId]) -> Stored<'a, Vec<Found>> {
        Box::pin(async {
            self.queries.lock().unwrap().push(ids.to_vec());
            self.work().await?;
            let saved: HashMap<_, _> = self
                .batches()
                .iter()
                .flatten()
                .map(|o| (o.id, Operation::clone(o)))
                .collect();
            let unreadable = self.unreadable.lock().unwrap().clone();
            let known = ids.iter().rev().filter_map(|id| saved.get(id));
            Ok(known
                .map(|operation| match unreadable.contains(&operation.id) {
                    true => (
                        operation.id,
                        Err(LedgerError::Unreadable { column: "status" }),
                    ),
                    false => (operation.id, Ok(operation.clone())),
                })
                .collect())
        })
    }

    fn unfinished(&self) -> Stored<'_, Vec<Found>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn prune(&self, before: Timestamp, limit: u32) -> Stored<'_, u64> {
        Box::pin(async move {
            self.work().await?;
            self.pruned.send_modify(|calls| calls.push(before));
            let mut left = self.prunable.lock().unwrap();
            let removed = (*left).min(u64::from(limit));
            *left -= removed;
            Ok(removed)
        })
    }

    fn probe(&self) -> Stored<'_, ()> {
        Box::pin(self.work())
    }

    fn close(&self) -> Stored<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// The error of a full disk.
pub fn disk_full() -> LedgerError {
    LedgerError::unavailable("the disk is full")
}
