//! The batching, waiting and recovering, held against a store that does as it
//! is told. What SQLite itself does is tested beside it.

mod double;

use std::pin::pin;

use futures_util::future::join_all;
use futures_util::poll;

use double::{Double, disk_full};

use super::*;
use crate::domain::{
    Action, CallerName, Delivered, OfferId, Outcome, PublisherId, RequestId, Status,
};

pub fn intent() -> Operation {
    let mut operation = Operation::intent(
        Action::Cancel,
        PublisherId::parse("contoso").unwrap(),
        OfferId::parse("contoso-vm").unwrap(),
        CallerName::parse("release-pipeline").unwrap(),
        RequestId::generate(),
    );
    // The ledger keeps microseconds.
    operation.created_at =
        Timestamp::from_microsecond(operation.created_at.as_microsecond()).unwrap();
    operation.updated_at = operation.created_at;
    operation
}

pub fn running(mut operation: Operation) -> Operation {
    operation.status = Status::Running;
    operation.portal.http_status = Some(202);
    operation.portal.delivered = Delivered::Yes;
    operation
}

pub fn finished(mut operation: Operation) -> Operation {
    let at = operation.updated_at;
    operation.finish(Outcome::Canceled, None);
    operation.updated_at = at;
    operation
}

const NEVER: Duration = Duration::from_secs(86_400);

/// A ledger on the double, whose first chores are done and whose next ones are
/// as far away as `pace` says.
async fn ledger(store: &Arc<Double>, pace: Pace) -> Ledger {
    let ledger = Ledger::at_pace(Arc::clone(store) as Arc<dyn Store>, NEVER, pace);
    let mut pruned = store.pruned.subscribe();
    pruned.wait_for(|calls| !calls.is_empty()).await.unwrap();
    ledger
}

fn no_chores() -> Pace {
    Pace {
        patience: NEVER,
        probe_every: NEVER,
        prune_every: NEVER,
    }
}

async fn until(ledger: &Ledger, healthy: bool) {
    let mut health = ledger.0.health.clone();
    health.wait_for(|now| now.is_ok() == healthy).await.unwrap();
}

#[tokio::test]
async fn a_thousand_saves_at_once_take_few_statements() {
    let store = Double::new();
    let ledger = ledger(&store, no_chores()).await;
    let saved = join_all((0..1000).map(|_| ledger.save(intent()))).await;
    assert!(saved.into_iter().all(|result| result == Ok(())));
    let batches = store.batches();
    assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), 1000);
    assert!(
        batches.len() <= 1000_usize.div_ceil(MAX_BATCH) + 1,
        "{}",
        batches.len()
    );
}

#[tokio::test]
async fn who_comes_during_a_commit_shares_the_next() {
    let store = Double::new();
    let ledger = ledger(&store, no_chores()).await;
    store.hang();
    let mut first = pin!(ledger.save(intent()));
    assert!(poll!(&mut first).is_pending());
    while store.batches().is_empty() {
        tokio::task::yield_now().await;
    }
    let mut rest = pin!(join_all((0..10).map(|_| ledger.save(intent()))));
    assert!(poll!(&mut rest).is_pending());
    store.answer_again();
    assert_eq!(first.await, Ok(()));
    assert!(rest.await.into_iter().all(|result| result == Ok(())));
    assert_eq!(
        store.batches().iter().map(Vec::len).collect::<Vec<_>>(),
        [1, 10]
    );
}

#[tokio::test]
async fn of_one_operation_the_last_state_is_written_and_a_final_one_stays() {
    let store = Double::new();
    let ledger = ledger(&store, no_chores()).await;
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
    assert!(saved.into_iter().all(|result| result == Ok(())));
    let batches = store.batches();
    let written: Vec<_> = batches
        .iter()
        .flatten()
        .map(|o| Operation::clone(o))
        .collect();
    assert_eq!(written, [running(a), finished(b), c]);
}

#[tokio::test]
async fn a_batch_that_fails_fails_for_all_its_members_and_for_nobody_else() {
    let store = Double::new();
    let ledger = ledger(&store, no_chores()).await;
    store.fill_disk();
    let failed = join_all((0..3).map(|_| ledger.save(intent()))).await;
    assert_eq!(failed, vec![Err(disk_full()); 3]);
    assert_eq!(ledger.healthy(), Err(disk_full()));

    store.free_disk();
    assert_eq!(ledger.save(intent()).await, Ok(()));
    assert_eq!(ledger.healthy(), Ok(()));
}

#[tokio::test]
async fn health_is_lost_and_regained_without_traffic() {
    let store = Double::new();
    let pace = Pace {
        probe_every: Duration::from_millis(1),
        ..no_chores()
    };
    let ledger = ledger(&store, pace).await;
    store.fill_disk();
    until(&ledger, false).await;
    store.free_disk();
    until(&ledger, true).await;
    assert!(store.batches().is_empty());
}

#[tokio::test]
async fn a_disk_that_hangs_is_an_error_and_comes_back() {
    let store = Double::new();
    let pace = Pace {
        patience: Duration::from_millis(20),
        ..no_chores()
    };
    let ledger = ledger(&store, pace).await;
    store.hang();
    assert_eq!(ledger.save(intent()).await, Err(LedgerError::Late));
    assert_eq!(ledger.healthy(), Err(LedgerError::Late));
    // The disk is still busy with the first, so this one is not even tried.
    let refused = LedgerError::unavailable("the disk does not answer");
    assert_eq!(ledger.save(intent()).await, Err(refused));
    assert_eq!(store.batches().len(), 1);

    store.answer_again();
    until(&ledger, true).await;
    assert_eq!(ledger.save(intent()).await, Ok(()));
}

#[tokio::test]
async fn nobody_waits_for_a_disk_that_hangs_wherever_in_the_line() {
    let store = Double::new();
    let pace = Pace {
        patience: Duration::from_millis(20),
        ..no_chores()
    };
    let ledger = ledger(&store, pace).await;
    store.hang();
    // The second does not fit into one commit with the first.
    let forty = || (0..40).map(|_| Write::from(Arc::new(intent()))).collect();
    let both = async { tokio::join!(ledger.write_all(forty()), ledger.write_all(forty())) };
    let both = tokio::time::timeout(Duration::from_secs(20), both).await;
    let (first, second) = both.expect("still waiting");
    assert_eq!(first, vec![Err(LedgerError::Late); 40]);
    assert!(second.iter().all(Result::is_err));
}

#[tokio::test]
async fn a_read_that_hangs_is_an_error_and_comes_back() {
    let store = Double::new();
    let pace = Pace {
        patience: Duration::from_millis(20),
        ..no_chores()
    };
    let ledger = ledger(&store, pace).await;
    store.hang();
    assert_eq!(ledger.find(intent().id).await, Err(LedgerError::Late));
    store.answer_again();
    while ledger.find(intent().id).await != Ok(None) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn more_than_can_wait_are_refused_at_once_and_nobody_else_suffers() {
    let store = Double::new();
    let ledger = ledger(&store, no_chores()).await;
    let mut waiting = pin!(join_all((0..MAX_WAITING).map(|_| ledger.save(intent()))));
    assert!(poll!(&mut waiting).is_pending());
    assert_eq!(ledger.save(intent()).await, Err(LedgerError::Overloaded));
    assert!(waiting.await.into_iter().all(|result| result == Ok(())));
    assert_eq!(
        store.batches().iter().map(Vec::len).sum::<usize>(),
        MAX_WAITING
    );
    assert_eq!(ledger.save(intent()).await, Ok(()));
}

#[tokio::test]
async fn a_save_that_nobody_awaits_any_more_still_happens() {
    let store = Double::new();
    let ledger = ledger(&store, no_chores()).await;
    {
        let mut dropped = pin!(ledger.save(intent()));
        assert!(poll!(&mut dropped).is_pending());
    }
    assert_eq!(ledger.save(intent()).await, Ok(()));
    assert_eq!(store.batches().iter().map(Vec::len).sum::<usize>(), 2);
}

#[tokio::test]
async fn closing_finishes_what_is_queued_and_refuses_the_rest() {
    let store = Double::new();
    let ledger = ledger(&store, no_chores()).await;
    let mut queued = pin!(join_all((0..200).map(|_| ledger.save(intent()))));
    assert!(poll!(&mut queued).is_pending());
    assert_eq!(ledger.close().await, Ok(()));
    assert!(queued.await.into_iter().all(|result| result == Ok(())));

    assert_eq!(ledger.save(intent()).await, Err(LedgerError::closed()));
    assert_eq!(ledger.find(intent().id).await, Err(LedgerError::closed()));
    assert_eq!(ledger.healthy(), Err(LedgerError::closed()));
    assert_eq!(ledger.close().await, Ok(()));
}

#[tokio::test]
async fn finds_share_a_query_and_everyone_gets_their_own() {
    let store = Double::new();
    let ledger = ledger(&store, no_chores()).await;
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
async fn what_is_too_old_is_removed_in_chunks_until_nothing_is_left() {
    let store = Double::new();
    *store.prunable.lock().unwrap() = 1100;
    let _ledger = ledger(&store, no_chores()).await;
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
async fn news_are_told_when_they_are_durable_and_not_before() {
    let store = Double::new();
    let ledger = ledger(&store, Pace::default()).await;
    let operation = Arc::new(finished(intent()));
    let mut listener = ledger.0.news.changes.subscribe(operation.id);
    store.hang();
    let answer = Arc::new(KeptAnswer {
        operation: operation.id,
        status: 200,
        headers: String::new(),
        body: Vec::new(),
    });
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
    store.answer_again();
    assert_eq!(writing.await, [Ok(())]);
    assert_eq!(listener.next().await, Some(operation));
    let kept = ledger.answer(answer.operation).await.unwrap();
    assert_eq!(kept, Some(KeptAnswer::clone(&answer)));
}
