//! The options of a ledger.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::Durability;

/// Where the ledger is and how it behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerOptions {
    /// The database file. It is created if missing; its directory is not.
    pub path: PathBuf,
    /// What a commit guarantees.
    pub durability: Durability,
    /// How long records are kept.
    pub retention: Retention,
}

/// How long records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Finished operations; unfinished ones are always kept.
    pub operations: Duration,
    /// Idempotency keys and the answers under them, counted from the first request.
    pub keys: Duration,
}
