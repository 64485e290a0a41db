//! Limits of one caller.

use std::fmt;
use std::num::NonZeroU32;

/// The rate of requests that a caller may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Sustained requests per second.
    pub per_second: NonZeroU32,
    /// Requests in a burst.
    pub burst: NonZeroU32,
}

/// As the configuration writes it.
impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { per_second, burst } = self;
        write!(f, "{{ per_second = {per_second}, burst = {burst} }}")
    }
}

/// What all callers share. One caller gets at most half of each, unless its own limit says
/// otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedCapacity {
    /// Concurrent actions.
    pub actions: usize,
    /// Waiting requests and open event streams together.
    pub waits: usize,
}

/// A limit on what one caller has at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The most there may be.
    pub count: usize,
    /// Whether it is half of the pool, because the caller has no limit of its own.
    pub is_default: bool,
}

impl Limit {
    /// A caller's own limit, or else half of the pool.
    #[must_use]
    pub fn of(own: Option<usize>, pool: usize) -> Self {
        Self {
            count: own.unwrap_or((pool / 2).max(1)),
            is_default: own.is_none(),
        }
    }
}

/// A caller's own limits. Where one is absent, the default is that of [`Limit::of`]; a rate
/// has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallerLimits {
    /// Rate of requests.
    pub rate: Option<RateLimit>,
    /// Concurrent actions.
    pub actions: Option<usize>,
    /// Waiting requests and open event streams together.
    pub waits: Option<usize>,
    /// Idempotency keys that are kept at a time.
    pub idempotency_keys: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_of_its_own_a_caller_gets_half() {
        for (own, pool, count) in [
            (None, 256, 128),
            (None, 9000, 4500),
            (None, 3, 1),
            (None, 1, 1),
            (Some(200), 256, 200),
            (Some(1000), 256, 1000),
        ] {
            let limit = Limit::of(own, pool);
            assert_eq!((limit.count, limit.is_default), (count, own.is_none()));
        }
    }
}
