//! Which poll may start next: a bounded number of slots, shared fairly by publishers.
//!
//! Every publisher has a queue of its own, and the queues take turns. A publisher gets a
//! further slot only while it holds fewer than are free: however many polls of one
//! publisher hang, half of the slots remain, and half of those beside the next one.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// A queue of `P`ublishers' `J`obs.
#[derive(Debug)]
pub struct FairQueue<P, J> {
    slots: usize,
    taken: usize,
    publishers: HashMap<P, Share<J>>,
    /// The publishers with a job waiting, in the order of their turns.
    turns: VecDeque<P>,
}

/// One publisher's jobs.
#[derive(Debug)]
struct Share<J> {
    waiting: VecDeque<J>,
    taken: usize,
}

impl<P: Clone + Eq + Hash, J> FairQueue<P, J> {
    /// An empty queue with this many slots.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self {
            slots,
            taken: 0,
            publishers: HashMap::new(),
            turns: VecDeque::new(),
        }
    }

    /// Adds a job at the end of its publisher's queue.
    pub fn push(&mut self, publisher: &P, job: J) {
        let share = self.publishers.entry(publisher.clone()).or_insert(Share {
            waiting: VecDeque::new(),
            taken: 0,
        });
        share.waiting.push_back(job);
        if share.waiting.len() == 1 {
            self.turns.push_back(publisher.clone());
        }
    }

    /// The publishers with a job waiting.
    pub fn waiting(&self) -> impl Iterator<Item = &P> {
        self.turns.iter()
    }

    /// The next job of a publisher that is `ready`, if there is a slot for it; the slot is
    /// taken until it is [`released`](Self::release).
    pub fn pop(&mut self, ready: impl Fn(&P) -> bool) -> Option<(P, J)> {
        let free = self.slots - self.taken;
        if free == 0 {
            return None;
        }
        let may = |publisher: &P| {
            let taken = self.publishers.get(publisher).map_or(0, |own| own.taken);
            (taken == 0 || taken < free) && ready(publisher)
        };
        let turn = self.turns.iter().position(may)?;
        let publisher = self.turns.remove(turn)?;
        let share = self.publishers.get_mut(&publisher)?;
        let job = share.waiting.pop_front()?;
        share.taken += 1;
        self.taken += 1;
        if !share.waiting.is_empty() {
            self.turns.push_back(publisher.clone());
        }
        Some((publisher, job))
    }

    /// Returns one of the publisher's slots.
    pub fn release(&mut self, publisher: &P) {
        let Some(share) = self.publishers.get_mut(publisher) else {
            return;
        };
        if share.taken > 0 {
            share.taken -= 1;
            self.taken -= 1;
        }
        if share.taken == 0 && share.waiting.is_empty() {
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

    fn queue(slots: usize, waiting: &[(char, usize)]) -> FairQueue<char, usize> {
        let mut queue = FairQueue::new(slots);
        for (publisher, jobs) in waiting {
            (0..*jobs).for_each(|job| queue.push(publisher, job));
        }
        queue
    }

    fn start_all(queue: &mut FairQueue<char, usize>) -> String {
        std::iter::from_fn(|| queue.pop(|_| true).map(|(publisher, _)| publisher)).collect()
    }

    #[test]
    fn publishers_take_turns() {
        let mut queue = queue(100, &[('a', 4), ('b', 1), ('c', 2)]);
        assert_eq!(start_all(&mut queue), "abcacaa");
    }

    #[test]
    fn a_publisher_that_is_not_ready_keeps_its_turn() {
        let mut queue = queue(100, &[('a', 1), ('b', 2)]);
        let pop = |queue: &mut FairQueue<_, _>| queue.pop(|publisher| *publisher != 'a');
        assert_eq!(pop(&mut queue), Some(('b', 0)));
        assert_eq!(pop(&mut queue), Some(('b', 1)));
        assert_eq!(pop(&mut queue), None);
        assert_eq!(queue.waiting().collect::<Vec<_>>(), [&'a']);
        assert_eq!(start_all(&mut queue), "a");
    }

    #[test]
    fn a_publishers_jobs_are_served_in_order() {
        let mut queue = queue(4, &[('a', 3)]);
        assert_eq!(queue.pop(|_| true), Some(('a', 0)));
        queue.release(&'a');
        assert_eq!(queue.pop(|_| true), Some(('a', 1)));
        assert_eq!(queue.pop(|_| true), Some(('a', 2)));
        assert_eq!(queue.pop(|_| true), None);
    }

    #[test]
    fn one_publisher_holds_at_most_half_and_the_next_half_of_the_rest() {
        let mut queue = queue(64, &[('a', 1000)]);
        assert_eq!(start_all(&mut queue).len(), 32);
        (0..1000).for_each(|job| queue.push(&'b', job));
        assert_eq!(start_all(&mut queue).len(), 16);
        // A publisher without a slot gets one at once.
        queue.push(&'c', 0);
        assert_eq!(start_all(&mut queue), "c");
        // Released slots go to the publisher that holds fewer.
        queue.release(&'a');
        queue.release(&'a');
        assert_eq!(start_all(&mut queue), "b");
    }

    #[test]
    fn finished_publishers_leave_nothing_behind() {
        let mut queue = queue(2, &[('a', 1), ('b', 1)]);
        assert_eq!(start_all(&mut queue), "ab");
        queue.release(&'a');
        queue.release(&'b');
        // A slot that was not taken cannot be released.
        queue.release(&'b');
        assert!(queue.is_empty());
    }

    proptest! {
        #[test]
        fn the_slots_are_enough_and_every_job_gets_its_turn(
            slots in 1_usize..20,
            steps in prop::collection::vec((0_u8..3, 0_usize..4), 0..200),
        ) {
            let mut queue = FairQueue::new(slots);
            let names = ['a', 'b', 'c', 'd'];
            let (mut pushed, mut started) = (0, 0);
            let mut running = Vec::new();
            for (step, which) in steps {
                match step {
                    0 => {
                        queue.push(&names[which], ());
                        pushed += 1;
                    }
                    1 => if let Some((publisher, ())) = queue.pop(|_| true) {
                        running.push(publisher);
                        started += 1;
                    },
                    _ => if !running.is_empty() {
                        let publisher = running.swap_remove(which % running.len());
                        queue.release(&publisher);
                    },
                }
                prop_assert!(running.len() <= slots);
                prop_assert_eq!(queue.taken, running.len());
            }
            // Once the running jobs end, every waiting one has its turn.
            loop {
                if let Some((publisher, ())) = queue.pop(|_| true) {
                    started += 1;
                    running.push(publisher);
                } else if let Some(publisher) = running.pop() {
                    queue.release(&publisher);
                } else {
                    break;
                }
            }
            prop_assert_eq!(started, pushed);
            prop_assert!(queue.is_empty());
        }
    }
}
