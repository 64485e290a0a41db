//! Evidence from times: whether a publish existed when the cancel arrived, and whether it may
//! have ended since.
//!
//! Two clocks are involved and never compared with each other. The vendor's dates its
//! answers and its submissions; the gateway's measures durations. Where the vendor's answer has no
//! date, the date of an observation less the time since the request was sent is what the
//! vendor's clock showed at that moment, or a little earlier.

use jiff::{SignedDuration, Timestamp};

use super::terms::Observation;
use crate::domain::Evidence;
use crate::portal::Submission;

/// How far the clocks of the vendor's own machines may differ.
const SLACK: SignedDuration = SignedDuration::from_secs(10);
/// How soon after the answer an observation must be complete to count as immediate.
const IMMEDIATE: SignedDuration = SignedDuration::from_secs(2);
/// `Date` counts whole seconds (RFC 9110, 5.6.7).
const RESOLUTION: SignedDuration = SignedDuration::from_secs(1);
/// A cancel may itself change the time of the publish that it applies to, for this long
/// after the answer.
const TOUCH: SignedDuration = SignedDuration::from_secs(2);

/// The conclusions from one observation and the evidence before it.
#[derive(Debug, Clone, Copy)]
pub struct TimeEvidence {
    /// The first observation, so soon after the answer that nothing can have started in
    /// between.
    pub is_immediate: bool,
    /// Whether the vendor's answer has a date.
    pub is_dated: bool,
    /// The date of the vendor's answer; its clock.
    date: Option<Timestamp>,
    /// No later than when the request was sent; the vendor's clock.
    requested: Option<Timestamp>,
    /// From before the request was sent until the observation was complete.
    window: SignedDuration,
}

impl TimeEvidence {
    /// What `observation` proves; `is_first` if it is the first that succeeded.
    #[must_use]
    pub fn new(evidence: &Evidence, observation: &Observation<'_>, is_first: bool) -> Self {
        let took = SignedDuration::from_millis(i64::try_from(evidence.took_ms).unwrap_or(i64::MAX));
        let since = evidence.answered_at;
        let since = since.map(|at| observation.ended.duration_since(at));
        // A clock that was set back has measured nothing.
        let since = since.filter(|since| !since.is_negative() && !evidence.clock_went_back);
        let window = since.map_or(SignedDuration::MAX, |since| since.saturating_add(took));
        let date = evidence.vendor_date;
        let requested = match date {
            Some(date) => date.checked_sub(took).ok(),
            None => observation
                .date
                .and_then(|date| date.checked_sub(window.saturating_add(RESOLUTION)).ok()),
        };
        // The answer may have been delayed on its way, or never have come: then the gateway's
        // measurement says little about when the vendor answered, but the dates may.
        let is_fresh = took <= IMMEDIATE
            || matches!((date, observation.date), (Some(answered), Some(observed))
                if observed.duration_since(answered) <= IMMEDIATE + IMMEDIATE);
        Self {
            is_immediate: is_first && is_fresh && since.is_some_and(|since| since <= IMMEDIATE),
            is_dated: date.is_some(),
            date,
            requested,
            window,
        }
    }

    /// Whether this running publish has not changed since before the request was sent.
    #[must_use]
    pub fn ran_throughout(&self, running: &Submission) -> bool {
        matches!((running.changed, self.requested), (Some(changed), Some(sent)) if changed <= sent)
    }

    /// Whether this running publish was there when the vendor answered.
    #[must_use]
    pub fn ran_at_answer(&self, running: &Submission) -> bool {
        self.ran_throughout(running)
            || matches!((running.changed, self.date), (Some(changed), Some(date)) if changed <= date)
    }

    /// Whether this running publish changed just as the vendor answered: the cancel
    /// changed it, or it started then.
    #[must_use]
    pub fn may_be_touched(&self, running: &Submission) -> bool {
        let touched = self.date.and_then(|date| date.checked_add(TOUCH).ok());
        matches!((running.changed, touched), (Some(changed), Some(until)) if changed <= until)
    }

    /// Whether this publish was certainly there before the cancel arrived, and has not
    /// changed since.
    #[must_use]
    pub fn clearly_precedes(&self, one: &Submission) -> bool {
        let before = self.date.or(self.requested);
        let before = before.and_then(|at| at.checked_sub(SLACK).ok());
        matches!((one.changed, before), (Some(changed), Some(before)) if changed <= before)
    }

    /// Whether this publish ended, and certainly not before the vendor answered.
    #[must_use]
    pub fn ended_after_answer(&self, ended: &Submission) -> bool {
        let answered = self.date.and_then(|date| date.checked_add(RESOLUTION).ok());
        matches!((ended.changed, answered), (Some(changed), Some(at)) if changed > at)
    }

    /// The publishes that may have ended since the request was sent; `running` is the one
    /// that followed them, if one is running. One without a time is left out if it is
    /// older than one that ended before: one publish runs at a time.
    #[must_use]
    pub fn maybe_ended_since<'a>(
        &self,
        list: &'a [Submission],
        running: Option<&Submission>,
    ) -> Vec<&'a Submission> {
        let mut candidates = Vec::new();
        let mut is_older = false;
        for ended in list.iter().filter(|one| one.state.has_ended()) {
            match ended.changed {
                Some(changed) if self.ended_before(changed, running) => is_older = true,
                Some(_) => candidates.push(ended),
                None if is_older => {}
                None => candidates.push(ended),
            }
        }
        candidates
    }

    fn ended_before(&self, changed: Timestamp, running: Option<&Submission>) -> bool {
        let earliest = self.requested.and_then(|sent| sent.checked_sub(SLACK).ok());
        if earliest.is_some_and(|earliest| changed < earliest) {
            return true;
        }
        // Had it ended since the request was sent, the one running now would have started
        // since then, and its time could not be later than this by more than has passed.
        let followed = running.and_then(|running| running.changed);
        !self.is_dated && followed.is_some_and(|after| after.duration_since(changed) > self.window)
    }
}
