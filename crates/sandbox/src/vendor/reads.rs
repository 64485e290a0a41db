//! The reads that tell how a publish is doing: submissions, operations and status.

use serde_json::Value;
use uuid::Uuid;

use super::document;
use super::error::Fault;
use crate::offer::{Offer, Slot};
use crate::text::same_word;
use crate::wire::{Answer, Request};

/// The submissions, newest first; `status` and `submissionState` both filter by state.
pub(super) fn submissions(offer: &Offer, request: &Request) -> Answer {
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
    Answer::json(200, &list)
}

/// An operation by its GUID: a publish, or a cancellation of its own.
pub(super) fn operation(offer: &Offer, id: &str) -> Result<Answer, Fault> {
    let missing = || Fault::Missing(format!("Operation '{id}' was not found."));
    let guid: Uuid = id.parse().map_err(|_| missing())?;
    if let Some(run) = offer.submission(guid) {
        return Ok(print(offer, document::operation(offer, Some(run))));
    }
    let mut own = offer.cancels.iter();
    let cancel = own
        .find(|cancel| cancel.operation == Some(guid))
        .ok_or_else(missing)?;
    Ok(print(offer, document::cancellation(offer, cancel)))
}

/// The operation of an offer that is not migrated, which is the offer's newest publish.
pub(super) fn named_operation(offer: &Offer, slot: &str) -> Result<Answer, Fault> {
    match Slot::of_segment(slot) {
        Some(Slot::Staging | Slot::Production) => {
            Ok(print(offer, document::operation(offer, offer.newest())))
        }
        _ => Err(Fault::Missing(format!("Slot '{slot}' was not found."))),
    }
}

pub(super) fn status(offer: &Offer) -> Answer {
    Answer::json(200, &document::status(offer))
}

fn print(offer: &Offer, document: Value) -> Answer {
    if offer.behaviour.operation_in_array {
        Answer::json(200, &Value::Array(vec![document]))
    } else {
        Answer::json(200, &document)
    }
}
