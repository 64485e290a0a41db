//! What the configuration says of polling.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::operation::outcome::Deadlines;

/// The poller's settings.
#[derive(Debug, Clone, Copy)]
pub struct PollerOptions {
    /// The shortest time between two polls of one operation; it grows to a minute.
    pub poll: Duration,
    /// The most requests in a second that polls of one publisher make.
    pub max_polls_per_second: NonZeroU32,
    /// How long to wait for evidence.
    pub deadlines: Deadlines,
}
