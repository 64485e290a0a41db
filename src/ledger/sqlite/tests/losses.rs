//! What a ledger has lost while no gateway ran, and what must not be lost while one does.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use super::files::left;
use super::*;
use crate::ledger::sqlite::modes::{make_private_by, side_file};

#[tokio::test]
async fn lost_operations_are_told_at_every_start_until_that_is_accepted() {
    let (kept, lost) = (intent(), intent());
    let home = left(&kept).await;
    let backup = fs::read(home.path()).unwrap();
    let store = home.store().await;
    store.save_one(&lost).await.unwrap();
    store.close().await.unwrap();
    fs::write(home.path(), backup).unwrap();
    let examined = Ledger::examine(&home.options()).await.unwrap();
    assert!(examined.contains("has lost its latest"), "{examined}");
    for _ in 0..2 {
        let ledger = Ledger::open(home.options()).await.unwrap();
        let warnings = ledger.warnings();
        assert!(warnings[0].contains("has lost its latest"), "{warnings:?}");
        // Newer operations do not hide it.
        ledger.save(intent()).await.unwrap();
        ledger.close().await.unwrap();
        let record = fs::read_to_string(side_file(&home.path(), ".lock")).unwrap();
        assert!(record.contains(&format!("lost operation: {}", lost.id)));
        let examined = Ledger::examine(&home.options()).await.unwrap();
        assert!(examined.contains("has lost its latest"), "{examined}");
    }
    fs::remove_file(side_file(&home.path(), ".lock")).unwrap();
    let store = home.store().await;
    assert!(store.warnings().is_empty());
    assert!(store.find_one(&kept).await.is_some());
}

#[tokio::test]
async fn a_record_that_is_no_small_file_is_refused_at_once() {
    let home = left(&intent()).await;
    let record = side_file(&home.path(), ".lock");
    fs::write(&record, "x".repeat(5000)).unwrap();
    let refusal = home.refusal().await.to_string();
    assert!(refusal.contains("is longer than"), "{refusal}");
    fs::remove_file(&record).unwrap();
    let mut pipe = Command::new("mkfifo");
    let made = pipe.args(["-m", "600"]).arg(&record).status();
    assert!(made.unwrap().success());
    for emptied in [false, true] {
        if emptied {
            fs::write(home.path(), "").unwrap();
        }
        let refusal = home.refusal().await.to_string();
        assert!(refusal.contains("is a pipe or device"), "{refusal}");
        let examined = Ledger::examine(&home.options()).await;
        assert_eq!(examined.unwrap_err().to_string(), refusal);
    }
}

#[test]
fn a_mode_that_does_not_change_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("offergate.db");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o646)).unwrap();
    assert_eq!(make_private_by(&file, |_, _| Ok(())), Ok(0o046));
    let set = |path: &std::path::Path, mode| fs::set_permissions(path, mode);
    assert_eq!(make_private_by(&file, set), Ok(0));
    assert_eq!(make_private_by(&file, set), Ok(0));
}

#[cfg(target_os = "linux")]
#[test]
fn a_system_without_locks_of_open_files_relies_on_the_record_s_lock() {
    use crate::ledger::sqlite::file::locked;
    use nix::errno::Errno;
    for unsupported in [Errno::EINVAL, Errno::ENOSYS, Errno::ENOTSUP] {
        assert_eq!(locked(Err(unsupported)), Ok(()));
    }
    assert_eq!(locked(Err(Errno::EAGAIN)), Err(LedgerError::InUse));
    assert!(locked(Err(Errno::EIO)).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missed_while_a_removed_log_is_saved() {
    let home = Home::new();
    let store = Arc::new(home.store().await);
    let operation = Arc::new(intent());
    let ends = Arc::new(AtomicBool::new(false));
    store.save_one(&operation).await.unwrap();
    let reading = tokio::spawn({
        let (store, operation, ends) = (store.clone(), operation.clone(), ends.clone());
        async move {
            while !ends.load(Ordering::Relaxed) {
                let found = store.find_one(&operation).await;
                assert_eq!(found, Some(Ok(Operation::clone(&operation))));
            }
        }
    });
    for _ in 0..10 {
        let other = intent();
        store.save_one(&other).await.unwrap();
        fs::remove_file(side_file(&home.path(), "-wal")).unwrap();
        store.check().await.unwrap();
        assert!(store.find_one(&other).await.is_some());
    }
    ends.store(true, Ordering::Relaxed);
    reading.await.unwrap();
}

#[tokio::test]
async fn a_ledger_that_is_damaged_while_in_use_ends() {
    let home = Home::new();
    let store = Arc::new(home.store().await);
    let ledger = Ledger::on(store, Duration::from_secs(86_400));
    ledger.save(intent()).await.unwrap();
    let log = side_file(&home.path(), "-wal");
    let log = fs::OpenOptions::new().write(true).open(log);
    log.unwrap().set_len(0).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), ledger.ended());
    ended.await.unwrap();
}
