//! One operation that is being polled: small, since there may be ten thousand.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::interval::{Bounds, PollInterval};
use super::now::Now;
use super::poll::PollResult;
use super::poll_times::PollTime;
use crate::domain::Operation;
use crate::domain::Target;
use crate::operation::authorized_portal::ReadFailure;
use crate::operation::outcome::{self, Deadlines, Effect, MissingReason, Observation};
use crate::portal::Location;

/// How long an operation that became due at its very end waits for its last poll, if not
/// for as long as a last poll that fails is retried.
const LAST_POLL: Duration = Duration::from_secs(5);
/// Timers and the clock of the evidence may round differently, so a decision is polled
/// for just after it is due.
const JUST_AFTER: Duration = Duration::from_millis(2);

/// What decides when an operation is polled, and how long.
#[derive(Debug, Clone, Copy)]
pub struct PollRules {
    pub interval: PollInterval,
    pub deadlines: Deadlines,
}

/// Where an operation stands between its polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Queued for its first poll.
    Queued,
    /// Waiting for its next poll.
    Waiting,
    /// In the poll of this number; in one at a time.
    Polling(u64),
}

/// An operation that is being polled.
pub struct TrackedOperation {
    /// Its latest state.
    pub operation: Arc<Operation>,
    /// Its offer.
    pub target: Rc<Target>,
    /// Where the vendor reports its own status of it.
    pub location: Option<Location>,
    /// Where it stands.
    pub phase: Phase,
    /// When it is polled next, or was queued for that.
    pub due: Instant,
    /// The first poll from here on that succeeds is its last.
    pub gives_up: Instant,
    /// When it ends, decided or not.
    pub ends: Instant,
    /// The last poll that asked for the status text at its location, 0 for none.
    pub text_asked: u64,
    /// What its interval is computed from.
    since: Instant,
    /// Where `due` is published.
    poll_time: PollTime,
    has_logged_failure: bool,
}

impl TrackedOperation {
    /// An operation that is queued for its first poll.
    #[must_use]
    pub fn new(
        operation: Arc<Operation>,
        target: &Rc<Target>,
        poll_time: PollTime,
        deadlines: Deadlines,
        now: Now,
    ) -> Self {
        poll_time.set(now.instant);
        let gives_up = now.instant + until(outcome::gives_up_at(&operation, deadlines), now);
        let location = operation.portal.location.as_deref();
        Self {
            location: location.and_then(|path| Location::recognize(path, target)),
            operation,
            target: Rc::clone(target),
            phase: Phase::Queued,
            due: now.instant,
            gives_up,
            ends: gives_up + deadlines.grace(),
            text_asked: 0,
            since: now.instant,
            poll_time,
            has_logged_failure: false,
        }
    }

    /// Whether it was polled successfully before, perhaps by an earlier process.
    #[must_use]
    pub fn was_polled(&self) -> bool {
        self.operation.evidence.first_look_at.is_some()
    }

    /// Whether the vendor's answer came so recently.
    #[must_use]
    pub fn is_prompt(&self, prompt: Duration, now: Now) -> bool {
        let answered_at = self.operation.evidence.answered_at;
        let elapsed = answered_at.map(|at| now.at.duration_since(at));
        elapsed.is_some_and(|elapsed| elapsed.unsigned_abs() <= prompt)
    }

    /// Resumes where an earlier process was.
    pub fn resume(&mut self, rules: PollRules, now: Now) {
        let answered_at = self.operation.evidence.answered_at;
        let elapsed = answered_at
            .and_then(|at| Duration::try_from(now.at.duration_since(at)).ok())
            .unwrap_or_default();
        self.since = now.instant.checked_sub(elapsed).unwrap_or(now.instant);
        let due = now.instant + rules.interval.spread(elapsed, fastrand::f64());
        self.set_due(due.min(self.gives_up));
        self.phase = Phase::Waiting;
    }

    /// Waits for its next poll; `hold` is how long the vendor asked for no requests.
    pub fn schedule_next(&mut self, rules: PollRules, hold: Duration, now: Now) {
        let gives_up_in = until(outcome::gives_up_at(&self.operation, rules.deadlines), now);
        if gives_up_in.is_zero() {
            self.gives_up = self.gives_up.min(now.instant);
        } else {
            self.gives_up = now.instant + gives_up_in;
            self.ends = self.gives_up + rules.deadlines.grace();
        }
        let pause = if gives_up_in.is_zero() {
            let ends_in = self.ends.saturating_duration_since(now.instant);
            rules.interval.last(hold, fastrand::f64()).min(ends_in)
        } else {
            let settles_at = outcome::settles_at(&self.operation, rules.deadlines);
            let bounds = Bounds {
                hold,
                settles_in: settles_at.map(|at| until(at, now)),
                gives_up_in: Some(gives_up_in),
            };
            let elapsed = now.instant.saturating_duration_since(self.since);
            rules.interval.pause(elapsed, bounds, fastrand::f64())
        };
        self.set_due(now.instant + pause);
        self.phase = Phase::Waiting;
    }

    /// It is due while the vendor asks for no requests: waits no longer than that.
    pub fn postpone(&mut self, rules: PollRules, hold: Duration, now: Now) {
        if self.gives_up <= now.instant {
            return self.schedule_next(rules, hold, now);
        }
        let left = self.gives_up - now.instant;
        self.set_due(now.instant + rules.interval.held(hold, fastrand::f64()).min(left));
    }

    /// It is polled next at this time.
    pub fn set_due(&mut self, due: Instant) {
        self.due = due;
        self.poll_time.set(due);
    }

    /// Whether its next poll is due.
    #[must_use]
    pub fn is_due(&self, now: Now) -> bool {
        self.phase == Phase::Waiting && self.due <= now.instant
    }

    /// Whether its deadline has passed and the vendor's hold outlasts its end.
    #[must_use]
    pub fn is_held_to_its_end(&self, hold: Duration, now: Now) -> bool {
        self.gives_up <= now.instant && now.instant + hold >= self.ends
    }

    /// When it ends even if no poll could be started.
    #[must_use]
    pub fn late_at(&self) -> Instant {
        let grace = self.ends.saturating_duration_since(self.gives_up);
        self.ends.max(self.due + grace.max(LAST_POLL))
    }

    /// Ends it without a poll, if its deadline has passed on the evidence's clock too.
    pub fn end_unpolled(
        &mut self,
        reason: MissingReason,
        deadlines: Deadlines,
        now: Now,
    ) -> Option<Arc<Operation>> {
        let missing = Observation {
            at: now.at,
            ended: now.at,
            date: None,
            submissions: Err(reason),
        };
        let effect = self.apply(missing, None, deadlines, now);
        (effect == Effect::Ended).then(|| Arc::clone(&self.operation))
    }

    /// Applies what a poll brought.
    pub fn observe(
        &mut self,
        mut observation: Observation<'_>,
        result: &PollResult,
        deadlines: Deadlines,
        now: Now,
    ) -> Effect {
        if observation.submissions.is_err() && self.ends <= now.instant {
            observation.submissions = Err(MissingReason::ReadFailed);
        }
        let is_first = !self.was_polled();
        let text = self.location.and_then(|at| result.status_text(at));
        let effect = self.apply(observation, text, deadlines, now);
        // Its end is near from the moment that its publish is found.
        if effect == Effect::Pinned || (is_first && self.was_polled()) {
            self.since = now.instant;
        }
        effect
    }

    fn apply(
        &mut self,
        observation: Observation<'_>,
        text: Option<&str>,
        deadlines: Deadlines,
        now: Now,
    ) -> Effect {
        let operation = &mut self.operation;
        let effect = outcome::observe(operation, self.location, observation, text, deadlines);
        let jumped = outcome::note_jump(operation, now.wall_ahead);
        match effect {
            Effect::Ended => log_end(operation),
            Effect::Unchanged if jumped => return Effect::Changed,
            _ => {}
        }
        effect
    }

    /// Logs a failed read; a long outage is one warning an operation.
    pub fn log_read_failure(&mut self, failure: Option<&ReadFailure>) {
        let Some(error) = failure else {
            self.has_logged_failure = false;
            return;
        };
        let (id, offer) = (self.operation.id, self.operation.target.offer().as_str());
        if std::mem::replace(&mut self.has_logged_failure, true) {
            tracing::debug!(operation = %id, offer, %error, "submissions not read");
        } else {
            tracing::warn!(operation = %id, offer, %error, "submissions not read; retrying");
        }
    }
}

fn log_end(operation: &Operation) {
    tracing::info!(
        operation = %operation.id,
        offer = operation.target.offer().as_str(),
        publisher = operation.target.publisher().as_str(),
        request_id = operation.request_id.as_str(),
        outcome = operation.outcome.map(|outcome| outcome.as_str()),
        "operation ended"
    );
}

/// The time until just after this moment; zero if it has passed.
fn until(at: Timestamp, now: Now) -> Duration {
    let left = Duration::try_from(at.duration_since(now.at)).unwrap_or_default();
    if left.is_zero() {
        left
    } else {
        left + JUST_AFTER
    }
}
