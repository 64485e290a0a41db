//! Pauses demanded by the vendor: for an offer, for its status texts, and for a publisher's
//! further polls once several of its offers are throttled. Holds outlive the operations and
//! expire by time alone.

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
/// How many offers of a publisher must be throttled one after the other, with no poll that
/// succeeds in between, before all of them are held.
const OFFERS_IN_A_ROW: usize = 3;
/// The longest hold on all offers of a publisher, however often it is asked for ...
const MAX_PUBLISHER_HOLD: Duration = Duration::from_secs(60);
/// ... in this time since it began.
const PUBLISHER_HOLD_EVERY: Duration = Duration::from_secs(600);
/// Expired holds are removed when there are this many, or twice as many as were left
/// then.
const PRUNE_AT: usize = 64;

/// All holds.
#[derive(Debug)]
pub struct Throttle {
    offers: Holds<Rc<Target>>,
    texts: Holds<Rc<Target>>,
    publishers: HashMap<PublisherId, PublisherHold>,
}

impl Throttle {
    /// No holds.
    #[must_use]
    pub fn new() -> Self {
        Self {
            offers: Holds::new(MAX_HOLD),
            texts: Holds::new(MAX_HOLD),
            publishers: HashMap::new(),
        }
    }

    /// How long this offer may not be polled.
    #[must_use]
    pub fn hold(&self, target: &Rc<Target>, kind: PollKind, now: Instant) -> Duration {
        let offer = self.offers.left(target, now);
        let publisher = self.publishers.get(target.publisher());
        match (kind, publisher) {
            (PollKind::Further, Some(publisher)) => offer.max(publisher.left(now)),
            _ => offer,
        }
    }

    /// Whether status texts of this offer may be read.
    #[must_use]
    pub fn allows_texts(&self, target: &Rc<Target>, now: Instant) -> bool {
        self.texts.left(target, now).is_zero()
    }

    /// Records a pause that the vendor demands. It is the offer's own; the publisher's other
    /// offers are held only if several are throttled in a row, and never because of first
    /// polls: under a steady flow of new cancels the others would not be polled any more.
    /// A first poll that succeeds does count: a vendor that throttled the whole publisher
    /// would have throttled it too.
    /// Status texts do not affect the outcome, so throttling them does not hold other
    /// requests.
    pub fn record(
        &mut self,
        target: &Rc<Target>,
        kind: PollKind,
        result: &PollResult,
        now: Instant,
    ) {
        if result.snapshot.submissions.is_ok() {
            if let Some(publisher) = self.publishers.get_mut(target.publisher()) {
                publisher.in_a_row.clear();
            }
        } else if let Some(wait) = result.retry_after() {
            self.offers.set(target, wait, now);
            if kind == PollKind::Further && result.is_throttled() {
                let publisher = self.publishers.entry(target.publisher().clone());
                publisher.or_default().throttled(target, wait, now);
            }
        }
        if let Some(wait) = result.texts_retry_after {
            self.texts.set(target, wait, now);
        }
    }
}

/// A publisher, and its offers that were throttled.
#[derive(Debug, Default)]
struct PublisherHold {
    /// The offers that were throttled since the last poll that succeeded.
    in_a_row: Vec<Rc<Target>>,
    /// When its latest hold began, and when it ends.
    hold: Option<(Instant, Instant)>,
}

impl PublisherHold {
    fn throttled(&mut self, target: &Rc<Target>, wait: Duration, now: Instant) {
        if self.in_a_row.len() < OFFERS_IN_A_ROW && !self.in_a_row.contains(target) {
            self.in_a_row.push(Rc::clone(target));
        }
        if self.in_a_row.len() < OFFERS_IN_A_ROW {
            return;
        }
        let latest = self
            .hold
            .filter(|(began, _)| now - *began < PUBLISHER_HOLD_EVERY);
        let (began, until) = latest.unwrap_or((now, now));
        let asked = now + wait.min(MAX_PUBLISHER_HOLD);
        let asked = asked.min(began + MAX_PUBLISHER_HOLD);
        self.hold = Some((began, asked.max(until)));
    }

    /// The remaining time.
    fn left(&self, now: Instant) -> Duration {
        let until = self.hold.map(|(_, until)| until);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
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
    fn a_publisher_is_held_after_several_offers_and_for_a_minute_in_all() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let offers = ["a", "b", "c", "d"].map(|name| Rc::new(Target::sample("contoso", name)));
        let mut publisher = PublisherHold::default();
        // The same offer again and again is one.
        for offer in [0, 0, 0, 1, 0, 1] {
            publisher.throttled(&offers[offer], 20 * second, now);
            assert_eq!(publisher.left(now), Duration::ZERO);
        }
        publisher.throttled(&offers[2], 20 * second, now);
        assert_eq!(publisher.left(now), 20 * second);
        publisher.throttled(&offers[3], 10 * second, now);
        assert_eq!(publisher.left(now), 20 * second);
        // Throttled again, and longer: no later than a minute after the first.
        for (after, left) in [(20, 20), (41, 19), (60, 0), (80, 0), (599, 0), (600, 20)] {
            let now = now + after * second;
            publisher.throttled(&offers[0], 20 * second, now);
            assert_eq!(publisher.left(now), left * second, "{after}");
        }
        let mut publisher = PublisherHold::default();
        for offer in &offers {
            publisher.throttled(offer, Duration::MAX, now);
        }
        assert_eq!(publisher.left(now), MAX_PUBLISHER_HOLD);
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
