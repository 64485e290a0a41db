//! The gateway's two clocks.
//!
//! The wall clock dates what others read and what outlives the process. It can be set to
//! another time at any moment, so no duration is measured on it. The steady clock shows the
//! same time when the process starts and never jumps.

use std::sync::LazyLock;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// The same moment on the monotonic clock and on the wall clock.
static START: LazyLock<(Instant, Timestamp)> = LazyLock::new(|| (Instant::now(), now()));

/// Starts the steady clock, unless it was started before. The process calls this first: a jump
/// of the wall clock before that would not be noticed.
pub fn start() {
    LazyLock::force(&START);
}

/// The present moment on the wall clock, to the microsecond, the ledger's precision, so that
/// an operation reads the same before and after.
#[must_use]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    #[cfg(test)]
    let now = now + tests::jumped();
    to_microsecond(now)
}

/// The present moment on the steady clock, to the microsecond.
#[must_use]
pub fn steady_now() -> Timestamp {
    steady_at(Instant::now())
}

/// A moment on the steady clock, to the microsecond.
#[must_use]
pub fn steady_at(instant: Instant) -> Timestamp {
    let (started, at) = *START;
    let since = match instant.checked_duration_since(started) {
        Some(after) => SignedDuration::try_from(after).unwrap_or(SignedDuration::MAX),
        None => -SignedDuration::try_from(started - instant).unwrap_or(SignedDuration::MAX),
    };
    to_microsecond(at.saturating_add(since).unwrap_or(at))
}

/// How far the wall clock is ahead of the steady one, in seconds: since the process started
/// it has been set forward so much, or back if negative.
#[must_use]
pub fn wall_ahead() -> i64 {
    now().duration_since(steady_now()).as_secs()
}

/// The present moment on the clock that shows the earlier one: something that is older than
/// so is that old, although its time may have been taken from either.
#[must_use]
pub fn earliest_now() -> Timestamp {
    now().min(steady_now())
}

fn to_microsecond(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

/// Jumps of the wall clock, for tests of other rooms.
#[cfg(test)]
pub mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static JUMPED: Cell<SignedDuration> = const { Cell::new(SignedDuration::ZERO) };
    }

    /// How far the wall clock of this thread was set forward.
    pub fn jumped() -> SignedDuration {
        JUMPED.get()
    }

    /// Sets the wall clock of this thread forward, or back, from where it was at its start.
    pub fn jump(by: SignedDuration) {
        start();
        JUMPED.set(by);
    }

    #[test]
    fn the_steady_clock_does_not_jump() {
        let before = steady_now();
        assert!(now().duration_since(before).abs() < SignedDuration::from_secs(2));
        for hours in [2, -2, 24 * 365] {
            let jumped = SignedDuration::from_hours(hours);
            jump(jumped);
            let steady = steady_now().duration_since(before);
            assert!(steady >= SignedDuration::ZERO && steady < SignedDuration::from_secs(10));
            assert!(
                (wall_ahead() - jumped.as_secs()).abs() <= 1,
                "{}",
                wall_ahead()
            );
            let earliest = if hours > 0 { before } else { before + jumped };
            let since = earliest_now().duration_since(earliest);
            assert!(since.abs() < SignedDuration::from_secs(10), "{since}");
        }
        jump(SignedDuration::ZERO);
        let (started, at) = *START;
        let second = SignedDuration::from_secs(1);
        assert_eq!(
            steady_at(started + std::time::Duration::from_secs(1)),
            at + second
        );
    }
}
