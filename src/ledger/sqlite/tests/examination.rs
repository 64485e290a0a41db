//! The examination of a large file in the background.

use std::os::unix::fs::FileExt;

use super::files::fullest_page;
use super::*;
use crate::ledger::sqlite::modes::side_file;
use crate::ledger::sqlite::structure::{Examination, Warnings};

impl Home {
    /// A file of about 40 MB, which takes longer than what these tests do meanwhile.
    async fn large() -> Self {
        let home = Self::new();
        let store = home.store().await;
        store.save_one(&intent()).await.unwrap();
        store.close().await.unwrap();
        home.tamper(
            "INSERT INTO operations (id, action, status, offer_id, publisher_id, requested_by, \
             request_id, created_at, updated_at, delivered, error_message, finished_at) \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000) \
             SELECT unhex(printf('0000000000007000800000%010x', i)), 'cancel', 'Succeeded', 'o', \
             'p', 'c', 'r', 1, 1, 'yes', hex(zeroblob(500)), 1 FROM n",
        )
        .await;
        home
    }
}

async fn examine(store: &SqliteStore) {
    let options = store.options().pragma("query_only", "ON");
    let examination = Examination::start(options, store.warnings.clone());
    *store.examination.lock().await = Some(examination);
}

#[tokio::test]
async fn damage_that_is_found_after_the_start_is_told() {
    let home = Home::new();
    let store = home.store().await;
    let operations: Vec<_> = (0..200).map(|_| running(intent())).collect();
    for operation in &operations {
        store.save_one(operation).await.unwrap();
    }
    store.close().await.unwrap();
    let page = fullest_page(&home, &operations);
    let file = fs::OpenOptions::new().write(true).open(home.path());
    file.unwrap().write_all_at(&[0xff; 64], page).unwrap();
    let warnings = Warnings::default();
    let options = SqliteConnectOptions::new().filename(home.path());
    let _examination = Examination::start(options, warnings.clone());
    let told = async {
        while warnings.all().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(20), told).await;
    told.expect("a warning");
    assert!(warnings.all()[0].contains("damaged"));
}

#[tokio::test]
async fn an_examination_hinders_neither_what_saves_the_log_nor_the_end() {
    let home = Home::large().await;
    let store = home.store().await;
    for _ in 0..5 {
        let operation = intent();
        store.save_one(&operation).await.unwrap();
        store.check().await.unwrap();
        examine(&store).await;
        fs::remove_file(side_file(&home.path(), "-wal")).unwrap();
        store.check().await.unwrap();
        assert!(!store.has_given_up());
        assert!(store.find_one(&operation).await.is_some());
    }
    examine(&store).await;
    store.close().await.unwrap();
    assert!(!side_file(&home.path(), "-wal").exists());
    assert!(home.store().await.warnings().is_empty());
}

#[tokio::test]
async fn a_file_that_takes_longer_than_the_start_waits_is_examined_on() {
    let home = Home::large().await;
    let store = home.store().await;
    let mut slot = store.writer().await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let limit = Duration::from_micros(100);
    let examined = structure::examine(slot.connection().unwrap(), limit, stop.clone()).await;
    assert_eq!(examined, Ok(structure::Structure::Unknown));
    let long = Duration::from_secs(120);
    let examined = structure::examine(slot.connection().unwrap(), long, stop.clone()).await;
    assert_eq!(examined, Ok(structure::Structure::Sound));
    stop.cancel();
    let examined = structure::examine(slot.connection().unwrap(), long, stop).await;
    assert_eq!(examined, Ok(structure::Structure::Unknown));
}
