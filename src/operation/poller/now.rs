//! The present moment, on both clocks.

use jiff::Timestamp;
use tokio::time::Instant;

use crate::domain::clock;

/// One moment on two clocks that never jump: one for timers, and the one that dates evidence.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For timers.
    pub instant: Instant,
    /// For evidence.
    pub at: Timestamp,
    /// How far the wall clock is ahead of that, in seconds.
    pub wall_ahead: i64,
}

impl Now {
    /// The present moment.
    #[must_use]
    pub fn read() -> Self {
        let instant = Instant::now();
        Self {
            instant,
            at: clock::steady_at(instant.into_std()),
            wall_ahead: clock::wall_ahead(),
        }
    }
}
