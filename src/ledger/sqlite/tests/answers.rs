//! First answers, and the keys that they were given under.

use sqlx::migrate::Migrator;

use super::super::claim::MARK_AS_OURS;
use super::*;
use crate::domain::{Digest, Idempotency, PortalError, PortalProblem, Status};

fn keyed(key: u8) -> Operation {
    Operation {
        idempotency: Some(Box::new(Idempotency {
            key: Digest::from([key; 32]),
            payload: Digest::from([7; 32]),
        })),
        ..intent()
    }
}

/// The answer to a cancel that the vendor has accepted.
fn answer(operation: &Operation) -> Arc<FirstAnswer> {
    let mut operation = running(operation.clone());
    operation.portal.status = Some("running".into());
    Arc::new(FirstAnswer {
        waited: Some(Duration::from_secs(7)),
        ..FirstAnswer::of(Arc::new(operation))
    })
}

/// An answer that is a problem, with this message of the vendor's.
fn problem(operation: &Operation, message: &str) -> Arc<FirstAnswer> {
    let problem = PortalProblem {
        code: ProblemCode::PortalFailed,
        said: PortalError {
            code: Some("Busy".into()),
            message: Some(message.into()),
        },
    };
    let operation = Arc::new(running(operation.clone()));
    Arc::new(FirstAnswer {
        problem: Some(problem),
        ..FirstAnswer::of(operation)
    })
}

/// Both are over later.
fn ended(operation: &Operation) -> Arc<Operation> {
    Arc::new(finished(running(operation.clone())))
}

#[tokio::test]
async fn an_answer_comes_back_as_it_was_and_the_first_one_stays() {
    let home = Home::new();
    let store = home.store().await;
    for size in 1..=MAX_BATCH {
        let operations: Vec<_> = (0..size).map(|_| Arc::new(keyed(1))).collect();
        store.save(&operations).await.unwrap();
        let ended: Vec<_> = operations.iter().map(|o| ended(o)).collect();
        let answers: Vec<_> = (operations.iter().enumerate())
            .map(|(n, o)| {
                if n % 2 == 0 {
                    answer(o)
                } else {
                    problem(o, "no")
                }
            })
            .collect();
        store.save_answered(&ended, &answers).await.unwrap();
        let later: Vec<_> = ended.iter().map(|o| problem(o, "later")).collect();
        store.save_answered(&[], &later).await.unwrap();
        for (operation, answer) in ended.iter().zip(&answers) {
            let stored = store.first_answer(operation).await.unwrap();
            assert_eq!(stored.as_ref(), Some(&**answer));
            let found = store.find_one(operation).await;
            assert_eq!(found, Some(Ok(Operation::clone(operation))));
        }
    }
    assert_eq!(store.first_answer(&Arc::new(intent())).await, Ok(None));
}

#[tokio::test]
async fn a_state_and_its_answer_are_stored_together_or_not_at_all() {
    let home = Home::new();
    let store = home.store().await;
    let operation = keyed(1);
    store.save_one(&operation).await.unwrap();
    store.run("PRAGMA max_page_count = 20").await;
    let ended = ended(&operation);
    let too_much = problem(&operation, &"x".repeat(200_000));
    let refused = store
        .save_answered(&[Arc::clone(&ended)], &[too_much])
        .await;
    assert_eq!(refused, Err(unavailable("the disk is full")));
    assert_eq!(
        store.find_one(&operation).await,
        Some(Ok(operation.clone()))
    );
    assert_eq!(store.first_answer(&ended).await, Ok(None));
    // The connection is a new one, without the limit.
    let small = problem(&operation, "x");
    store
        .save_answered(&[Arc::clone(&ended)], &[Arc::clone(&small)])
        .await
        .unwrap();
    assert_eq!(
        store.first_answer(&ended).await,
        Ok(Some(FirstAnswer::clone(&small)))
    );
}

async fn keys(store: &SqliteStore, since: Timestamp) -> Vec<(Digest, OperationId)> {
    let mut keys = Vec::new();
    let mut restore = |stored: StoredKey| {
        assert_eq!(stored.caller, intent().requested_by);
        keys.push((stored.key, stored.operation));
    };
    store.keys_since(since, &mut restore).await.unwrap();
    keys
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
    assert_eq!(keys(&store, before).await, expected);
    let later = Timestamp::now() + SignedDuration::from_secs(1);
    assert_eq!(keys(&store, later).await, []);
}

#[tokio::test]
async fn old_answers_are_removed_in_chunks() {
    let home = Home::new();
    let store = home.store().await;
    let operations = [keyed(1), keyed(2), keyed(3)];
    for operation in &operations {
        store
            .save_answered(&[], &[answer(operation)])
            .await
            .unwrap();
    }
    let before = Timestamp::now() + SignedDuration::from_secs(1);
    let long_ago = Timestamp::now() - SignedDuration::from_secs(60);
    assert_eq!(store.forget_answers(long_ago, 10).await, Ok(0));
    assert_eq!(store.forget_answers(before, 2).await, Ok(2));
    let operations = operations.map(Arc::new);
    assert_eq!(store.first_answer(&operations[0]).await, Ok(None));
    let last = store.first_answer(&operations[2]).await.unwrap();
    assert!(last.is_some());
    assert_eq!(store.forget_answers(before, 2).await, Ok(1));
}

/// A ledger whose schema is of the first `migrations`.
async fn of_version(migrations: usize) -> Home {
    let home = Home::new();
    let first = migrations::migrator()
        .iter()
        .take(migrations)
        .cloned()
        .collect();
    let earlier = Migrator::with_migrations(first);
    let mut stranger = home.stranger().await;
    sqlx::query(MARK_AS_OURS)
        .execute(&mut stranger)
        .await
        .unwrap();
    earlier
        .run_direct(None, &mut stranger, false)
        .await
        .unwrap();
    stranger.close().await.unwrap();
    home
}

const INSERT: &str = "INSERT INTO operations (id, action, offer_id, publisher_id, requested_by, \
                      request_id, created_at, updated_at, delivered, status, error_code) VALUES ";

#[tokio::test]
async fn a_ledger_of_the_first_version_is_brought_up_to_date() {
    let home = of_version(1).await;
    let values = "(x'01a2084cd02473488d3cd2e873877d61', 'cancel', 'vm', 'contoso', 'pipeline', \
                  'r', 1, 2, 'yes', 'Running', NULL)";
    home.tamper(&format!("{INSERT} {values}")).await;
    let ledger = Ledger::open(home.options()).await.unwrap();
    let unfinished = ledger.unfinished().await.unwrap();
    assert_eq!(unfinished.len(), 1);
    assert_eq!(unfinished[0].idempotency, None);
    let keyed = keyed(1);
    ledger.save(keyed.clone()).await.unwrap();
    assert_eq!(ledger.find(keyed.id).await, Ok(Some(keyed)));
}

#[tokio::test]
async fn answers_that_were_stored_as_text_are_converted() {
    let home = of_version(2).await;
    let bodies = [
        (
            202,
            "Succeeded",
            "NULL",
            r#"{"status":"Running","updatedAt":"2026-11-30T10:11:12.0345Z","portal":{"status":"queued"}}"#,
        ),
        (
            404,
            "Failed",
            "'offer-not-found'",
            r#"{"status":404,"code":"offer-not-found","portal":{"code":"E","message":"m"}}"#,
        ),
        (
            502,
            "Failed",
            "'outcome-unknown'",
            r#"{"status":502,"code":"portal-failed"}"#,
        ),
        (200, "Succeeded", "NULL", "cut of"),
    ];
    for (n, (http_status, status, error, body)) in bodies.iter().enumerate() {
        let id = format!("x'01a2084cd02473488d3cd2e873877d6{n}'");
        home.tamper(&format!(
            "{INSERT} ({id}, 'cancel', 'vm', 'contoso', 'pipeline', 'r', 1, 99, 'yes', \
             '{status}', {error}); \
             INSERT INTO answers VALUES ({id}, {http_status}, '', CAST('{body}' AS BLOB))"
        ))
        .await;
    }
    let store = home.store().await;
    let mut stored = Vec::new();
    for n in 0..4 {
        let id = 0x01a2_084c_d024_7348_8d3c_d2e8_7387_7d60 + n;
        let id = OperationId::from(uuid::Uuid::from_u128(id));
        let found = store.find(&[id]).await.unwrap().pop().unwrap().1.unwrap();
        stored.push(store.first_answer(&Arc::new(found)).await.unwrap());
    }
    let [Some(operation), Some(refused), Some(followed), None] = &stored[..] else {
        panic!("{stored:?}");
    };
    let state = &operation.operation;
    assert_eq!(state.status, Status::Running);
    assert_eq!(state.updated_at.to_string(), "2026-11-30T10:11:12.0345Z");
    assert_eq!(state.portal.status.as_deref(), Some("queued"));
    let problem = refused.problem.as_ref().unwrap();
    assert_eq!(problem.code, ProblemCode::OfferNotFound);
    assert_eq!(problem.said.message.as_deref(), Some("m"));
    assert!(refused.operation.error.is_some());
    let problem = followed.problem.as_ref().unwrap();
    assert_eq!(problem.code, ProblemCode::PortalFailed);
    assert!(followed.operation.error.is_none());
}

#[test]
fn the_scripts_are_those_that_earlier_releases_have_applied() {
    let migrator = migrations::migrator();
    let checksums = migrator.iter().take(2).map(|migration| {
        let bytes = migration.checksum.iter();
        let hex: String = bytes.map(|byte| format!("{byte:02x}")).collect();
        (migration.version, &*migration.description, hex)
    });
    // What release 0.1.0 has recorded in `_sqlx_migrations`.
    let released = [
        (
            1,
            "operations",
            "08bb1a3e7756592170f40edd3426eca9cbd469eb5830cda4\
             2e90764fb9259f7c6ae1dfde3a87f6b6c957417bb0c8a992"
                .to_owned(),
        ),
        (
            2,
            "idempotency",
            "782a31b639249877196cd8045a85dea8ab46a6f9cb826871\
             13c959271aee7e5aa99ef2a10cc066b918f5bde73de1f470"
                .to_owned(),
        ),
    ];
    assert_eq!(checksums.collect::<Vec<_>>(), released);
}
