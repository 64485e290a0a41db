//! What is kept for the sake of idempotency keys.

use std::borrow::Cow;

use super::*;
use crate::domain::Idempotency;

fn keyed(key: u8) -> Operation {
    Operation {
        idempotency: Some(Box::new(Idempotency {
            key: Digest::from([key; 32]),
            payload: Digest::from([7; 32]),
        })),
        ..intent()
    }
}

fn answer(operation: &Operation, body: &str) -> Arc<KeptAnswer> {
    Arc::new(KeptAnswer {
        operation: operation.id,
        status: 202,
        headers: "content-type: application/json\nretry-after: 5\n".into(),
        body: body.into(),
    })
}

#[tokio::test]
async fn an_answer_comes_back_as_it_was_and_the_first_one_stays() {
    let home = Home::new();
    let store = home.store().await;
    for size in 1..=MAX_BATCH {
        let operations: Vec<_> = (0..size).map(|_| Arc::new(keyed(1))).collect();
        store.save(&operations).await.unwrap();
        let ended = operations.iter().map(|o| finished(Operation::clone(o)));
        let ended: Vec<_> = ended.map(Arc::new).collect();
        let answers: Vec<_> = ended.iter().map(|o| answer(o, "first")).collect();
        store.save_answered(&ended, &answers).await.unwrap();
        let later: Vec<_> = ended.iter().map(|o| answer(o, "second")).collect();
        store.save_answered(&[], &later).await.unwrap();
        for (operation, answer) in ended.iter().zip(&answers) {
            let kept = store.answer(operation.id).await.unwrap();
            assert_eq!(kept.as_ref(), Some(&**answer));
            let found = store.find_one(operation).await;
            assert_eq!(found, Some(Ok(Operation::clone(operation))));
        }
    }
    assert_eq!(store.answer(intent().id).await, Ok(None));
}

#[tokio::test]
async fn a_state_and_its_answer_are_kept_together_or_not_at_all() {
    let home = Home::new();
    let store = home.store().await;
    let operation = keyed(1);
    store.save_one(&operation).await.unwrap();
    store.run("PRAGMA max_page_count = 20").await;
    let ended = Arc::new(finished(operation.clone()));
    let too_much = answer(&ended, &"x".repeat(200_000));
    let refused = store
        .save_answered(&[Arc::clone(&ended)], &[too_much])
        .await;
    assert_eq!(refused, Err(unavailable("the disk is full")));
    assert_eq!(store.find_one(&operation).await, Some(Ok(operation)));
    assert_eq!(store.answer(ended.id).await, Ok(None));
    // The connection is a new one, without the limit.
    let small = answer(&ended, "x");
    store
        .save_answered(&[Arc::clone(&ended)], &[Arc::clone(&small)])
        .await
        .unwrap();
    assert_eq!(
        store.answer(ended.id).await,
        Ok(Some(KeptAnswer::clone(&small)))
    );
}

#[tokio::test]
async fn keys_are_found_again_in_the_order_of_their_operations() {
    let home = Home::new();
    let store = home.store().await;
    let before = Timestamp::now() - SignedDuration::from_secs(1);
    let operations = [keyed(3), intent(), keyed(1), keyed(3)];
    for operation in operations.iter().rev() {
        store.save_one(operation).await.unwrap();
        store.save_one(&finished(operation.clone())).await.unwrap();
    }
    let expected: Vec<_> = operations
        .iter()
        .filter_map(|o| Some((o.idempotency.as_ref()?.key, o.id)))
        .collect();
    assert_eq!(store.keys_since(before).await, Ok(expected));
    let later = Timestamp::now() + SignedDuration::from_secs(1);
    assert_eq!(store.keys_since(later).await, Ok(Vec::new()));
}

#[tokio::test]
async fn old_answers_are_removed_in_chunks() {
    let home = Home::new();
    let store = home.store().await;
    let operations = [keyed(1), keyed(2), keyed(3)];
    for operation in &operations {
        let answer = answer(operation, "");
        store.save_answered(&[], &[answer]).await.unwrap();
    }
    let before = Timestamp::now() + SignedDuration::from_secs(1);
    let long_ago = Timestamp::now() - SignedDuration::from_secs(60);
    assert_eq!(store.forget_answers(long_ago, 10).await, Ok(0));
    assert_eq!(store.forget_answers(before, 2).await, Ok(2));
    assert_eq!(store.answer(operations[0].id).await, Ok(None));
    assert!(store.answer(operations[2].id).await.unwrap().is_some());
    assert_eq!(store.forget_answers(before, 2).await, Ok(1));
}

#[tokio::test]
async fn a_ledger_of_the_first_version_is_brought_up_to_date() {
    let home = Home::new();
    let mut first = MIGRATOR.iter().next().into_iter().cloned();
    let first = Migrator {
        migrations: Cow::Owned(first.by_ref().collect()),
        ..Migrator::DEFAULT
    };
    let mut stranger = home.stranger().await;
    sqlx::query(MARK_AS_OURS)
        .execute(&mut stranger)
        .await
        .unwrap();
    first.run_direct(None, &mut stranger, false).await.unwrap();
    stranger.close().await.unwrap();
    home.tamper(
        "INSERT INTO operations (id, action, status, offer_id, publisher_id, requested_by, \
         request_id, created_at, updated_at, delivered) \
         VALUES (x'01a2084cd02473488d3cd2e873877d61', 'cancel', 'Running', 'vm', 'contoso', \
         'pipeline', 'r', 1, 2, 'yes')",
    )
    .await;
    let ledger = Ledger::open(home.options()).await.unwrap();
    let unfinished = ledger.unfinished().await.unwrap();
    assert_eq!(unfinished.len(), 1);
    assert_eq!(unfinished[0].idempotency, None);
    let keyed = keyed(1);
    ledger.save(keyed.clone()).await.unwrap();
    assert_eq!(ledger.find(keyed.id).await, Ok(Some(keyed)));
}
