//! Until when the vendor wants to be left alone: about an offer, a publisher's further
//! looks, an offer's words. Outlives what is followed, and is forgotten by time alone.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::look::Seen;
use crate::domain::{PublisherId, Target};

/// The longest that one offer is left alone.
const MAX_HOLD: Duration = Duration::from_secs(3600);
/// The longest that all offers of a publisher are left alone because of one of them.
const MAX_PUBLISHER_HOLD: Duration = Duration::from_secs(60);

/// All that the vendor wants to be left alone about.
#[derive(Debug)]
pub struct Quiet {
    offers: Holds<Rc<Target>>,
    words: Holds<Rc<Target>>,
    publishers: Holds<PublisherId>,
}

impl Quiet {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            offers: Holds::new(MAX_HOLD),
            words: Holds::new(MAX_HOLD),
            publishers: Holds::new(MAX_PUBLISHER_HOLD),
        }
    }

    /// How long there may be no look at this offer.
    #[must_use]
    pub fn left(&self, target: &Rc<Target>, is_first: bool, now: Instant) -> Duration {
        let offer = self.offers.left(target, now);
        if is_first {
            return offer;
        }
        offer.max(self.publishers.left(target.publisher(), now))
    }

    /// Whether the vendor may be asked for its words about this offer.
    #[must_use]
    pub fn may_ask_for_words(&self, target: &Rc<Target>, now: Instant) -> bool {
        self.words.left(target, now).is_zero()
    }

    /// Notes what the vendor asked for. What a first look is told is about its offer
    /// only: with a steady flow of new cancels the others would never be looked at.
    /// Words decide nothing, so what is said of them is about words only.
    pub fn heed(&mut self, target: &Rc<Target>, is_first: bool, seen: &Seen, now: Instant) {
        if let Some(wait) = seen.retry_after() {
            self.offers.set(target, wait, now);
            if !is_first {
                self.publishers.set(target.publisher(), wait, now);
            }
        }
        if let Some(wait) = seen.no_words_for {
            self.words.set(target, wait, now);
        }
    }

    /// Forgets what has passed.
    pub fn prune(&mut self, now: Instant) {
        self.offers.prune(now);
        self.words.prune(now);
        self.publishers.prune(now);
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.offers.is_empty() && self.words.is_empty() && self.publishers.is_empty()
    }
}

/// Holds about `K`s, none longer than so much.
#[derive(Debug)]
struct Holds<K> {
    longest: Duration,
    until: HashMap<K, Instant>,
    /// The same, the next to pass first.
    ends: BTreeSet<(Instant, K)>,
}

impl<K: Clone + Eq + Hash + Ord> Holds<K> {
    /// None yet. The vendor may ask for any time; it gets at most `longest`.
    fn new(longest: Duration) -> Self {
        Self {
            longest,
            until: HashMap::new(),
            ends: BTreeSet::new(),
        }
    }

    /// Has it left alone for so long, or longer if it was asked for before.
    fn set(&mut self, key: &K, wait: Duration, now: Instant) {
        self.prune(now);
        let until = now + wait.min(self.longest);
        let known = self.until.get(key).copied();
        if known.is_some_and(|known| known >= until) || until <= now {
            return;
        }
        if let Some(known) = known {
            self.ends.remove(&(known, key.clone()));
        }
        self.until.insert(key.clone(), until);
        self.ends.insert((until, key.clone()));
    }

    /// How much is left.
    fn left(&self, key: &K, now: Instant) -> Duration {
        let until = self.until.get(key);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Forgets those that have passed.
    fn prune(&mut self, now: Instant) {
        while let Some((at, _)) = self.ends.first()
            && *at <= now
            && let Some((_, key)) = self.ends.pop_first()
        {
            self.until.remove(&key);
        }
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.until.is_empty() && self.ends.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_that_was_asked_for_counts_up_to_the_cap() {
        let (now, minute) = (Instant::now(), Duration::from_secs(60));
        let mut holds = Holds::new(minute);
        let second = Duration::from_secs(1);
        holds.set(&'a', 5 * second, now);
        holds.set(&'a', 2 * second, now);
        assert_eq!(holds.left(&'a', now), 5 * second);
        assert_eq!(holds.left(&'b', now), Duration::ZERO);
        holds.set(&'a', Duration::MAX, now);
        assert_eq!(holds.left(&'a', now), minute);
        holds.set(&'b', Duration::ZERO, now);
        assert_eq!(holds.until.len(), 1);
        holds.prune(now + minute - second);
        assert!(!holds.is_empty());
        holds.prune(now + minute);
        assert!(holds.is_empty());
    }
}
