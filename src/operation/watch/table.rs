//! Who is followed: the offers, their operations, and whose turn it is. No futures and
//! no clock of its own, so that ten thousand idle operations cost a timer an offer.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::case::{self, Worth};
use super::followed::{Followed, Place};
use super::lanes::Lane;
use super::look::Seen;
use super::pace::Pace;
use crate::domain::{Operation, OperationId, PublisherId};
use crate::operation::outcome::Patience;
use crate::portal::{Location, Target};

/// Looks under way at once: a start with many unfinished operations must not open
/// a connection for each.
const MAX_LOOKS: usize = 64;
/// The same for first looks, which are worth the most when they are prompt.
const MAX_FIRST_LOOKS: usize = 256;

/// This moment, on both clocks: one for waiting, one for judging.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// For waits.
    pub instant: Instant,
    /// What the evidence is kept in.
    pub at: Timestamp,
}

impl Moment {
    /// This one.
    #[must_use]
    pub fn now() -> Self {
        Self {
            instant: Instant::now(),
            at: crate::domain::now(),
        }
    }
}

/// A look to be taken: the operations that it is for are fixed.
#[derive(Debug)]
pub struct Errand {
    number: u64,
    is_first: bool,
    /// The offer.
    pub target: Rc<Target>,
    /// Where the vendor's word is to be asked for.
    pub locations: Vec<Location>,
}

/// An offer that is followed.
#[derive(Default)]
struct Offer {
    members: Vec<OperationId>,
    /// Until when the vendor wants to be left alone about it.
    hold: Option<Instant>,
    /// Waits in the lane of first looks.
    waits_first: bool,
    /// Waits in the lane of further looks.
    waits: bool,
    /// A further look is under way: only one is at a time.
    looking: bool,
    /// Its entry among the timers.
    timer: Option<Instant>,
}

/// All that is followed.
pub struct Table {
    pace: Pace,
    patience: Patience,
    operations: HashMap<OperationId, Followed>,
    offers: HashMap<Rc<Target>, Offer>,
    /// Until when the vendor wants to be left alone about a publisher.
    holds: HashMap<PublisherId, Instant>,
    timers: BTreeSet<(Instant, Rc<Target>)>,
    first_looks: Lane<PublisherId, Rc<Target>>,
    looks: Lane<PublisherId, Rc<Target>>,
    looks_begun: u64,
}

impl Table {
    /// An empty one.
    #[must_use]
    pub fn new(poll: Duration, patience: Patience) -> Self {
        Self {
            pace: Pace::new(poll),
            patience,
            operations: HashMap::new(),
            offers: HashMap::new(),
            holds: HashMap::new(),
            timers: BTreeSet::new(),
            first_looks: Lane::new(MAX_FIRST_LOOKS),
            looks: Lane::new(MAX_LOOKS),
            looks_begun: 0,
        }
    }

    /// Whether this operation is followed.
    #[must_use]
    pub fn follows(&self, id: OperationId) -> bool {
        self.operations.contains_key(&id)
    }

    /// Takes in an unfinished operation. One that has had no look gets its first one at
    /// once; one that was followed before goes on where it was, at some moment of its
    /// pause, so that a start with many of them is no rush.
    pub fn add(&mut self, operation: Arc<Operation>, now: Moment) {
        let id = operation.id;
        if self.follows(id) {
            return;
        }
        let target = case::target(&operation);
        let target = match self.offers.get_key_value(&target) {
            Some((known, _)) => Rc::clone(known),
            None => Rc::new(target),
        };
        let offer = self.offers.entry(Rc::clone(&target)).or_default();
        offer.members.push(id);
        let hold = until(offer.hold, now);
        let mut followed = Followed::new(operation, Rc::clone(&target), self.patience, now);
        if followed.was_looked_at() {
            followed.resume(self.pace, now);
        } else if !hold.is_zero() {
            followed.rest(self.pace, self.patience, hold, now);
        } else if !std::mem::replace(&mut offer.waits_first, true) {
            self.first_looks.push(&target.publisher, Rc::clone(&target));
        }
        // Not all the others again: there may be many.
        let wakes_at = offer.wakes_for(&followed).into_iter().chain(offer.timer);
        let timer = wakes_at.min();
        self.operations.insert(id, followed);
        self.set_timer(&target, timer);
    }

    /// When something is next to be done here, if nothing happens before.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Does what is due: looks are asked for, and what is over although the vendor
    /// wants to be left alone, or its look has not begun for long, is returned.
    pub fn wake(&mut self, now: Moment) -> Vec<Arc<Operation>> {
        let mut over = Vec::new();
        while let Some(target) = self.next_due(now) {
            let Some(offer) = self.offers.get_mut(&target) else {
                continue;
            };
            offer.timer = None;
            let hold =
                until(offer.hold, now).max(until(self.holds.get(&target.publisher).copied(), now));
            let (mut wants, mut ended) = (false, Vec::new());
            for id in &offer.members {
                let Some(followed) = self.operations.get_mut(id) else {
                    continue;
                };
                let idle_and_due = followed.place == Place::Idle && followed.due <= now.instant;
                let held = idle_and_due && !hold.is_zero();
                if followed.is_late(now) || (held && followed.gives_up <= now.instant) {
                    if let Some(operation) = followed.end_unseen(self.patience, now) {
                        ended.push(*id);
                        over.push(operation);
                        continue;
                    }
                    followed.rest(self.pace, self.patience, hold, now);
                } else if held {
                    followed.rest(self.pace, self.patience, hold, now);
                } else {
                    wants |= idle_and_due;
                }
            }
            if wants && !offer.looking && !std::mem::replace(&mut offer.waits, true) {
                self.looks.push(&target.publisher, Rc::clone(&target));
            }
            ended.iter().for_each(|id| self.forget(*id));
            self.retime(&target);
        }
        over
    }

    fn next_due(&mut self, now: Moment) -> Option<Rc<Target>> {
        self.wakes_at().filter(|at| *at <= now.instant)?;
        self.timers.pop_first().map(|(_, target)| target)
    }

    /// The next look to be taken, if there is a place for it.
    pub fn next_look(&mut self, now: Moment) -> Option<Errand> {
        while let Some((publisher, target)) = self.first_looks.next() {
            match self.errand(&target, true, now) {
                None => self.first_looks.done(&publisher),
                errand => return errand,
            }
        }
        while let Some((publisher, target)) = self.looks.next() {
            match self.errand(&target, false, now) {
                None => self.looks.done(&publisher),
                errand => return errand,
            }
        }
        None
    }

    /// Fixes whom the look is for: those that wait for it, and whoever else of the
    /// offer is in no other look. None if the vendor has asked to be left alone since,
    /// or nobody is there any more.
    fn errand(&mut self, target: &Rc<Target>, is_first: bool, now: Moment) -> Option<Errand> {
        let offer = self.offers.get_mut(target)?;
        let mut hold = until(offer.hold, now);
        if is_first {
            offer.waits_first = false;
        } else {
            offer.waits = false;
            hold = hold.max(until(self.holds.get(&target.publisher).copied(), now));
        }
        let waited_for = if is_first { Place::Fresh } else { Place::Idle };
        let places = offer
            .members
            .iter()
            .filter_map(|id| self.operations.get(id));
        let wanted = places
            .map(|followed| followed.place)
            .any(|place| place == waited_for);
        let goes = wanted && hold.is_zero();
        let mut locations = Vec::new();
        for id in &offer.members {
            let Some(followed) = self.operations.get_mut(id) else {
                continue;
            };
            let free =
                followed.place == Place::Idle || (is_first && followed.place == Place::Fresh);
            if goes && free {
                followed.place = Place::Looking(self.looks_begun);
                locations.extend(
                    followed
                        .location
                        .filter(|location| !locations.contains(location)),
                );
            } else if wanted && followed.place == waited_for {
                followed.rest(self.pace, self.patience, hold, now);
            }
        }
        offer.looking |= goes && !is_first;
        self.retime(target);
        goes.then(|| {
            self.looks_begun += 1;
            Errand {
                number: self.looks_begun - 1,
                is_first,
                target: Rc::clone(target),
                locations,
            }
        })
    }

    /// Weighs a look for all that it was for; returns those in which it changed
    /// something. What is over is followed no longer.
    pub fn seen(&mut self, errand: &Errand, seen: &Seen, now: Moment) -> Vec<Arc<Operation>> {
        let target = &errand.target;
        let publisher = &target.publisher;
        if errand.is_first {
            self.first_looks.done(publisher);
        } else {
            self.looks.done(publisher);
        }
        let Some(offer) = self.offers.get_mut(target) else {
            return Vec::new();
        };
        offer.looking &= errand.is_first;
        if let Some(until) = seen
            .retry_after
            .and_then(|wait| now.instant.checked_add(wait))
        {
            offer.hold = offer.hold.max(Some(until));
            let hold = self.holds.entry(publisher.clone()).or_insert(until);
            *hold = until.max(*hold);
        }
        let hold = until(offer.hold, now).max(until(self.holds.get(publisher).copied(), now));
        let look = seen.listing.look();
        let (mut changed, mut ended) = (Vec::new(), Vec::new());
        for id in &offer.members {
            let Some(followed) = self.operations.get_mut(id) else {
                continue;
            };
            if followed.place != Place::Looking(errand.number) {
                continue;
            }
            followed.complain(seen.listing.submissions.as_ref().err());
            let worth = followed.weigh(look, seen, self.patience, now);
            if worth != Worth::Nothing {
                changed.push(Arc::clone(&followed.operation));
            }
            if worth == Worth::Ended {
                ended.push(*id);
            } else {
                followed.rest(self.pace, self.patience, hold, now);
            }
        }
        ended.iter().for_each(|id| self.forget(*id));
        self.retime(target);
        changed
    }

    fn forget(&mut self, id: OperationId) {
        let Some(followed) = self.operations.remove(&id) else {
            return;
        };
        if let Some(offer) = self.offers.get_mut(&followed.target)
            && let Some(at) = offer.members.iter().position(|member| *member == id)
        {
            offer.members.swap_remove(at);
        }
    }

    /// Sets the offer's timer to the first of its operations, or forgets an offer that
    /// has none left.
    fn retime(&mut self, target: &Rc<Target>) {
        let Some(offer) = self.offers.get_mut(target) else {
            return;
        };
        let members = offer
            .members
            .iter()
            .filter_map(|id| self.operations.get(id));
        let timer = members.filter_map(|one| offer.wakes_for(one)).min();
        let is_left = offer.members.is_empty();
        self.set_timer(target, timer);
        if is_left {
            self.offers.remove(target);
        }
    }

    fn set_timer(&mut self, target: &Rc<Target>, timer: Option<Instant>) {
        let Some(offer) = self.offers.get_mut(target) else {
            return;
        };
        if offer.timer == timer {
            return;
        }
        if let Some(old) = std::mem::replace(&mut offer.timer, timer) {
            self.timers.remove(&(old, Rc::clone(target)));
        }
        if let Some(new) = timer {
            self.timers.insert((new, Rc::clone(target)));
        }
    }
}

impl Offer {
    /// When something is to be done about one of its operations, if nothing happens
    /// before.
    fn wakes_for(&self, followed: &Followed) -> Option<Instant> {
        match followed.place {
            Place::Looking(_) => None,
            Place::Fresh => Some(followed.late_at()),
            Place::Idle if self.waits => Some(followed.late_at()),
            // The look's end sets it anew.
            Place::Idle if self.looking => None,
            Place::Idle => Some(followed.due),
        }
    }
}

/// How much is left of a hold.
fn until(hold: Option<Instant>, now: Moment) -> Duration {
    hold.map_or(Duration::ZERO, |until| {
        until.saturating_duration_since(now.instant)
    })
}

#[cfg(test)]
mod tests;
