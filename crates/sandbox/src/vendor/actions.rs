//! Cancel, publish and golive: the calls that start something. Each checks its body, acts, and
//! names the operation where the offer's behaviour says.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::document;
use super::error::PortalError;
use crate::offer::{Accepted, ActionError, CancelStyle, Offer};
use crate::route::Call;
use crate::wire::{Request, Response};

/// Executes cancel, publish or golive.
pub(super) fn execute(
    offer: &mut Offer,
    call: &Call,
    request: &Request,
    now: Timestamp,
) -> Result<Response, PortalError> {
    let emails = emails(request)?;
    let accepted = match call {
        Call::Publish => offer.publish(now, &emails),
        Call::GoLive => offer.go_live(now, &emails),
        _ => Ok(offer.cancel(now, &emails)),
    };
    Ok(respond(offer, accepted.map_err(portal_error)?))
}

fn portal_error(error: ActionError) -> PortalError {
    match error {
        ActionError::Running => PortalError::Running,
        ActionError::Invalid => PortalError::Invalid,
        ActionError::NothingInPreview => {
            PortalError::BadRequest("The offer has nothing in preview that could go live.".into())
        }
    }
}

fn respond(offer: &Offer, accepted: Accepted) -> Response {
    let submission = accepted.submission.and_then(|id| offer.submission(id));
    let response = match (accepted.member, submission) {
        (Some((name, value)), _) => Response::json(accepted.status, &json!({name: value})),
        (None, Some(run)) => Response::json(accepted.status, &document::submission(offer, run)),
        // An offer that was never published has no submission to show.
        (None, None) if offer.behaviour.cancel == CancelStyle::SyncObject => {
            Response::json(accepted.status, &json!({}))
        }
        (None, None) => Response::empty(accepted.status),
    };
    match accepted.header {
        Some((name, value)) => response.with(name, value),
        None => response,
    }
}

/// The addresses to notify: the body is empty, or `{"metadata":{"notification-emails":"…"}}`.
fn emails(request: &Request) -> Result<String, PortalError> {
    let malformed = || PortalError::BadRequest("The request body is malformed.".into());
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
