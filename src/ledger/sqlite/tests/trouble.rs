//! Faults of the file or the disk: a clear error, no damage, and normal service once the
//! fault is gone.

use std::fs;

use super::*;

#[tokio::test]
async fn a_ledger_is_locked_under_all_its_names() {
    let home = Home::new();
    let ledger = Ledger::open(home.options()).await.unwrap();
    assert_eq!(home.refusal().await, LedgerError::InUse);
    let alias = home.directory.path().join("alias.db");
    std::os::unix::fs::symlink(home.path(), &alias).unwrap();
    let options = LedgerOptions {
        path: alias,
        ..home.options()
    };
    let refused = SqliteStore::open(&options).await;
    assert_eq!(refused.map(|_| ()), Err(LedgerError::InUse));

    ledger.close().await.unwrap();
    home.store().await;
}

#[tokio::test]
async fn a_full_disk_is_an_error_until_there_is_room() {
    let home = Home::new();
    let store = home.store().await;
    let big = |letter: &str| {
        let mut operation = running(intent());
        operation.portal.status = Some(letter.repeat(100_000));
        operation
    };
    store.run("PRAGMA max_page_count = 20").await;
    assert_eq!(
        store.save_one(&big("a")).await,
        Err(unavailable("the disk is full"))
    );
    assert_eq!(
        store.unfinished().await,
        Ok(Vec::new()),
        "nothing of it is left"
    );

    store.run("PRAGMA max_page_count = 2000").await;
    let operation = big("b");
    store.save_one(&operation).await.unwrap();
    assert_eq!(
        store.find_one(&operation).await,
        Some(Ok(operation.clone()))
    );
}

#[tokio::test]
async fn a_connection_that_turned_read_only_is_replaced() {
    let home = Home::new();
    let store = home.store().await;
    store.run("PRAGMA query_only = ON").await;
    assert_eq!(
        store.probe().await,
        Err(unavailable("its file is read-only"))
    );
    assert_eq!(store.probe().await, Ok(()));
}

#[tokio::test]
async fn a_file_that_vanishes_is_noticed_and_not_recreated() {
    let home = Home::new();
    let store = home.store().await;
    let operation = intent();
    store.save_one(&operation).await.unwrap();
    let elsewhere = home.directory.path().join("elsewhere.db");
    fs::rename(home.path(), &elsewhere).unwrap();
    assert_eq!(
        store.check().await,
        Err(unavailable("its file: entity not found"))
    );
    assert!(!home.path().exists());

    // A replacement is refused as well, and not changed.
    fs::write(home.path(), "precious").unwrap();
    let replaced = Err(unavailable(
        "its file was replaced while in use; stop the gateway, and put the same file \
         back, or restore a backup without the old -wal file",
    ));
    assert_eq!(store.check().await, replaced);
    assert_eq!(store.save_one(&operation).await, replaced);
    assert_eq!(fs::read(home.path()).unwrap(), b"precious");

    fs::rename(&elsewhere, home.path()).unwrap();
    assert_eq!(store.probe().await, Ok(()));
    let found = store.find_one(&operation).await;
    assert_eq!(found, Some(Ok(operation.clone())));
}

#[tokio::test]
async fn an_unknown_value_makes_only_its_record_unreadable() {
    let home = Home::new();
    let ledger = Ledger::open(home.options()).await.unwrap();
    let (strange, plain) = (running(intent()), intent());
    for operation in [&strange, &plain] {
        ledger.save(operation.clone()).await.unwrap();
    }
    let cases = [
        (
            "UPDATE operations SET status = 'Dreaming' WHERE status = 'Running'",
            "status",
        ),
        (
            "UPDATE operations SET status = 'Running', evidence = '{\"x\":1}' WHERE status = 'Dreaming'",
            "evidence",
        ),
        (
            "UPDATE operations SET evidence = NULL, portal_http_status = 70000 WHERE status = 'Running'",
            "portal_http_status",
        ),
        (
            "UPDATE operations SET portal_http_status = NULL, offer_id = '../x' WHERE status = 'Running'",
            "offer_id",
        ),
    ];
    for (sql, column) in cases {
        home.tamper(sql).await;
        assert_eq!(
            ledger.find(strange.id).await,
            Err(LedgerError::Unreadable { column })
        );
        assert_eq!(ledger.find(plain.id).await, Ok(Some(plain.clone())));
        assert_eq!(ledger.unfinished().await, Ok(vec![plain.clone()]));
    }
}

#[tokio::test]
async fn a_file_that_is_not_a_ledger_is_refused_unchanged() {
    let home = Home::new();
    fs::write(
        home.path(),
        "the file of another program, not a database".repeat(50),
    )
    .unwrap();
    assert_eq!(home.refusal().await, LedgerError::Corrupt);

    let home = Home::new();
    home.tamper("CREATE TABLE accounts (name TEXT)").await;
    let before = fs::read(home.path()).unwrap();
    assert!(matches!(home.refusal().await, LedgerError::Foreign { .. }));
    assert_eq!(fs::read(home.path()).unwrap(), before);

    let home = Home::new();
    home.tamper("PRAGMA application_id = 42").await;
    assert!(matches!(home.refusal().await, LedgerError::Foreign { .. }));

    let options = LedgerOptions {
        path: Home::new().path(),
        ..home.options()
    };
    let refused = SqliteStore::open(&options).await;
    assert_eq!(
        refused.map(|_| ()),
        Err(unavailable("its directory does not exist"))
    );
}

#[tokio::test]
async fn the_schema_of_another_version_is_refused() {
    let home = Home::new();
    home.store().await.close().await.unwrap();
    home.tamper("INSERT INTO _sqlx_migrations VALUES (99, 'future', '', true, x'00', 1)")
        .await;
    assert_eq!(home.refusal().await, LedgerError::TooNew { version: 99 });
    home.tamper("DELETE FROM _sqlx_migrations WHERE version = 99")
        .await;
    home.tamper("UPDATE _sqlx_migrations SET checksum = x'00'")
        .await;
    assert!(matches!(home.refusal().await, LedgerError::Foreign { .. }));
}
