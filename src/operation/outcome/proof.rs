//! What the times prove: whether a publish was there when our cancel came, and whether
//! it may have ended since.
//!
//! Two clocks are involved and never held against each other. The vendor's dates its
//! answers and its submissions; ours measures how long things took. Where our own
//! answer is not dated, the date of a look less the time that has passed since our
//! request left is what the vendor's clock showed then, or a little earlier.

use jiff::{SignedDuration, Timestamp};

use super::Look;
use crate::domain::Evidence;
use crate::portal::Submission;

/// Clocks of one party may differ by this much between its own machines.
const SLACK: SignedDuration = SignedDuration::from_secs(10);
/// How soon after the answer a look must be over to count as taken at once.
const PROMPT: SignedDuration = SignedDuration::from_secs(2);
/// `Date` counts whole seconds (RFC 9110, 5.6.7).
const RESOLUTION: SignedDuration = SignedDuration::from_secs(1);
/// A cancel may itself change the time of the publish that it meets.
const TOUCH: SignedDuration = SignedDuration::from_secs(2);

/// What one look and the evidence before it prove.
#[derive(Debug, Clone, Copy)]
pub struct Proof {
    /// The first look, so soon after the answer that nothing can have started between.
    pub at_once: bool,
    /// Whether the vendor has dated its answer.
    pub is_dated: bool,
    /// The date of the vendor's answer; its clock.
    date: Option<Timestamp>,
    /// Not later than when our request left; the vendor's clock.
    requested: Option<Timestamp>,
    /// From before our request left until the look was over.
    window: SignedDuration,
}

impl Proof {
    /// What `look` proves; `is_first` if it is the first that succeeded.
    #[must_use]
    pub fn of(evidence: &Evidence, look: &Look<'_>, is_first: bool) -> Self {
        let took = SignedDuration::from_millis(i64::try_from(evidence.took_ms).unwrap_or(i64::MAX));
        let since = evidence.answered_at.map(|at| look.ended.duration_since(at));
        // A clock that was seen to go back has measured nothing.
        let since = since.filter(|since| !since.is_negative() && !evidence.clock_went_back);
        let window = since.map_or(SignedDuration::MAX, |since| since.saturating_add(took));
        let date = evidence.vendor_date;
        let requested = match date {
            Some(date) => date.checked_sub(took).ok(),
            None => look
                .date
                .and_then(|date| date.checked_sub(window.saturating_add(RESOLUTION)).ok()),
        };
        // The answer may have been long on its way, or never have come: then what we
        // noticed says little about when the vendor answered, but a date may.
        let is_fresh = took <= PROMPT
            || matches!((date, look.date), (Some(answer), Some(look))
                if look.duration_since(answer) <= PROMPT + PROMPT);
        Self {
            at_once: is_first && is_fresh && since.is_some_and(|since| since <= PROMPT),
            is_dated: date.is_some(),
            date,
            requested,
            window,
        }
    }

    /// A running publish that has not changed since before our request left.
    #[must_use]
    pub fn was_there_throughout(&self, running: &Submission) -> bool {
        matches!((running.changed, self.requested), (Some(changed), Some(left)) if changed <= left)
    }

    /// A running publish that was there when the vendor answered.
    #[must_use]
    pub fn was_there(&self, running: &Submission) -> bool {
        self.was_there_throughout(running)
            || matches!((running.changed, self.date), (Some(changed), Some(date)) if changed <= date)
    }

    /// A running publish that changed when the vendor had just answered: it was there,
    /// and the cancel changed it, or it started then.
    #[must_use]
    pub fn may_be_touched(&self, running: &Submission) -> bool {
        let touched = self.date.and_then(|date| date.checked_add(TOUCH).ok());
        matches!((running.changed, touched), (Some(changed), Some(until)) if changed <= until)
    }

    /// A publish that was surely there before our cancel came, and has not changed since.
    #[must_use]
    pub fn is_of_before(&self, one: &Submission) -> bool {
        let before = self.date.or(self.requested);
        let before = before.and_then(|at| at.checked_sub(SLACK).ok());
        matches!((one.changed, before), (Some(changed), Some(before)) if changed <= before)
    }

    /// A publish that ended, and surely not before the vendor answered.
    #[must_use]
    pub fn ended_after(&self, ended: &Submission) -> bool {
        let answered = self.date.and_then(|date| date.checked_add(RESOLUTION).ok());
        matches!((ended.changed, answered), (Some(changed), Some(at)) if changed > at)
    }

    /// Those of the list that may have ended since our request left; `running` is the
    /// publish that followed them, if one is running. Of those without a time, older
    /// ones than one that ended before are left out: one publish runs at a time.
    #[must_use]
    pub fn suspects<'a>(
        &self,
        list: &'a [Submission],
        running: Option<&Submission>,
    ) -> Vec<&'a Submission> {
        let mut suspects = Vec::new();
        let mut older = false;
        for ended in list.iter().filter(|one| one.state.has_ended()) {
            match ended.changed {
                Some(changed) if self.ended_before(changed, running) => older = true,
                Some(_) => suspects.push(ended),
                None if older => {}
                None => suspects.push(ended),
            }
        }
        suspects
    }

    fn ended_before(&self, changed: Timestamp, running: Option<&Submission>) -> bool {
        let earliest = self.requested.and_then(|left| left.checked_sub(SLACK).ok());
        if earliest.is_some_and(|earliest| changed < earliest) {
            return true;
        }
        // Had it ended since our request left, what runs now would have started since
        // then too, and its time could not be later than this by more than has passed.
        let followed = running.and_then(|running| running.changed);
        !self.is_dated && followed.is_some_and(|after| after.duration_since(changed) > self.window)
    }
}
