//! Faults on request: which calls fail, how often and how. An order stays pending until it has
//! affected as many calls as it says; a call takes the first order that matches it.

mod apply;

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::fault_kind::FaultKind;
use super::route::{Route, Subject};

pub(super) use apply::apply_fault;

/// Orders that may be pending at once.
const LIMIT: usize = 10_000;

/// The body of `POST /_sandbox/v1/faults`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FaultOrder {
    on: Subject,
    publisher: Option<String>,
    offer: Option<String>,
    /// How many calls it affects; 0 for all until it is removed.
    #[serde(default = "once")]
    times: u32,
    /// How many calls pass unaffected before that.
    #[serde(default)]
    skip: u32,
    /// Whether the vendor executes the request nevertheless.
    acts: Option<bool>,
    fault: FaultKind,
}

fn once() -> u32 {
    1
}

#[derive(Clone, Debug)]
struct PendingOrder {
    id: Uuid,
    order: FaultOrder,
    /// Matching calls so far, affected or not.
    seen: u32,
}

/// The fault that a call is to suffer.
#[derive(Clone, Debug)]
pub(super) struct TakenFault {
    pub(super) kind: FaultKind,
    pub(super) acts: bool,
}

/// All pending orders, oldest first.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pending: Vec<PendingOrder>,
}

/// Why an order is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    #[error("{0}")]
    Malformed(#[from] serde_json::Error),
    #[error("{0}")]
    Parameter(&'static str),
    #[error("{LIMIT} orders are pending already; DELETE /_sandbox/v1/faults removes them")]
    Full,
}

impl FaultOrder {
    /// Reads an order. `acts` may stand in the order or in its fault.
    pub(super) fn parse(body: &[u8]) -> Result<Self, OrderError> {
        let mut document: Value = serde_json::from_slice(body)?;
        let inner = document
            .get_mut("fault")
            .and_then(Value::as_object_mut)
            .and_then(|fault| fault.remove("acts"));
        if let (Some(acts), Some(order)) = (inner, document.as_object_mut()) {
            order.entry("acts").or_insert(acts);
        }
        let order: Self = serde_json::from_value(document)?;
        order.fault.check().map_err(OrderError::Parameter)?;
        Ok(order)
    }

    fn matches(&self, route: &Route) -> bool {
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
    /// Adds an order; returns its description.
    pub(super) fn add(&mut self, order: FaultOrder) -> Result<Value, OrderError> {
        if self.pending.len() >= LIMIT {
            return Err(OrderError::Full);
        }
        let pending = PendingOrder {
            id: Uuid::new_v4(),
            order,
            seen: 0,
        };
        let description = pending.to_json();
        self.pending.push(pending);
        Ok(description)
    }

    /// Takes the fault of the first order that matches this call.
    pub(super) fn take(&mut self, route: &Route) -> Option<TakenFault> {
        let mut taken = None;
        self.pending.retain_mut(|pending| {
            let order = &pending.order;
            if taken.is_some() || !order.matches(route) {
                return true;
            }
            pending.seen = pending.seen.saturating_add(1);
            if pending.seen <= order.skip {
                return true;
            }
            taken = Some(TakenFault {
                acts: order.acts.unwrap_or(order.fault.acts_by_default()),
                kind: order.fault.clone(),
            });
            order.times == 0 || pending.seen - order.skip < order.times
        });
        taken
    }

    pub(super) fn list(&self) -> Value {
        self.pending.iter().map(PendingOrder::to_json).collect()
    }

    pub(super) fn clear(&mut self) {
        self.pending.clear();
    }

    pub(super) fn remove(&mut self, id: &str) -> bool {
        let before = self.pending.len();
        self.pending
            .retain(|pending| pending.id.to_string() != id.to_ascii_lowercase());
        self.pending.len() < before
    }
}

impl PendingOrder {
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
