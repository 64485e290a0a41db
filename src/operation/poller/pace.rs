//! How many requests a second one publisher's polls may make: a generic cell rate algorithm,
//! whose only state is one time.
//!
//! A tenth of the rate may come at once. The rest comes so much slower that no second has
//! more requests than the rate, wherever it begins.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

/// The requests of all `P`ublishers, each at the same rate.
#[derive(Debug)]
pub struct Pace<P> {
    /// Between two requests in the long run.
    interval: Duration,
    /// How much earlier than that a request may come.
    tolerance: Duration,
    /// When the next request would come if they were evenly spaced.
    next: HashMap<P, Instant>,
}

impl<P: Clone + Eq + Hash> Pace<P> {
    /// At most this many requests in any second, for each publisher.
    #[must_use]
    pub fn new(per_second: NonZeroU32) -> Self {
        let at_once = (per_second.get() / 10).max(1);
        let interval = Duration::from_secs(1) / (per_second.get() + 1 - at_once);
        Self {
            interval,
            tolerance: interval * (at_once - 1),
            next: HashMap::new(),
        }
    }

    /// When a request of this publisher may be made; not later than now if it may be.
    #[must_use]
    pub fn ready_at(&self, publisher: &P, now: Instant) -> Instant {
        let next = self.next.get(publisher).copied().unwrap_or(now);
        next.checked_sub(self.tolerance).unwrap_or(now)
    }

    /// How many requests may be made now.
    #[must_use]
    pub fn allowance(&self, publisher: &P, now: Instant) -> usize {
        let next = self.next.get(publisher).copied().unwrap_or(now).max(now);
        match (now + self.tolerance).checked_duration_since(next) {
            None => 0,
            Some(early) => {
                let more = early.as_nanos() / self.interval.as_nanos().max(1);
                1 + usize::try_from(more).unwrap_or(usize::MAX)
            }
        }
    }

    /// Counts so many requests, allowed or not: what is too much is made up for.
    pub fn take(&mut self, publisher: &P, requests: usize, now: Instant) {
        let requests = u32::try_from(requests).unwrap_or(u32::MAX);
        let next = self.next.entry(publisher.clone()).or_insert(now);
        *next = (*next).max(now) + self.interval * requests;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pace(per_second: u32) -> Pace<char> {
        Pace::new(NonZeroU32::new(per_second).unwrap())
    }

    #[test]
    fn a_publisher_does_not_slow_another_down() {
        let (mut pace, now) = (pace(100), Instant::now());
        assert_eq!(pace.allowance(&'a', now), 10);
        pace.take(&'a', 10, now);
        assert_eq!(pace.allowance(&'a', now), 0);
        assert!(pace.ready_at(&'a', now) > now);
        assert_eq!(pace.allowance(&'b', now), 10);
        let ready = pace.ready_at(&'a', now);
        assert!(
            ready <= now + Duration::from_millis(11),
            "{:?}",
            ready - now
        );
        assert_eq!(pace.allowance(&'a', ready), 1);
        // What was taken too much is waited for.
        pace.take(&'a', 50, ready);
        let ready = pace.ready_at(&'a', ready) - ready;
        assert!(ready > Duration::from_millis(500), "{ready:?}");
    }

    proptest! {
        #[test]
        fn no_second_has_more_requests_and_few_have_less(
            per_second in 1_u32..300,
            steps in prop::collection::vec(0_u64..400, 1..50),
        ) {
            let mut pace = pace(per_second);
            let began = Instant::now();
            let (mut now, mut times) = (began, Vec::new());
            for step in steps {
                now += Duration::from_millis(step);
                while pace.allowance(&'a', now) > 0 {
                    prop_assert!(pace.ready_at(&'a', now) <= now);
                    pace.take(&'a', 1, now);
                    times.push(now);
                }
                prop_assert!(pace.ready_at(&'a', now) > now);
            }
            let limit = per_second as usize;
            for (first, later) in times.iter().zip(times.iter().skip(limit)) {
                prop_assert!(*later - *first >= Duration::from_millis(999));
            }
        }

        #[test]
        fn requests_that_are_made_when_they_may_be_come_at_nearly_the_rate(
            per_second in 1_u32..300,
        ) {
            let mut pace = pace(per_second);
            let began = Instant::now();
            let (mut now, mut count) = (began, 0);
            while now < began + Duration::from_secs(4) {
                pace.take(&'a', 1, now);
                count += 1;
                now = pace.ready_at(&'a', now).max(now);
            }
            let (least, most) = (per_second * 36 / 10, per_second * 4 + 1);
            prop_assert!((least..=most).contains(&count), "{count}");
        }
    }
}
