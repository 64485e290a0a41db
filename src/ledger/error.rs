//! Errors of the ledger. Their texts are logged and shown to operators, so they never
//! contain SQL, bound values, rows or paths.

use std::borrow::Cow;

/// Why something was not recorded or not found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The disk, the file or a task behind the ledger fails at present; the next attempt
    /// may succeed.
    #[error("the ledger is not available: {reason}")]
    Unavailable {
        /// The cause, as a short phrase.
        reason: Cow<'static, str>,
    },
    /// The disk did not answer within the deadline. The write *may still happen*.
    #[error("the ledger is not available: the disk did not answer in time")]
    Late,
    /// The queue is full. Nothing was written, and a retry is safe.
    #[error("the ledger is overloaded: too many requests are waiting")]
    Overloaded,
    /// The file is damaged or not a database.
    #[error("the ledger's file is damaged or not an SQLite database")]
    Corrupt,
    /// The file is an intact database of another program.
    #[error("the ledger's file belongs to another program: {reason}")]
    Foreign {
        /// The feature by which it was recognized.
        reason: &'static str,
    },
    /// A newer version of this program has changed the schema.
    #[error("the ledger was written by a newer version of offergate (schema version {version})")]
    TooNew {
        /// The schema version that this program does not know.
        version: i64,
    },
    /// Another process has this ledger open. Both would follow the same operations, so the
    /// second one does not start.
    #[error("the ledger is in use by another process")]
    InUse,
    /// One record contains a value that this version does not know. Other records are
    /// unaffected.
    #[error("the record contains an unknown value (column {column})")]
    Unreadable {
        /// The column of that value.
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

    /// A failed file operation; only its name and the kind of error are kept.
    pub(super) fn io(doing: &'static str, error: &std::io::Error) -> Self {
        Self::unavailable(format!("{doing}: {}", error.kind()))
    }
}
