//! One offer and its publishing runs: a state machine in which time is an argument. Nothing
//! here sleeps or polls; what is due by `now` happens when somebody looks, stamped with the
//! moment it was due, so that a cancel bites on time even if nobody watches.

mod definition;
mod description;
mod judge;
mod location;
mod scenario;
mod store;

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::text::{later, plain_word};

pub(super) use definition::{Definition, Edition, Slot};
pub(super) use description::{Description, Seed, Unusable};
pub(super) use location::{Named, Place};
pub(super) use scenario::{Access, Behaviour, CancelStyle, NAMES};
pub(super) use store::{Absent, Key, Offers, PUBLISHERS, is_ours};

/// The most publishing runs and cancels remembered for one offer; the oldest go first.
const REMEMBERED: usize = 1_000;

/// One publishing run, what the vendor calls a submission.
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
    /// When and how it ends by itself, unless something else happens before.
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

    /// Whether its state is none of the known ends. A word never seen before is not an end.
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

    /// Whether its end is one of the good ones.
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

    /// Ends it like that at `at`, unless it ends by itself before.
    fn end_by(&mut self, at: Timestamp, state: &str) {
        if self.ends.as_ref().is_none_or(|(earlier, _)| *earlier > at) {
            self.ends = Some((at, state.to_owned()));
        }
    }
}

/// One cancel that was carried out: the truth that a test holds an answer against.
#[derive(Clone, Debug)]
pub(super) struct Cancel {
    pub(super) at: Timestamp,
    /// The publishing run that was running then, if any.
    pub(super) met: Option<Uuid>,
    /// The GUID of an operation of its own, where the offer answers so.
    pub(super) operation: Option<Uuid>,
    /// The path that the answer named, if it named one.
    pub(super) location: Option<String>,
    pub(super) status: u16,
}

/// An offer of the emulated portal.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    /// As spelled by whoever touched it first.
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
pub(super) enum Unready {
    /// Something runs already.
    Running,
    /// The definition would not pass validation.
    Invalid,
    /// Nothing is in preview that could go live.
    NothingInPreview,
}

impl Offer {
    /// Lets everything happen that is due by `now`.
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

    /// When the next thing happens by itself, if anything will.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let planned = self.submissions.iter().filter_map(|one| one.ends.as_ref());
        planned.map(|(at, _)| *at).min()
    }

    /// Accepts a cancel, whether or not anything runs, as the vendor does.
    pub(super) fn cancel(&mut self, now: Timestamp, emails: &str) -> Named {
        let behaviour = self.behaviour.clone();
        let bites = later(now, behaviour.cancel_after);
        let sooner = later(now, behaviour.cancel_after / 2);
        let met = self.newest_running().map(|submission| {
            submission.cancel_requested = true;
            if !emails.is_empty() {
                submission.emails = emails.to_owned();
            }
            match behaviour.cancel {
                CancelStyle::Bites => submission.end_by(bites, "canceled"),
                CancelStyle::Sync | CancelStyle::SyncObject => submission.end("canceled", now),
                CancelStyle::Completes => submission.end_by(sooner, "completed"),
                CancelStyle::Fails => submission.end_by(sooner, "failed"),
                CancelStyle::Stubborn => {}
            }
            submission.id
        });
        let operation = behaviour.own_operation.then(Uuid::new_v4);
        let named = match behaviour.cancel {
            CancelStyle::Sync => Named::nothing(200),
            CancelStyle::SyncObject => Named::submission(met.or(self.newest().map(|one| one.id))),
            _ => {
                let last = self.newest().map(|one| one.id);
                self.name(operation.or(met).or(last).unwrap_or_else(Uuid::new_v4))
            }
        };
        if self.cancels.len() == REMEMBERED {
            self.cancels.pop_front();
            self.cancels_forgotten += 1;
        }
        self.cancels.push_back(Cancel {
            at: now,
            met,
            operation,
            location: named.path().map(str::to_owned),
            status: named.status,
        });
        named
    }

    /// Starts a publish into the preview slot, if nothing runs and the offer is valid.
    pub(super) fn publish(&mut self, now: Timestamp, emails: &str) -> Result<Named, Unready> {
        if self.newest_running().is_some() {
            return Err(Unready::Running);
        }
        if !self.behaviour.valid {
            return Err(Unready::Invalid);
        }
        Ok(self.start(Submission::running(Slot::Staging, now), emails))
    }

    /// Sends what is in preview live.
    pub(super) fn go_live(&mut self, now: Timestamp, emails: &str) -> Result<Named, Unready> {
        let preview = self.submissions.last_mut();
        match preview {
            Some(run) if run.awaits_sign_off => run.end("completed", now),
            Some(run) if run.slot == Slot::Staging && run.is_completed() => {}
            Some(run) if run.is_running() => return Err(Unready::Running),
            _ => return Err(Unready::NothingInPreview),
        }
        Ok(self.start(Submission::running(Slot::Production, now), emails))
    }

    /// Adds a publishing run as the newest, whatever else runs, and names it.
    pub(super) fn start(&mut self, mut submission: Submission, emails: &str) -> Named {
        submission.edition = self.definition.current().number;
        if !emails.is_empty() {
            submission.emails = emails.to_owned();
        }
        if let Some(takes) = self.behaviour.publish_takes {
            submission.end_by(later(submission.started, takes), "completed");
        }
        let id = submission.id;
        self.remember(submission);
        self.name(id)
    }

    pub(super) fn remember(&mut self, submission: Submission) {
        if self.submissions.len() == REMEMBERED {
            self.submissions.remove(0);
        }
        self.submissions.push(submission);
    }

    /// Lets every pending cancel bite at once.
    pub(super) fn bite(&mut self, now: Timestamp) {
        for submission in &mut self.submissions {
            if submission.cancel_requested && submission.is_running() {
                submission.end("canceled", now);
            }
        }
    }

    /// The edition that a slot shows, if anything was ever published there.
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

    fn name(&self, operation: Uuid) -> Named {
        location::name(&self.behaviour, &self.key, operation)
    }

    /// What became of a cancel: the state of the run that it met.
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

/// The time after which nothing happens any more, for whoever waits on an offer.
pub(super) fn until(due: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    due.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests;
