//! The present moment, on both clocks.

use jiff::Timestamp;
use tokio::time::Instant;

/// One moment on two clocks: one for waiting, one for judging.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For timers.
    pub instant: Instant,
    /// For evidence.
    pub at: Timestamp,
}

impl Now {
    /// The present moment.
    #[must_use]
    pub fn read() -> Self {
        Self {
            instant: Instant::now(),
            at: crate::domain::now(),
        }
    }
}
