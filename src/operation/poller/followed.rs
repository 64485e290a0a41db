//! One operation among those that are followed: small, since there may be ten thousand.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::case::{self, Worth};
use super::look::Seen;
use super::pace::{Bounds, Pace};
use super::table::Moment;
use crate::domain::{Operation, Target};
use crate::operation::authorized_portal::ReadFailure;
use crate::operation::outcome::{Look, Patience, Unseen};
use crate::portal::Location;

/// How long whoever was put in line at the very end has for its turn.
const LAST_TURN: Duration = Duration::from_secs(5);
/// Timers and the clock that evidence is kept in may round differently: whatever is
/// decided at a moment is looked at just after it.
const JUST_AFTER: Duration = Duration::from_millis(2);

/// Where an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the line for its first look.
    Fresh,
    /// Waiting for its next look.
    Idle,
    /// In the look of this number; in one at a time.
    Looking(u64),
}

/// An operation that is followed.
pub struct Followed {
    /// As it is known by now.
    pub operation: Arc<Operation>,
    /// Its offer.
    pub target: Rc<Target>,
    /// Where the vendor says that it is.
    pub location: Option<Location>,
    /// Where it is.
    pub place: Place,
    /// When it is to be looked at next, or was put in line.
    pub due: Instant,
    /// The first look from here on that succeeds is its last.
    pub gives_up: Instant,
    /// When it ends, found out or not.
    pub ends: Instant,
    /// The last look in which the word at its location was asked for, 0 for none.
    pub word_asked: u64,
    /// Since when it is followed at its pace.
    since: Instant,
    /// Whether it was said already that its submissions cannot be read.
    complained: bool,
}

impl Followed {
    /// In the line for its first look.
    #[must_use]
    pub fn new(
        operation: Arc<Operation>,
        target: Rc<Target>,
        patience: Patience,
        now: Moment,
    ) -> Self {
        let gives_up = now.instant + left(case::gives_up_at(&operation, patience), now);
        Self {
            location: case::location(&operation),
            operation,
            target,
            place: Place::Fresh,
            due: now.instant,
            gives_up,
            ends: gives_up + patience.grace(),
            word_asked: 0,
            since: now.instant,
            complained: false,
        }
    }

    /// Whether it has had its first look, in an earlier process.
    #[must_use]
    pub fn was_looked_at(&self) -> bool {
        self.operation.evidence.first_look_at.is_some()
    }

    /// Goes on where an earlier process was.
    pub fn resume(&mut self, pace: Pace, now: Moment) {
        let answered_at = self.operation.evidence.answered_at;
        let followed = answered_at
            .and_then(|at| Duration::try_from(now.at.duration_since(at)).ok())
            .unwrap_or_default();
        self.since = now.instant.checked_sub(followed).unwrap_or(now.instant);
        let due = now.instant + pace.spread(followed, fastrand::f64());
        self.due = due.min(self.gives_up);
        self.place = Place::Idle;
    }

    /// Waits for its next look.
    pub fn rest(&mut self, pace: Pace, patience: Patience, hold: Duration, now: Moment) {
        let gives_up_in = left(case::gives_up_at(&self.operation, patience), now);
        if gives_up_in.is_zero() {
            self.gives_up = self.gives_up.min(now.instant);
        } else {
            self.gives_up = now.instant + gives_up_in;
            self.ends = self.gives_up + patience.grace();
        }
        let pause = if gives_up_in.is_zero() {
            let ends_in = self.ends.saturating_duration_since(now.instant);
            pace.last(hold, fastrand::f64()).min(ends_in)
        } else {
            let bounds = Bounds {
                hold,
                settles_in: case::settles_at(&self.operation, patience).map(|at| left(at, now)),
                gives_up_in: Some(gives_up_in),
            };
            let followed = now.instant.saturating_duration_since(self.since);
            pace.pause(followed, bounds, fastrand::f64())
        };
        self.due = now.instant + pause;
        self.place = Place::Idle;
    }

    /// Its pause is over, but the vendor wants to be left alone: no longer than that.
    pub fn wait_out(&mut self, pace: Pace, patience: Patience, hold: Duration, now: Moment) {
        if self.gives_up <= now.instant {
            return self.rest(pace, patience, hold, now);
        }
        let left = self.gives_up - now.instant;
        self.due = now.instant + pace.held(hold, fastrand::f64()).min(left);
    }

    /// Whether it is time to look at it again.
    #[must_use]
    pub fn is_due(&self, now: Moment) -> bool {
        self.place == Place::Idle && self.due <= now.instant
    }

    /// Whether its time is up, and this hold does not pass before its end.
    #[must_use]
    pub fn is_held_to_its_end(&self, hold: Duration, now: Moment) -> bool {
        self.gives_up <= now.instant && now.instant + hold >= self.ends
    }

    /// When it ends even if no look could begin.
    #[must_use]
    pub fn late_at(&self) -> Instant {
        self.ends.max(self.due + LAST_TURN)
    }

    /// Ends it without a look, if its time has come.
    pub fn end_unseen(
        &mut self,
        why: Unseen,
        patience: Patience,
        now: Moment,
    ) -> Option<Arc<Operation>> {
        let unseen = Look {
            at: now.at,
            ended: now.at,
            date: None,
            submissions: Err(why),
        };
        let worth = case::weigh(&mut self.operation, self.location, unseen, None, patience);
        self.tell(worth);
        (worth == Worth::Ended).then(|| Arc::clone(&self.operation))
    }

    /// Weighs what a look brought.
    pub fn weigh(
        &mut self,
        mut look: Look<'_>,
        seen: &Seen,
        patience: Patience,
        now: Moment,
    ) -> Worth {
        if look.submissions.is_err() && self.ends <= now.instant {
            look.submissions = Err(Unseen::Unread);
        }
        let is_first = !self.was_looked_at();
        let word = self.location.and_then(|location| seen.word(location));
        let worth = case::weigh(&mut self.operation, self.location, look, word, patience);
        // From what was found out on, its end is near.
        if worth == Worth::Found || (is_first && self.was_looked_at()) {
            self.since = now.instant;
        }
        self.tell(worth);
        worth
    }

    /// A long outage is one line an operation.
    pub fn complain(&mut self, unread: Option<&ReadFailure>) {
        let Some(error) = unread else {
            self.complained = false;
            return;
        };
        if std::mem::replace(&mut self.complained, true) {
            tracing::debug!(operation = %self.operation.id, %error, "submissions not read");
        } else {
            tracing::warn!(operation = %self.operation.id, %error, "submissions not read; looking again");
        }
    }

    fn tell(&self, worth: Worth) {
        let operation = &self.operation;
        if let (Worth::Ended, Some(outcome)) = (worth, operation.outcome) {
            tracing::info!(
                operation = %operation.id,
                offer = operation.target.offer().as_str(),
                publisher = operation.target.publisher().as_str(),
                request_id = operation.request_id.as_str(),
                outcome = outcome.as_str(),
                "operation ended"
            );
        }
    }
}

/// How long until this moment, and just after it; nothing if that has passed.
fn left(at: Timestamp, now: Moment) -> Duration {
    let left = Duration::try_from(at.duration_since(now.at)).unwrap_or_default();
    if left.is_zero() {
        left
    } else {
        left + JUST_AFTER
    }
}
