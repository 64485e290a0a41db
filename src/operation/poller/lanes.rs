//! Who may look next: a bounded number of places, shared fairly between publishers.
//!
//! Every publisher has a queue of its own, and they take turns. A publisher takes a
//! further place only while it holds fewer than are free: however many looks of one
//! publisher hang, half of the places are left, and half of those beside the next one.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// A lane of `P`ublishers' `J`obs.
#[derive(Debug)]
pub struct Lane<P, J> {
    places: usize,
    taken: usize,
    publishers: HashMap<P, Own<J>>,
    /// Those who have somebody waiting, the next to have its turn first.
    turns: VecDeque<P>,
}

#[derive(Debug)]
struct Own<J> {
    waiting: VecDeque<J>,
    taken: usize,
}

impl<P: Clone + Eq + Hash, J> Lane<P, J> {
    /// A lane with so many places.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self {
            places,
            taken: 0,
            publishers: HashMap::new(),
            turns: VecDeque::new(),
        }
    }

    /// Puts a job at the end of its publisher's queue.
    pub fn push(&mut self, publisher: &P, job: J) {
        let own = self.publishers.entry(publisher.clone()).or_insert(Own {
            waiting: VecDeque::new(),
            taken: 0,
        });
        own.waiting.push_back(job);
        if own.waiting.len() == 1 {
            self.turns.push_back(publisher.clone());
        }
    }

    /// The next job, if there is a place for it; the place is taken until it is
    /// [`given back`](Self::done).
    pub fn next(&mut self) -> Option<(P, J)> {
        let free = self.places - self.taken;
        if free == 0 {
            return None;
        }
        let may = |publisher: &P| {
            let taken = self.publishers.get(publisher).map_or(0, |own| own.taken);
            taken == 0 || taken < free
        };
        let turn = self.turns.iter().position(may)?;
        let publisher = self.turns.remove(turn)?;
        let own = self.publishers.get_mut(&publisher)?;
        let job = own.waiting.pop_front()?;
        own.taken += 1;
        self.taken += 1;
        if !own.waiting.is_empty() {
            self.turns.push_back(publisher.clone());
        }
        Some((publisher, job))
    }

    /// Gives one of the publisher's places back.
    pub fn done(&mut self, publisher: &P) {
        let Some(own) = self.publishers.get_mut(publisher) else {
            return;
        };
        if own.taken > 0 {
            own.taken -= 1;
            self.taken -= 1;
        }
        if own.taken == 0 && own.waiting.is_empty() {
            self.publishers.remove(publisher);
        }
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.taken == 0 && self.publishers.is_empty() && self.turns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lane(places: usize, waiting: &[(char, usize)]) -> Lane<char, usize> {
        let mut lane = Lane::new(places);
        for (publisher, jobs) in waiting {
            (0..*jobs).for_each(|job| lane.push(publisher, job));
        }
        lane
    }

    fn begin(lane: &mut Lane<char, usize>) -> String {
        std::iter::from_fn(|| lane.next().map(|(publisher, _)| publisher)).collect()
    }

    #[test]
    fn publishers_take_turns() {
        let mut lane = lane(100, &[('a', 4), ('b', 1), ('c', 2)]);
        assert_eq!(begin(&mut lane), "abcacaa");
    }

    #[test]
    fn a_queue_is_served_in_order() {
        let mut lane = lane(4, &[('a', 3)]);
        assert_eq!(lane.next(), Some(('a', 0)));
        lane.done(&'a');
        assert_eq!(lane.next(), Some(('a', 1)));
        assert_eq!(lane.next(), Some(('a', 2)));
        assert_eq!(lane.next(), None);
    }

    #[test]
    fn one_publisher_holds_at_most_half_and_the_next_half_of_the_rest() {
        let mut lane = lane(64, &[('a', 1000)]);
        assert_eq!(begin(&mut lane).len(), 32);
        (0..1000).for_each(|job| lane.push(&'b', job));
        assert_eq!(begin(&mut lane).len(), 16);
        // Somebody who has nothing under way finds a place at once.
        lane.push(&'c', 0);
        assert_eq!(begin(&mut lane), "c");
        // Places that are given back go to whoever holds less.
        lane.done(&'a');
        lane.done(&'a');
        assert_eq!(begin(&mut lane), "b");
    }

    #[test]
    fn what_is_over_leaves_nothing_behind() {
        let mut lane = lane(2, &[('a', 1), ('b', 1)]);
        assert_eq!(begin(&mut lane), "ab");
        lane.done(&'a');
        lane.done(&'b');
        // More than was taken is not given back.
        lane.done(&'b');
        assert!(lane.publishers.is_empty() && lane.turns.is_empty());
        assert_eq!(lane.taken, 0);
    }

    proptest! {
        #[test]
        fn never_more_than_there_are_places_and_nobody_is_forgotten(
            places in 1_usize..20,
            steps in prop::collection::vec((0_u8..3, 0_usize..4), 0..200),
        ) {
            let mut lane = Lane::new(places);
            let names = ['a', 'b', 'c', 'd'];
            let (mut pushed, mut begun) = (0, 0);
            let mut under_way = Vec::new();
            for (step, who) in steps {
                match step {
                    0 => {
                        lane.push(&names[who], ());
                        pushed += 1;
                    }
                    1 => if let Some((publisher, ())) = lane.next() {
                        under_way.push(publisher);
                        begun += 1;
                    },
                    _ => if !under_way.is_empty() {
                        let publisher = under_way.swap_remove(who % under_way.len());
                        lane.done(&publisher);
                    },
                }
                prop_assert!(under_way.len() <= places);
                prop_assert_eq!(lane.taken, under_way.len());
            }
            // Once what is under way ends, everything that waits has its turn.
            loop {
                if let Some((publisher, ())) = lane.next() {
                    begun += 1;
                    under_way.push(publisher);
                } else if let Some(publisher) = under_way.pop() {
                    lane.done(&publisher);
                } else {
                    break;
                }
            }
            prop_assert_eq!(begun, pushed);
            prop_assert!(lane.publishers.is_empty());
        }
    }
}
