//! The versions of the schema, in order. A file that was released is never changed: its
//! checksum is recorded in every ledger that it was applied to, and compared at each start.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::SqliteConnection;

use super::failure::unmigrated;
use crate::ledger::error::LedgerError;

/// The first version is 1.
const SCRIPTS: [(&str, &str); 4] = [
    ("operations", include_str!("migrations/0001_operations.sql")),
    (
        "idempotency",
        include_str!("migrations/0002_idempotency.sql"),
    ),
    (
        "first answers",
        include_str!("migrations/0003_first_answers.sql"),
    ),
    (
        "unfinished ids",
        include_str!("migrations/0004_unfinished_ids.sql"),
    ),
];

/// Applies what a ledger does not have yet, each script in a transaction of its own. Listed
/// here and not by `sqlx::migrate!`, which needs all of sqlx and SQLite once more at build
/// time.
pub fn migrator() -> Migrator {
    let migration = |(version, (name, sql)): (i64, (&'static str, &'static str))| {
        let sql = sql.into_sql_str();
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations((1..).zip(SCRIPTS).map(migration).collect())
}

/// Checks that every version that a ledger has is one of these. A ledger without any is new.
pub async fn compare(connection: &mut SqliteConnection) -> Result<(), LedgerError> {
    let migrator = migrator();
    let applied = connection.list_applied_migrations(&migrator.table_name);
    for applied in applied.await.unwrap_or_default() {
        let ours = migrator.iter().find(|ours| ours.version == applied.version);
        match ours {
            None => return Err(unmigrated(MigrateError::VersionMissing(applied.version))),
            Some(ours) if ours.checksum != applied.checksum => {
                return Err(unmigrated(MigrateError::VersionMismatch(applied.version)));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
