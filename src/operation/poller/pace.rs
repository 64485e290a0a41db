//! How long to wait before the next look: pure, and the only place that decides it.
//!
//! A pause is a quarter longer than the one before, from the configured interval to a
//! minute. It is told from how long the operation has been followed, not from a count:
//! on its own that is the same, and operations of one offer that look together stay
//! together without hurrying each other's pauses on.

use std::time::Duration;

/// The longest pause, unless the configured interval is longer still.
const LONGEST: Duration = Duration::from_secs(60);
/// Pauses differ by up to this share of themselves, so that operations which began
/// together drift apart.
const JITTER: f64 = 0.1;

/// The pauses between looks.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    shortest: Duration,
    longest: Duration,
}

/// What bounds one pause.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bounds {
    /// How long the vendor still wants to be left alone.
    pub hold: Duration,
    /// Until a look can say that nothing was running, if it may come to that.
    pub settles_in: Option<Duration>,
    /// Until the operation ends, found out or not.
    pub gives_up_in: Option<Duration>,
}

impl Pace {
    /// Pauses from `poll` to a minute, or all of them `poll` if that is longer.
    #[must_use]
    pub fn new(poll: Duration) -> Self {
        Self {
            shortest: poll,
            longest: LONGEST.max(poll),
        }
    }

    /// The pause after a look. `followed` is how long it has been followed at this
    /// pace, `chance` is from 0 to 1.
    #[must_use]
    pub fn pause(&self, followed: Duration, bounds: Bounds, chance: f64) -> Duration {
        let jittered = self
            .plain(followed)
            .mul_f64(1.0 - JITTER + 2.0 * JITTER * chance);
        let mut pause = jittered.clamp(self.shortest, self.longest);
        // A moment that has passed is waited for no more.
        if let Some(settles_in) = bounds.settles_in.filter(|wait| !wait.is_zero()) {
            pause = pause.min(settles_in);
        }
        pause = pause.max(self.held(bounds.hold, chance));
        bounds.gives_up_in.map_or(pause, |wait| pause.min(wait))
    }

    /// The pause after a look that was to be the last, and failed.
    #[must_use]
    pub fn last(&self, hold: Duration, chance: f64) -> Duration {
        self.shortest.max(self.held(hold, chance))
    }

    /// Until the vendor may be asked again: those that it sent away together do not come
    /// back together.
    #[must_use]
    pub fn held(&self, hold: Duration, chance: f64) -> Duration {
        if hold.is_zero() {
            return hold;
        }
        hold.saturating_add(self.shortest.mul_f64(chance))
    }

    /// The wait before the first look at what an earlier process followed already:
    /// anywhere within the pause that it would make by now.
    #[must_use]
    pub fn spread(&self, followed: Duration, chance: f64) -> Duration {
        self.plain(followed).mul_f64(chance)
    }

    fn plain(&self, followed: Duration) -> Duration {
        // After pauses of p, 1.25 p, 1.25² p and so on, a quarter of the time that has
        // passed is what the next one is longer than p.
        self.shortest.saturating_add(followed / 4).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLL: Duration = Duration::from_secs(5);

    fn free() -> Bounds {
        Bounds::default()
    }

    #[test]
    fn each_pause_is_a_quarter_longer_up_to_a_minute() {
        let pace = Pace::new(POLL);
        let mut followed = Duration::ZERO;
        let mut expected = 5.0_f64;
        for _ in 0..30 {
            let pause = pace.pause(followed, free(), 0.5);
            assert!((pause.as_secs_f64() - expected.min(60.0)).abs() < 1e-6);
            followed += pause;
            expected *= 1.25;
        }
        assert_eq!(pace.pause(Duration::MAX, free(), 0.5), LONGEST);
        // Whoever configures more than a minute gets that.
        let hour = Duration::from_secs(3600);
        assert_eq!(Pace::new(hour).pause(Duration::ZERO, free(), 0.5), hour);
    }

    #[test]
    fn a_decision_is_not_waited_past() {
        let pace = Pace::new(POLL);
        let minutes = Duration::from_secs(600);
        let soon = Some(Duration::from_secs(2));
        let settles = Bounds {
            settles_in: soon,
            ..free()
        };
        assert_eq!(pace.pause(minutes, settles, 0.5), Duration::from_secs(2));
        // One that has passed is none.
        let settled = Bounds {
            settles_in: Some(Duration::ZERO),
            ..free()
        };
        assert_eq!(pace.pause(minutes, settled, 0.5), LONGEST);
        // The end comes even if the vendor wants to be left alone.
        let ends = Bounds {
            hold: minutes,
            settles_in: None,
            gives_up_in: soon,
        };
        assert_eq!(pace.pause(minutes, ends, 0.5), Duration::from_secs(2));
        // A decision that another look could bring does not.
        let held = Bounds {
            hold: minutes,
            settles_in: soon,
            gives_up_in: None,
        };
        assert!(pace.pause(minutes, held, 0.0) >= minutes);
    }

    proptest! {
        #[test]
        fn pauses_stay_in_their_bounds(
            poll in 1_u64..3_600_000,
            followed in any::<u32>(),
            hold in prop_oneof![Just(0), any::<u32>().prop_map(u64::from)],
            chance in 0.0..=1.0_f64,
        ) {
            let pace = Pace::new(Duration::from_millis(poll));
            let followed = Duration::from_millis(followed.into());
            let hold = Duration::from_secs(hold);
            let pause = pace.pause(followed, Bounds { hold, ..free() }, chance);
            prop_assert!(pause >= pace.shortest && pause >= hold);
            prop_assert!(pause <= pace.longest.max(hold + pace.shortest));
            prop_assert!(pace.spread(followed, chance) <= pace.longest);
        }
    }
}
