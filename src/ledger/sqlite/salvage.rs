//! A damaged page is found at the start, and costs only the records on it.

use tokio_util::sync::CancellationToken;

use super::SqliteStore;
use super::row;
use super::structure::{AT_START, Examination, Structure, examine};
use crate::domain::OperationId;
use crate::ledger::error::LedgerError;
use crate::ledger::store::Found;

/// The ids of the unfinished operations, oldest first, from the index alone.
pub const UNFINISHED_IDS: &str = "SELECT id FROM operations WHERE finished_at IS NULL ORDER BY id";

impl SqliteStore {
    /// Examines the file, and reports what is wrong with it. What is not damaged is served.
    pub(super) async fn examine_structure(&self) -> Result<(), LedgerError> {
        let mut slot = self.writer().await?;
        let stop = CancellationToken::new();
        match examine(slot.connection()?, AT_START, stop).await? {
            Structure::Sound => {}
            Structure::Damaged(findings) => self.warnings.report(&findings),
            Structure::Unknown => {
                let options = self.options().pragma("query_only", "ON");
                let examination = Examination::start(options, self.warnings.clone());
                *self.examination.lock().await = Some(examination);
            }
        }
        Ok(())
    }

    /// Ends what is still being examined, before the file is closed.
    pub(super) async fn end_examination(&self) {
        let examination = self.examination.lock().await.take();
        if let Some(examination) = examination {
            examination.end().await;
        }
    }

    /// The rows of a query for these ids. If a page is damaged, each is read alone.
    pub(super) async fn find_each(&self, ids: &[OperationId]) -> Result<Vec<Found>, LedgerError> {
        let all = self.find_rows(ids).await;
        if all != Err(LedgerError::Corrupt) {
            return all;
        }
        let mut found = Vec::new();
        for id in ids {
            match self.find_rows(std::slice::from_ref(id)).await {
                Ok(rows) => found.extend(rows),
                Err(LedgerError::Corrupt) => found.push((*id, Err(LedgerError::Corrupt))),
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// All unfinished operations. If a page is damaged, each is read alone.
    pub(super) async fn find_unfinished(&self) -> Result<Vec<Found>, LedgerError> {
        let all = self.fetch(sqlx::query(row::select_unfinished())).await;
        if all != Err(LedgerError::Corrupt) {
            return all;
        }
        let ids: Vec<Vec<u8>> = {
            let mut slot = self.reader().await?;
            let ids = sqlx::query_scalar(UNFINISHED_IDS);
            let ids = ids.fetch_all(slot.connection()?).await;
            slot.settle(ids)?
        };
        let ids: Vec<OperationId> = ids.iter().filter_map(|id| row::id(id)).collect();
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.extend(self.find_each(&[id]).await?);
        }
        Ok(found)
    }
}
