//! The reads about the progress of a publish: submissions, operations and status.

use serde_json::Value;
use uuid::Uuid;

use super::document;
use super::error::PortalError;
use crate::offer::{Offer, Slot};
use crate::text::same_word;
use crate::wire::{Request, Response};

/// The submissions, newest first; `status` and `submissionState` both filter by state.
pub(super) fn submissions(offer: &Offer, request: &Request) -> Response {
    let wanted: Vec<String> = request
        .query_pairs()
        .into_iter()
        .filter(|(name, value)| {
            let filters = ["status", "submissionState"];
            !value.is_empty() && filters.iter().any(|one| one.eq_ignore_ascii_case(name))
        })
        .map(|(_, value)| value)
        .collect();
    let newest_first = offer.submissions.iter().rev();
    let list: Value = newest_first
        .filter(|run| wanted.iter().all(|word| same_word(word, &run.state)))
        .map(|run| document::submission(offer, run))
        .collect();
    Response::json(200, &list)
}

/// An operation by its GUID: a publish, or a cancellation of its own.
pub(super) fn operation(offer: &Offer, id: &str) -> Result<Response, PortalError> {
    let missing = || PortalError::NotFound(format!("Operation '{id}' was not found."));
    let guid: Uuid = id.parse().map_err(|_| missing())?;
    if let Some(run) = offer.submission(guid) {
        return Ok(respond(offer, document::operation(offer, Some(run))));
    }
    let mut own = offer.cancels.iter();
    let cancel = own
        .find(|cancel| cancel.operation == Some(guid))
        .ok_or_else(missing)?;
    Ok(respond(offer, document::cancellation(offer, cancel)))
}

/// The operation of an offer that is not migrated: its newest publish.
pub(super) fn named_operation(offer: &Offer, slot: &str) -> Result<Response, PortalError> {
    match Slot::of_segment(slot) {
        Some(Slot::Staging | Slot::Production) => {
            Ok(respond(offer, document::operation(offer, offer.newest())))
        }
        _ => Err(PortalError::NotFound(format!(
            "Slot '{slot}' was not found."
        ))),
    }
}

pub(super) fn status(offer: &Offer) -> Response {
    Response::json(200, &document::status(offer))
}

fn respond(offer: &Offer, document: Value) -> Response {
    if offer.behaviour.operation_in_array {
        Response::json(200, &Value::Array(vec![document]))
    } else {
        Response::json(200, &document)
    }
}
