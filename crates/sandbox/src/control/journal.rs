//! Reading and awaiting the journal.

use std::time::Duration;

use serde_json::json;

use super::error::ControlError;
use super::offers::MAX_WAIT_MS;
use crate::journal::Filter;
use crate::state::SandboxState;
use crate::wire::{Request, Response};

pub(super) async fn read(
    state: &SandboxState,
    request: &Request,
) -> Result<Response, ControlError> {
    let filter: Filter = request.query()?;
    let wait = Duration::from_millis(filter.timeout_ms.min(MAX_WAIT_MS));
    let page = state.journal.wait(&filter, filter.at_least, wait).await;
    Ok(Response::json(200, &json!(page.entries))
        .with("X-Sandbox-Journal-Entries", page.entries.len().to_string())
        .with("X-Sandbox-Journal-Dropped", page.dropped.to_string()))
}
