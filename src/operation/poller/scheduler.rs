//! Decides which offers are polled when. It holds the operations and timers and sends no
//! requests itself: an idle operation costs its entry, and its offer a timer.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;
use tokio_util::time::DelayQueue;

use super::fair_queue::FairQueue;
use super::interval::PollInterval;
use super::now::Now;
use super::offer::{PollKind, TrackedOffer, texts_to_read};
use super::options::PollerOptions;
use super::pace::Pace;
use super::poll::PollResult;
use super::poll_times::PollTimes;
use super::throttle::Throttle;
use super::tracked::{Phase, PollRules, TrackedOperation};
use crate::domain::{Operation, OperationId, PublisherId, Target};
use crate::operation::outcome::{Effect, MissingReason};
use crate::portal::Location;

/// How many first polls start before a further one has its turn: those come first, but must
/// not keep the others from being polled at all.
const MAX_FIRST_IN_A_ROW: u32 = 9;
/// How long after the vendor's answer a first poll is urgent. Later, as after a restart, it
/// proves no more than a further one, and must not come before those of new actions.
const PROMPT: Duration = Duration::from_secs(10);

/// A poll to be made; the operations that share it are marked with its number.
#[derive(Debug)]
pub struct PollTask {
    number: u64,
    kind: PollKind,
    /// The offer.
    pub target: Rc<Target>,
    /// Where the vendor's status texts are to be read.
    pub locations: Vec<Location>,
}

/// All operations that are polled.
pub struct Scheduler {
    rules: PollRules,
    times: PollTimes,
    operations: HashMap<OperationId, TrackedOperation>,
    offers: HashMap<Rc<Target>, TrackedOffer>,
    throttle: Throttle,
    pace: Pace<PublisherId>,
    timers: DelayQueue<Rc<Target>>,
    /// The offers to be polled, by [`PollKind`].
    queues: [FairQueue<PublisherId, Rc<Target>>; 2],
    polls_started: u64,
    first_in_a_row: u32,
}

impl Scheduler {
    /// A scheduler without operations.
    #[must_use]
    pub fn new(options: PollerOptions, times: PollTimes) -> Self {
        Self {
            rules: PollRules {
                interval: PollInterval::new(options.poll),
                deadlines: options.deadlines,
            },
            times,
            operations: HashMap::new(),
            offers: HashMap::new(),
            throttle: Throttle::new(),
            pace: Pace::new(options.max_polls_per_second),
            timers: DelayQueue::new(),
            queues: options.slots().map(FairQueue::new),
            polls_started: 0,
            first_in_a_row: 0,
        }
    }

    /// Whether this operation is polled.
    #[must_use]
    pub fn tracks(&self, id: OperationId) -> bool {
        self.operations.contains_key(&id)
    }

    /// Adds an unfinished operation. A new one is polled at once, as far as the pace
    /// allows; one that was polled before resumes at some moment of its pause, so that a
    /// start with many of them sends no burst.
    pub fn add(&mut self, operation: Arc<Operation>, now: Now) {
        let id = operation.id;
        if self.tracks(id) {
            return;
        }
        let target = &operation.target;
        let target = match self.offers.get_key_value(target) {
            Some((known, _)) => Rc::clone(known),
            None => Rc::new(target.clone()),
        };
        let offer = self.offers.entry(Rc::clone(&target)).or_default();
        offer.members.push(id);
        let hold = self.throttle.hold(&target, PollKind::First, now.instant);
        let place = self.times.enter(id);
        let mut tracked =
            TrackedOperation::new(operation, &target, place, self.rules.deadlines, now);
        if tracked.was_polled() {
            tracked.resume(self.rules, now);
        } else if !hold.is_zero() {
            tracked.schedule_next(self.rules, hold, now);
        } else if !tracked.is_prompt(PROMPT, now) {
            tracked.phase = Phase::Waiting;
        } else if offer.try_enqueue(PollKind::First) {
            self.enqueue(&target, PollKind::First);
        }
        // The offer's other operations are not asked again: there may be many.
        let offer = self.offers.get(&target);
        let known = offer.and_then(|offer| offer.timer).map(|(at, _)| at);
        let own = offer.and_then(|offer| offer.wakes_for(&tracked));
        self.operations.insert(id, tracked);
        if let Some(offer) = self.offers.get_mut(&target) {
            offer.set_timer(
                own.into_iter().chain(known).min(),
                &target,
                &mut self.timers,
            );
        }
    }

    /// Waits until something is due at an offer, for [`wake`](Self::wake); `None` if
    /// there is nothing to wait for. Loses nothing when dropped.
    pub async fn next_due(&mut self) -> Option<Rc<Target>> {
        let target = self.timers.next().await?.into_inner();
        if let Some(offer) = self.offers.get_mut(&target) {
            offer.timer = None;
        }
        Some(target)
    }

    /// Handles an offer whose timer has fired: queues it for a poll, and returns the operations
    /// that end because the vendor wants no requests, or because none could be made.
    pub fn wake(&mut self, target: &Rc<Target>, now: Now) -> Vec<Arc<Operation>> {
        let hold = self.throttle.hold(target, PollKind::Further, now.instant);
        let rules = self.rules;
        let Some(offer) = self.offers.get_mut(target) else {
            return Vec::new();
        };
        let (mut wants_poll, mut ended) = (false, Vec::new());
        for id in &offer.members {
            let Some(tracked) = self.operations.get_mut(id) else {
                continue;
            };
            let is_due = tracked.is_due(now);
            let is_held = is_due && !hold.is_zero();
            let missing = if is_held && tracked.is_held_to_its_end(hold, now) {
                Some(MissingReason::Throttled)
            } else {
                let is_late = offer.is_late(tracked, now);
                is_late.then_some(MissingReason::NoCapacity)
            };
            match missing.map(|reason| tracked.end_unpolled(reason, rules.deadlines, now)) {
                Some(Some(operation)) => ended.push(operation),
                // Its deadline has not passed on the clock of the evidence.
                Some(None) => tracked.schedule_next(rules, hold, now),
                None if is_held => tracked.postpone(rules, hold, now),
                None => wants_poll |= is_due,
            }
        }
        if wants_poll && offer.try_enqueue(PollKind::Further) {
            for id in &offer.members {
                let tracked = self.operations.get_mut(id);
                if let Some(tracked) = tracked.filter(|one| one.is_due(now)) {
                    tracked.set_due(now.instant);
                }
            }
            self.enqueue(target, PollKind::Further);
        }
        for operation in &ended {
            self.operations.remove(&operation.id);
        }
        self.update(target);
        ended
    }

    /// The next poll to be made, if there is a slot for it and the pace allows it.
    pub fn next_poll(&mut self, now: Now) -> Option<PollTask> {
        let kinds = match self.first_in_a_row < MAX_FIRST_IN_A_ROW {
            true => [PollKind::First, PollKind::Further],
            false => [PollKind::Further, PollKind::First],
        };
        for kind in kinds {
            loop {
                let pace = &self.pace;
                let is_ready = |one: &PublisherId| pace.ready_at(one, now.instant) <= now.instant;
                let Some((publisher, target)) = self.queues[kind as usize].pop(is_ready) else {
                    break;
                };
                match self.start_poll(&target, kind, now) {
                    None => self.queues[kind as usize].release(&publisher),
                    task => return task,
                }
            }
        }
        None
    }

    /// When the pace allows the next of the polls that it held back at `asked`, the time that
    /// [`Self::next_poll`] was last asked with; `None` if it held none back.
    #[must_use]
    pub fn ready_at(&self, asked: Instant) -> Option<Instant> {
        let waiting = self.queues.iter().flat_map(FairQueue::waiting);
        let times = waiting.map(|publisher| self.pace.ready_at(publisher, asked));
        times.filter(|at| *at > asked).min()
    }

    fn enqueue(&mut self, target: &Rc<Target>, kind: PollKind) {
        self.queues[kind as usize].push(target.publisher(), Rc::clone(target));
    }

    /// Decides which operations share the poll: those that wait for it, and the others of
    /// the offer that are in no poll. `None` if the vendor wants no requests by now, or no
    /// operation waits any more.
    fn start_poll(&mut self, target: &Rc<Target>, kind: PollKind, now: Now) -> Option<PollTask> {
        let hold = self.throttle.hold(target, kind, now.instant);
        let number = self.polls_started + 1;
        let offer = self.offers.get_mut(target)?;
        offer.is_queued[kind as usize] = false;
        let is_first = kind == PollKind::First;
        let wants = |tracked: &TrackedOperation| match kind {
            PollKind::First => tracked.phase == Phase::Queued,
            PollKind::Further => tracked.is_due(now),
        };
        let mut members = offer.members.iter();
        let is_wanted = (is_first || !offer.is_polling())
            && members.any(|id| self.operations.get(id).is_some_and(wants));
        let starts = is_wanted && hold.is_zero();
        for id in &offer.members {
            let Some(tracked) = self.operations.get_mut(id) else {
                continue;
            };
            let is_free = match tracked.phase {
                Phase::Waiting => true,
                Phase::Queued => is_first,
                Phase::Polling(_) => false,
            };
            if starts && is_free {
                tracked.phase = Phase::Polling(number);
            } else if is_wanted && wants(tracked) {
                tracked.schedule_next(self.rules, hold, now);
            }
        }
        if starts {
            self.polls_started = number;
            offer.in_flight[kind as usize] += 1;
        }
        self.update(target);
        if !starts {
            return None;
        }
        self.first_in_a_row = if is_first { self.first_in_a_row + 1 } else { 0 };
        let locations = self.locations(target, number, now);
        let publisher = target.publisher();
        self.pace.take(publisher, 1 + locations.len(), now.instant);
        Some(PollTask {
            number,
            kind,
            target: Rc::clone(target),
            locations,
        })
    }

    /// Where status texts are read in this poll: as far as the pace allows, and not while
    /// other polls of the publisher wait, since they decide nothing.
    fn locations(&self, target: &Rc<Target>, number: u64, now: Now) -> Vec<Location> {
        let Some(offer) = self.offers.get(target) else {
            return Vec::new();
        };
        let publisher = target.publisher();
        let mut waiting = self.queues.iter().flat_map(FairQueue::waiting);
        let is_busy = waiting.any(|one| one == publisher);
        if is_busy || !self.throttle.allows_texts(target, now.instant) {
            return Vec::new();
        }
        let members = offer.members.iter();
        let members = members.filter_map(|id| self.operations.get(id));
        let mut locations =
            texts_to_read(members.filter(|one| one.phase == Phase::Polling(number)));
        let allowed = self.pace.allowance(publisher, now.instant);
        locations.truncate(allowed.saturating_sub(1));
        locations
    }

    /// Applies a poll's result to the operations that shared it; returns those that it
    /// changed. Those that have ended are no longer tracked.
    pub fn poll_finished(
        &mut self,
        task: &PollTask,
        result: &PollResult,
        now: Now,
    ) -> Vec<Arc<Operation>> {
        let target = &task.target;
        self.free_slot(task);
        self.throttle.record(target, task.kind, result, now.instant);
        let hold = self.throttle.hold(target, PollKind::Further, now.instant);
        let Some(offer) = self.offers.get(target) else {
            return Vec::new();
        };
        let observation = result.snapshot.observation();
        let mut changed = Vec::new();
        for id in &offer.members {
            let Some(tracked) = self.operations.get_mut(id) else {
                continue;
            };
            if tracked.phase != Phase::Polling(task.number) {
                continue;
            }
            tracked.log_read_failure(result.snapshot.submissions.as_ref().err());
            if tracked.location.is_some_and(|at| result.has_asked(at)) {
                tracked.text_asked = task.number;
            }
            let effect = tracked.observe(observation, result, self.rules.deadlines, now);
            if effect != Effect::Unchanged {
                changed.push(Arc::clone(&tracked.operation));
            }
            if effect == Effect::Ended {
                self.operations.remove(id);
            } else {
                tracked.schedule_next(self.rules, hold, now);
            }
        }
        self.update(target);
        changed
    }

    /// Releases the poll's slot. Operations that came while the offer had enough first
    /// polls are next.
    fn free_slot(&mut self, task: &PollTask) {
        let kind = task.kind as usize;
        self.queues[kind].release(task.target.publisher());
        let Some(offer) = self.offers.get_mut(&task.target) else {
            return;
        };
        offer.in_flight[kind] = offer.in_flight[kind].saturating_sub(1);
        let mut members = offer.members.iter();
        let is_queued = |one: &TrackedOperation| one.phase == Phase::Queued;
        let waits = members.any(|id| self.operations.get(id).is_some_and(is_queued));
        if waits && offer.try_enqueue(PollKind::First) {
            self.enqueue(&task.target, PollKind::First);
        }
    }

    /// Stops polling an operation that is known to have ended.
    pub fn remove(&mut self, id: OperationId) {
        if let Some(tracked) = self.operations.remove(&id) {
            self.update(&tracked.target);
        }
    }

    /// Removes the offer's members that are no longer tracked, and sets its timer to the
    /// first of the others. An offer about which nothing is left to do is removed.
    fn update(&mut self, target: &Rc<Target>) {
        let Some(offer) = self.offers.get_mut(target) else {
            return;
        };
        let operations = &self.operations;
        offer.members.retain(|id| operations.contains_key(id));
        let members = offer.members.iter().filter_map(|id| operations.get(id));
        let wakes_at = members.filter_map(|one| offer.wakes_for(one)).min();
        offer.set_timer(wakes_at, target, &mut self.timers);
        if offer.is_done() {
            self.offers.remove(target);
        }
    }
}

#[cfg(test)]
mod tests;
