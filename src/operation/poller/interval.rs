//! The pause before the next poll: pure functions, and the only code that decides it.
//!
//! A pause is a quarter longer than the one before, from the configured interval to a
//! minute. It is computed from how long the operation has been polled, not from a count:
//! for one operation that is the same, and operations of one offer that are polled
//! together stay together.

use std::time::Duration;

/// The longest pause, unless the configured interval is longer still.
const LONGEST: Duration = Duration::from_secs(60);
/// Pauses vary by up to this share of themselves, so that operations which began together
/// drift apart.
const JITTER: f64 = 0.1;

/// The pauses between polls.
#[derive(Debug, Clone, Copy)]
pub struct PollInterval {
    shortest: Duration,
    longest: Duration,
}

/// What bounds one pause.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bounds {
    /// The rest of the pause that the vendor demands.
    pub hold: Duration,
    /// Until a poll can confirm that nothing was running, if that is pending.
    pub settles_in: Option<Duration>,
    /// Until the operation ends, decided or not.
    pub gives_up_in: Option<Duration>,
}

impl PollInterval {
    /// Pauses from `poll` to a minute, or all of them `poll` if that is longer.
    #[must_use]
    pub fn new(poll: Duration) -> Self {
        Self {
            shortest: poll,
            longest: LONGEST.max(poll),
        }
    }

    /// The pause after a poll. `elapsed` is how long the operation has been polled at
    /// growing intervals, `chance` is from 0 to 1.
    #[must_use]
    pub fn pause(&self, elapsed: Duration, bounds: Bounds, chance: f64) -> Duration {
        let jittered = self
            .plain(elapsed)
            .mul_f64(1.0 - JITTER + 2.0 * JITTER * chance);
        let mut pause = jittered.clamp(self.shortest, self.longest);
        // A moment that has passed bounds nothing.
        if let Some(settles_in) = bounds.settles_in.filter(|wait| !wait.is_zero()) {
            pause = pause.min(settles_in);
        }
        pause = pause.max(self.held(bounds.hold, chance));
        bounds.gives_up_in.map_or(pause, |wait| pause.min(wait))
    }

    /// The pause after a last poll that failed.
    #[must_use]
    pub fn last(&self, hold: Duration, chance: f64) -> Duration {
        self.shortest.max(self.held(hold, chance))
    }

    /// Until the vendor accepts requests again, spread so that operations which were held
    /// together do not return together.
    #[must_use]
    pub fn held(&self, hold: Duration, chance: f64) -> Duration {
        if hold.is_zero() {
            return hold;
        }
        hold.saturating_add(self.shortest.mul_f64(chance))
    }

    /// The wait before the first poll of an operation that an earlier process polled:
    /// anywhere within the pause that is due by now.
    #[must_use]
    pub fn spread(&self, elapsed: Duration, chance: f64) -> Duration {
        self.plain(elapsed).mul_f64(chance)
    }

    fn plain(&self, elapsed: Duration) -> Duration {
        // After pauses of p, 1.25 p, 1.25² p and so on, the next one is longer than p by a
        // quarter of the time that has passed.
        self.shortest.saturating_add(elapsed / 4).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLL: Duration = Duration::from_secs(5);

    fn unbounded() -> Bounds {
        Bounds::default()
    }

    #[test]
    fn each_pause_is_a_quarter_longer_up_to_a_minute() {
        let interval = PollInterval::new(POLL);
        let mut elapsed = Duration::ZERO;
        let mut expected = 5.0_f64;
        for _ in 0..30 {
            let pause = interval.pause(elapsed, unbounded(), 0.5);
            assert!((pause.as_secs_f64() - expected.min(60.0)).abs() < 1e-6);
            elapsed += pause;
            expected *= 1.25;
        }
        assert_eq!(interval.pause(Duration::MAX, unbounded(), 0.5), LONGEST);
        // A configured interval of more than a minute is kept.
        let hour = Duration::from_secs(3600);
        let hourly = PollInterval::new(hour);
        assert_eq!(hourly.pause(Duration::ZERO, unbounded(), 0.5), hour);
    }

    #[test]
    fn a_pause_ends_when_a_decision_is_due() {
        let interval = PollInterval::new(POLL);
        let minutes = Duration::from_secs(600);
        let soon = Some(Duration::from_secs(2));
        let pause = |bounds| interval.pause(minutes, bounds, 0.5);
        let settles = Bounds {
            settles_in: soon,
            ..unbounded()
        };
        assert_eq!(pause(settles), Duration::from_secs(2));
        // A moment that has passed bounds nothing.
        let settled = Bounds {
            settles_in: Some(Duration::ZERO),
            ..unbounded()
        };
        assert_eq!(pause(settled), LONGEST);
        // The deadline comes even while the vendor wants no requests.
        let ends = Bounds {
            hold: minutes,
            settles_in: None,
            gives_up_in: soon,
        };
        assert_eq!(pause(ends), Duration::from_secs(2));
        // A decision that another poll could bring does not.
        let held = Bounds {
            hold: minutes,
            settles_in: soon,
            gives_up_in: None,
        };
        assert!(interval.pause(minutes, held, 0.0) >= minutes);
    }

    proptest! {
        #[test]
        fn pauses_stay_in_their_bounds(
            poll in 1_u64..3_600_000,
            elapsed in any::<u32>(),
            hold in prop_oneof![Just(0), any::<u32>().prop_map(u64::from)],
            chance in 0.0..=1.0_f64,
        ) {
            let interval = PollInterval::new(Duration::from_millis(poll));
            let elapsed = Duration::from_millis(elapsed.into());
            let hold = Duration::from_secs(hold);
            let pause = interval.pause(elapsed, Bounds { hold, ..unbounded() }, chance);
            prop_assert!(pause >= interval.shortest && pause >= hold);
            prop_assert!(pause <= interval.longest.max(hold + interval.shortest));
            prop_assert!(interval.spread(elapsed, chance) <= interval.longest);
        }
    }
}
