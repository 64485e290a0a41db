//! How much one caller may use.

use std::num::NonZeroU32;

/// How many requests a caller may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// In the long run.
    pub per_second: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

/// A caller's own limits; none: the gateway's alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallerLimits {
    /// Requests.
    pub rate: Option<RateLimit>,
    /// Concurrent actions.
    pub actions: Option<usize>,
    /// Waiting requests and open event streams together.
    pub waits: Option<usize>,
}
