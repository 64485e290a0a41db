//! Describing offers, moving them on, and asking what is true of one. A response here is the
//! truth as the sandbox knows it, never what the portal would say.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::error::ControlError;
use crate::offer::{Key, OfferDescription, SubmissionDescription, until};
use crate::state::SandboxState;
use crate::text::same_word;
use crate::wire::{Request, Response};

pub(super) const MAX_WAIT_MS: u64 = 10 * 60 * 1000;
const DEFAULT_WAIT_MS: u64 = 10_000;

/// The query of a read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Until {
    until: Option<String>,
    timeout_ms: Option<u64>,
}

/// The body of `…/finish`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Finish {
    id: Option<Uuid>,
    state: Option<String>,
}

pub(super) async fn offer(
    state: &SandboxState,
    request: &Request,
    key: Key,
) -> Result<Response, ControlError> {
    match request.method.as_str() {
        "GET" => read(state, request, &key).await,
        "PUT" => {
            let description: OfferDescription = request.json()?;
            let now = Timestamp::now();
            let mut offers = state.offers.lock();
            let built = description.build(key, offers.default_behaviour(), now)?;
            let truth = built.truth(now);
            offers.put(built);
            state.notify();
            Ok(Response::json(201, &truth))
        }
        "DELETE" => {
            let known = state.offers.lock().forget(&key);
            state.notify();
            match known {
                true => Ok(Response::empty(204)),
                false => Err(not_found(&key)),
            }
        }
        _ => Err(ControlError::NoRoute),
    }
}

/// The truth about an offer, at once or when its newest submission has the state `until`.
async fn read(
    state: &SandboxState,
    request: &Request,
    key: &Key,
) -> Result<Response, ControlError> {
    let Until { until, timeout_ms } = request.query()?;
    let wait = timeout_ms.unwrap_or(DEFAULT_WAIT_MS).min(MAX_WAIT_MS);
    let deadline = Instant::now() + Duration::from_millis(wait);
    let mut changes = state.offer_changes();
    loop {
        let (truth, reached, due) = look(state, key, until.as_deref())?;
        if reached || Instant::now() >= deadline {
            return Ok(Response::json(200, &truth));
        }
        let due = due.map_or(deadline, |wait| deadline.min(Instant::now() + wait));
        tokio::select! {
            () = sleep_until(due) => {}
            // The sender lives as long as the state, so this cannot fail.
            _ = changes.changed() => {}
        }
    }
}

/// The truth, whether the wanted state is reached, and how long until the next change.
fn look(
    state: &SandboxState,
    key: &Key,
    wanted: Option<&str>,
) -> Result<(Value, bool, Option<Duration>), ControlError> {
    let now = Timestamp::now();
    let mut offers = state.offers.lock();
    let found = offers.get_or_create(key, now);
    let offer = found.ok_or_else(|| not_found(key))?;
    let reached = wanted.is_none_or(|word| {
        let newest = offer.newest();
        newest.is_some_and(|run| same_word(word, &run.state))
    });
    Ok((offer.truth(now), reached, until(offer.next_due(), now)))
}

pub(super) fn step(
    state: &SandboxState,
    request: &Request,
    key: &Key,
    step: &str,
) -> Result<Response, ControlError> {
    let now = Timestamp::now();
    let mut offers = state.offers.lock();
    let found = offers.get_or_create(key, now);
    let offer = found.ok_or_else(|| not_found(key))?;
    match step {
        "publish" => {
            let run = request.json::<SubmissionDescription>()?.build(now)?;
            offer.start(run, "");
        }
        "finish" => {
            let finish: Finish = request.json()?;
            let run = match finish.id {
                Some(id) => offer.submissions.iter_mut().find(|run| run.id == id),
                None => offer.newest_running(),
            };
            let none = "no such publish is running; start one with …/publish";
            let run = run.ok_or_else(|| ControlError::Conflict(none.into()))?;
            run.end(finish.state.as_deref().unwrap_or("completed"), now);
        }
        "sign-off" => {
            let run = offer
                .newest_running()
                .ok_or_else(|| ControlError::Conflict("no publish is running".into()))?;
            run.awaits_sign_off = true;
            run.changed = now;
        }
        "bite" => offer.take_effect(now),
        _ => return Err(ControlError::NoRoute),
    }
    let truth = offer.truth(now);
    drop(offers);
    state.notify();
    Ok(Response::json(200, &truth))
}

fn not_found(key: &Key) -> ControlError {
    ControlError::NotFound(format!(
        "no offer {:?} of publisher {:?}, and its id names no scenario; PUT creates one",
        key.offer, key.publisher
    ))
}
