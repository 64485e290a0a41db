//! An offer that is being polled: its operations, and which of its polls are running.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::time::{DelayQueue, delay_queue};

use super::now::Now;
use super::tracked::{Phase, TrackedOperation};
use crate::domain::{OperationId, Target};
use crate::portal::Location;

/// A poll's kind: of operations that have had none, or of all that are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollKind {
    First,
    Further,
}

/// Concurrent polls of one offer, by kind: operations that arrive while there are this
/// many first polls share the next one.
pub const MAX_POLLS_OF_ONE: [usize; 2] = [4, 1];
/// Status texts read in one poll: they decide nothing, and cost a request each.
const MAX_TEXTS: usize = 8;
/// The longest timer: the queue of timers takes no times that are years away.
pub const MAX_SLEEP: Duration = Duration::from_secs(24 * 3600);

/// An offer that is being polled.
#[derive(Default)]
pub struct TrackedOffer {
    /// Its operations.
    pub members: Vec<OperationId>,
    /// Whether it is in the queue, by [`PollKind`].
    pub is_queued: [bool; 2],
    /// Polls in flight, by [`PollKind`].
    pub in_flight: [usize; 2],
    /// Its timer: when, and its key in the timer queue.
    pub timer: Option<(Instant, delay_queue::Key)>,
}

impl TrackedOffer {
    /// Marks it as queued, unless it is already, or has enough polls of this kind in
    /// flight. Returns whether the caller has to queue it.
    pub fn try_enqueue(&mut self, kind: PollKind) -> bool {
        let kind = kind as usize;
        self.in_flight[kind] < MAX_POLLS_OF_ONE[kind]
            && !std::mem::replace(&mut self.is_queued[kind], true)
    }

    /// Whether its operations are in the queue of further polls.
    fn awaits_poll(&self) -> bool {
        self.is_queued[PollKind::Further as usize]
    }

    /// Whether a further poll is in flight.
    pub fn is_polling(&self) -> bool {
        self.in_flight[PollKind::Further as usize] > 0
    }

    /// Sets its timer to this time; none removes it.
    pub fn set_timer(
        &mut self,
        wakes_at: Option<Instant>,
        target: &Rc<Target>,
        timers: &mut DelayQueue<Rc<Target>>,
    ) {
        if self.timer.map(|(at, _)| at) == wakes_at {
            return;
        }
        // A timer that fires too early is set again.
        let bounded = |at: Instant| at.min(Instant::now() + MAX_SLEEP);
        self.timer = match (self.timer, wakes_at) {
            (Some((_, key)), Some(at)) => {
                timers.reset_at(&key, bounded(at));
                Some((at, key))
            }
            (Some((_, key)), None) => {
                timers.remove(&key);
                None
            }
            (None, Some(at)) => {
                let key = timers.insert_at(Rc::clone(target), bounded(at));
                Some((at, key))
            }
            (None, None) => None,
        };
    }

    /// Whether nothing is left to do about it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.members.is_empty() && self.is_queued == [false; 2] && self.in_flight == [0; 2]
    }

    /// When something is due about one of its operations, if nothing happens before.
    #[must_use]
    pub fn wakes_for(&self, tracked: &TrackedOperation) -> Option<Instant> {
        match tracked.phase {
            Phase::Polling(_) => None,
            Phase::Queued => Some(tracked.late_at()),
            Phase::Waiting if self.awaits_poll() => Some(tracked.late_at()),
            // The end of the poll sets it anew.
            Phase::Waiting if self.is_polling() => None,
            Phase::Waiting => Some(tracked.due),
        }
    }

    /// Whether this operation of its has been queued for too long.
    #[must_use]
    pub fn is_late(&self, tracked: &TrackedOperation, now: Now) -> bool {
        let is_queued = match tracked.phase {
            Phase::Queued => true,
            Phase::Waiting => self.awaits_poll(),
            Phase::Polling(_) => false,
        };
        is_queued && tracked.late_at() <= now.instant
    }
}

/// The locations whose status texts are read in the next poll of these operations: those
/// that were read longest ago.
pub fn texts_to_read<'a>(members: impl Iterator<Item = &'a TrackedOperation>) -> Vec<Location> {
    let mut asked: Vec<(u64, Location)> = Vec::new();
    let mut known: HashMap<Location, usize> = HashMap::new();
    for tracked in members {
        let Some(location) = tracked.location else {
            continue;
        };
        match known.get(&location) {
            Some(at) => asked[*at].0 = asked[*at].0.max(tracked.text_asked),
            None => {
                known.insert(location, asked.len());
                asked.push((tracked.text_asked, location));
            }
        }
    }
    asked.sort_by_key(|(poll, _)| *poll);
    asked.truncate(MAX_TEXTS);
    asked.into_iter().map(|(_, location)| location).collect()
}
