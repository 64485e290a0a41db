//! The store on real files.

mod answers;
mod examination;
mod files;
mod losses;
mod round_trip;
mod trouble;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;
use tempfile::TempDir;

use super::*;
use crate::domain::{CallerName, Delivered, Durability, OperationError, ProblemCode, Target};
use crate::ledger::samples::{finished, intent, running};
use crate::ledger::{Ledger, LedgerOptions, Retention, Write};

struct Home {
    directory: TempDir,
}

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("offergate.db")
    }

    async fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.options()).await.unwrap()
    }

    async fn refusal(&self) -> LedgerError {
        let store = SqliteStore::open(&self.options()).await;
        store.map(|_| ()).unwrap_err()
    }

    fn options(&self) -> LedgerOptions {
        LedgerOptions {
            path: self.path(),
            durability: Durability::Full,
            retention: Retention {
                operations: Duration::from_secs(86_400),
                keys: Duration::from_secs(3_600),
            },
        }
    }

    /// A connection of another process.
    async fn stranger(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.path());
        options.create_if_missing(true).connect().await.unwrap()
    }

    async fn tamper(&self, sql: &str) {
        let mut stranger = self.stranger().await;
        sqlx::query(AssertSqlSafe(sql.to_owned()))
            .execute(&mut stranger)
            .await
            .unwrap();
        stranger.close().await.unwrap();
    }
}

impl SqliteStore {
    async fn save_one(&self, operation: &Operation) -> Result<(), LedgerError> {
        self.save(&[Arc::new(operation.clone())]).await
    }

    async fn find_one(&self, operation: &Operation) -> Option<Result<Operation, LedgerError>> {
        let mut found = self.find(&[operation.id]).await.unwrap();
        assert!(found.len() <= 1);
        found.pop().map(|(_, operation)| operation)
    }

    async fn run(&self, sql: &'static str) {
        self.execute(sqlx::query(sql)).await.unwrap();
    }
}

fn unavailable(reason: &'static str) -> LedgerError {
    LedgerError::unavailable(reason)
}

#[tokio::test]
async fn every_batch_size_has_its_statement() {
    let home = Home::new();
    let store = home.store().await;
    for size in 1..=MAX_BATCH {
        let batch: Vec<_> = (0..size).map(|_| Arc::new(intent())).collect();
        store.save(&batch).await.unwrap();
        let ids: Vec<_> = batch.iter().map(|operation| operation.id).collect();
        assert_eq!(store.find(&ids).await.unwrap().len(), size);
    }
    let too_many: Vec<_> = (0..=MAX_BATCH).map(|_| Arc::new(intent())).collect();
    assert!(store.save(&too_many).await.is_err());
    assert!(store.save(&[]).await.is_err());
}

#[tokio::test]
async fn a_reported_save_can_be_read_by_another_process() {
    let home = Home::new();
    let ledger = Ledger::open(home.options()).await.unwrap();
    let mut stranger = home.stranger().await;
    for _ in 0..20 {
        let operation = intent();
        ledger.save(operation.clone()).await.unwrap();
        let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM operations WHERE id = ?")
            .bind(&operation.id.as_uuid().as_bytes()[..])
            .fetch_one(&mut stranger)
            .await
            .unwrap();
        assert_eq!(seen, 1);
    }
}

#[tokio::test]
async fn a_finished_operation_never_changes_and_an_unfinished_one_keeps_its_request() {
    let home = Home::new();
    let store = home.store().await;
    let mut operation = intent();
    let origin = operation.clone();
    store.save_one(&operation).await.unwrap();

    operation = running(operation);
    let forged = Operation {
        requested_by: CallerName::parse("someone-else").unwrap(),
        target: Target::sample("contoso", "another"),
        created_at: Timestamp::UNIX_EPOCH,
        ..operation.clone()
    };
    store.save_one(&forged).await.unwrap();
    assert_eq!(
        store.find_one(&origin).await,
        Some(Ok(running(origin.clone())))
    );

    let end = finished(operation.clone());
    store.save_one(&end).await.unwrap();
    let mut other_end = operation.clone();
    other_end.refuse(
        Delivered::No,
        OperationError::new(ProblemCode::OutcomeUnknown, ""),
    );
    for late in [operation, other_end] {
        store.save_one(&late).await.unwrap();
        assert_eq!(store.find_one(&origin).await, Some(Ok(end.clone())));
    }
}

#[tokio::test]
async fn no_state_is_replaced_by_an_older_one_in_any_order() {
    let home = Home::new();
    let ledger = Ledger::open(home.options()).await.unwrap();
    let intent = intent();
    let mut states = vec![intent.clone()];
    for word in ["running", "nearly there"] {
        let mut next = running(states[states.len() - 1].clone());
        next.portal.status = Some(word.into());
        next.updated_at += SignedDuration::from_micros(1);
        states.push(next);
    }
    let latest = states[2].clone();
    for order in [[2, 0, 1], [0, 2, 1]] {
        // Together in one commit, and one after the other.
        let writes = order.map(|n| Write::from(Arc::new(states[n].clone())));
        assert_eq!(ledger.write_all(writes.to_vec()).await, vec![Ok(()); 3]);
        assert_eq!(ledger.find(intent.id).await, Ok(Some(latest.clone())));
        for n in order {
            ledger.save(states[n].clone()).await.unwrap();
        }
        assert_eq!(ledger.find(intent.id).await, Ok(Some(latest.clone())));
    }
}

#[tokio::test]
async fn a_restart_finds_unfinished_operations_and_all_files_are_private() {
    let home = Home::new();
    let ledger = Ledger::open(home.options()).await.unwrap();
    let (first, second, ended) = (intent(), running(intent()), finished(intent()));
    for operation in [&second, &ended, &first] {
        ledger.save(operation.clone()).await.unwrap();
    }
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let file = format!("{}{suffix}", home.path().display());
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    ledger.close().await.unwrap();
    let wal = format!("{}-wal", home.path().display());
    assert!(!fs::exists(wal).unwrap(), "closing leaves one file");

    let ledger = Ledger::open(home.options()).await.unwrap();
    assert_eq!(ledger.unfinished().await.unwrap(), [first, second]);
    assert_eq!(ledger.find(ended.id).await, Ok(Some(ended)));
    assert_eq!(ledger.healthy(), Ok(()));
}

#[tokio::test]
async fn only_operations_that_finished_long_ago_are_removed() {
    let home = Home::new();
    let store = home.store().await;
    let now = Timestamp::now();
    let aged = |days: i64, operation: Operation| {
        let at = now - SignedDuration::from_hours(24 * days);
        let id = uuid::Builder::from_unix_timestamp_millis(at.as_millisecond() as u64, &[7; 10]);
        let at = Timestamp::from_microsecond(at.as_microsecond()).unwrap();
        Operation {
            id: id.into_uuid().into(),
            created_at: at,
            updated_at: at,
            ..operation
        }
    };
    let (ancient, old) = (aged(40, finished(intent())), aged(31, finished(intent())));
    let (recent, open) = (aged(29, finished(intent())), aged(50, running(intent())));
    // Created long ago, and finished only now.
    let slow = Operation {
        updated_at: recent.updated_at,
        ..aged(45, finished(intent()))
    };
    for operation in [&ancient, &old, &recent, &open, &slow] {
        store.save_one(operation).await.unwrap();
    }
    let before = now - SignedDuration::from_hours(24 * 30);
    assert_eq!(store.prune(before, 1).await, Ok(1));
    assert_eq!(store.find_one(&ancient).await, None);
    assert_eq!(store.prune(before, 100).await, Ok(1));
    assert_eq!(store.find_one(&old).await, None);
    assert_eq!(store.prune(before, 100).await, Ok(0));
    for kept in [recent, open, slow] {
        assert_eq!(store.find_one(&kept).await, Some(Ok(kept.clone())));
    }
}

#[tokio::test]
async fn durability_sets_synchronous() {
    for (durability, synchronous) in [(Durability::Full, 2), (Durability::Relaxed, 1)] {
        let home = Home::new();
        let options = LedgerOptions {
            durability,
            ..home.options()
        };
        let store = SqliteStore::open(&options).await.unwrap();
        let mut slot = store.writer().await.unwrap();
        let connection = slot.connection().unwrap();
        let set: i64 = sqlx::query_scalar("PRAGMA synchronous")
            .fetch_one(connection)
            .await
            .unwrap();
        assert_eq!(set, synchronous);
    }
}

#[tokio::test]
async fn no_maintenance_query_scans_the_whole_table() {
    let home = Home::new();
    home.store().await.close().await.unwrap();
    let mut stranger = home.stranger().await;
    for (sql, way) in [
        (row::select_unfinished(), "operations_unfinished"),
        (
            super::salvage::UNFINISHED_IDS,
            "COVERING INDEX operations_unfinished",
        ),
        (PRUNE, "PRIMARY KEY (id<?)"),
        (
            super::answers::SELECT_KEYS,
            "INDEX operations_idempotency (id>?)",
        ),
        (
            super::answers::FORGET,
            "sqlite_autoindex_first_answers_1 (operation_id<?)",
        ),
    ] {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain)
            .fetch_all(&mut stranger)
            .await
            .unwrap();
        assert!(plan.iter().any(|(.., step)| step.contains(way)), "{plan:?}");
    }
}
