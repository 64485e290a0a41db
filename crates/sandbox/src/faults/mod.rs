//! Faults by order: which calls misbehave, how often, and how. An order waits for the calls
//! that it is for and is used up by them; the first that fits a call is the one it gets.

mod bend;
mod kind;

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::route::{Route, Subject};

pub(super) use bend::{Scene, bend};
pub(super) use kind::Kind;

/// Orders that may wait at once.
const LIMIT: usize = 10_000;

/// An order for a fault, as `POST /_sandbox/faults` has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Order {
    on: Subject,
    publisher: Option<String>,
    offer: Option<String>,
    /// How many calls it is for; 0 for all until it is removed.
    #[serde(default = "once")]
    times: u32,
    /// How many calls pass unharmed before.
    #[serde(default)]
    skip: u32,
    /// Whether the vendor carries out the request nevertheless.
    acts: Option<bool>,
    fault: Kind,
}

fn once() -> u32 {
    1
}

/// A waiting order.
#[derive(Clone, Debug)]
struct Waiting {
    id: Uuid,
    order: Order,
    /// Calls that it was for so far, harmed or not.
    seen: u32,
}

/// What a call gets.
#[derive(Clone, Debug)]
pub(super) struct Struck {
    pub(super) kind: Kind,
    pub(super) acts: bool,
}

/// All waiting orders, oldest first.
#[derive(Debug, Default)]
pub(super) struct Faults {
    waiting: Vec<Waiting>,
}

/// Why an order is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unordered {
    #[error("{0}")]
    Malformed(#[from] serde_json::Error),
    #[error("{0}")]
    Unusable(&'static str),
    #[error("{LIMIT} orders are waiting already; DELETE /_sandbox/faults removes them")]
    Full,
}

impl Order {
    /// Reads an order. `acts` may stand in the order or in its fault.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Unordered> {
        let mut document: Value = serde_json::from_slice(body)?;
        let inner = document
            .get_mut("fault")
            .and_then(Value::as_object_mut)
            .and_then(|fault| fault.remove("acts"));
        if let (Some(acts), Some(order)) = (inner, document.as_object_mut()) {
            order.entry("acts").or_insert(acts);
        }
        let order: Self = serde_json::from_value(document)?;
        order.fault.check().map_err(Unordered::Unusable)?;
        Ok(order)
    }

    fn is_for(&self, route: &Route) -> bool {
        let key = route.key();
        let same = |wanted: &Option<String>, given: Option<&String>| {
            wanted
                .as_ref()
                .is_none_or(|wanted| given.is_some_and(|given| given.eq_ignore_ascii_case(wanted)))
        };
        self.on.covers(route)
            && same(&self.publisher, key.map(|key| &key.publisher))
            && same(&self.offer, key.map(|key| &key.offer))
    }
}

impl Faults {
    /// Takes an order; returns its description.
    pub(super) fn add(&mut self, order: Order) -> Result<Value, Unordered> {
        if self.waiting.len() >= LIMIT {
            return Err(Unordered::Full);
        }
        let waiting = Waiting {
            id: Uuid::new_v4(),
            order,
            seen: 0,
        };
        let description = waiting.to_json();
        self.waiting.push(waiting);
        Ok(description)
    }

    /// The fault that this call gets, if any.
    pub(super) fn strike(&mut self, route: &Route) -> Option<Struck> {
        let mut struck = None;
        self.waiting.retain_mut(|waiting| {
            let order = &waiting.order;
            if struck.is_some() || !order.is_for(route) {
                return true;
            }
            waiting.seen = waiting.seen.saturating_add(1);
            if waiting.seen <= order.skip {
                return true;
            }
            struck = Some(Struck {
                acts: order.acts.unwrap_or(order.fault.acts_by_default()),
                kind: order.fault.clone(),
            });
            order.times == 0 || waiting.seen - order.skip < order.times
        });
        struck
    }

    pub(super) fn list(&self) -> Value {
        self.waiting.iter().map(Waiting::to_json).collect()
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(super) fn remove(&mut self, id: &str) -> bool {
        let before = self.waiting.len();
        self.waiting
            .retain(|waiting| waiting.id.to_string() != id.to_ascii_lowercase());
        self.waiting.len() < before
    }
}

impl Waiting {
    fn to_json(&self) -> Value {
        let order = &self.order;
        json!({
            "id": self.id,
            "on": order.on,
            "publisher": order.publisher,
            "offer": order.offer,
            "times": order.times,
            "skip": order.skip,
            "acts": order.acts.unwrap_or(order.fault.acts_by_default()),
            "fault": order.fault,
            "struck": self.seen.saturating_sub(order.skip),
        })
    }
}

#[cfg(test)]
mod tests;
