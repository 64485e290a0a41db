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
    /// Concurrent polls, each with a connection of its own: [`MAX_POLLS`], or fewer where
    /// the process may open few.
    pub max_polls: usize,
    /// How long to wait for evidence.
    pub deadlines: Deadlines,
}

/// Concurrent polls: a start with many unfinished operations must not open a connection for
/// each.
pub const MAX_POLLS: usize = 896;

impl PollerOptions {
    /// Slots for first polls, which prove most when they are prompt, and for further ones.
    /// One publisher alone gets half of each: at a second a read enough for ten thousand
    /// offers in a minute.
    #[must_use]
    pub fn slots(&self) -> [usize; 2] {
        let further = (self.max_polls * 3 / 7).max(1);
        [self.max_polls.saturating_sub(further).max(1), further]
    }
}
