//! How much a caller may do: requests by rate, and actions at a time.
//!
//! The headers are those of draft-ietf-httpapi-ratelimit-headers-10.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota as Pace, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Problem;
use crate::domain::{CallerName, ProblemCode};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How many requests a caller may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_second: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

/// The limits of one caller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Of its requests.
    pub rate: Option<Rate>,
    /// Of its actions under way at a time.
    pub actions: Option<usize>,
    /// Of its answers held back, and streams open, at a time.
    pub waits: Option<usize>,
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// The limits of all callers that have some, and what is used of them.
#[derive(Default)]
pub struct Quotas {
    rates: HashMap<CallerName, Arc<(Rate, Limiter)>>,
    actions: Places,
    waits: Places,
}

/// How many places each of some callers has, and those that are free.
#[derive(Default)]
struct Places(HashMap<CallerName, (usize, Arc<Semaphore>)>);

/// What a caller has left, for the headers of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    rate: Rate,
    requests: u32,
}

/// A place among the caller's actions, given back when dropped; none is needed
/// where there is no limit.
pub type Place = Option<OwnedSemaphorePermit>;

impl Quotas {
    /// The limits of these callers. Whoever had the same limit `earlier` has used as
    /// much of it as before.
    #[must_use]
    pub fn new(
        limits: impl IntoIterator<Item = (CallerName, Limits)>,
        earlier: Option<&Self>,
    ) -> Self {
        let mut new = Self::default();
        for (name, limits) in limits {
            let Limits {
                rate,
                actions,
                waits,
            } = limits;
            if let Some(rate) = rate {
                let known = earlier.and_then(|earlier| earlier.rates.get(&name));
                let known = known.filter(|known| known.0 == rate).cloned();
                let limiter = known.unwrap_or_else(|| Arc::new((rate, limiter(rate))));
                new.rates.insert(name.clone(), limiter);
            }
            new.actions
                .add(&name, actions, earlier.map(|quotas| &quotas.actions));
            new.waits
                .add(&name, waits, earlier.map(|quotas| &quotas.waits));
        }
        new
    }

    /// Counts a request of this caller's; none if its requests are not limited.
    ///
    /// # Errors
    /// What is left, and how long to wait, if there have been too many.
    pub fn count(&self, caller: &CallerName) -> Result<Option<Left>, (Left, Duration)> {
        let Some((rate, limiter)) = self.rates.get(caller).map(AsRef::as_ref) else {
            return Ok(None);
        };
        let left = |requests| Left {
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

    /// A place among the caller's actions under way.
    ///
    /// # Errors
    /// 429 `rate-limited` if all are taken.
    pub fn place(&self, caller: &CallerName) -> Result<Place, Problem> {
        self.actions.take(caller).ok_or_else(|| {
            let detail = "As many of your actions are under way as you may have at a time.";
            Problem::new(ProblemCode::RateLimited, detail).retry_after(Duration::from_secs(1))
        })
    }

    /// A place among the caller's answers that are held back and its streams; none if
    /// all are taken.
    #[must_use]
    pub fn waiting_place(&self, caller: &CallerName) -> Option<Place> {
        self.waits.take(caller)
    }
}

impl Places {
    /// So many for this caller. One that had as many `earlier` has as many left.
    fn add(&mut self, caller: &CallerName, count: Option<usize>, earlier: Option<&Self>) {
        let Some(count) = count else { return };
        let known = earlier.and_then(|earlier| earlier.0.get(caller));
        let known = known.filter(|known| known.0 == count).cloned();
        let places = known.unwrap_or_else(|| (count, Arc::new(Semaphore::new(count))));
        self.0.insert(caller.clone(), places);
    }

    /// A place; none if all are taken.
    fn take(&self, caller: &CallerName) -> Option<Place> {
        match self.0.get(caller) {
            None => Some(None),
            Some((_, places)) => Arc::clone(places).try_acquire_owned().ok().map(Some),
        }
    }
}

fn limiter(rate: Rate) -> Limiter {
    let pace = Pace::per_second(rate.per_second).allow_burst(rate.burst);
    RateLimiter::direct(pace).with_middleware()
}

impl Left {
    /// Writes what is left into an answer's headers.
    pub fn write(&self, headers: &mut HeaderMap) {
        let Rate { per_second, burst } = self.rate;
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
    use super::*;

    fn name(text: &str) -> CallerName {
        CallerName::parse(text).unwrap()
    }

    fn rate(per_second: u32, burst: u32) -> Option<Rate> {
        let number = |n| NonZeroU32::new(n).unwrap();
        Some(Rate {
            per_second: number(per_second),
            burst: number(burst),
        })
    }

    fn quotas(limits: Limits, earlier: Option<&Quotas>) -> Quotas {
        Quotas::new(
            [(name("a"), limits), (name("free"), Limits::default())],
            earlier,
        )
    }

    #[test]
    fn the_burst_is_the_limit_and_says_what_is_left() {
        let limits = Limits {
            rate: rate(1, 3),
            actions: None,
            waits: None,
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
    fn what_is_used_survives_a_reload_that_does_not_change_the_limit() {
        let limits = Limits {
            rate: rate(1, 1),
            actions: Some(1),
            waits: None,
        };
        let first = quotas(limits, None);
        assert!(first.count(&name("a")).is_ok());
        let place = first.place(&name("a")).unwrap();
        let second = quotas(limits, Some(&first));
        assert!(second.count(&name("a")).is_err());
        assert!(second.place(&name("a")).is_err());
        drop(place);
        assert!(second.place(&name("a")).is_ok());
        // Another rate does not free the places, nor more places the rate.
        let place = second.place(&name("a")).unwrap();
        let faster = Limits {
            rate: rate(2, 2),
            actions: Some(1),
            waits: None,
        };
        let third = quotas(faster, Some(&second));
        assert!(third.count(&name("a")).is_ok() && third.place(&name("a")).is_err());
        let wider = Limits {
            rate: rate(1, 1),
            actions: Some(2),
            waits: None,
        };
        let fourth = quotas(wider, Some(&second));
        assert!(fourth.count(&name("a")).is_err() && fourth.place(&name("a")).is_ok());
        drop(place);
    }

    #[test]
    fn places_are_given_back_and_only_limited_callers_need_one() {
        let limits = Limits {
            rate: None,
            actions: Some(2),
            waits: None,
        };
        let quotas = quotas(limits, None);
        let (one, two) = (quotas.place(&name("a")), quotas.place(&name("a")));
        assert!(matches!((&one, &two), (Ok(Some(_)), Ok(Some(_)))));
        let refused = quotas.place(&name("a")).unwrap_err();
        assert_eq!(refused.code(), ProblemCode::RateLimited);
        drop(one);
        assert!(quotas.place(&name("a")).is_ok());
        assert!(matches!(quotas.place(&name("free")), Ok(None)));
    }
}
