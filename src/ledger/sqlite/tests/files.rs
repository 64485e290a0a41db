//! The files of a ledger: who may access them, who holds them, and what was lost of them.

use std::fs::Permissions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::*;
use crate::ledger::sqlite::file::is_held;
use crate::ledger::sqlite::modes::side_file;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

async fn refused(home: &Home, with: &str) {
    let refusal = home.refusal().await.to_string();
    assert!(refusal.contains(with), "{refusal}");
}

/// A ledger that has held this operation, without any gateway.
pub async fn left(operation: &Operation) -> Home {
    let home = Home::new();
    let store = home.store().await;
    store.save_one(operation).await.unwrap();
    store.check().await.unwrap();
    store.close().await.unwrap();
    home
}

#[tokio::test]
async fn files_that_others_may_access_become_private() {
    let home = left(&intent()).await;
    let path = home.path();
    for suffix in ["-wal", "-shm"] {
        fs::write(side_file(&path, suffix), "").unwrap();
    }
    let files = ["", "-wal", "-shm", ".lock"].map(|suffix| side_file(&path, suffix));
    for file in &files {
        fs::set_permissions(file, Permissions::from_mode(0o666)).unwrap();
    }
    let _store = home.store().await;
    for file in &files {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn the_mode_of_a_foreign_file_is_not_changed() {
    let home = Home::new();
    home.tamper("CREATE TABLE accounts (name TEXT)").await;
    fs::set_permissions(home.path(), Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(home.refusal().await, LedgerError::Foreign { .. }));
    assert_eq!(mode(&home.path()), 0o644);
}

#[tokio::test]
async fn a_ledger_is_held_under_every_name_until_it_is_closed() {
    let home = Home::new();
    let store = home.store().await;
    let other_name = home.directory.path().join("other.db");
    fs::hard_link(home.path(), &other_name).unwrap();
    fs::remove_file(side_file(&home.path(), ".lock")).unwrap();
    for path in [home.path(), other_name.clone()] {
        let options = LedgerOptions {
            path,
            ..home.options()
        };
        let refused = SqliteStore::open(&options).await.map(|_| ());
        assert_eq!(refused, Err(LedgerError::InUse));
    }
    assert_eq!(is_held(&other_name), Ok(true));
    // The record is written again.
    store.check().await.unwrap();
    assert!(side_file(&home.path(), ".lock").exists());
    store.close().await.unwrap();
    assert_eq!(is_held(&other_name), Ok(false));
    home.store().await;
}

#[tokio::test]
async fn an_emptied_ledger_is_refused_until_that_is_confirmed() {
    for damage in ["emptied", "removed", "without records"] {
        let home = left(&intent()).await;
        match damage {
            "emptied" => fs::write(home.path(), "").unwrap(),
            "removed" => fs::remove_file(home.path()).unwrap(),
            _ => home.tamper("DELETE FROM operations").await,
        }
        refused(&home, "but held operations").await;
        assert_eq!(home.path().exists(), damage != "removed");
        fs::remove_file(side_file(&home.path(), ".lock")).unwrap();
        home.store().await;
    }
}

#[tokio::test]
async fn a_ledger_whose_records_have_all_expired_is_not_one_that_was_emptied() {
    let home = left(&intent()).await;
    home.tamper("DELETE FROM operations").await;
    let mut options = home.options();
    options.retention.operations = Duration::ZERO;
    // The clock may be wrong, so that is told.
    let store = SqliteStore::open(&options).await.unwrap();
    assert_eq!(store.warnings().len(), 1);
    store.close().await.unwrap();
    assert!(home.store().await.warnings()[0].contains("has lost"));
    // An empty file is not one whose records have expired.
    let home = left(&intent()).await;
    fs::write(home.path(), "").unwrap();
    options.path = home.path();
    let refused = SqliteStore::open(&options).await.map(|_| ());
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("but held operations"), "{refused}");
}

#[tokio::test]
async fn a_log_without_its_database_is_not_deleted() {
    let home = Home::new();
    let store = home.store().await;
    store.save_one(&intent()).await.unwrap();
    // As a crash leaves it.
    let (log, copy) = (side_file(&home.path(), "-wal"), Home::new());
    fs::copy(&log, side_file(&copy.path(), "-wal")).unwrap();
    refused(&copy, "its -wal file is not").await;
    assert!(fs::metadata(side_file(&copy.path(), "-wal")).unwrap().len() > 0);
}

#[tokio::test]
async fn a_cut_ledger_is_refused() {
    let home = left(&intent()).await;
    let file = fs::OpenOptions::new()
        .write(true)
        .open(home.path())
        .unwrap();
    let size = file.metadata().unwrap().len();
    for cut in [size - 4096, 4096, 1000, 10] {
        file.set_len(cut).unwrap();
        assert_eq!(home.refusal().await, LedgerError::Corrupt, "{cut}");
    }
}

#[tokio::test]
async fn a_removed_log_costs_nothing() {
    for (suffix, replaced) in [("-wal", false), ("-wal", true), ("-shm", false)] {
        let home = Home::new();
        let store = home.store().await;
        let operations = [intent(), intent()];
        store.save_one(&operations[0]).await.unwrap();
        let file = side_file(&home.path(), suffix);
        fs::remove_file(&file).unwrap();
        if replaced {
            fs::write(&file, "something else").unwrap();
        }
        store.save_one(&operations[1]).await.unwrap();
        store.check().await.unwrap();
        // As a crash leaves it: what only the removed log had would be lost.
        let copy = Home::new();
        fs::copy(home.path(), copy.path()).unwrap();
        let copy = copy.store().await;
        for operation in &operations {
            let found = copy.find_one(operation).await;
            assert_eq!(found, Some(Ok(operation.clone())), "{suffix}");
            assert!(store.find_one(operation).await.is_some());
        }
        store.save_one(&intent()).await.unwrap();
        store.check().await.unwrap();
        assert!(file.exists());
    }
}

#[tokio::test]
async fn a_damaged_log_is_noticed_whether_or_not_it_was_written_to_since() {
    let damages: [fn(&fs::File); 5] = [
        |log| log.set_len(0).unwrap(),
        |log| log.set_len(log.metadata().unwrap().len() - 600).unwrap(),
        |log| log.set_len(log.metadata().unwrap().len() / 2).unwrap(),
        |log| log.write_all_at(&[0; 64], 0).unwrap(),
        |log| {
            let end = log.metadata().unwrap().len();
            log.write_all_at(b"bits", end - 2000).unwrap();
        },
    ];
    for (number, damage) in damages.iter().enumerate() {
        for goes_on in [false, true] {
            let home = Home::new();
            let store = home.store().await;
            for _ in 0..5 {
                store.save_one(&intent()).await.unwrap();
            }
            assert_eq!(store.check().await, Ok(()));
            let log = side_file(&home.path(), "-wal");
            damage(&fs::OpenOptions::new().write(true).open(log).unwrap());
            if goes_on {
                let _ = store.save_one(&intent()).await;
            }
            let noticed = store.check().await;
            assert!(noticed.is_err(), "{number} {goes_on}");
            assert_eq!(store.save_one(&intent()).await, noticed);
            assert_eq!(store.check().await, noticed);
        }
    }
}

#[tokio::test]
async fn a_file_that_is_cut_while_in_use_is_noticed() {
    for length in [0, 4096] {
        let home = Home::new();
        let store = home.store().await;
        store.save_one(&intent()).await.unwrap();
        store.run("PRAGMA wal_checkpoint(PASSIVE)").await;
        assert_eq!(store.check().await, Ok(()));
        let file = fs::OpenOptions::new().write(true).open(home.path());
        file.unwrap().set_len(length).unwrap();
        let noticed = store.check().await;
        assert!(
            noticed.as_ref().unwrap_err().to_string().contains("cut"),
            "{noticed:?}"
        );
        assert_eq!(store.save_one(&intent()).await, noticed);
    }
}

#[tokio::test]
async fn another_process_that_vacuums_or_checkpoints_does_no_harm() {
    let home = Home::new();
    let store = home.store().await;
    for _ in 0..50 {
        store.save_one(&intent()).await.unwrap();
    }
    for sql in [
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "DELETE FROM operations WHERE id > (SELECT min(id) FROM operations)",
        "VACUUM",
        "PRAGMA wal_checkpoint(RESTART)",
    ] {
        home.tamper(sql).await;
        assert_eq!(store.check().await, Ok(()), "{sql}");
        store.save_one(&intent()).await.unwrap();
        assert_eq!(store.check().await, Ok(()), "{sql}");
    }
}

/// Where the page begins that has most of these operations but none of the latest: a page
/// that becomes full is split together with its neighbor.
pub fn fullest_page(home: &Home, operations: &[Operation]) -> u64 {
    let bytes = fs::read(home.path()).unwrap();
    let holds = |page: &[u8], part: &[u8]| page.windows(part.len()).any(|found| found == part);
    let count = |page: &[u8]| {
        let ids = operations.iter().map(|operation| operation.id.as_uuid());
        ids.filter(|id| holds(page, id.as_bytes())).count()
    };
    let offer = operations[0].target.offer().as_str();
    let latest = operations.iter().rev().take(80);
    let latest: Vec<_> = latest.map(|operation| operation.id.as_uuid()).collect();
    // A leaf of a table without rowid, in which the offer's name stands beside the id.
    let eligible = |page: &[u8]| {
        page[0] == 10
            && holds(page, offer.as_bytes())
            && latest.iter().all(|id| !holds(page, id.as_bytes()))
    };
    let pages = bytes.chunks(4096).enumerate();
    let fullest = pages
        .filter(|(_, page)| eligible(page))
        .max_by_key(|(_, page)| count(page));
    fullest.unwrap().0 as u64 * 4096
}

#[tokio::test]
async fn a_damaged_page_costs_only_the_records_on_it() {
    let home = Home::new();
    let ledger = Ledger::open(home.options()).await.unwrap();
    let operations: Vec<_> = (0..200).map(|_| running(intent())).collect();
    for operation in &operations {
        ledger.save(operation.clone()).await.unwrap();
    }
    ledger.close().await.unwrap();
    assert!(ledger.warnings().is_empty());
    let page = fullest_page(&home, &operations);
    let file = fs::OpenOptions::new().write(true).open(home.path());
    file.unwrap().write_all_at(&[0xff; 64], page).unwrap();

    let ledger = Ledger::open(home.options()).await.unwrap();
    assert!(ledger.warnings()[0].contains("damaged"));
    let unfinished = ledger.unfinished().await.unwrap();
    assert!(
        (150..200).contains(&unfinished.len()),
        "{}",
        unfinished.len()
    );
    let ids = operations.iter().map(|operation| operation.id).collect();
    let mut lost = None;
    for (operation, found) in operations.iter().zip(ledger.find_all(ids).await) {
        if unfinished.contains(operation) {
            assert_eq!(found, Ok(Some(operation.clone())));
        } else {
            assert_eq!(found, Err(LedgerError::Corrupt));
            lost.get_or_insert(operation);
        }
    }

    // A write that touches the page fails without the others in its transaction.
    let writes = [finished(lost.unwrap().clone()), intent(), intent()];
    let writes = writes.map(|operation| Write::from(Arc::new(operation)));
    let written = ledger.write_all(writes.to_vec()).await;
    assert_eq!(written, [Err(LedgerError::Corrupt), Ok(()), Ok(())]);
}

#[tokio::test]
async fn every_ledger_that_cannot_be_opened_is_recognized_without_opening_it() {
    let home = Home::new();
    let examine = async || Ledger::examine(&home.options()).await;
    let missing = examine().await.unwrap();
    assert_eq!(missing, "does not exist yet; the gateway creates it");
    assert!(!home.path().exists());
    let store = home.store().await;
    store.save_one(&intent()).await.unwrap();
    assert_eq!(examine().await.unwrap(), "in use by a running gateway");
    store.check().await.unwrap();
    store.close().await.unwrap();
    assert_eq!(examine().await.unwrap(), "can be opened");
    assert!(!side_file(&home.path(), "-wal").exists());

    home.tamper("INSERT INTO _sqlx_migrations VALUES (99, 'future', '', true, x'00', 1)")
        .await;
    assert_eq!(examine().await, Err(LedgerError::TooNew { version: 99 }));
    home.tamper("DELETE FROM _sqlx_migrations WHERE version = 99")
        .await;
    home.tamper("UPDATE _sqlx_migrations SET checksum = x'00'")
        .await;
    assert!(matches!(examine().await, Err(LedgerError::Foreign { .. })));
    fs::write(home.path(), "x".repeat(5000)).unwrap();
    assert_eq!(examine().await, Err(LedgerError::Corrupt));
    fs::write(home.path(), "").unwrap();
    assert!(
        examine()
            .await
            .unwrap_err()
            .to_string()
            .contains("held operations")
    );
    fs::remove_file(home.path()).unwrap();
    fs::create_dir(home.path()).unwrap();
    assert!(examine().await.is_err());
}
