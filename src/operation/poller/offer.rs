//! An offer that is followed: who asks about it, and which looks at it are under way.

use std::collections::{HashMap, HashSet};

use tokio::time::Instant;

use super::followed::{Followed, Place};
use super::table::Moment;
use crate::domain::OperationId;
use crate::portal::Location;

/// First looks at one offer under way at once: who comes later waits together with
/// others for the next one.
pub const MAX_FIRST_LOOKS_AT_ONE: usize = 4;
/// Words asked for in one look: they decide nothing, and cost a request each.
const MAX_WORDS: usize = 8;

/// An offer that is followed.
#[derive(Default)]
pub struct Offer {
    /// Its operations.
    pub members: Vec<OperationId>,
    /// Waits in the lane of first looks.
    pub waits_first: bool,
    /// Waits in the lane of further looks.
    pub waits: bool,
    /// First looks under way.
    pub first_looks: usize,
    /// A further look is under way: only one is at a time.
    pub looking: bool,
    /// Its entry among the timers.
    pub timer: Option<Instant>,
}

impl Offer {
    /// Whether it is now to be put in the lane of first looks, for somebody who waits
    /// for one.
    pub fn lines_up_first(&mut self) -> bool {
        self.first_looks < MAX_FIRST_LOOKS_AT_ONE && !std::mem::replace(&mut self.waits_first, true)
    }

    /// Whether it is now to be put in the lane of further looks.
    pub fn lines_up(&mut self) -> bool {
        !self.looking && !std::mem::replace(&mut self.waits, true)
    }

    /// A look begins: the offer has left the lane.
    pub fn begins(&mut self, is_first: bool) {
        if is_first {
            self.first_looks += 1;
        } else {
            self.looking = true;
        }
    }

    /// A look is over.
    pub fn ends(&mut self, is_first: bool) {
        if is_first {
            self.first_looks = self.first_looks.saturating_sub(1);
        } else {
            self.looking = false;
        }
    }

    /// Whether nothing is to be known of it any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let is_in_line = self.waits || self.waits_first;
        self.members.is_empty() && !is_in_line && !self.looking && self.first_looks == 0
    }

    /// When something is to be done about one of its operations, if nothing happens
    /// before.
    #[must_use]
    pub fn wakes_for(&self, followed: &Followed) -> Option<Instant> {
        match followed.place {
            Place::Looking(_) => None,
            Place::Fresh => Some(followed.late_at()),
            Place::Idle if self.waits => Some(followed.late_at()),
            // The look's end sets it anew.
            Place::Idle if self.looking => None,
            Place::Idle => Some(followed.due),
        }
    }

    /// Whether this operation of its has waited in line for too long.
    #[must_use]
    pub fn is_late(&self, followed: &Followed, now: Moment) -> bool {
        let is_in_line = match followed.place {
            Place::Fresh => true,
            Place::Idle => self.waits,
            Place::Looking(_) => false,
        };
        is_in_line && followed.late_at() <= now.instant
    }

    /// These are followed no longer.
    pub fn leave(&mut self, gone: &HashSet<OperationId>) {
        if !gone.is_empty() {
            self.members.retain(|id| !gone.contains(id));
        }
    }
}

/// Of the places that these name, those to ask for a word: the ones that have not been
/// asked for longest.
pub fn words_of<'a>(members: impl Iterator<Item = &'a Followed>) -> Vec<Location> {
    let mut asked: Vec<(u64, Location)> = Vec::new();
    let mut known: HashMap<Location, usize> = HashMap::new();
    for followed in members {
        let Some(location) = followed.location else {
            continue;
        };
        match known.get(&location) {
            Some(at) => asked[*at].0 = asked[*at].0.max(followed.word_asked),
            None => {
                known.insert(location, asked.len());
                asked.push((followed.word_asked, location));
            }
        }
    }
    asked.sort_by_key(|(look, _)| *look);
    asked.truncate(MAX_WORDS);
    asked.into_iter().map(|(_, location)| location).collect()
}
