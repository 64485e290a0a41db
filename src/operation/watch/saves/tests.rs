//! Saves against a store that refuses on command.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;

use super::*;
use crate::domain::{Delivered, Digest, KeptAnswer, Outcome};
use crate::ledger::{Found, Store, Stored};

#[derive(Default)]
struct Disk {
    refuses: AtomicBool,
    saved: Mutex<Vec<Arc<Operation>>>,
}

impl Store for Disk {
    fn save<'a>(&'a self, batch: &'a [Arc<Operation>]) -> Stored<'a, ()> {
        Box::pin(async move {
            if self.refuses.load(Ordering::Relaxed) {
                return Err(LedgerError::Overloaded);
            }
            self.saved.lock().unwrap().extend(batch.iter().cloned());
            Ok(())
        })
    }

    fn save_answered<'a>(
        &'a self,
        operations: &'a [Arc<Operation>],
        _: &'a [Arc<KeptAnswer>],
    ) -> Stored<'a, ()> {
        self.save(operations)
    }

    fn answer(&self, _: OperationId) -> Stored<'_, Option<KeptAnswer>> {
        Box::pin(async { Ok(None) })
    }

    fn keys_since(&self, _: Timestamp) -> Stored<'_, Vec<(Digest, OperationId)>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn forget_answers(&self, _: Timestamp, _: u32) -> Stored<'_, u64> {
        Box::pin(async { Ok(0) })
    }

    fn find<'a>(&'a self, _: &'a [OperationId]) -> Stored<'a, Vec<Found>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn unfinished(&self) -> Stored<'_, Vec<Found>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn prune(&self, _: Timestamp, _: u32) -> Stored<'_, u64> {
        Box::pin(async { Ok(0) })
    }

    fn probe(&self) -> Stored<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn close(&self) -> Stored<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

fn saves() -> (Saves, Arc<Disk>) {
    let disk = Arc::new(Disk::default());
    let store: Arc<dyn Store> = Arc::clone(&disk) as _;
    let ledger = Ledger::on(store, Duration::from_secs(1_000_000));
    (Saves::new(ledger), disk)
}

async fn all(saves: &mut Saves) {
    while saves.next().await.is_some() {}
}

#[tokio::test]
async fn the_newest_state_is_saved_last_and_nothing_in_between() {
    let (mut saves, disk) = saves();
    let mut operation = Operation::sample();
    saves.put(Arc::new(operation.clone()));
    operation.follow(Delivered::Yes);
    saves.put(Arc::new(operation.clone()));
    operation.finish(Outcome::Canceled, None);
    saves.put(Arc::new(operation.clone()));
    assert_eq!(saves.under_way.len(), 1, "one at a time");
    all(&mut saves).await;
    let saved = disk.saved.lock().unwrap().clone();
    assert_eq!(saved.len(), 2, "the state in between was overtaken");
    assert_eq!(*saved[1], operation);
    assert!(saves.entries.is_empty());
}

#[tokio::test]
async fn what_is_over_is_not_replaced_by_what_is_not() {
    let (mut saves, disk) = saves();
    let mut operation = Operation::sample();
    operation.follow(Delivered::Yes);
    let unfinished = Arc::new(operation.clone());
    operation.finish(Outcome::Canceled, None);
    saves.put(Arc::new(operation.clone()));
    saves.put(Arc::clone(&unfinished));
    saves.next().await;
    saves.put(Arc::new(operation.clone()));
    // On its way, or waiting for it.
    saves.put(unfinished);
    all(&mut saves).await;
    let saved = disk.saved.lock().unwrap().clone();
    assert!(saved.iter().all(|saved| **saved == operation));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_taken_is_tried_again_with_what_is_newest_then() {
    let (mut saves, disk) = saves();
    disk.refuses.store(true, Ordering::Relaxed);
    let mut operation = Operation::sample();
    saves.put(Arc::new(operation.clone()));
    all(&mut saves).await;
    let again = saves.again_at().unwrap();
    assert_eq!(again, Instant::now() + AGAIN);
    operation.follow(Delivered::Yes);
    saves.put(Arc::new(operation.clone()));
    assert_eq!(saves.under_way.len(), 0, "not before its time");
    disk.refuses.store(false, Ordering::Relaxed);
    tokio::time::sleep(AGAIN).await;
    saves.again(Instant::now());
    all(&mut saves).await;
    assert_eq!(
        *disk.saved.lock().unwrap().last().unwrap().clone(),
        operation
    );
    assert!(saves.entries.is_empty() && saves.again_at().is_none());
}

#[tokio::test]
async fn at_the_end_it_is_tried_once_more_and_then_left() {
    for recovers in [true, false] {
        let (mut saves, disk) = saves();
        disk.refuses.store(true, Ordering::Relaxed);
        for _ in 0..MAX_SAVES + 10 {
            saves.put(Arc::new(Operation::sample()));
        }
        assert_eq!(saves.under_way.len(), MAX_SAVES);
        saves.next().await;
        disk.refuses.store(!recovers, Ordering::Relaxed);
        saves.last().await;
        let saved = disk.saved.lock().unwrap().len();
        let expected = if recovers { MAX_SAVES + 10 } else { 0 };
        assert_eq!(saved, expected);
    }
}
