//! The present moment, on both clocks.

use jiff::Timestamp;
use tokio::time::Instant;

/// One moment on two clocks: a monotonic one for timers, and the one that dates evidence.
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
