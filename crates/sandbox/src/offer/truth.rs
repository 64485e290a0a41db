//! What is true of an offer, whatever the portal's responses say. Tests compare the gateway's
//! results with this document; no portal call returns it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Offer, Submission};
use crate::text::rfc3339;

impl Offer {
    /// Everything known about the offer at `now`.
    pub(crate) fn truth(&self, now: Timestamp) -> Value {
        let behaviour = &self.behaviour;
        let cancels: Vec<Value> = self
            .cancels
            .iter()
            .map(|cancel| {
                let met = cancel.met.and_then(|met| self.submission(met));
                let ended = met.filter(|run| !run.is_running());
                json!({
                    "at": rfc3339(cancel.at),
                    "httpStatus": cancel.status,
                    "location": cancel.location,
                    "operation": cancel.operation,
                    "met": cancel.met,
                    "became": self.became(cancel),
                    "endedAt": ended.map(|run| rfc3339(run.changed)),
                })
            })
            .collect();
        let runs: Vec<Value> = self.submissions.iter().rev().map(truth).collect();
        json!({
            "publisher": self.key.publisher,
            "offer": self.key.offer,
            "now": rfc3339(now),
            "behaviour": {
                "scenario": behaviour.scenario,
                "access": behaviour.access,
                "location": behaviour.location,
                "cancel": behaviour.cancel,
                "cancelSeconds": behaviour.cancel_after.as_secs_f64(),
                "publishSeconds": behaviour.publish_takes.map(|takes| takes.as_secs_f64()),
                "ownOperation": behaviour.own_operation,
            },
            "version": self.definition.current().number,
            "submissions": runs,
            "cancels": cancels,
            "cancelsForgotten": self.cancels_forgotten,
        })
    }
}

fn truth(run: &Submission) -> Value {
    json!({
        "id": run.id,
        "state": run.state,
        "slot": run.slot,
        "emails": run.emails,
        "startedAt": rfc3339(run.started),
        "changedAt": rfc3339(run.changed),
        "awaitsSignOff": run.awaits_sign_off,
        "cancelRequested": run.cancel_requested,
        "ends": run.ends.as_ref().map(|(at, state)| json!({
            "at": rfc3339(*at),
            "state": state,
        })),
    })
}
