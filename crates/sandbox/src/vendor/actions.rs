//! Cancel, publish and golive: the three calls that start something. Each checks its body,
//! acts, and names the operation the way that the offer does.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::document;
use super::error::Fault;
use crate::offer::{CancelStyle, Named, Offer, Unready};
use crate::wire::{Answer, Request};

pub(super) fn cancel(
    offer: &mut Offer,
    request: &Request,
    now: Timestamp,
) -> Result<Answer, Fault> {
    let emails = emails(request)?;
    let named = offer.cancel(now, &emails);
    Ok(accepted(offer, named))
}

pub(super) fn publish(
    offer: &mut Offer,
    request: &Request,
    now: Timestamp,
) -> Result<Answer, Fault> {
    let emails = emails(request)?;
    let named = offer.publish(now, &emails).map_err(refusal)?;
    Ok(accepted(offer, named))
}

pub(super) fn go_live(
    offer: &mut Offer,
    request: &Request,
    now: Timestamp,
) -> Result<Answer, Fault> {
    let emails = emails(request)?;
    let named = offer.go_live(now, &emails).map_err(refusal)?;
    Ok(accepted(offer, named))
}

fn refusal(unready: Unready) -> Fault {
    match unready {
        Unready::Running => Fault::Running,
        Unready::Invalid => Fault::Invalid,
        Unready::NothingInPreview => {
            Fault::BadRequest("The offer has nothing in preview that could go live.".into())
        }
    }
}

fn accepted(offer: &Offer, named: Named) -> Answer {
    let submission = named.submission.and_then(|id| offer.submission(id));
    let answer = match (named.member, submission) {
        (Some((name, value)), _) => Answer::json(named.status, &json!({name: value})),
        (None, Some(run)) => Answer::json(named.status, &document::submission(offer, run)),
        // Told to answer with an object, an offer that was never published has an empty one.
        (None, None) if offer.behaviour.cancel == CancelStyle::SyncObject => {
            Answer::json(named.status, &json!({}))
        }
        (None, None) => Answer::empty(named.status),
    };
    match named.header {
        Some((name, value)) => answer.with(name, value),
        None => answer,
    }
}

/// The addresses to notify: the body is empty, or `{"metadata":{"notification-emails":"…"}}`.
fn emails(request: &Request) -> Result<String, Fault> {
    let malformed = || Fault::BadRequest("The request body is malformed.".into());
    let body: Value = request.json().map_err(|_| malformed())?;
    let metadata = match body.as_object() {
        None => return Err(malformed()),
        Some(members) => members.get("metadata").unwrap_or(&Value::Null),
    };
    match metadata.get("notification-emails") {
        Some(Value::String(emails)) => Ok(emails.clone()),
        Some(Value::Null) => Ok(String::new()),
        None if metadata.is_null() || metadata.is_object() => Ok(String::new()),
        _ => Err(malformed()),
    }
}
