//! Reading, awaiting and emptying the journal.

use std::time::Duration;

use serde_json::Value;

use super::{Refused, number, ok, parameters};
use crate::journal::{Entry, Filter};
use crate::wire::{Answer, Request};
use crate::world::World;

const PARAMETERS: [&str; 6] = ["method", "path", "offer", "after", "at_least", "timeout_ms"];
/// The longest wait, in milliseconds.
const LONGEST: u64 = 10 * 60 * 1000;
/// The wait when none is given, in milliseconds.
const USUAL: u64 = 10_000;

pub(super) async fn answer(world: &World, request: &Request) -> Result<Answer, Refused> {
    match request.method.as_str() {
        "GET" => read(world, request).await,
        "DELETE" => {
            world.journal.clear();
            Ok(Answer::empty(204))
        }
        _ => Err(Refused::Method("GET, DELETE")),
    }
}

async fn read(world: &World, request: &Request) -> Result<Answer, Refused> {
    let mut filter = Filter::default();
    let (mut at_least, mut patience) = (0, USUAL);
    for (name, value) in parameters(request, &PARAMETERS)? {
        match name.as_str() {
            "method" => filter.method = Some(value),
            "path" => filter.path = Some(value),
            "offer" => filter.offer = Some(value),
            "after" => filter.after = Some(number(&name, &value)?),
            "at_least" => at_least = number(&name, &value)?,
            _ => patience = number(&name, &value)?.min(LONGEST),
        }
    }
    let at_least = usize::try_from(at_least).unwrap_or(usize::MAX);
    let patience = Duration::from_millis(patience);
    let excerpt = world.journal.wait(&filter, at_least, patience).await;
    let list: Value = excerpt.entries.iter().map(Entry::to_json).collect();
    Ok(ok(&list)
        .with(
            "X-Sandbox-Journal-Entries",
            excerpt.entries.len().to_string(),
        )
        .with("X-Sandbox-Journal-Dropped", excerpt.dropped.to_string()))
}
