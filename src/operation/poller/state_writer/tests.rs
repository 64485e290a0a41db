//! Writes to a store that refuses on command.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::task::LocalSet;
use tokio::time::Instant;

use super::*;
use crate::domain::{CallerName, Delivered, Digest, FirstAnswer, Idempotency, Operation, Outcome};
use crate::ledger::{Found, KeyState, LedgerClient, Store, Stored, StoredKey};

/// What one transaction brought.
type Batch = (Vec<Arc<Operation>>, Vec<Arc<FirstAnswer>>);

#[derive(Default)]
struct Disk {
    refuses: AtomicBool,
    batches: Mutex<Vec<Batch>>,
}

impl Disk {
    fn set_refusing(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Relaxed);
    }

    fn batches(&self) -> Vec<Batch> {
        self.batches.lock().unwrap().clone()
    }

    fn saved(&self) -> Vec<Arc<Operation>> {
        self.batches()
            .into_iter()
            .flat_map(|batch| batch.0)
            .collect()
    }
}

impl Store for Disk {
    fn save<'a>(&'a self, batch: &'a [Arc<Operation>]) -> Stored<'a, ()> {
        self.save_answered(batch, &[])
    }

    fn save_answered<'a>(
        &'a self,
        operations: &'a [Arc<Operation>],
        answers: &'a [Arc<FirstAnswer>],
    ) -> Stored<'a, ()> {
        Box::pin(async move {
            if self.refuses.load(Ordering::Relaxed) {
                return Err(LedgerError::Overloaded);
            }
            let batch = (operations.to_vec(), answers.to_vec());
            self.batches.lock().unwrap().push(batch);
            Ok(())
        })
    }

    fn first_answer<'a>(&'a self, _: &'a Arc<Operation>) -> Stored<'a, Option<FirstAnswer>> {
        Box::pin(async { Ok(None) })
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

/// A writer, its ledger and the disk below.
fn setup() -> (StateWriter, Ledger, Arc<Disk>) {
    let disk = Arc::new(Disk::default());
    let store: Arc<dyn Store> = Arc::clone(&disk) as _;
    let ledger = Ledger::on(store, Duration::from_secs(1_000_000));
    (StateWriter::new(ledger.clone()), ledger, disk)
}

fn write(operation: &Operation) -> Write {
    Arc::new(operation.clone()).into()
}

/// Goes on until nothing is in flight.
async fn settle(writer: &mut StateWriter) {
    while !writer.in_flight.is_empty() {
        writer.progress().await;
    }
}

#[tokio::test]
async fn the_newest_state_is_written_last_and_nothing_in_between() {
    let (mut writer, _, disk) = setup();
    let mut operation = Operation::sample();
    writer.record(write(&operation), None);
    operation.follow(Delivered::Yes);
    writer.record(write(&operation), None);
    operation.finish(Outcome::Canceled, None);
    writer.record(write(&operation), None);
    assert_eq!(writer.in_flight.len(), 1, "one at a time");
    settle(&mut writer).await;
    let saved = disk.saved();
    assert_eq!(saved.len(), 2, "the state in between was overtaken");
    assert_eq!(*saved[1], operation);
    assert!(writer.pending.is_empty());
}

#[tokio::test]
async fn an_unfinished_state_does_not_replace_a_finished_one() {
    let (mut writer, _, disk) = setup();
    let mut operation = Operation::sample();
    operation.follow(Delivered::Yes);
    let unfinished = write(&operation);
    operation.finish(Outcome::Canceled, None);
    writer.record(write(&operation), None);
    writer.record(unfinished.clone(), None);
    writer.progress().await;
    writer.record(write(&operation), None);
    // In flight, or waiting for it.
    writer.record(unfinished, None);
    settle(&mut writer).await;
    assert!(disk.saved().iter().all(|saved| **saved == operation));
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_is_retried_with_the_state_that_is_newest_then() {
    let (mut writer, _, disk) = setup();
    disk.set_refusing(true);
    let mut operation = Operation::sample();
    writer.record(write(&operation), None);
    settle(&mut writer).await;
    let failed_at = Instant::now();
    operation.follow(Delivered::Yes);
    writer.record(write(&operation), None);
    assert!(writer.in_flight.is_empty(), "not before its time");
    disk.set_refusing(false);
    writer.progress().await;
    assert!(failed_at.elapsed() >= RETRY_AFTER);
    settle(&mut writer).await;
    assert_eq!(*disk.saved().pop().unwrap(), operation);
    assert!(writer.pending.is_empty() && writer.retries.is_empty());
    assert_eq!(writer.progress().await, None);
}

#[tokio::test]
async fn draining_attempts_everything_once_more() {
    for recovers in [true, false] {
        let (mut writer, _, disk) = setup();
        disk.set_refusing(true);
        for _ in 0..MAX_WRITES + 10 {
            writer.record(write(&Operation::sample()), None);
        }
        assert_eq!(writer.in_flight.len(), MAX_WRITES);
        writer.progress().await;
        disk.set_refusing(!recovers);
        writer.drain().await;
        let expected = if recovers { MAX_WRITES + 10 } else { 0 };
        assert_eq!(disk.saved().len(), expected);
    }
}

fn asked() -> Idempotency {
    Idempotency {
        key: Digest::from([1; 32]),
        payload: Digest::from([2; 32]),
    }
}

async fn key_state(client: &LedgerClient) -> Result<KeyState, LedgerError> {
    let caller = CallerName::parse("pipeline").unwrap();
    client.key_state(asked(), &caller, usize::MAX).await
}

/// An operation, the first answer to its caller, and the claim of its key.
async fn answered(client: &LedgerClient) -> (Operation, Arc<FirstAnswer>, Claim) {
    let mut operation = Operation::sample();
    operation.follow(Delivered::Yes);
    let answer = Arc::new(FirstAnswer::of(Arc::new(operation.clone())));
    let Ok(KeyState::New(mut claim)) = key_state(client).await else {
        panic!("the key is not new")
    };
    claim.bind(operation.id);
    (operation, answer, claim)
}

/// Looks up the key, for which the client needs a set of local tasks.
async fn is_claimed(client: &LedgerClient) -> bool {
    let state = LocalSet::new().run_until(key_state(client)).await;
    matches!(state, Ok(KeyState::InUse))
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_is_written_with_the_state_and_only_then_the_key_is_released() {
    let (mut writer, ledger, disk) = setup();
    let client = LedgerClient::new(ledger);
    let (mut operation, answer, claim) = answered(&client).await;
    disk.set_refusing(true);
    let mut first = write(&operation);
    first.answer = Some(Arc::clone(&answer));
    writer.record(first, Some(claim));
    settle(&mut writer).await;
    assert!(is_claimed(&client).await);
    // Meanwhile the operation ends, and something else is answered.
    operation.finish(Outcome::Canceled, None);
    writer.record(write(&operation), None);
    let later = FirstAnswer::of(Arc::new(operation.clone()));
    let later = Write {
        operation: None,
        answer: Some(Arc::new(later)),
    };
    writer.record(later, None);
    disk.set_refusing(false);
    writer.progress().await;
    assert!(is_claimed(&client).await);
    settle(&mut writer).await;
    assert_eq!(disk.batches(), [(vec![Arc::new(operation)], vec![answer])]);
    assert!(!is_claimed(&client).await);
}

#[tokio::test]
async fn an_answer_alone_is_written_and_a_key_is_released_even_if_the_disk_never_recovers() {
    for recovers in [true, false] {
        let (mut writer, ledger, disk) = setup();
        let client = LedgerClient::new(ledger);
        let (_, answer, claim) = answered(&client).await;
        disk.set_refusing(true);
        let alone = Write {
            operation: None,
            answer: Some(Arc::clone(&answer)),
        };
        writer.record(alone, Some(claim));
        settle(&mut writer).await;
        disk.set_refusing(!recovers);
        writer.drain().await;
        assert!(!is_claimed(&client).await);
        let expected = vec![(Vec::new(), vec![answer]); usize::from(recovers)];
        assert_eq!(disk.batches(), expected);
    }
}
