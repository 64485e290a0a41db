//! Who is followed: the offers, their operations, and whose turn it is. No futures and
//! no clock of its own, so that ten thousand idle operations cost a timer an offer.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::case::Worth;
use super::followed::{Followed, Place};
use super::holds::Quiet;
use super::lanes::Lane;
use super::look::Seen;
use super::offer::{Offer, words_of};
use super::pace::Pace;
use crate::domain::{Operation, OperationId, PublisherId, Target};
use crate::operation::outcome::{Patience, Unseen};
use crate::portal::Location;

/// Looks under way at once: a start with many unfinished operations must not open
/// a connection for each. One publisher alone gets half of them: at a second a read
/// enough for ten thousand offers in a minute.
const MAX_LOOKS: usize = 384;
/// The same for first looks, which are worth the most when they are prompt.
const MAX_FIRST_LOOKS: usize = 512;

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

/// All that is followed.
pub struct Table {
    pace: Pace,
    patience: Patience,
    operations: HashMap<OperationId, Followed>,
    offers: HashMap<Rc<Target>, Offer>,
    /// What the vendor wants to be left alone about.
    quiet: Quiet,
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
            quiet: Quiet::new(),
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
        let target = &operation.target;
        let target = match self.offers.get_key_value(target) {
            Some((known, _)) => Rc::clone(known),
            None => Rc::new(target.clone()),
        };
        let offer = self.offers.entry(Rc::clone(&target)).or_default();
        offer.members.push(id);
        let hold = self.quiet.left(&target, true, now.instant);
        let mut followed = Followed::new(operation, Rc::clone(&target), self.patience, now);
        if followed.was_looked_at() {
            followed.resume(self.pace, now);
        } else if !hold.is_zero() {
            followed.rest(self.pace, self.patience, hold, now);
        } else if offer.lines_up_first() {
            self.first_looks
                .push(target.publisher(), Rc::clone(&target));
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
        self.quiet.prune(now.instant);
        let mut over = Vec::new();
        while let Some(target) = self.next_due(now) {
            over.extend(self.wake_offer(&target, now));
        }
        over
    }

    fn wake_offer(&mut self, target: &Rc<Target>, now: Moment) -> Vec<Arc<Operation>> {
        let hold = self.quiet.left(target, false, now.instant);
        let Some(offer) = self.offers.get_mut(target) else {
            return Vec::new();
        };
        offer.timer = None;
        let (mut wants, mut over) = (false, Vec::new());
        for id in &offer.members {
            let Some(followed) = self.operations.get_mut(id) else {
                continue;
            };
            let is_due = followed.is_due(now);
            let is_held = is_due && !hold.is_zero();
            let unseen = if is_held && followed.is_held_to_its_end(hold, now) {
                Some(Unseen::LeftAlone)
            } else {
                offer.is_late(followed, now).then_some(Unseen::NoTurn)
            };
            match unseen.map(|why| followed.end_unseen(why, self.patience, now)) {
                Some(Some(operation)) => over.push(operation),
                // By the clock that evidence is kept in it is not over.
                Some(None) => followed.rest(self.pace, self.patience, hold, now),
                None if is_held => followed.wait_out(self.pace, self.patience, hold, now),
                None => wants |= is_due,
            }
        }
        if wants && offer.lines_up() {
            let members = offer.members.iter();
            members.for_each(|id| {
                if let Some(followed) = self.operations.get_mut(id).filter(|one| one.is_due(now)) {
                    followed.due = now.instant;
                }
            });
            self.looks.push(target.publisher(), Rc::clone(target));
        }
        self.forget(target, over.iter().map(|operation| operation.id).collect());
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
    /// or nobody waits any more.
    fn errand(&mut self, target: &Rc<Target>, is_first: bool, now: Moment) -> Option<Errand> {
        let hold = self.quiet.left(target, is_first, now.instant);
        let number = self.looks_begun + 1;
        let offer = self.offers.get_mut(target)?;
        let waits = if is_first {
            &mut offer.waits_first
        } else {
            &mut offer.waits
        };
        *waits = false;
        let wants = |followed: &Followed| match is_first {
            true => followed.place == Place::Fresh,
            false => followed.is_due(now),
        };
        let mut members = offer.members.iter();
        let wanted = (is_first || !offer.looking)
            && members.any(|id| self.operations.get(id).is_some_and(wants));
        let goes = wanted && hold.is_zero();
        for id in &offer.members {
            let Some(followed) = self.operations.get_mut(id) else {
                continue;
            };
            let is_free =
                followed.place == Place::Idle || (is_first && followed.place == Place::Fresh);
            if goes && is_free {
                followed.place = Place::Looking(number);
            } else if wanted && wants(followed) {
                followed.rest(self.pace, self.patience, hold, now);
            }
        }
        if goes {
            self.looks_begun = number;
            offer.begins(is_first);
        }
        self.retime(target);
        goes.then(|| Errand {
            number,
            is_first,
            target: Rc::clone(target),
            locations: self.locations(target, number, now),
        })
    }

    /// Where the vendor is to be asked for its word in this look.
    fn locations(&self, target: &Rc<Target>, number: u64, now: Moment) -> Vec<Location> {
        let Some(offer) = self.offers.get(target) else {
            return Vec::new();
        };
        if !self.quiet.may_ask_for_words(target, now.instant) {
            return Vec::new();
        }
        let members = offer.members.iter();
        let members = members.filter_map(|id| self.operations.get(id));
        words_of(members.filter(|one| one.place == Place::Looking(number)))
    }

    /// Weighs a look for all that it was for; returns those in which it changed
    /// something. What is over is followed no longer.
    pub fn seen(&mut self, errand: &Errand, seen: &Seen, now: Moment) -> Vec<Arc<Operation>> {
        let target = &errand.target;
        self.look_is_over(errand);
        self.quiet.heed(target, errand.is_first, seen, now.instant);
        let hold = self.quiet.left(target, false, now.instant);
        let Some(offer) = self.offers.get(target) else {
            return Vec::new();
        };
        let look = seen.listing.look();
        let (mut changed, mut ended) = (Vec::new(), HashSet::new());
        for id in &offer.members {
            let Some(followed) = self.operations.get_mut(id) else {
                continue;
            };
            if followed.place != Place::Looking(errand.number) {
                continue;
            }
            followed.complain(seen.listing.submissions.as_ref().err());
            if followed.location.is_some_and(|at| seen.has_asked(at)) {
                followed.word_asked = errand.number;
            }
            let worth = followed.weigh(look, seen, self.patience, now);
            if worth != Worth::Nothing {
                changed.push(Arc::clone(&followed.operation));
            }
            if worth == Worth::Ended {
                ended.insert(*id);
            } else {
                followed.rest(self.pace, self.patience, hold, now);
            }
        }
        self.forget(target, ended);
        changed
    }

    /// Gives the look's place back. Whoever came while there were first looks enough at
    /// the offer is next.
    fn look_is_over(&mut self, errand: &Errand) {
        let publisher = errand.target.publisher();
        if errand.is_first {
            self.first_looks.done(publisher);
        } else {
            self.looks.done(publisher);
        }
        let Some(offer) = self.offers.get_mut(&errand.target) else {
            return;
        };
        offer.ends(errand.is_first);
        let mut members = offer.members.iter();
        let is_fresh = |one: &Followed| one.place == Place::Fresh;
        let waits = members.any(|id| self.operations.get(id).is_some_and(is_fresh));
        if waits && offer.lines_up_first() {
            self.first_looks.push(publisher, Rc::clone(&errand.target));
        }
    }

    /// Follows an operation no longer: somebody else has found out that it is over.
    pub fn drop_finished(&mut self, id: OperationId) {
        if let Some(followed) = self.operations.get(&id) {
            let target = Rc::clone(&followed.target);
            self.forget(&target, HashSet::from([id]));
        }
    }

    fn forget(&mut self, target: &Rc<Target>, gone: HashSet<OperationId>) {
        for id in &gone {
            self.operations.remove(id);
        }
        if let Some(offer) = self.offers.get_mut(target) {
            offer.leave(&gone);
        }
        self.retime(target);
    }

    /// Sets the offer's timer to the first of its operations, or forgets an offer of
    /// which nothing is left.
    fn retime(&mut self, target: &Rc<Target>) {
        let Some(offer) = self.offers.get_mut(target) else {
            return;
        };
        let members = offer
            .members
            .iter()
            .filter_map(|id| self.operations.get(id));
        let timer = members.filter_map(|one| offer.wakes_for(one)).min();
        let is_over = offer.is_over();
        self.set_timer(target, timer);
        if is_over {
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

#[cfg(test)]
mod tests;
