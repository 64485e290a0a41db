//! Batching, deadlines and recovery, against a store that hangs and fails on command.
//! SQLite itself is tested beside it.

mod double;

use std::pin::pin;

use futures_util::poll;
use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};

use double::{StoreDouble, disk_full};

use super::*;
use crate::ledger::samples::{finished, intent, running};

const NEVER: Duration = Duration::from_secs(86_400);

/// A ledger on a double, once it has pruned.
async fn setup(schedule: Schedule) -> (Arc<StoreDouble>, Ledger) {
    let store = StoreDouble::new();
    let ledger = ledger(&store, schedule);
    let mut pruned = store.pruned.subscribe();
    pruned.wait_for(|calls| !calls.is_empty()).await.unwrap();
    (store, ledger)
}

fn ledger(store: &Arc<StoreDouble>, schedule: Schedule) -> Ledger {
    let store = Arc::clone(store) as Arc<dyn Store>;
    Ledger::start(store, NEVER, IdempotencyIndex::new(NEVER), schedule)
}

/// One that neither probes nor prunes again, and waits for the store.
async fn undisturbed() -> (Arc<StoreDouble>, Ledger) {
    setup(calm()).await
}

/// One that does not wait for its store, which hangs.
async fn hanging() -> (Arc<StoreDouble>, Ledger) {
    let (store, ledger) = setup(Schedule {
        deadline: Duration::from_millis(20),
        ..calm()
    })
    .await;
    store.hang();
    (store, ledger)
}

fn calm() -> Schedule {
    Schedule {
        deadline: NEVER,
        probe_every: NEVER,
        prune_every: NEVER,
    }
}

fn all_ok(results: Vec<Result<(), LedgerError>>) {
    assert!(results.into_iter().all(|result| result == Ok(())));
}

/// The number of states that were written.
fn saved(store: &StoreDouble) -> usize {
    store.batches().iter().map(Vec::len).sum()
}

async fn until(ledger: &Ledger, healthy: bool) {
    let mut health = ledger.0.health.clone();
    health.wait_for(|now| now.is_ok() == healthy).await.unwrap();
}

#[tokio::test]
async fn a_thousand_saves_at_once_take_few_statements() {
    let (store, ledger) = undisturbed().await;
    let saved = join_all((0..1000).map(|_| ledger.save(intent()))).await;
    all_ok(saved);
    let batches = store.batches();
    assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), 1000);
    assert!(
        batches.len() <= 1000_usize.div_ceil(MAX_BATCH) + 1,
        "{}",
        batches.len()
    );
}

#[tokio::test]
async fn saves_during_a_commit_share_the_next_one() {
    let (store, ledger) = undisturbed().await;
    store.hang();
    let mut first = pin!(ledger.save(intent()));
    assert!(poll!(&mut first).is_pending());
    while store.batches().is_empty() {
        tokio::task::yield_now().await;
    }
    let mut rest = pin!(join_all((0..10).map(|_| ledger.save(intent()))));
    assert!(poll!(&mut rest).is_pending());
    store.recover();
    assert_eq!(first.await, Ok(()));
    all_ok(rest.await);
    assert_eq!(
        store.batches().iter().map(Vec::len).collect::<Vec<_>>(),
        [1, 10]
    );
}

#[tokio::test]
async fn only_the_latest_state_of_an_operation_is_written_and_a_final_one_is_kept() {
    let (store, ledger) = undisturbed().await;
    let (a, b, c) = (intent(), intent(), intent());
    let states = [
        a.clone(),
        b.clone(),
        running(a.clone()),
        c.clone(),
        finished(b.clone()),
        running(b.clone()),
    ];
    let saved = join_all(states.map(|state| ledger.save(state))).await;
    all_ok(saved);
    let batches = store.batches();
    let written: Vec<_> = batches
        .iter()
        .flatten()
        .map(|o| Operation::clone(o))
        .collect();
    assert_eq!(written, [running(a), finished(b), c]);
}

#[tokio::test]
async fn a_failed_batch_fails_all_its_saves_and_no_others() {
    let (store, ledger) = undisturbed().await;
    store.fill_disk();
    let failed = join_all((0..3).map(|_| ledger.save(intent()))).await;
    assert_eq!(failed, vec![Err(disk_full()); 3]);
    assert_eq!(ledger.healthy(), Err(disk_full()));

    store.free_disk();
    assert_eq!(ledger.save(intent()).await, Ok(()));
    assert_eq!(ledger.healthy(), Ok(()));
}

#[tokio::test]
async fn health_follows_the_disk_without_traffic() {
    let (store, ledger) = setup(Schedule {
        probe_every: Duration::from_millis(1),
        ..calm()
    })
    .await;
    store.fill_disk();
    until(&ledger, false).await;
    store.free_disk();
    until(&ledger, true).await;
    assert!(store.batches().is_empty());
}

#[tokio::test]
async fn a_write_to_a_hanging_disk_is_late_and_works_again_afterwards() {
    let (store, ledger) = hanging().await;
    assert_eq!(ledger.save(intent()).await, Err(LedgerError::Late));
    assert_eq!(ledger.healthy(), Err(LedgerError::Late));
    // The disk is still busy with the first, so this one is not tried.
    let refused = LedgerError::unavailable("the disk does not answer");
    assert_eq!(ledger.save(intent()).await, Err(refused));
    assert_eq!(store.batches().len(), 1);

    store.recover();
    until(&ledger, true).await;
    assert_eq!(ledger.save(intent()).await, Ok(()));
}

#[tokio::test]
async fn no_request_waits_for_a_hanging_disk_wherever_it_is_in_the_queue() {
    let (_store, ledger) = hanging().await;
    // The second does not fit into one commit with the first.
    let forty = || (0..40).map(|_| Write::from(Arc::new(intent()))).collect();
    let both = async { tokio::join!(ledger.write_all(forty()), ledger.write_all(forty())) };
    let both = tokio::time::timeout(Duration::from_secs(20), both).await;
    let (first, second) = both.expect("still waiting");
    assert_eq!(first, vec![Err(LedgerError::Late); 40]);
    assert!(second.iter().all(Result::is_err));
}

#[tokio::test]
async fn a_read_from_a_hanging_disk_is_late_and_works_again_afterwards() {
    let (store, ledger) = hanging().await;
    assert_eq!(ledger.find(intent().id).await, Err(LedgerError::Late));
    store.recover();
    while ledger.find(intent().id).await != Ok(None) {
        tokio::task::yield_now().await;
    }
}

/// Another process holds the lock of the database for 24 seconds.
#[tokio::test(start_paused = true)]
async fn requests_and_probes_take_turns_on_a_slow_disk() {
    let (store, ledger) = setup(Schedule::default()).await;
    // Longer than the pause between two probes.
    *store.takes.lock().unwrap() = Duration::from_secs(6);
    *store.fails_with.lock().unwrap() = Some(LedgerError::unavailable("its file is locked"));
    let began = Instant::now();
    let saves = [500, 3000, 7000, 11_000].map(async |at| {
        sleep_until(began + Duration::from_millis(at)).await;
        assert!(ledger.save(intent()).await.is_err());
        let took = Instant::now() - began - Duration::from_millis(at);
        assert!(took <= Schedule::default().deadline, "{took:?}");
    });
    join_all(saves).await;
    assert!(ledger.healthy().is_err());
    *store.takes.lock().unwrap() = Duration::ZERO;
    store.free_disk();
    until(&ledger, true).await;
}

#[tokio::test]
async fn a_damaged_page_fails_only_the_saves_that_touch_it() {
    let (store, ledger) = undisturbed().await;
    let operations: Vec<_> = (0..5).map(|_| intent()).collect();
    *store.damaged.lock().unwrap() = Some(operations[2].id);
    let saves = operations
        .iter()
        .map(|operation| ledger.save(operation.clone()));
    let saved = join_all(saves).await;
    for (number, saved) in saved.into_iter().enumerate() {
        assert_eq!(saved.is_err(), number == 2, "{number}: {saved:?}");
    }
}

#[tokio::test]
async fn saves_above_the_limit_are_refused_at_once_and_no_others() {
    let (store, ledger) = undisturbed().await;
    let mut waiting = pin!(join_all((0..MAX_WAITING).map(|_| ledger.save(intent()))));
    assert!(poll!(&mut waiting).is_pending());
    assert_eq!(ledger.save(intent()).await, Err(LedgerError::Overloaded));
    all_ok(waiting.await);
    assert_eq!(saved(&store), MAX_WAITING);
    assert_eq!(ledger.save(intent()).await, Ok(()));
}

#[tokio::test]
async fn a_save_whose_future_is_dropped_still_happens() {
    let (store, ledger) = undisturbed().await;
    {
        let mut dropped = pin!(ledger.save(intent()));
        assert!(poll!(&mut dropped).is_pending());
    }
    assert_eq!(ledger.save(intent()).await, Ok(()));
    assert_eq!(saved(&store), 2);
}

#[tokio::test]
async fn closing_completes_queued_saves_and_refuses_later_ones() {
    let (_store, ledger) = undisturbed().await;
    let mut queued = pin!(join_all((0..200).map(|_| ledger.save(intent()))));
    assert!(poll!(&mut queued).is_pending());
    assert_eq!(ledger.close().await, Ok(()));
    all_ok(queued.await);

    assert_eq!(ledger.save(intent()).await, Err(LedgerError::closed()));
    assert_eq!(ledger.find(intent().id).await, Err(LedgerError::closed()));
    assert_eq!(ledger.healthy(), Err(LedgerError::closed()));
    assert_eq!(ledger.close().await, Ok(()));
}

#[tokio::test]
async fn look_ups_share_a_query_and_each_gets_its_own_result() {
    let (store, ledger) = undisturbed().await;
    let (a, b, stranger) = (intent(), intent(), intent());
    for operation in [&a, &b] {
        ledger.save(operation.clone()).await.unwrap();
    }
    store.unreadable.lock().unwrap().insert(b.id);
    let ids = [b.id, a.id, stranger.id, a.id, b.id];
    let found = join_all(ids.map(|id| ledger.find(id))).await;
    let unreadable = Err(LedgerError::Unreadable { column: "status" });
    assert_eq!(
        found,
        [
            unreadable.clone(),
            Ok(Some(a.clone())),
            Ok(None),
            Ok(Some(a.clone())),
            unreadable
        ]
    );
    assert_eq!(*store.queries.lock().unwrap(), [[a.id, b.id, stranger.id]]);
}

#[tokio::test]
async fn expired_records_are_removed_in_chunks_until_none_is_left() {
    let store = StoreDouble::new();
    *store.prunable.lock().unwrap() = 1100;
    let _ledger = ledger(&store, calm());
    let mut pruned = store.pruned.subscribe();
    let calls = pruned
        .wait_for(|calls| calls.len() == 3)
        .await
        .unwrap()
        .clone();
    assert_eq!(*store.prunable.lock().unwrap(), 0);
    let age = Timestamp::now().duration_since(calls[0]);
    assert!((86_400..86_500).contains(&age.as_secs()), "{age}");
}

#[tokio::test]
async fn updates_are_published_once_they_are_durable() {
    let (store, ledger) = setup(Schedule::default()).await;
    let operation = Arc::new(finished(intent()));
    let mut listener = ledger.feed().subscribe(operation.id);
    store.hang();
    let answer = Arc::new(FirstAnswer::of(Arc::clone(&operation)));
    let write = Write {
        operation: Some(Arc::clone(&operation)),
        answer: Some(Arc::clone(&answer)),
    };
    let mut writing = pin!(ledger.write_all(vec![write]));
    while store.batches().is_empty() {
        assert!(poll!(&mut writing).is_pending());
        tokio::task::yield_now().await;
    }
    assert!(poll!(pin!(listener.next())).is_pending());
    store.recover();
    assert_eq!(writing.await, [Ok(())]);
    assert_eq!(listener.next().await, Some(operation));
    let stored = ledger.first_answer(&answer.operation).await.unwrap();
    assert_eq!(stored, Some(FirstAnswer::clone(&answer)));
}
