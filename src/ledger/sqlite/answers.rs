//! First answers to requests with an idempotency key, and the keys.
//!
//! Of the answered state only what changes later is stored: the rest, what the vendor
//! answered among it, is in the operation's own row for good.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, Row};
use uuid::Uuid;

use super::row::{SIZES, filled, size_index, text, unencodable, upsert_sql};
use crate::domain::{
    CallerName, Digest, FirstAnswer, Operation, OperationId, PortalError, PortalFacts,
    PortalProblem, ProblemCode, Status,
};
use crate::ledger::error::LedgerError;
use crate::ledger::store::StoredKey;

/// The first answer about an operation.
pub const SELECT: &str = "SELECT status, updated_at, portal_status, problem_code, \
     portal_error_code, portal_error_message, waited_seconds \
     FROM first_answers WHERE operation_id = ?";
/// The keys since an operation, oldest first, without those that were returned: see
/// [`Operation::consumes_idempotency_key`](crate::domain::Operation::consumes_idempotency_key).
pub const SELECT_KEYS: &str = "SELECT idempotency_key, id, requested_by FROM operations \
     WHERE idempotency_key IS NOT NULL AND id >= ? \
     AND NOT (status = 'Failed' AND outcome IS NULL AND \
         (portal_http_status IS NULL OR error_code IS 'portal-throttled')) ORDER BY id";
/// The oldest answers go first.
pub const FORGET: &str = "DELETE FROM first_answers WHERE operation_id IN \
                          (SELECT operation_id FROM first_answers \
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
        "INSERT INTO first_answers (operation_id, status, updated_at, portal_status, \
         problem_code, portal_error_code, portal_error_message, waited_seconds) VALUES {} \
         ON CONFLICT (operation_id) DO NOTHING",
        vec!["(?, ?, ?, ?, ?, ?, ?, ?)"; count].join(", ")
    )
}

/// The statement that stores `count` answers, if it is not too many.
pub fn insert(count: usize) -> Option<&'static str> {
    Some(&INSERTS[size_index(count)?])
}

/// Begins a transaction and saves `count` operations, if it is not too many.
pub fn begin(count: usize) -> Option<&'static str> {
    Some(&BEGINNINGS[size_index(count)?])
}

/// Stores `count` answers and ends the transaction, if it is not too many.
pub fn end(count: usize) -> Option<&'static str> {
    Some(&ENDS[size_index(count)?])
}

/// Everything that [`insert`] and [`end`] want bound for these answers.
pub fn encode(answers: &[Arc<FirstAnswer>]) -> Result<SqliteArguments, LedgerError> {
    bind_all(answers).map_err(|_| unencodable())
}

fn bind_all(answers: &[Arc<FirstAnswer>]) -> Result<SqliteArguments, BoxDynError> {
    let mut row = SqliteArguments::default();
    row.reserve(answers.len() * 8, 0);
    for answer in filled(answers) {
        let FirstAnswer {
            operation,
            problem,
            waited,
        } = &**answer;
        let said = problem.as_ref().map(|problem| &problem.said);
        row.add(&operation.id.as_uuid().as_bytes()[..])?;
        row.add(text(operation.status.as_str()))?;
        row.add(operation.updated_at.as_microsecond())?;
        row.add(operation.portal.status.as_deref().map(text))?;
        row.add(problem.as_ref().map(|problem| text(problem.code.as_str())))?;
        row.add(said.and_then(|said| said.code.as_deref()).map(text))?;
        row.add(said.and_then(|said| said.message.as_deref()).map(text))?;
        row.add(waited.map(|wait| i64::try_from(wait.as_secs()).unwrap_or(i64::MAX)))?;
    }
    Ok(row)
}

/// The answer in a row of [`SELECT`]; `present` is the latest state of its operation.
pub fn decode(present: &Arc<Operation>, row: &SqliteRow) -> Result<FirstAnswer, LedgerError> {
    read(present, row).ok_or(LedgerError::Unreadable {
        column: "first answer",
    })
}

fn read(present: &Arc<Operation>, row: &SqliteRow) -> Option<FirstAnswer> {
    let status = Status::from_name(row.try_get(0).ok()?)?;
    let operation = if status.is_final() {
        Arc::clone(present)
    } else {
        let portal = PortalFacts {
            status: row.try_get(2).ok()?,
            ..present.portal.clone()
        };
        Arc::new(Operation {
            status,
            updated_at: Timestamp::from_microsecond(row.try_get(1).ok()?).ok()?,
            outcome: None,
            error: None,
            portal,
            ..Operation::clone(present)
        })
    };
    let problem = match row.try_get::<Option<&str>, _>(3).ok()? {
        None => None,
        Some(text) => Some(PortalProblem {
            code: ProblemCode::from_name(text)?,
            said: PortalError {
                code: row.try_get(4).ok()?,
                message: row.try_get(5).ok()?,
            },
        }),
    };
    let waited: Option<i64> = row.try_get(6).ok()?;
    Some(FirstAnswer {
        operation,
        problem,
        waited: waited.map(|seconds| Duration::from_secs(seconds.unsigned_abs())),
    })
}

/// The key in a row of [`SELECT_KEYS`]; none if it cannot be read.
pub fn decode_key(row: &SqliteRow) -> Option<StoredKey> {
    Some(StoredKey {
        key: Digest::from_slice(row.try_get(0).ok()?)?,
        operation: OperationId::from(Uuid::from_slice(row.try_get(1).ok()?).ok()?),
        caller: CallerName::parse(row.try_get(2).ok()?).ok()?,
    })
}
