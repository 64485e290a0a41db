//! Every end of a cancel, and gateways at which cancels end so.

use std::time::Duration;

use serde_json::json;

use crate::helpers::{Setup, World, spawn_with};

/// How a cancel of an offer ends.
pub struct End {
    /// The sandbox's scenario.
    scenario: &'static str,
    pub outcome: &'static str,
    /// `error.code`, of one that has failed.
    pub code: Option<&'static str>,
    /// Whether the gateway has to give up for it.
    pub gives_up: bool,
}

const fn end(
    scenario: &'static str,
    outcome: &'static str,
    code: Option<&'static str>,
    gives_up: bool,
) -> End {
    End {
        scenario,
        outcome,
        code,
        gives_up,
    }
}

pub const ENDS: [End; 7] = [
    end("migrated", "canceled", None, false),
    end("sync", "canceled", None, false),
    end("idle", "nothingToCancel", None, false),
    end("fails", "alreadyFailed", None, false),
    end(
        "completes",
        "alreadyCompleted",
        Some("already-completed"),
        false,
    ),
    end("stubborn", "notCanceled", Some("not-canceled"), true),
    end("contoso-vm", "unknown", Some("outcome-unknown"), true),
];

impl End {
    /// An offer whose cancel ends so, for the client with this name.
    pub fn offer(&self, client: &str) -> String {
        format!("{}-{client}", self.scenario)
    }
}

/// A gateway that waits for what may come, and one that soon gives up.
pub struct Worlds {
    pub patient: World,
    impatient: World,
}

impl Worlds {
    /// For these clients.
    pub async fn start(clients: &[&str]) -> Self {
        let worlds = Self {
            patient: spawn_with(Setup {
                tune: |settings| settings.operations.give_up = Duration::from_secs(120),
                ..Setup::default()
            })
            .await,
            impatient: spawn_with(Setup {
                tune: |settings| settings.operations.give_up = Duration::from_millis(1500),
                ..Setup::default()
            })
            .await,
        };
        // Without a look at the submissions there is no evidence.
        let fault = json!({"kind": "internal-error"});
        for end in ENDS.iter().filter(|end| end.outcome == "unknown") {
            for client in clients {
                let offer = end.offer(client);
                let order =
                    json!({"on": "submissions", "offer": offer, "times": 0, "fault": fault});
                worlds.impatient.vendor.order(order).await;
            }
        }
        worlds
    }

    /// Where an offer with this end is to be canceled.
    pub fn of(&self, end: &End) -> &World {
        if end.gives_up {
            &self.impatient
        } else {
            &self.patient
        }
    }
}
