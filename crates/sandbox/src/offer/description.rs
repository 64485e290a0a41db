//! The description of an offer in JSON: a scenario to start from, and what differs from it.
//! Unknown members are refused, so that a typing mistake does not silently test something else.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    Access, Behaviour, CancelStyle, Definition, Key, LocationStyle, Offer, Slot, Submission,
    scenario, scenario_names,
};
use crate::text::{earlier, later};

/// The body of `PUT /_sandbox/v1/offers/{publisher}/{offer}`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct OfferDescription {
    scenario: Option<String>,
    access: Option<Access>,
    location: Option<LocationStyle>,
    cancel: Option<CancelStyle>,
    cancel_seconds: Option<f64>,
    publish_seconds: Option<f64>,
    own_operation: Option<bool>,
    zone: Option<bool>,
    date: Option<bool>,
    etag: Option<bool>,
    operation_in_array: Option<bool>,
    valid: Option<bool>,
    offer_type_id: Option<String>,
    definition: Option<Value>,
    /// Newest first, as the vendor lists them.
    submissions: Option<Vec<SubmissionDescription>>,
}

/// The description of a publishing run.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct SubmissionDescription {
    id: Option<Uuid>,
    state: Option<String>,
    slot: Option<Slot>,
    changed_time: Option<Timestamp>,
    changed_seconds_ago: Option<f64>,
    emails: Option<String>,
    awaits_sign_off: bool,
    message_html: Option<String>,
    ends_in_seconds: Option<f64>,
    ends_as: Option<String>,
}

/// What is wrong with a well-formed description.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum DescriptionError {
    #[error("unknown scenario {0:?}; known: {names}", names = scenario_names().join(", "))]
    Scenario(String),
    #[error("{0} must be a number of seconds from 0 to 1e9")]
    Seconds(&'static str),
    #[error("give changedTime or changedSecondsAgo, not both")]
    TwoTimes,
    #[error("definition must be an object")]
    Definition,
}

impl OfferDescription {
    /// The offer described, as it is at `now`.
    pub(crate) fn build(
        self,
        key: Key,
        default_behaviour: &Behaviour,
        now: Timestamp,
    ) -> Result<Offer, DescriptionError> {
        let name = self.scenario.as_deref().unwrap_or("migrated");
        let (mut behaviour, past) = scenario::build(name, default_behaviour.clone(), now)
            .ok_or_else(|| DescriptionError::Scenario(name.into()))?;
        set(&mut behaviour.access, self.access);
        set(&mut behaviour.location, self.location);
        set(&mut behaviour.cancel, self.cancel);
        set(&mut behaviour.own_operation, self.own_operation);
        set(&mut behaviour.zone, self.zone);
        set(&mut behaviour.date, self.date);
        set(&mut behaviour.etag, self.etag);
        set(&mut behaviour.operation_in_array, self.operation_in_array);
        set(&mut behaviour.valid, self.valid);
        set(
            &mut behaviour.cancel_after,
            seconds("cancelSeconds", self.cancel_seconds)?,
        );
        if self.publish_seconds.is_some() {
            behaviour.publish_takes = seconds("publishSeconds", self.publish_seconds)?;
        }
        let submissions = match self.submissions {
            None => past,
            Some(all) => all
                .into_iter()
                .rev()
                .map(|one| one.build(now))
                .collect::<Result<_, _>>()?,
        };
        let stock = Definition::stock(&key.offer, now);
        let definition = match (self.offer_type_id, self.definition) {
            (None, None) => stock,
            (_, Some(body)) if !body.is_object() => return Err(DescriptionError::Definition),
            (kind, body) => Definition::new(
                kind.as_deref().unwrap_or(&stock.current().offer_type),
                body.unwrap_or_else(|| stock.current().body.clone()),
                now,
            ),
        };
        Ok(Offer::new(key, behaviour, submissions, definition))
    }
}

impl SubmissionDescription {
    /// The publishing run described, as it is at `now`.
    pub(crate) fn build(self, now: Timestamp) -> Result<Submission, DescriptionError> {
        let ago = seconds("changedSecondsAgo", self.changed_seconds_ago)?;
        let changed = match (self.changed_time, ago) {
            (Some(_), Some(_)) => return Err(DescriptionError::TwoTimes),
            (Some(at), None) => at,
            (None, ago) => earlier(now, ago.unwrap_or_default()),
        };
        let mut run = Submission::running(self.slot.unwrap_or_default(), changed);
        set(&mut run.id, self.id);
        set(&mut run.state, self.state);
        set(&mut run.emails, self.emails);
        run.awaits_sign_off = self.awaits_sign_off && run.is_running();
        run.message_html = self.message_html;
        if let Some(takes) = seconds("endsInSeconds", self.ends_in_seconds)? {
            let state = self.ends_as.unwrap_or_else(|| "completed".into());
            run.ends = Some((later(now, takes), state));
        }
        Ok(run)
    }
}

fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

fn seconds(name: &'static str, value: Option<f64>) -> Result<Option<Duration>, DescriptionError> {
    value
        .map(|value| {
            Duration::try_from_secs_f64(value)
                .ok()
                .filter(|duration| duration.as_secs() <= 1_000_000_000)
                .ok_or(DescriptionError::Seconds(name))
        })
        .transpose()
}
