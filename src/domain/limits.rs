//! Limits of one caller.

use std::num::NonZeroU32;

/// The rate of requests that a caller may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Sustained requests per second.
    pub per_second: NonZeroU32,
    /// Requests in a burst.
    pub burst: NonZeroU32,
}

/// A caller's own limits; where one is absent, only the gateway's limits apply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallerLimits {
    /// Rate of requests.
    pub rate: Option<RateLimit>,
    /// Concurrent actions.
    pub actions: Option<usize>,
    /// Waiting requests and open event streams together.
    pub waits: Option<usize>,
}
