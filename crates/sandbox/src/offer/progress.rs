//! An offer and the actions on it: cancel, publish, go-live, and what time brings about.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::behaviour::{Behaviour, CancelStyle};
use super::definition::{Definition, Edition, Slot};
use super::key::Key;
use super::location::{self, Accepted};
use super::submission::Submission;
use crate::text::{later, plain_word};

/// Publishing runs and cancels kept for one offer; the oldest are dropped first.
pub(super) const LIMIT: usize = 1_000;

/// A cancel that was executed: the truth that tests compare responses with.
#[derive(Clone, Debug)]
pub(crate) struct Cancel {
    pub(crate) at: Timestamp,
    /// The publishing run that was running then.
    pub(crate) met: Option<Uuid>,
    /// The GUID of its own operation, where the behaviour gives it one.
    pub(crate) operation: Option<Uuid>,
    /// The location in the response.
    pub(crate) location: Option<String>,
    pub(crate) status: u16,
}

/// An offer of the emulated portal.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// As spelled in the first request.
    pub(crate) key: Key,
    pub(crate) behaviour: Behaviour,
    /// Oldest first.
    pub(crate) submissions: Vec<Submission>,
    pub(crate) cancels: VecDeque<Cancel>,
    pub(crate) cancels_forgotten: u64,
    pub(crate) definition: Definition,
}

/// Why a publish or golive is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ActionError {
    /// An operation is running already.
    Running,
    /// The definition fails validation.
    Invalid,
    /// Nothing in preview could go live.
    NothingInPreview,
}

impl Offer {
    pub(crate) fn new(
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
    pub(crate) fn settle(&mut self, now: Timestamp) {
        for submission in &mut self.submissions {
            submission.settle(now);
        }
    }

    pub(crate) fn newest(&self) -> Option<&Submission> {
        self.submissions.last()
    }

    pub(crate) fn newest_running(&mut self) -> Option<&mut Submission> {
        self.submissions
            .iter_mut()
            .rev()
            .find(|submission| submission.is_running())
    }

    pub(crate) fn submission(&self, id: Uuid) -> Option<&Submission> {
        self.submissions
            .iter()
            .find(|submission| submission.id == id)
    }

    /// When the next change happens by itself.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let planned = self.submissions.iter().filter_map(|one| one.ends.as_ref());
        planned.map(|(at, _)| *at).min()
    }

    /// Accepts a cancel whether or not anything runs, as the vendor does.
    pub(crate) fn cancel(&mut self, now: Timestamp, emails: &str) -> Accepted {
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
    pub(crate) fn publish(
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
    pub(crate) fn go_live(
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
    pub(crate) fn start(&mut self, mut submission: Submission, emails: &str) -> Accepted {
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

    pub(crate) fn remember(&mut self, submission: Submission) {
        if self.submissions.len() == LIMIT {
            self.submissions.remove(0);
        }
        self.submissions.push(submission);
    }

    /// Makes every pending cancel take effect at once.
    pub(crate) fn take_effect(&mut self, now: Timestamp) {
        for submission in &mut self.submissions {
            if submission.cancel_requested && submission.is_running() {
                submission.end("canceled", now);
            }
        }
    }

    /// The edition that a slot shows, if anything was published there.
    pub(crate) fn published(&self, slot: Slot) -> Option<&Edition> {
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
    pub(crate) fn became(&self, cancel: &Cancel) -> &str {
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
pub(crate) fn until(due: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    due.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default())
}
