//! The answers that are kept for the sake of an idempotency key, and the keys.

use std::sync::{Arc, LazyLock};

use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, Row};
use uuid::Uuid;

use super::row::{SIZES, filled, size_index, text, unencodable, upsert_sql};
use crate::domain::{Digest, KeptAnswer, OperationId};
use crate::ledger::error::LedgerError;

/// The answer to the request that an operation was asked for with.
pub const SELECT: &str = "SELECT status, headers, body FROM answers WHERE operation_id = ?";
/// The keys since an operation, oldest first, without those that were given back: see
/// [`Operation::consumes_idempotency_key`](crate::domain::Operation::consumes_idempotency_key).
pub const SELECT_KEYS: &str = "SELECT idempotency_key, id FROM operations \
     WHERE idempotency_key IS NOT NULL AND id >= ? \
     AND NOT (status = 'Failed' AND outcome IS NULL AND \
         (portal_http_status IS NULL OR error_code IS 'portal-throttled')) ORDER BY id";
/// The oldest answers go first.
pub const FORGET: &str = "DELETE FROM answers WHERE rowid IN (SELECT rowid FROM answers \
                          WHERE operation_id < ? ORDER BY operation_id LIMIT ?)";

/// Each for the sizes of batch in [`SIZES`]. Several statements in one cost one trip to
/// the thread of the connection.
type Statements = LazyLock<[String; SIZES.len()]>;
static INSERTS: Statements = LazyLock::new(|| SIZES.map(insert_sql));
static BEGINNINGS: Statements =
    LazyLock::new(|| SIZES.map(|count| format!("BEGIN IMMEDIATE; {}", upsert_sql(count))));
static ENDS: Statements =
    LazyLock::new(|| SIZES.map(|count| format!("{}; COMMIT", insert_sql(count))));

/// The first answer stays the first.
fn insert_sql(count: usize) -> String {
    format!(
        "INSERT INTO answers (operation_id, status, headers, body) VALUES {} \
         ON CONFLICT (operation_id) DO NOTHING",
        vec!["(?, ?, ?, ?)"; count].join(", ")
    )
}

/// The statement that keeps `count` answers, if it is not too many.
pub fn insert(count: usize) -> Option<&'static str> {
    Some(&INSERTS[size_index(count)?])
}

/// Begins a transaction and saves `count` operations, if it is not too many.
pub fn begin(count: usize) -> Option<&'static str> {
    Some(&BEGINNINGS[size_index(count)?])
}

/// Keeps `count` answers and ends the transaction, if it is not too many.
pub fn end(count: usize) -> Option<&'static str> {
    Some(&ENDS[size_index(count)?])
}

/// Everything that [`insert`] and [`end`] want bound for these answers.
pub fn encode(answers: &[Arc<KeptAnswer>]) -> Result<SqliteArguments, LedgerError> {
    bind_all(answers).map_err(|_| unencodable())
}

fn bind_all(answers: &[Arc<KeptAnswer>]) -> Result<SqliteArguments, BoxDynError> {
    let mut row = SqliteArguments::default();
    row.reserve(answers.len() * 6, 0);
    for answer in filled(answers) {
        row.add(&answer.operation.as_uuid().as_bytes()[..])?;
        row.add(answer.status)?;
        row.add(text(&answer.headers))?;
        row.add(&answer.body[..])?;
    }
    Ok(row)
}

/// The answer in a row of [`SELECT`].
pub fn decode(operation: OperationId, row: &SqliteRow) -> Result<KeptAnswer, LedgerError> {
    let read = || {
        Ok(KeptAnswer {
            operation,
            status: row.try_get(0)?,
            headers: row.try_get(1)?,
            body: row.try_get(2)?,
        })
    };
    read().map_err(|_: sqlx::Error| LedgerError::Unreadable { column: "answer" })
}

/// The key in a row of [`SELECT_KEYS`], and its operation; none if it is none of ours.
pub fn decode_key(row: &SqliteRow) -> Option<(Digest, OperationId)> {
    let key = Digest::from_slice(row.try_get(0).ok()?)?;
    let id = Uuid::from_slice(row.try_get(1).ok()?).ok()?;
    Some((key, OperationId::from(id)))
}
