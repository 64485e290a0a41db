//! Reads the ledger's file directly from disk.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{ConnectOptions, Connection, FromRow, Row as _};
use uuid::Uuid;

/// The ledger's default file name.
pub const LEDGER: &str = "offergate.db";

/// One operation as recorded in the file.
#[derive(Debug, Clone)]
pub struct Row {
    id: Vec<u8>,
    pub offer_id: String,
    pub request_id: String,
    pub status: String,
    pub outcome: Option<String>,
    pub delivered: String,
    /// In microseconds since 1970.
    pub created_at: i64,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    /// The evidence that polling has found, as JSON.
    evidence: Option<String>,
    /// How many operations the same cancel has made before, all of which did nothing.
    pub before: usize,
    /// How many of them were sent and throttled by the vendor.
    pub throttled: usize,
}

impl FromRow<'_, SqliteRow> for Row {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            offer_id: row.try_get("offer_id")?,
            request_id: row.try_get("request_id")?,
            status: row.try_get("status")?,
            outcome: row.try_get("outcome")?,
            delivered: row.try_get("delivered")?,
            created_at: row.try_get("created_at")?,
            error_code: row.try_get("error_code")?,
            error_message: row.try_get("error_message")?,
            evidence: row.try_get("evidence")?,
            before: 0,
            throttled: 0,
        })
    }
}

impl Row {
    pub fn id(&self) -> String {
        Uuid::from_slice(&self.id).unwrap().to_string()
    }

    /// It was never sent, or the vendor was throttling: a repeated request is a new attempt.
    pub fn did_nothing(&self) -> bool {
        let is_refused = self.status == "Failed" && self.outcome.is_none();
        is_refused && (self.never_left() || self.is_throttled())
    }

    pub fn never_left(&self) -> bool {
        self.delivered == "no"
    }

    pub fn is_throttled(&self) -> bool {
        self.error_code.as_deref() == Some("portal-throttled")
    }

    /// Its first poll is on disk, or it has finished.
    pub fn was_polled(&self) -> bool {
        let evidence = self.evidence.as_deref().unwrap_or("{}");
        let evidence: serde_json::Value = serde_json::from_str(evidence).unwrap();
        self.is_finished() || evidence["first_look_at"].is_string()
    }

    /// How many requests of this cancel may have reached the vendor.
    pub fn most_posts(&self) -> usize {
        self.throttled + usize::from(!self.never_left())
    }

    pub fn is_finished(&self) -> bool {
        !["NotStarted", "Running"].contains(&&*self.status)
    }
}

/// The rows of a ledger that is not in use, which must be intact. Reads a copy, so that the
/// next start finds the file unchanged.
pub async fn after_death(directory: &Path) -> HashMap<String, Row> {
    let copy = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("{LEDGER}{suffix}");
        let from = directory.join(&name);
        if from.exists() {
            std::fs::copy(from, copy.path().join(name)).unwrap();
        }
    }
    let file = copy.path().join(LEDGER);
    if !file.exists() {
        return HashMap::new();
    }
    let mut file = SqliteConnectOptions::new().filename(file).connect().await;
    let file = file.as_mut().unwrap();
    let integrity: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut *file)
        .await
        .unwrap();
    assert_eq!(integrity, "ok");
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = 'operations'")
            .fetch_one(&mut *file)
            .await
            .unwrap();
    if tables == 0 {
        return HashMap::new();
    }
    rows(file).await
}

/// How many operations of a ledger in use are unfinished.
pub async fn unfinished(directory: &Path) -> i64 {
    let options = SqliteConnectOptions::new().filename(directory.join(LEDGER));
    let mut file = options.read_only(true).connect().await.unwrap();
    let count = sqlx::query_scalar("SELECT count(*) FROM operations WHERE finished_at IS NULL")
        .fetch_one(&mut file)
        .await
        .unwrap();
    file.close().await.unwrap();
    count
}

/// The last of each offer, since one cancel requests each, which makes no second
/// operation unless the first did nothing.
async fn rows(file: &mut SqliteConnection) -> HashMap<String, Row> {
    let all: Vec<Row> = sqlx::query_as(
        "SELECT id, offer_id, request_id, status, outcome, delivered, created_at, error_code, \
         error_message, evidence \
         FROM operations ORDER BY id",
    )
    .fetch_all(file)
    .await
    .unwrap();
    let mut by_offer: HashMap<String, Row> = HashMap::new();
    for mut row in all {
        if let Some(other) = by_offer.remove(&row.offer_id) {
            assert!(other.did_nothing(), "{other:?}, and {row:?}");
            assert_eq!(other.request_id, row.request_id);
            row.before = other.before + 1;
            row.throttled = other.throttled + usize::from(other.is_throttled());
        }
        by_offer.insert(row.offer_id.clone(), row);
    }
    let requests: HashSet<&str> = by_offer.values().map(|row| &*row.request_id).collect();
    assert_eq!(
        requests.len(),
        by_offer.len(),
        "one request, two operations"
    );
    by_offer
}
