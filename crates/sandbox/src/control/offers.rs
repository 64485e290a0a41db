//! Making custom offers, moving offers on, and asking what is true of one. An answer here is
//! the truth as the sandbox knows it, never what the portal would say.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::{Refused, number, ok, parameters};
use crate::offer::{Description, Key, Seed, Unusable, until};
use crate::text::same_word;
use crate::wire::{Answer, Request};
use crate::world::World;

/// The longest wait, in milliseconds.
const LONGEST: u64 = 10 * 60 * 1000;
/// The wait when none is given, in milliseconds.
const USUAL: u64 = 10_000;

impl From<Unusable> for Refused {
    fn from(error: Unusable) -> Self {
        Self::Request(error.to_string())
    }
}

/// The body of `…/finish`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Finish {
    id: Option<Uuid>,
    state: Option<String>,
}

/// The body of a step that has no parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Nothing {}

pub(super) async fn offer(
    world: &World,
    request: &Request,
    publisher: &str,
    offer: &str,
) -> Result<Answer, Refused> {
    let key = key(publisher, offer);
    match request.method.as_str() {
        "GET" => read(world, request, &key).await,
        "PUT" => {
            let description: Description = request.json()?;
            let now = Timestamp::now();
            let mut offers = world.offers();
            let built = description.build(key, offers.plain(), now)?;
            let truth = built.truth(now);
            offers.put(built);
            world.ring();
            Ok(Answer::json(201, &truth))
        }
        "DELETE" => {
            let known = world.offers().forget(&key);
            world.ring();
            match known {
                true => Ok(Answer::empty(204)),
                false => Err(absent(&key)),
            }
        }
        _ => Err(Refused::Method("GET, PUT, DELETE")),
    }
}

/// The truth about an offer, at once or when its newest submission is in state `until`.
async fn read(world: &World, request: &Request, key: &Key) -> Result<Answer, Refused> {
    let (mut wanted, mut patience) = (None, USUAL);
    for (name, value) in parameters(request, &["until", "timeout_ms"])? {
        match name.as_str() {
            "until" => wanted = Some(value),
            _ => patience = number(&name, &value)?.min(LONGEST),
        }
    }
    let deadline = Instant::now() + Duration::from_millis(patience);
    let mut bell = world.bell();
    loop {
        let (truth, there, due) = look(world, key, wanted.as_deref())?;
        if there || Instant::now() >= deadline {
            return Ok(ok(&truth));
        }
        let due = due.map_or(deadline, |wait| deadline.min(Instant::now() + wait));
        tokio::select! {
            () = sleep_until(due) => {}
            // The bell lives as long as the world does, so this cannot fail.
            _ = bell.changed() => {}
        }
    }
}

/// The truth, whether it is as wanted, and when it changes next by itself.
fn look(
    world: &World,
    key: &Key,
    wanted: Option<&str>,
) -> Result<(Value, bool, Option<Duration>), Refused> {
    let now = Timestamp::now();
    let mut offers = world.offers();
    let offer = offers.touch(key, now).ok_or_else(|| absent(key))?;
    let there = wanted.is_none_or(|word| {
        let newest = offer.newest();
        newest.is_some_and(|run| same_word(word, &run.state))
    });
    Ok((offer.truth(now), there, until(offer.next_due(), now)))
}

pub(super) fn step(
    world: &World,
    request: &Request,
    publisher: &str,
    offer: &str,
    step: &str,
) -> Result<Answer, Refused> {
    if request.method != "POST" {
        return Err(Refused::Method("POST"));
    }
    let key = key(publisher, offer);
    let now = Timestamp::now();
    let mut offers = world.offers();
    let offer = offers.touch(&key, now).ok_or_else(|| absent(&key))?;
    match step {
        "publish" => {
            let run = request.json::<Seed>()?.build(now)?;
            offer.start(run, "");
        }
        "finish" => {
            let finish: Finish = request.json()?;
            let run = match finish.id {
                Some(id) => offer.submissions.iter_mut().find(|run| run.id == id),
                None => offer.newest_running(),
            };
            let run = run.ok_or_else(|| {
                Refused::Conflict("no such publish is running; start one with …/publish".into())
            })?;
            run.end(finish.state.as_deref().unwrap_or("completed"), now);
        }
        "sign-off" => {
            request.json::<Nothing>()?;
            let run = offer
                .newest_running()
                .ok_or_else(|| Refused::Conflict("no publish is running".into()))?;
            run.awaits_sign_off = true;
            run.changed = now;
        }
        "bite" => {
            request.json::<Nothing>()?;
            offer.bite(now);
        }
        _ => {
            return Err(Refused::Missing(format!(
                "no step is called {step:?}; there are: publish, finish, sign-off, bite"
            )));
        }
    }
    let truth = offer.truth(now);
    drop(offers);
    world.ring();
    Ok(ok(&truth))
}

fn key(publisher: &str, offer: &str) -> Key {
    Key {
        publisher: publisher.to_owned(),
        offer: offer.to_owned(),
    }
}

fn absent(key: &Key) -> Refused {
    Refused::Missing(format!(
        "there is no offer {:?} of publisher {:?}, and its id asks for no scenario; PUT makes one",
        key.offer, key.publisher
    ))
}
