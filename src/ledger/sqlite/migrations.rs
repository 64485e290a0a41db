//! The versions of the schema, in order. A file that was released is never changed: its
//! checksum is recorded in every ledger that it was applied to, and compared at each start.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// The first version is 1.
const SCRIPTS: [(&str, &str); 3] = [
    ("operations", include_str!("migrations/0001_operations.sql")),
    (
        "idempotency",
        include_str!("migrations/0002_idempotency.sql"),
    ),
    (
        "first answers",
        include_str!("migrations/0003_first_answers.sql"),
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
