//! One publishing run of an offer.

use jiff::Timestamp;
use uuid::Uuid;

use super::definition::Slot;
use crate::text::plain_word;

/// A publishing run, which the vendor calls a submission.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    pub(crate) id: Uuid,
    /// The vendor's word, verbatim.
    pub(crate) state: String,
    pub(crate) slot: Slot,
    /// The edition of the offer that it publishes.
    pub(crate) edition: u64,
    pub(crate) emails: String,
    pub(crate) started: Timestamp,
    pub(crate) changed: Timestamp,
    /// In preview and waiting for the publisher to sign it off.
    pub(crate) awaits_sign_off: bool,
    pub(crate) cancel_requested: bool,
    /// Replaces the stock message of the current step, verbatim.
    pub(crate) message_html: Option<String>,
    /// When and in which state it ends by itself, unless something happens before.
    pub(crate) ends: Option<(Timestamp, String)>,
}

impl Submission {
    /// A run that started at `now` and stays running until something ends it.
    pub(crate) fn running(slot: Slot, now: Timestamp) -> Self {
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
    pub(crate) fn is_running(&self) -> bool {
        let word = plain_word(&self.state);
        let failed = ["failed", "canceled", "cancelled", "rejected"];
        !self.is_completed() && !failed.contains(&word.as_str())
    }

    /// Whether it succeeded.
    pub(crate) fn is_completed(&self) -> bool {
        matches!(
            plain_word(&self.state).as_str(),
            "completed" | "complete" | "succeeded" | "published"
        )
    }

    pub(crate) fn end(&mut self, state: &str, at: Timestamp) {
        self.state = state.to_owned();
        self.changed = at;
        self.awaits_sign_off = false;
        self.ends = None;
    }

    pub(super) fn settle(&mut self, now: Timestamp) {
        if let Some((at, state)) = self.ends.take_if(|(at, _)| *at <= now) {
            self.end(&state, at);
        }
    }

    /// Makes it end in `state` at `at`, unless it ends before.
    pub(super) fn end_by(&mut self, at: Timestamp, state: &str) {
        if self.ends.as_ref().is_none_or(|(earlier, _)| *earlier > at) {
            self.ends = Some((at, state.to_owned()));
        }
    }
}
