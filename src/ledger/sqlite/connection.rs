//! A slot for one connection. A connection that failed in a way that could affect later
//! statements is dropped, and the next use opens a new one.

use sqlx::sqlite::SqliteConnection;

use super::failure::{code, failure, primary_code};
use crate::ledger::error::LedgerError;

pub enum ConnectionSlot {
    /// The next use opens a connection.
    Empty,
    Open(SqliteConnection),
    /// The store is closed.
    Closed,
}

impl ConnectionSlot {
    pub fn connection(&mut self) -> Result<&mut SqliteConnection, LedgerError> {
        match self {
            Self::Open(connection) => Ok(connection),
            Self::Empty | Self::Closed => Err(LedgerError::closed()),
        }
    }

    /// Takes the connection out, if there is one; the next use opens another.
    pub fn take(&mut self) -> Option<SqliteConnection> {
        match std::mem::replace(self, Self::Empty) {
            Self::Open(connection) => Some(connection),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Converts the result of a statement. Unless the error is temporary by nature, or of
    /// one page, the connection is dropped: one that met a read-only or broken disk would
    /// keep failing after the disk has recovered.
    pub fn settle<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, LedgerError> {
        result.map_err(|error| {
            if !matches!(
                primary_code(&error),
                Some(code::FULL | code::BUSY | code::LOCKED | code::CORRUPT)
            ) {
                drop(self.take());
            }
            failure(error)
        })
    }
}
