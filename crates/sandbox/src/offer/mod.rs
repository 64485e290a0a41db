//! An offer and its publishing runs: a state machine with time as an argument. Nothing here
//! sleeps or polls; what is due by `now` happens when the offer is next looked at, stamped with
//! the moment at which it was due.

mod definition;
mod description;
mod location;
mod scenario;
mod store;
mod truth;

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::text::{later, plain_word};

pub(super) use definition::{Definition, Edition, Slot};
pub(super) use description::{DescriptionError, OfferDescription, SubmissionDescription};
pub(super) use location::{Accepted, LocationStyle};
pub(super) use scenario::{Access, Behaviour, CancelStyle, SCENARIO_NAMES};
pub(super) use store::{Key, OfferError, Offers, PUBLISHERS, is_known_publisher};

/// Publishing runs and cancels kept for one offer; the oldest are dropped first.
const LIMIT: usize = 1_000;

/// A publishing run, which the vendor calls a submission.
#[derive(Clone, Debug)]
pub(super) struct Submission {
    pub(super) id: Uuid,
    /// The vendor's word, verbatim.
    pub(super) state: String,
    pub(super) slot: Slot,
    /// The edition of the offer that it publishes.
    pub(super) edition: u64,
    pub(super) emails: String,
    pub(super) started: Timestamp,
    pub(super) changed: Timestamp,
    /// In preview and waiting for the publisher to sign it off.
    pub(super) awaits_sign_off: bool,
    pub(super) cancel_requested: bool,
    /// Replaces the stock message of the current step, verbatim.
    pub(super) message_html: Option<String>,
    /// When and in which state it ends by itself, unless something happens before.
    pub(super) ends: Option<(Timestamp, String)>,
}

impl Submission {
    /// A run that started at `now` and stays running until something ends it.
    pub(super) fn running(slot: Slot, now: Timestamp) -> Self {
        Self {
            id: Uuid::new_v4(),
            state: "running".into(),
            slot,
            edition: 1,
            emails: String::new(),
            started: now,
            changed: now,
            awaits_sign_off: false,
            cancel_requested: false,
            message_html: None,
            ends: None,
        }
    }

    /// Whether its state is not a known end state. An unknown word is not an end state.
    pub(super) fn is_running(&self) -> bool {
        !matches!(
            plain_word(&self.state).as_str(),
            "completed"
                | "complete"
                | "succeeded"
                | "published"
                | "failed"
                | "canceled"
                | "cancelled"
                | "rejected"
        )
    }

    /// Whether it succeeded.
    pub(super) fn is_completed(&self) -> bool {
        matches!(
            plain_word(&self.state).as_str(),
            "completed" | "complete" | "succeeded" | "published"
        )
    }

    pub(super) fn end(&mut self, state: &str, at: Timestamp) {
        self.state = state.to_owned();
        self.changed = at;
        self.awaits_sign_off = false;
        self.ends = None;
    }

    fn settle(&mut self, now: Timestamp) {
        if let Some((at, state)) = self.ends.take_if(|(at, _)| *at <= now) {
            self.end(&state, at);
        }
    }

    /// Makes it end in `state` at `at`, unless it ends before.
    fn end_by(&mut self, at: Timestamp, state: &str) {
        if self.ends.as_ref().is_none_or(|(earlier, _)| *earlier > at) {
            self.ends = Some((at, state.to_owned()));
        }
    }
}

/// A cancel that was executed: the truth that tests compare responses with.
#[derive(Clone, Debug)]
pub(super) struct Cancel {
    pub(super) at: Timestamp,
    /// The publishing run that was running then.
    pub(super) met: Option<Uuid>,
    /// The GUID of its own operation, where the behaviour gives it one.
    pub(super) operation: Option<Uuid>,
    /// The location in the response.
    pub(super) location: Option<String>,
    pub(super) status: u16,
}

/// An offer of the emulated portal.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    /// As spelled in the first request.
    pub(super) key: Key,
    pub(super) behaviour: Behaviour,
    /// Oldest first.
    pub(super) submissions: Vec<Submission>,
    pub(super) cancels: VecDeque<Cancel>,
    pub(super) cancels_forgotten: u64,
    pub(super) definition: Definition,
}

/// Why a publish or golive is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ActionError {
    /// An operation is running already.
    Running,
    /// The definition fails validation.
    Invalid,
    /// Nothing in preview could go live.
    NothingInPreview,
}

impl Offer {
    pub(super) fn new(
        key: Key,
        behaviour: Behaviour,
        submissions: Vec<Submission>,
        definition: Definition,
    ) -> Self {
        Self {
            key,
            behaviour,
            submissions,
            cancels: VecDeque::new(),
            cancels_forgotten: 0,
            definition,
        }
    }

    /// Applies everything that is due by `now`.
    pub(super) fn settle(&mut self, now: Timestamp) {
        for submission in &mut self.submissions {
            submission.settle(now);
        }
    }

    pub(super) fn newest(&self) -> Option<&Submission> {
        self.submissions.last()
    }

    pub(super) fn newest_running(&mut self) -> Option<&mut Submission> {
        self.submissions
            .iter_mut()
            .rev()
            .find(|submission| submission.is_running())
    }

    pub(super) fn submission(&self, id: Uuid) -> Option<&Submission> {
        self.submissions
            .iter()
            .find(|submission| submission.id == id)
    }

    /// When the next change happens by itself.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let planned = self.submissions.iter().filter_map(|one| one.ends.as_ref());
        planned.map(|(at, _)| *at).min()
    }

    /// Accepts a cancel whether or not anything runs, as the vendor does.
    pub(super) fn cancel(&mut self, now: Timestamp, emails: &str) -> Accepted {
        let behaviour = self.behaviour.clone();
        let effective = later(now, behaviour.cancel_after);
        let sooner = later(now, behaviour.cancel_after / 2);
        let met = self.newest_running().map(|submission| {
            submission.cancel_requested = true;
            if !emails.is_empty() {
                submission.emails = emails.to_owned();
            }
            match behaviour.cancel {
                CancelStyle::TakesEffect => submission.end_by(effective, "canceled"),
                CancelStyle::Sync | CancelStyle::SyncObject => submission.end("canceled", now),
                CancelStyle::Completes => submission.end_by(sooner, "completed"),
                CancelStyle::Fails => submission.end_by(sooner, "failed"),
                CancelStyle::NeverStops => {}
            }
            submission.id
        });
        let operation = behaviour.own_operation.then(Uuid::new_v4);
        let accepted = match behaviour.cancel {
            CancelStyle::Sync => Accepted::bare(200),
            CancelStyle::SyncObject => {
                Accepted::submission(met.or(self.newest().map(|one| one.id)))
            }
            _ => {
                let last = self.newest().map(|one| one.id);
                self.accepted(operation.or(met).or(last).unwrap_or_else(Uuid::new_v4))
            }
        };
        if self.cancels.len() == LIMIT {
            self.cancels.pop_front();
            self.cancels_forgotten += 1;
        }
        self.cancels.push_back(Cancel {
            at: now,
            met,
            operation,
            location: accepted.location().map(str::to_owned),
            status: accepted.status,
        });
        accepted
    }

    /// Starts a publish into the preview slot, if nothing runs and the offer is valid.
    pub(super) fn publish(
        &mut self,
        now: Timestamp,
        emails: &str,
    ) -> Result<Accepted, ActionError> {
        if self.newest_running().is_some() {
            return Err(ActionError::Running);
        }
        if !self.behaviour.valid {
            return Err(ActionError::Invalid);
        }
        Ok(self.start(Submission::running(Slot::Staging, now), emails))
    }

    /// Sends what is in preview live.
    pub(super) fn go_live(
        &mut self,
        now: Timestamp,
        emails: &str,
    ) -> Result<Accepted, ActionError> {
        let preview = self.submissions.last_mut();
        match preview {
            Some(run) if run.awaits_sign_off => run.end("completed", now),
            Some(run) if run.slot == Slot::Staging && run.is_completed() => {}
            Some(run) if run.is_running() => return Err(ActionError::Running),
            _ => return Err(ActionError::NothingInPreview),
        }
        Ok(self.start(Submission::running(Slot::Production, now), emails))
    }

    /// Adds a publishing run as the newest, whatever else runs.
    pub(super) fn start(&mut self, mut submission: Submission, emails: &str) -> Accepted {
        submission.edition = self.definition.current().number;
        if !emails.is_empty() {
            submission.emails = emails.to_owned();
        }
        if let Some(takes) = self.behaviour.publish_takes {
            submission.end_by(later(submission.started, takes), "completed");
        }
        let id = submission.id;
        self.remember(submission);
        self.accepted(id)
    }

    pub(super) fn remember(&mut self, submission: Submission) {
        if self.submissions.len() == LIMIT {
            self.submissions.remove(0);
        }
        self.submissions.push(submission);
    }

    /// Makes every pending cancel take effect at once.
    pub(super) fn take_effect(&mut self, now: Timestamp) {
        for submission in &mut self.submissions {
            if submission.cancel_requested && submission.is_running() {
                submission.end("canceled", now);
            }
        }
    }

    /// The edition that a slot shows, if anything was published there.
    pub(super) fn published(&self, slot: Slot) -> Option<&Edition> {
        let shows = |run: &&Submission| match slot {
            Slot::Draft => false,
            Slot::Staging => {
                run.is_completed() || run.awaits_sign_off || run.slot == Slot::Production
            }
            Slot::Production => run.slot == Slot::Production && run.is_completed(),
        };
        match slot {
            Slot::Draft => Some(self.definition.current()),
            _ => {
                let run = self.submissions.iter().rev().find(shows)?;
                self.definition.edition(run.edition)
            }
        }
    }

    fn accepted(&self, operation: Uuid) -> Accepted {
        location::accepted(&self.behaviour, &self.key, operation)
    }

    /// What became of a cancel, by the state of the run that it met.
    pub(super) fn became(&self, cancel: &Cancel) -> &str {
        let Some(met) = cancel.met else {
            return "nothing-running";
        };
        match self.submission(met) {
            None => "forgotten",
            Some(run) if run.is_running() => "pending",
            Some(run) if run.is_completed() => "completed-first",
            Some(run) => match plain_word(&run.state).as_str() {
                "canceled" | "cancelled" => "canceled",
                _ => "failed-first",
            },
        }
    }
}

/// How long from `now` until `due`.
pub(super) fn until(due: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    due.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests;
