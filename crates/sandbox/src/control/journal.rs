//! Reading and awaiting the journal.

use std::time::Duration;

use serde_json::Value;

use super::error::ControlError;
use super::parameters::{number, parameters};
use crate::journal::{Entry, Filter};
use crate::state::SandboxState;
use crate::wire::{Request, Response};

const PARAMETERS: [&str; 6] = ["method", "path", "offer", "after", "at_least", "timeout_ms"];
const MAX_WAIT_MS: u64 = 10 * 60 * 1000;
const DEFAULT_WAIT_MS: u64 = 10_000;

pub(super) async fn read(
    state: &SandboxState,
    request: &Request,
) -> Result<Response, ControlError> {
    let mut filter = Filter::default();
    let (mut at_least, mut wait) = (0, DEFAULT_WAIT_MS);
    for (name, value) in parameters(request, &PARAMETERS)? {
        match name.as_str() {
            "method" => filter.method = Some(value),
            "path" => filter.path = Some(value),
            "offer" => filter.offer = Some(value),
            "after" => filter.after = Some(number(&name, &value)?),
            "at_least" => at_least = number(&name, &value)?,
            _ => wait = number(&name, &value)?.min(MAX_WAIT_MS),
        }
    }
    let at_least = usize::try_from(at_least).unwrap_or(usize::MAX);
    let wait = Duration::from_millis(wait);
    let page = state.journal.wait(&filter, at_least, wait).await;
    let list: Value = page.entries.iter().map(Entry::to_json).collect();
    Ok(Response::json(200, &list)
        .with("X-Sandbox-Journal-Entries", page.entries.len().to_string())
        .with("X-Sandbox-Journal-Dropped", page.dropped.to_string()))
}
