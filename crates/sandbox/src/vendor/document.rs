//! The portal's documents: submissions, operations with their steps, offers and their status.
//! Pure functions of an offer, with the members and words of the vendor's reference.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::offer::{Cancel, Edition, LocationStyle, Offer, Slot, Submission};
use crate::text::{plain_word, rfc3339};

/// Seconds from .NET's first moment (year 1) to the Unix epoch.
const TICKS_TO_EPOCH: i64 = 62_135_596_800;

/// The steps of a publish, without their state.
static STEPS: LazyLock<Vec<Value>> =
    LazyLock::new(|| serde_json::from_str(include_str!("steps.json")).unwrap_or_default());
const SIGN_OFF: usize = 4;

/// A time as this offer prints it.
pub(super) fn time(offer: &Offer, moment: Timestamp) -> String {
    let mut text = rfc3339(moment);
    if !offer.behaviour.zone {
        text.pop();
    }
    text
}

/// One element of the list of submissions.
pub(super) fn submission(offer: &Offer, run: &Submission) -> Value {
    json!({
        "id": run.id,
        "offerId": offer.key.offer,
        "offerVersion": run.edition,
        "offerTypeId": offer.definition.current().offer_type,
        "publisherId": offer.key.publisher,
        "submissionType": "publish",
        "submissionState": run.state,
        "publishingVersion": 2,
        "slot": run.slot,
        "version": ticks(run.changed),
        "definition": {"metadata": {"emails": run.emails}},
        "changedTime": time(offer, run.changed),
    })
}

/// .NET's count of 100 ns since the year 1, which the vendor uses as a version.
fn ticks(moment: Timestamp) -> i64 {
    let seconds = moment.as_second().saturating_add(TICKS_TO_EPOCH);
    let rest = i64::from(moment.subsec_nanosecond() / 100);
    seconds.saturating_mul(10_000_000).saturating_add(rest)
}

/// The operation of a publish, or the empty one of an offer that was never published.
pub(super) fn operation(offer: &Offer, run: Option<&Submission>) -> Value {
    let cancellation = match run {
        Some(run) if run.is_running() && run.cancel_requested => "cancelRequested",
        Some(run) if run.is_running() => "canCancel",
        _ => "cannotCancel",
    };
    let status = match run {
        None => "notStarted",
        Some(run) if run.awaits_sign_off && offer.is_unmigrated() => "waitingForPublisherReview",
        Some(run) => run.state.as_str(),
    };
    let mut document = json!({
        "status": status,
        "messages": [],
        "publishingVersion": 2,
        "offerVersion": run.map_or(offer.definition.current().number, |run| run.edition),
        "cancellationRequestState": cancellation,
        "steps": steps(run),
        "previewLinks": links(offer, Slot::Staging),
        "liveLinks": links(offer, Slot::Production),
    });
    if let Some(run) = run.filter(|run| !run.emails.is_empty()) {
        document["notificationEmails"] = run.emails.as_str().into();
    }
    document
}

/// The operation of a cancellation that has one of its own.
pub(super) fn cancellation(offer: &Offer, cancel: &Cancel) -> Value {
    let ended = cancel
        .met
        .and_then(|met| offer.submission(met))
        .map_or(cancel.at, |run| run.changed);
    let (status, progress) = match offer.became(cancel) {
        "pending" => ("running", 50),
        "canceled" | "nothing-running" => ("completed", 100),
        _ => ("failed", 100),
    };
    let messages = match status {
        "running" => json!([]),
        "failed" => json!([message(
            "The publish ended before it could be canceled.",
            "error",
            ended
        )]),
        _ => json!([message("Step completed.", "information", ended)]),
    };
    json!({
        "status": status,
        "messages": [],
        "publishingVersion": 2,
        "offerVersion": offer.definition.current().number,
        "cancellationRequestState": "cannotCancel",
        "steps": [{
            "estimatedTimeFrame": "< 5 min",
            "id": "cancel-publish",
            "stepName": "Cancel publishing",
            "description": "The publishing operation is being canceled.",
            "status": if status == "completed" { "complete" } else { status },
            "messages": messages,
            "progressPercentage": progress,
        }],
        "previewLinks": [],
        "liveLinks": [],
    })
}

/// The answer to `…/status`.
pub(super) fn status(offer: &Offer) -> Value {
    let run = offer.newest();
    let mut document = json!({
        "status": status_word(offer),
        "messages": [],
        "steps": steps(run),
        "previewLinks": links(offer, Slot::Staging),
        "liveLinks": links(offer, Slot::Production),
    });
    if offer.is_unmigrated() {
        document["notificationEmails"] = run.map_or("", |run| run.emails.as_str()).into();
    }
    document
}

/// The offer's status; the list of offers says `published` where this says `succeeded`.
pub(super) fn status_word(offer: &Offer) -> &str {
    match offer.newest() {
        None => "neverPublished",
        Some(run) if run.awaits_sign_off && offer.is_unmigrated() => "waitingForPublisherReview",
        Some(run) if run.is_completed() => "succeeded",
        Some(run) => run.state.as_str(),
    }
}

/// A version of the offer, whole.
pub(super) fn definition(offer: &Offer, edition: &Edition) -> Value {
    let mut document = summary(offer, edition);
    document["definition"] = edition.body.clone();
    document
}

/// One element of the list of offers.
pub(super) fn summary(offer: &Offer, edition: &Edition) -> Value {
    let status = match status_word(offer) {
        "succeeded" => "published",
        word => word,
    };
    json!({
        "id": offer.key.offer,
        "offerTypeId": edition.offer_type,
        "publisherId": offer.key.publisher,
        "status": status,
        "version": edition.number,
        "pcMigrationStatus": if offer.is_unmigrated() { "none" } else { "migrated" },
        "lockStatus": if status == "running" { "locked" } else { "unlocked" },
        "definition": {"displayText": edition.display_text()},
        "changedTime": time(offer, edition.changed),
    })
}

/// The steps of a run. The current step ends in the state of the run.
fn steps(run: Option<&Submission>) -> Value {
    let current = match run {
        None => 0,
        Some(run) if run.awaits_sign_off => SIGN_OFF,
        Some(run) if run.is_completed() => STEPS.len(),
        Some(run) if run.slot == Slot::Production => SIGN_OFF + 1,
        Some(_) => 1,
    };
    let step = |(index, stock): (usize, &Value)| {
        let (status, messages, progress) = match run {
            Some(run) if index < current => {
                let done = message("Step completed.", "information", run.started);
                ("complete", json!([done]), 100)
            }
            Some(run) if index == current => current_step(run),
            _ => ("notStarted", json!([]), 0),
        };
        let mut step = stock.clone();
        step["status"] = status.into();
        step["messages"] = messages;
        step["progressPercentage"] = progress.into();
        step
    };
    STEPS.iter().enumerate().map(step).collect()
}

fn current_step(run: &Submission) -> (&str, Value, u8) {
    let (status, stock, level, progress) = match plain_word(&run.state).as_str() {
        _ if run.awaits_sign_off => (
            "waitingForPublisherReview",
            "The offer is ready for your review.",
            "information",
            0,
        ),
        "canceled" | "cancelled" => ("canceled", "Publishing was canceled.", "warning", 0),
        "failed" => (
            "failed",
            "Certification failed. See <a href=\"https://aka.ms/certification\">the policies</a>.",
            "error",
            0,
        ),
        "running" => ("inProgress", "", "information", 50),
        _ => (run.state.as_str(), "", "information", 50),
    };
    let html = run.message_html.as_deref().unwrap_or(stock);
    let messages = if html.is_empty() {
        json!([])
    } else {
        json!([message(html, level, run.changed)])
    };
    (status, messages, progress)
}

fn message(html: &str, level: &str, at: Timestamp) -> Value {
    json!({"messageHtml": html, "level": level, "timestamp": rfc3339(at)})
}

/// Where an offer can be seen once it has been published to that slot.
fn links(offer: &Offer, slot: Slot) -> Value {
    if offer.published(slot).is_none() {
        return json!([]);
    }
    let (publisher, id) = (&offer.key.publisher, &offer.key.offer);
    let flight = match slot {
        Slot::Staging => "?flightCodes=preview",
        Slot::Draft | Slot::Production => "",
    };
    json!([{
        "linkName": offer.definition.current().display_text(),
        "linkUri": format!(
            "https://azuremarketplace.microsoft.com/marketplace/apps/{publisher}.{id}{flight}"
        ),
    }])
}

impl Offer {
    fn is_unmigrated(&self) -> bool {
        self.behaviour.location == LocationStyle::Unmigrated
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ticks_are_those_of_the_reference() {
        let moment: Timestamp = "2018-03-26T21:46:01.1768314Z".parse().unwrap();
        assert_eq!(ticks(moment), 636_576_975_611_768_314);
    }
}
