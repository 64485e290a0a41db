//! Pauses demanded by the vendor: for an offer, for a publisher's further polls, and for an
//! offer's status texts. Holds outlive the operations and expire by time
//! alone.

use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::offer::PollKind;
use super::poll::PollResult;
use crate::domain::PublisherId;
use crate::domain::Target;

/// The longest hold on one offer.
const MAX_HOLD: Duration = Duration::from_secs(3600);
/// The longest hold on all offers of a publisher because of one of them.
const MAX_PUBLISHER_HOLD: Duration = Duration::from_secs(60);
/// Expired holds are removed when there are this many, or twice as many as were left
/// then.
const PRUNE_AT: usize = 64;

/// All holds.
#[derive(Debug)]
pub struct Throttle {
    offers: Holds<Rc<Target>>,
    texts: Holds<Rc<Target>>,
    publishers: Holds<PublisherId>,
}

impl Throttle {
    /// No holds.
    #[must_use]
    pub fn new() -> Self {
        Self {
            offers: Holds::new(MAX_HOLD),
            texts: Holds::new(MAX_HOLD),
            publishers: Holds::new(MAX_PUBLISHER_HOLD),
        }
    }

    /// How long this offer may not be polled.
    #[must_use]
    pub fn hold(&self, target: &Rc<Target>, kind: PollKind, now: Instant) -> Duration {
        let offer = self.offers.left(target, now);
        match kind {
            PollKind::First => offer,
            PollKind::Further => offer.max(self.publishers.left(target.publisher(), now)),
        }
    }

    /// Whether status texts of this offer may be read.
    #[must_use]
    pub fn allows_texts(&self, target: &Rc<Target>, now: Instant) -> bool {
        self.texts.left(target, now).is_zero()
    }

    /// Records a pause that the vendor demands. The answer to a first poll holds only its own
    /// offer: under a steady flow of new cancels the others would never be polled. Status
    /// texts do not affect the outcome, so throttling them does not hold other requests.
    pub fn record(
        &mut self,
        target: &Rc<Target>,
        kind: PollKind,
        result: &PollResult,
        now: Instant,
    ) {
        if let Some(wait) = result.retry_after() {
            self.offers.set(target, wait, now);
            if kind == PollKind::Further {
                self.publishers.set(target.publisher(), wait, now);
            }
        }
        if let Some(wait) = result.texts_retry_after {
            self.texts.set(target, wait, now);
        }
    }
}

/// Holds by key, capped at `longest`.
#[derive(Debug)]
struct Holds<K> {
    longest: Duration,
    until: HashMap<K, Instant>,
    prune_at: usize,
}

impl<K: Clone + Eq + Hash> Holds<K> {
    fn new(longest: Duration) -> Self {
        Self {
            longest,
            until: HashMap::new(),
            prune_at: PRUNE_AT,
        }
    }

    /// A hold for this long, or longer if that was asked for before.
    fn set(&mut self, key: &K, wait: Duration, now: Instant) {
        if wait.is_zero() {
            return;
        }
        if self.until.len() >= self.prune_at {
            self.until.retain(|_, until| *until > now);
            self.prune_at = PRUNE_AT.max(2 * self.until.len());
        }
        let until = now + wait.min(self.longest);
        let known = self.until.entry(key.clone()).or_insert(until);
        *known = until.max(*known);
    }

    /// The remaining time.
    fn left(&self, key: &K, now: Instant) -> Duration {
        let until = self.until.get(key);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_requested_hold_counts_up_to_the_cap() {
        let (now, minute) = (Instant::now(), Duration::from_secs(60));
        let mut holds = Holds::new(minute);
        let second = Duration::from_secs(1);
        holds.set(&'a', 5 * second, now);
        holds.set(&'a', 2 * second, now);
        assert_eq!(holds.left(&'a', now), 5 * second);
        assert_eq!(holds.left(&'b', now), Duration::ZERO);
        holds.set(&'a', Duration::MAX, now);
        assert_eq!(holds.left(&'a', now), minute);
        assert_eq!(holds.left(&'a', now + minute), Duration::ZERO);
        holds.set(&'b', Duration::ZERO, now);
        assert_eq!(holds.until.len(), 1);
    }

    #[test]
    fn expired_holds_are_removed() {
        let (mut now, second) = (Instant::now(), Duration::from_secs(1));
        let mut holds = Holds::new(second);
        for key in 0..10_000 {
            holds.set(&key, second, now);
            now += second / 100;
            assert!(holds.until.len() <= 2 * 101, "{}", holds.until.len());
        }
    }
}
