//! `[ledger]`: where operations are recorded.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::{Table, one_of};
use crate::domain::Durability;

/// Where operations are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerSettings {
    /// The SQLite file; relative to the working directory.
    pub path: PathBuf,
    /// What a commit survives.
    pub durability: Durability,
    /// How long finished operations are kept.
    pub retention: Duration,
    /// How long idempotency keys are kept; no longer than operations.
    pub idempotency: Duration,
}

pub fn read(t: &mut Table<'_, '_>) -> Option<LedgerSettings> {
    let path = t.required("url", sqlite_path);
    let durability = t.required("durability", one_of(&Durability::WORDS));
    let days = t.number("retention_days", 1..=3650);
    let hours = t.number("idempotency_hours", 1..=2160);
    if let (Some(days), Some(hours)) = (days, hours)
        && hours > days * 24
    {
        // A key is of no use without its operation.
        let (hours, days) = (t.at("idempotency_hours"), t.at("retention_days"));
        let message = format!("{} must not be longer than {}", hours.key, days.key);
        t.reading.conflict(&hours, &days, message);
    }
    Some(LedgerSettings {
        path: path?,
        durability: durability?,
        retention: Duration::from_secs(days? * 24 * 60 * 60),
        idempotency: Duration::from_secs(hours? * 60 * 60),
    })
}

fn sqlite_path(url: &str) -> Result<PathBuf, &'static str> {
    if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        return Err("PostgreSQL is not supported yet; use SQLite, as in sqlite:offergate.db");
    }
    let path = url
        .strip_prefix("sqlite:")
        .ok_or("must be sqlite: and a file, as in sqlite:offergate.db")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.contains(":memory:") {
        return Err("must be a file: a database in memory does not survive a restart");
    }
    // SQLite reads "file:" as an address, and some tools read "?" as options.
    let ambiguous = |c: char| matches!(c, '?' | '#') || c.is_control();
    if path.is_empty()
        || path.ends_with('/')
        || path.starts_with("file:")
        || path.contains(ambiguous)
    {
        return Err("must be sqlite: and the plain path of a file, without parameters");
    }
    Ok(PathBuf::from(path))
}
