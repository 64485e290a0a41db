//! Operations as rows, and back. The columns are listed once, and the SQL of every batch
//! size is built from that list at first use.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments, Decode, Row, Type};
use uuid::{Builder, Uuid};

use crate::domain::{
    Action, CallerName, Delivered, Digest, Evidence, Idempotency, OfferId, Operation,
    OperationError, OperationId, Outcome, PortalFacts, ProblemCode, PublisherId, RequestId, Status,
    Target,
};
use crate::ledger::error::LedgerError;
use crate::ledger::store::{Found, MAX_BATCH};

const NEWEST: &str = "SELECT id FROM operations ORDER BY id DESC LIMIT 1";

/// In the order of binding and reading.
const COLUMNS: [&str; 21] = [
    "id",
    "action",
    "offer_id",
    "publisher_id",
    "requested_by",
    "request_id",
    "created_at",
    "idempotency_key",
    "payload",
    "status",
    "outcome",
    "updated_at",
    "portal_http_status",
    "portal_status",
    "portal_location",
    "portal_correlation_id",
    "delivered",
    "error_code",
    "error_message",
    "evidence",
    "finished_at",
];
/// The columns from this one on change during an operation's life.
const FIRST_MUTABLE: usize = 9;

/// The batch sizes that have a statement. All prepared statements together take hundreds
/// of kilobytes, so a batch of another size is filled up to the next by repeating its last
/// item, which has no effect.
pub const SIZES: [usize; 12] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, MAX_BATCH];
/// `UPSERTS[i]` saves `SIZES[i]` operations.
static UPSERTS: LazyLock<[String; SIZES.len()]> = LazyLock::new(|| SIZES.map(upsert_sql));
/// `SELECTS[i]` finds `SIZES[i]` operations.
static SELECTS: LazyLock<[String; SIZES.len()]> =
    LazyLock::new(|| SIZES.map(|count| format!("{} WHERE id IN ({})", *SELECT, marks(count))));
static SELECT: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM operations", COLUMNS.join(", ")));
static SELECT_UNFINISHED: LazyLock<String> =
    LazyLock::new(|| format!("{} WHERE finished_at IS NULL ORDER BY id", *SELECT));

fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// The text of [`upsert`].
pub fn upsert_sql(count: usize) -> String {
    let row = format!("({})", marks(COLUMNS.len()));
    let mut sql = format!(
        "INSERT INTO operations ({}) VALUES {} ON CONFLICT (id) DO UPDATE SET ",
        COLUMNS.join(", "),
        vec![row.as_str(); count].join(", "),
    );
    let mut comma = "";
    for column in &COLUMNS[FIRST_MUTABLE..] {
        let _ = write!(sql, "{comma}{column} = excluded.{column}");
        comma = ", ";
    }
    // A finished operation never changes, and no state is replaced by an older one.
    sql.push_str(
        " WHERE operations.finished_at IS NULL AND excluded.updated_at >= operations.updated_at",
    );
    sql
}

/// The index of the smallest of [`SIZES`] that holds `count` items.
pub fn size_index(count: usize) -> Option<usize> {
    (count > 0).then(|| SIZES.iter().position(|size| *size >= count))?
}

/// A batch, filled up to one of [`SIZES`].
pub fn filled<T>(batch: &[T]) -> impl Iterator<Item = &T> {
    let size = size_index(batch.len()).map_or(batch.len(), |index| SIZES[index]);
    let last = batch.iter().rev().take(1).cycle();
    batch.iter().chain(last).take(size)
}

/// The statement that saves `count` operations; none for 0 and above [`MAX_BATCH`].
pub fn upsert(count: usize) -> Option<&'static str> {
    Some(&UPSERTS[size_index(count)?])
}

/// The statement that finds `count` operations; none for 0 and above [`MAX_BATCH`].
pub fn select(count: usize) -> Option<&'static str> {
    Some(&SELECTS[size_index(count)?])
}

/// The statement that reads all unfinished operations, oldest first.
pub fn select_unfinished() -> &'static str {
    &SELECT_UNFINISHED
}

/// The values of [`upsert`] for these operations.
pub fn encode(batch: &[Arc<Operation>]) -> Result<SqliteArguments, LedgerError> {
    bind_all(batch).map_err(|_| unencodable())
}

fn bind_all(batch: &[Arc<Operation>]) -> Result<SqliteArguments, BoxDynError> {
    let mut row = SqliteArguments::default();
    row.reserve(batch.len() * COLUMNS.len() * 3 / 2, 0);
    for operation in filled(batch) {
        let Operation {
            id,
            action,
            status,
            outcome,
            target,
            requested_by,
            request_id,
            idempotency,
            created_at,
            updated_at,
            portal,
            error,
            evidence,
        } = &**operation;
        row.add(&id.as_uuid().as_bytes()[..])?;
        row.add(text(action.as_str()))?;
        row.add(text(target.offer().as_str()))?;
        row.add(text(target.publisher().as_str()))?;
        row.add(text(requested_by.as_str()))?;
        row.add(text(request_id.as_str()))?;
        row.add(created_at.as_microsecond())?;
        row.add(idempotency.as_ref().map(|it| bytes(&it.key)))?;
        row.add(idempotency.as_ref().map(|it| bytes(&it.payload)))?;
        row.add(text(status.as_str()))?;
        row.add(outcome.map(|outcome| text(outcome.as_str())))?;
        row.add(updated_at.as_microsecond())?;
        row.add(portal.http_status)?;
        row.add(portal.status.as_deref().map(text))?;
        row.add(portal.location.as_deref().map(text))?;
        row.add(portal.correlation_id.as_deref().map(text))?;
        row.add(text(portal.delivered.as_str()))?;
        row.add(error.as_ref().map(|fault| text(fault.code.as_str())))?;
        row.add(error.as_ref().map(|fault| text(&fault.message)))?;
        row.add(match *evidence == Evidence::default() {
            true => None,
            false => Some(serde_json::to_string(evidence)?),
        })?;
        row.add(status.is_final().then(|| updated_at.as_microsecond()))?;
    }
    Ok(row)
}

/// The values of [`select`] for these ids.
pub fn encode_ids(ids: &[OperationId]) -> Result<SqliteArguments, LedgerError> {
    let mut list = SqliteArguments::default();
    list.reserve(ids.len(), 0);
    for id in filled(ids) {
        list.add(&id.as_uuid().as_bytes()[..])
            .map_err(|_| unencodable())?;
    }
    Ok(list)
}

/// The driver refused a value.
pub fn unencodable() -> LedgerError {
    LedgerError::unavailable("internal error: a record cannot be encoded")
}

/// The smallest id that an operation created at `time` can have.
pub fn first_id_of(time: Timestamp) -> Vec<u8> {
    let milliseconds = u64::try_from(time.as_millisecond()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(milliseconds, &[0; 10])
        .into_uuid()
        .into_bytes()
        .to_vec()
}

/// Text to bind: one allocation, where sqlx needs two for a `&str`.
pub fn text(text: &str) -> Arc<str> {
    Arc::from(text)
}

fn bytes(digest: &Digest) -> &[u8] {
    digest.as_bytes()
}

/// Reads a row. The id is returned even if the rest is unreadable; a row without a valid id
/// is skipped.
pub fn decode(row: &SqliteRow) -> Option<Found> {
    let mut columns = RowReader { row, next: 0 };
    let id = columns.take().ok().and_then(id);
    if id.is_none() {
        tracing::error!("a record of the ledger has no valid id and was skipped");
    }
    Some((id?, operation(id?, columns)))
}

/// The id in these bytes.
pub fn id(bytes: &[u8]) -> Option<OperationId> {
    Uuid::from_slice(bytes).ok().map(OperationId::from)
}

/// The newest operation.
pub async fn newest(connection: &mut SqliteConnection) -> Result<Option<OperationId>, sqlx::Error> {
    let newest = sqlx::query_scalar::<_, Vec<u8>>(NEWEST).fetch_optional(connection);
    Ok(newest.await?.and_then(|bytes| id(&bytes)))
}

fn operation(id: OperationId, mut row: RowReader<'_>) -> Result<Operation, LedgerError> {
    // In the order of COLUMNS. `finished_at` is not read: it follows from the status.
    let action = row.parse(|text| text.parse::<Action>().ok())?;
    let offer = row.parse(|text| OfferId::parse(text).ok())?;
    let publisher = row.parse(|text| PublisherId::parse(text).ok())?;
    let requested_by = row.parse(|text| CallerName::parse(text).ok())?;
    let request_id = row.parse(|text| RequestId::parse(text).ok())?;
    let created_at = row.time()?;
    let (key, payload) = (row.digest()?, row.digest()?);
    let idempotency = key.zip(payload);
    let status = row.parse(Status::from_name)?;
    let outcome = row.parse_optional(Outcome::from_name)?;
    let updated_at = row.time()?;
    let portal = PortalFacts {
        http_status: row.take()?,
        status: row.take()?,
        location: row.take()?,
        correlation_id: row.take()?,
        delivered: row.parse(Delivered::from_name)?,
    };
    let (code, message) = (row.take::<Option<String>>()?, row.take::<Option<String>>()?);
    // A code that only a newer version knows must not hide the operation.
    let known = |text: String| ProblemCode::from_name(&text).unwrap_or(ProblemCode::InternalError);
    let error = code.map(|code| OperationError::new(known(code), message.unwrap_or_default()));
    let evidence = row.parse_optional(|json| serde_json::from_str(json).ok())?;
    Ok(Operation {
        id,
        action,
        status,
        outcome,
        target: Target::recorded(publisher, offer),
        requested_by,
        request_id,
        idempotency: idempotency.map(|(key, payload)| Box::new(Idempotency { key, payload })),
        created_at,
        updated_at,
        portal,
        error,
        evidence: evidence.unwrap_or_default(),
    })
}

/// Reads a row from left to right.
struct RowReader<'r> {
    row: &'r SqliteRow,
    next: usize,
}

impl<'r> RowReader<'r> {
    fn take<T: Decode<'r, Sqlite> + Type<Sqlite>>(&mut self) -> Result<T, LedgerError> {
        let value = self.row.try_get(self.next);
        self.next += 1;
        value.map_err(|_| self.unreadable())
    }

    fn parse<T>(&mut self, parse: impl Fn(&'r str) -> Option<T>) -> Result<T, LedgerError> {
        let text = self.take()?;
        parse(text).ok_or_else(|| self.unreadable())
    }

    fn parse_optional<T>(
        &mut self,
        parse: impl Fn(&'r str) -> Option<T>,
    ) -> Result<Option<T>, LedgerError> {
        match self.take::<Option<&str>>()? {
            None => Ok(None),
            Some(text) => parse(text).map(Some).ok_or_else(|| self.unreadable()),
        }
    }

    fn time(&mut self) -> Result<Timestamp, LedgerError> {
        let microseconds = self.take()?;
        Timestamp::from_microsecond(microseconds).map_err(|_| self.unreadable())
    }

    fn digest(&mut self) -> Result<Option<Digest>, LedgerError> {
        match self.take::<Option<&[u8]>>()? {
            None => Ok(None),
            Some(bytes) => Digest::from_slice(bytes)
                .map(Some)
                .ok_or_else(|| self.unreadable()),
        }
    }

    /// The error for the column that was read last.
    fn unreadable(&self) -> LedgerError {
        let column = COLUMNS.get(self.next.saturating_sub(1));
        LedgerError::Unreadable {
            column: column.copied().unwrap_or("none"),
        }
    }
}
