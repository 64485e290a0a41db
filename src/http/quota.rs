//! Limits on callers: the request rate of each, and how many actions and waiting requests
//! there may be at a time.
//!
//! The headers are those of draft-ietf-httpapi-ratelimit-headers-10.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota as Pace, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Problem;
use crate::domain::{CallerLimits, CallerName, Limit, ProblemCode, RateLimit, SharedCapacity};
use crate::ledger::MAX_KEYS;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

type Limiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// The limits of all callers, and their current use.
pub struct Quotas {
    pools: SharedCapacity,
    rates: HashMap<CallerName, Arc<(RateLimit, Limiter)>>,
    actions: ConcurrencyLimits,
    waits: ConcurrencyLimits,
    idempotency_keys: HashMap<CallerName, usize>,
}

/// The limit of each caller, and its free slots.
#[derive(Default)]
struct ConcurrencyLimits(HashMap<CallerName, (Limit, Arc<Semaphore>)>);

/// The remaining quota of a caller's rate, for the headers of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitState {
    /// The rate that is allowed.
    pub rate: RateLimit,
    requests: u32,
}

/// A caller's slot, returned when dropped; none for a caller that is not configured.
pub type CallerSlot = Option<OwnedSemaphorePermit>;

/// How many requests may wait, over all threads.
#[derive(Clone)]
pub struct LongPollLimit(Arc<Semaphore>);

impl LongPollLimit {
    /// This many, with the open event streams.
    #[must_use]
    pub fn new(waits: usize) -> Self {
        Self(Arc::new(Semaphore::new(waits)))
    }

    /// A slot, if one is free.
    #[must_use]
    pub fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

impl Quotas {
    /// The limits of these callers. Of a limit that is the same as `earlier`, as much is used
    /// as before. The pools are those that the gateway started with.
    #[must_use]
    pub fn new(
        limits: impl IntoIterator<Item = (CallerName, CallerLimits)>,
        pools: SharedCapacity,
        earlier: Option<&Self>,
    ) -> Self {
        let mut new = Self {
            pools: earlier.map_or(pools, |earlier| earlier.pools),
            rates: HashMap::new(),
            actions: ConcurrencyLimits::default(),
            waits: ConcurrencyLimits::default(),
            idempotency_keys: HashMap::new(),
        };
        for (name, limits) in limits {
            let CallerLimits {
                rate,
                actions,
                waits,
                idempotency_keys,
            } = limits;
            if let Some(rate) = rate {
                let known = earlier.and_then(|earlier| earlier.rates.get(&name));
                let known = known.filter(|known| known.0 == rate).cloned();
                let limiter = known.unwrap_or_else(|| Arc::new((rate, limiter(rate))));
                new.rates.insert(name.clone(), limiter);
            }
            let actions = Limit::of(actions, new.pools.actions);
            new.actions
                .add(&name, actions, earlier.map(|quotas| &quotas.actions));
            let waits = Limit::of(waits, new.pools.waits);
            new.waits
                .add(&name, waits, earlier.map(|quotas| &quotas.waits));
            if let Some(keys) = idempotency_keys {
                new.idempotency_keys.insert(name, keys);
            }
        }
        new
    }

    /// Counts a request of this caller; none if its rate is not limited.
    ///
    /// # Errors
    /// What is left, and how long to wait, if there have been too many.
    pub fn count(
        &self,
        caller: &CallerName,
    ) -> Result<Option<RateLimitState>, (RateLimitState, Duration)> {
        let Some((rate, limiter)) = self.rates.get(caller).map(AsRef::as_ref) else {
            return Ok(None);
        };
        let left = |requests| RateLimitState {
            rate: *rate,
            requests,
        };
        match limiter.check() {
            Ok(state) => Ok(Some(left(state.remaining_burst_capacity()))),
            Err(not_until) => Err((
                left(0),
                not_until.wait_time_from(DefaultClock::default().now()),
            )),
        }
    }

    /// A slot among the caller's actions in progress.
    ///
    /// # Errors
    /// 429 `rate-limited` if none is free.
    pub fn action_slot(&self, caller: &CallerName) -> Result<CallerSlot, Problem> {
        self.actions.acquire(caller).map_err(|limit| {
            let Limit { count, is_default } = limit;
            let default = match is_default {
                true => ", by default half of server.max_in_flight_actions",
                false => "",
            };
            let detail = format!(
                "Too many concurrent actions for this caller (callers.max_in_flight_actions = \
                 {count}{default}); nothing was sent. Retry after 1 s."
            );
            Problem::new(ProblemCode::RateLimited, detail).retry_after(Duration::from_secs(1))
        })
    }

    /// How many idempotency keys of this caller are kept.
    #[must_use]
    pub fn idempotency_keys(&self, caller: &CallerName) -> usize {
        let own = self.idempotency_keys.get(caller).copied();
        Limit::of(own, MAX_KEYS).count
    }

    /// A slot among the caller's waiting requests and streams.
    ///
    /// # Errors
    /// The limit if none is free.
    pub fn wait_slot(&self, caller: &CallerName) -> Result<CallerSlot, Limit> {
        self.waits.acquire(caller)
    }
}

impl ConcurrencyLimits {
    /// Limits this caller. If it had the same limit `earlier`, the same slots are in use.
    fn add(&mut self, caller: &CallerName, limit: Limit, earlier: Option<&Self>) {
        let known = earlier.and_then(|earlier| earlier.0.get(caller));
        let known = known.filter(|known| known.0.count == limit.count);
        let slots = known.map(|known| Arc::clone(&known.1));
        let slots = slots.unwrap_or_else(|| Arc::new(Semaphore::new(limit.count)));
        self.0.insert(caller.clone(), (limit, slots));
    }

    /// A slot of this caller; the limit if none is free.
    fn acquire(&self, caller: &CallerName) -> Result<CallerSlot, Limit> {
        match self.0.get(caller) {
            None => Ok(None),
            Some((limit, slots)) => Arc::clone(slots)
                .try_acquire_owned()
                .map(Some)
                .map_err(|_| *limit),
        }
    }
}

fn limiter(rate: RateLimit) -> Limiter {
    let pace = Pace::per_second(rate.per_second).allow_burst(rate.burst);
    RateLimiter::direct(pace).with_middleware()
}

impl RateLimitState {
    /// Writes what is left into an answer's headers.
    pub fn write(&self, headers: &mut HeaderMap) {
        let RateLimit { per_second, burst } = self.rate;
        // A window in which the whole quota comes back.
        let window = burst.get().div_ceil(per_second.get());
        let full_in = (burst.get() - self.requests.min(burst.get())).div_ceil(per_second.get());
        let policy = format!("\"caller\";q={burst};w={window}");
        let state = format!("\"caller\";r={};t={full_in}", self.requests);
        for (name, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, state)] {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn name(text: &str) -> CallerName {
        CallerName::parse(text).unwrap()
    }

    fn rate(per_second: u32, burst: u32) -> Option<RateLimit> {
        let number = |n| NonZeroU32::new(n).unwrap();
        Some(RateLimit {
            per_second: number(per_second),
            burst: number(burst),
        })
    }

    fn quotas(limits: CallerLimits, earlier: Option<&Quotas>) -> Quotas {
        Quotas::new(
            [(name("a"), limits), (name("free"), CallerLimits::default())],
            SharedCapacity {
                actions: 5,
                waits: 8,
            },
            earlier,
        )
    }

    #[test]
    fn the_burst_is_the_limit_and_the_rest_is_reported() {
        let limits = CallerLimits {
            rate: rate(1, 3),
            actions: None,
            waits: None,
            ..CallerLimits::default()
        };
        let quotas = quotas(limits, None);
        let mut left = Vec::new();
        while let Ok(Some(state)) = quotas.count(&name("a")) {
            left.push(state.requests);
        }
        assert_eq!(left, [2, 1, 0]);
        let (state, wait) = quotas.count(&name("a")).unwrap_err();
        assert!(
            wait > Duration::ZERO && wait <= Duration::from_secs(1),
            "{wait:?}"
        );
        let mut headers = HeaderMap::new();
        state.write(&mut headers);
        assert_eq!(
            headers.get(RATE_LIMIT_POLICY).unwrap(),
            "\"caller\";q=3;w=3"
        );
        assert_eq!(headers.get(RATE_LIMIT).unwrap(), "\"caller\";r=0;t=3");
        assert_eq!(quotas.count(&name("free")), Ok(None));
        assert_eq!(quotas.count(&name("unknown")), Ok(None));
    }

    #[test]
    fn use_of_an_unchanged_limit_survives_a_reload() {
        let limits = CallerLimits {
            rate: rate(1, 1),
            actions: Some(1),
            waits: None,
            ..CallerLimits::default()
        };
        let first = quotas(limits, None);
        assert!(first.count(&name("a")).is_ok());
        let slot = first.action_slot(&name("a")).unwrap();
        let second = quotas(limits, Some(&first));
        assert!(second.count(&name("a")).is_err());
        assert!(second.action_slot(&name("a")).is_err());
        drop(slot);
        assert!(second.action_slot(&name("a")).is_ok());
        // Another rate does not free the slots, nor more slots the rate.
        let slot = second.action_slot(&name("a")).unwrap();
        let faster = CallerLimits {
            rate: rate(2, 2),
            actions: Some(1),
            waits: None,
            ..CallerLimits::default()
        };
        let third = quotas(faster, Some(&second));
        assert!(third.count(&name("a")).is_ok() && third.action_slot(&name("a")).is_err());
        let wider = CallerLimits {
            rate: rate(1, 1),
            actions: Some(2),
            waits: None,
            ..CallerLimits::default()
        };
        let fourth = quotas(wider, Some(&second));
        assert!(fourth.count(&name("a")).is_err() && fourth.action_slot(&name("a")).is_ok());
        drop(slot);
    }

    #[test]
    fn slots_are_returned_and_every_caller_has_a_limit() {
        let limits = CallerLimits {
            rate: None,
            actions: Some(2),
            waits: None,
            ..CallerLimits::default()
        };
        let quotas = quotas(limits, None);
        let (one, two) = (
            quotas.action_slot(&name("a")),
            quotas.action_slot(&name("a")),
        );
        assert!(matches!((&one, &two), (Ok(Some(_)), Ok(Some(_)))));
        let refused = quotas.action_slot(&name("a")).unwrap_err();
        assert_eq!(refused.code(), ProblemCode::RateLimited);
        drop(one);
        assert!(quotas.action_slot(&name("a")).is_ok());
        assert!(matches!(quotas.action_slot(&name("unknown")), Ok(None)));
        // Half of five, and of eight.
        let free = name("free");
        let _actions = [quotas.action_slot(&free), quotas.action_slot(&free)].map(Result::unwrap);
        assert!(quotas.action_slot(&free).is_err());
        let _waits = [(); 4].map(|()| quotas.wait_slot(&free).unwrap());
        let limit = quotas.wait_slot(&free).unwrap_err();
        assert!(limit.is_default && limit.count == 4);
    }

    #[test]
    fn a_reload_does_not_change_the_pools() {
        let first = quotas(CallerLimits::default(), None);
        let larger = SharedCapacity {
            actions: 5000,
            waits: 8000,
        };
        let limits = [(name("free"), CallerLimits::default())];
        let second = Quotas::new(limits, larger, Some(&first));
        let slots = std::iter::from_fn(|| second.action_slot(&name("free")).ok());
        assert_eq!(slots.take(100).collect::<Vec<_>>().len(), 2);
    }
}
