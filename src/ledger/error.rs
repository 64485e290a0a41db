//! Why the ledger could not do what it was asked. Every text here may be
//! logged and shown: it never holds SQL, a bound value, a row or a path.

use std::borrow::Cow;

/// Why something was not recorded, or not found out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The disk, the file or the task behind the ledger fails at present.
    /// The next attempt may well succeed.
    #[error("the ledger is not available: {reason}")]
    Unavailable {
        /// A few plain words.
        reason: Cow<'static, str>,
    },
    /// The disk has not answered in time; what was asked for *may still happen*.
    #[error("the ledger is not available: the disk does not answer in time")]
    Late,
    /// More requests wait than the ledger is willing to queue. Nothing was
    /// written; asking again later is safe.
    #[error("the ledger is overloaded")]
    Overloaded,
    /// The file is damaged, or no database at all.
    #[error("the ledger's file is damaged or not an SQLite database")]
    Corrupt,
    /// The file is a sound database, but not one of this program's.
    #[error("the ledger's file belongs to another program: {reason}")]
    Foreign {
        /// What gave it away.
        reason: &'static str,
    },
    /// A newer version of this program has changed the schema.
    #[error("the ledger was written by a newer version of offergate (its schema is {version})")]
    TooNew {
        /// The schema version that this program does not know.
        version: i64,
    },
    /// Another process has this ledger open. Two would follow the same
    /// operations, so the second one does not start.
    #[error("the ledger is in use by another process")]
    InUse,
    /// One record holds something that this version does not understand. The
    /// others are not affected.
    #[error("the record cannot be understood (column {column})")]
    Unreadable {
        /// The column that holds it.
        column: &'static str,
    },
}

impl LedgerError {
    pub(super) fn unavailable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Unavailable {
            reason: reason.into(),
        }
    }

    pub(super) fn closed() -> Self {
        Self::unavailable("it is closed")
    }

    /// A file operation that failed; names the operation and the kind of failure.
    pub(super) fn io(doing: &'static str, error: &std::io::Error) -> Self {
        Self::unavailable(format!("{doing}: {}", error.kind()))
    }
}
