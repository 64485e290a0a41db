//! An issuer's keys, and the background task that fetches them.
//!
//! Requests look keys up. A request with an unknown key id may ask for a fetch, which all
//! waiting requests share and which is rate limited, so that random ids cause no load on
//! the issuer. Keys that cannot be renewed are used for a day.

mod status;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::discovery::{KeyFetchError, KeySource};
use super::jwks::{Candidates, KeySet};
use super::key_hint::KeyHint;
use super::verification_key::VerificationKey;
use crate::transport::{Backoff, HttpClient};

pub use status::KeyStoreStatus;

/// How long keys are used when they cannot be renewed.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a request waits for keys.
const WAIT: Duration = Duration::from_secs(5);
/// Requests that may wait for an issuer's keys at a time.
const MAX_WAITING: usize = 1000;
/// Fetches because of unknown key ids: this many at once, then one in that time.
const FORCED_BURST: NonZeroU32 = NonZeroU32::new(5).unwrap();
const FORCED_INTERVAL: Duration = Duration::from_secs(10);

/// Why no key was found for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyLookupError {
    /// The issuer does not publish it, or publishes it in a form that verifies nothing.
    Unknown,
    /// The issuer's keys could not be fetched, or are too old.
    Unavailable,
}

/// Fetches are counted, so that a request can wait for one that began after it asked.
#[derive(Debug, Clone, Default)]
struct FetchProgress {
    started: u64,
    ended: u64,
    /// Why the last one failed; none if it succeeded.
    failure: Option<KeyFetchError>,
}

struct CachedKeys {
    set: KeySet,
    fetched: Instant,
}

/// Which keys are of use to a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Any that may have signed it.
    AnyThatFits,
    /// Only the one that it names.
    Named,
}

struct SharedKeys {
    source: KeySource,
    refresh: Duration,
    cached: ArcSwapOption<CachedKeys>,
    progress: watch::Sender<FetchProgress>,
    /// The number of the latest fetch that a request waits for.
    wanted: watch::Sender<u64>,
    forced: DefaultDirectRateLimiter,
    /// One permit for each request that waits for keys.
    waiting: Semaphore,
}

/// An issuer's keys. Dropping it ends the refresher.
pub struct KeyStore {
    shared: Arc<SharedKeys>,
    _stops_refresher: DropGuard,
}

impl KeyStore {
    /// A refresher that has not been started, and the store that it fills.
    #[must_use]
    pub fn new(source: KeySource, refresh: Duration) -> (KeyRefresher, Arc<Self>) {
        let every =
            Quota::with_period(FORCED_INTERVAL).unwrap_or(Quota::per_second(NonZeroU32::MIN));
        let shared = Arc::new(SharedKeys {
            source,
            refresh,
            cached: ArcSwapOption::empty(),
            progress: watch::Sender::default(),
            wanted: watch::Sender::new(1),
            forced: RateLimiter::direct(every.allow_burst(FORCED_BURST)),
            waiting: Semaphore::new(MAX_WAITING),
        });
        let stop = CancellationToken::new();
        let refresher = KeyRefresher {
            shared: Arc::clone(&shared),
            stop: stop.clone(),
            backoff: Backoff::default(),
        };
        let store = Arc::new(Self {
            shared,
            _stops_refresher: stop.drop_guard(),
        });
        (refresher, store)
    }

    /// Keys that are given and never renewed.
    #[must_use]
    pub fn fixed(issuer: String, set: KeySet) -> Arc<Self> {
        let source = KeySource {
            issuer,
            jwks_url: None,
            bearer_token_file: None,
            ca: None,
        };
        let (_refresher, keys) = Self::new(source, MAX_AGE);
        keys.shared.install(set);
        // No fetch will follow, so none is waited for.
        keys.shared.progress.send_modify(|now| now.ended = u64::MAX);
        keys
    }

    /// Whether the keys come from `source`, renewed at this interval.
    #[must_use]
    pub fn is_from(&self, source: &KeySource, refresh: Duration) -> bool {
        self.shared.source == *source && self.shared.refresh == refresh
    }

    /// Takes over the keys of `earlier`, with their age, if they come from the same address,
    /// so that requests need not wait for the first fetch.
    pub fn inherit(&self, earlier: &Self) {
        let (ours, theirs) = (&self.shared.source, &earlier.shared.source);
        if ours.issuer == theirs.issuer && ours.jwks_url == theirs.jwks_url {
            self.shared.cached.store(earlier.shared.cached.load_full());
        }
    }

    /// Whether this very key is still published and not too old.
    #[must_use]
    pub fn contains(&self, key: &Arc<VerificationKey>) -> bool {
        let cached = self.shared.cached.load();
        cached
            .as_ref()
            .is_some_and(|cached| cached.fetched.elapsed() < MAX_AGE && cached.set.contains(key))
    }

    /// The keys that may have signed a token; at least one. Waits for the first keys, and for
    /// fresh ones if none fits.
    ///
    /// # Errors
    /// [`KeyLookupError`]
    pub async fn find(&self, hint: &KeyHint<'_>) -> Result<Candidates, KeyLookupError> {
        self.look_up(hint, Wanted::AnyThatFits).await
    }

    /// As [`Self::find`], for a token that names a key which is not among the candidates, after
    /// none of those has signed it: the issuer may have published the named one since.
    ///
    /// # Errors
    /// [`KeyLookupError`]
    pub async fn find_named(&self, hint: &KeyHint<'_>) -> Result<Candidates, KeyLookupError> {
        self.look_up(hint, Wanted::Named).await
    }

    async fn look_up(
        &self,
        hint: &KeyHint<'_>,
        wanted: Wanted,
    ) -> Result<Candidates, KeyLookupError> {
        let shared = &*self.shared;
        let started = shared.progress.borrow().started;
        let why = match shared.find(hint, wanted) {
            Ok(found) => return found.ok_or(KeyLookupError::Unknown),
            Err(why) => why,
        };
        // Anyone can invent key ids, so the number of waiting requests is limited.
        let Ok(_place) = shared.waiting.try_acquire() else {
            return Err(KeyLookupError::Unavailable);
        };
        let _elapsed = timeout(WAIT, shared.fetched(why, hint, wanted)).await;
        // Known to be unpublished only after a fetch that started later; what that one has
        // brought are candidates, whatever they are called.
        let is_fresh = shared.has_fetched_after(started);
        let wanted = if is_fresh {
            Wanted::AnyThatFits
        } else {
            wanted
        };
        match shared.find(hint, wanted) {
            Err(KeyLookupError::Unknown) if !is_fresh => Err(KeyLookupError::Unavailable),
            found => found?.ok_or(KeyLookupError::Unknown),
        }
    }

    /// Waits until a fetch has ended; returns the number of usable keys.
    ///
    /// # Errors
    /// Why there are none; `None` inside if no fetch has ended in time.
    pub async fn first_fetch(&self) -> Result<usize, Option<KeyFetchError>> {
        let _elapsed = timeout(WAIT, self.shared.ended(1)).await;
        match self.shared.cached.load().as_ref() {
            Some(cached) => Ok(cached.set.count()),
            None => Err(self.shared.progress.borrow().failure.clone()),
        }
    }
}

impl SharedKeys {
    /// None inside: the set has the key that the token names, but that one does not verify
    /// it, and no fetch would change that.
    fn find(
        &self,
        hint: &KeyHint<'_>,
        wanted: Wanted,
    ) -> Result<Option<Candidates>, KeyLookupError> {
        let cached = self.cached.load();
        let Some(cached) = cached.as_ref().filter(|c| c.fetched.elapsed() < MAX_AGE) else {
            return Err(KeyLookupError::Unavailable);
        };
        let found = cached.set.candidates(hint);
        if wanted == Wanted::Named && !found.are_final {
            return Err(KeyLookupError::Unknown);
        }
        match found.keys.is_empty() {
            false => Ok(Some(found)),
            true if cached.set.has_id(hint.kid) => Ok(None),
            true => Err(KeyLookupError::Unknown),
        }
    }

    /// Requests a fetch that begins from now on and returns its number; none if the rate
    /// limit does not allow it.
    fn request_fetch(&self) -> Option<u64> {
        let next = self.progress.borrow().started + 1;
        if *self.wanted.borrow() < next {
            self.forced.check().ok()?;
            self.wanted.send_if_modified(|wanted| {
                let more = *wanted < next;
                *wanted = next.max(*wanted);
                more
            });
        }
        Some(next)
    }

    /// Waits for a fetch that may bring the key; requests one if none is under way.
    async fn fetched(&self, why: KeyLookupError, hint: &KeyHint<'_>, wanted: Wanted) {
        if why == KeyLookupError::Unavailable {
            // The refresher fetches anyhow, and backs off after failures.
            return self.ended(1).await;
        }
        // A fetch that is under way may bring it at no extra cost.
        let under_way = self.progress.borrow().started;
        self.ended(under_way).await;
        if self.find(hint, wanted).is_err()
            && let Some(fetch) = self.request_fetch()
        {
            self.ended(fetch).await;
        }
    }

    /// Waits until that fetch has ended.
    async fn ended(&self, fetch: u64) {
        let mut progress = self.progress.subscribe();
        let _closed = progress.wait_for(|now| now.ended >= fetch).await;
    }

    /// Whether a later fetch than that one has succeeded.
    fn has_fetched_after(&self, fetch: u64) -> bool {
        let progress = self.progress.borrow();
        progress.ended > fetch && progress.failure.is_none()
    }

    fn install(&self, set: KeySet) {
        let fetched = Instant::now();
        self.cached
            .store(Some(Arc::new(CachedKeys { set, fetched })));
    }
}

/// The background half: fetches an issuer's keys at intervals.
pub struct KeyRefresher {
    shared: Arc<SharedKeys>,
    stop: CancellationToken,
    backoff: Backoff,
}

impl KeyRefresher {
    /// The issuer, as in its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.shared.source.issuer
    }

    /// Fetches, waits, fetches again, until the store is dropped.
    pub async fn run(mut self, http: HttpClient) {
        let stop = self.stop.clone();
        let forever = async {
            loop {
                let pause = self.fetch(&http).await;
                self.sleep(pause).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = forever => {}
        }
    }

    /// Fetches once; returns the pause until the next fetch.
    async fn fetch(&mut self, http: &HttpClient) -> Duration {
        let shared = &*self.shared;
        shared
            .progress
            .send_modify(|progress| progress.started += 1);
        let cached = shared.cached.load_full();
        let earlier = cached.as_ref().map(|cached| &cached.set);
        let fetched = shared.source.fetch(http, earlier).await;
        let (pause, failure) = match fetched {
            Ok(set) => {
                if earlier.is_none_or(|earlier| !earlier.is_same(&set)) {
                    let issuer = &shared.source.issuer;
                    let left_out: usize = set.left_out().values().sum();
                    let keys = set.count();
                    tracing::info!(issuer, keys, left_out, "issuer's keys fetched");
                }
                shared.install(set);
                self.backoff = Backoff::default();
                (spread(shared.refresh, fastrand::f64()), None)
            }
            Err(failure) => {
                let pause = self.backoff.pause();
                tracing::warn!(
                    issuer = shared.source.issuer,
                    error = %failure,
                    retry_in_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                    "issuer's keys not fetched"
                );
                (pause, Some(failure))
            }
        };
        shared.progress.send_modify(|progress| {
            progress.ended = progress.started;
            progress.failure = failure;
        });
        pause
    }

    /// Waits for the pause to end, or for a request that wants a fetch.
    async fn sleep(&self, pause: Duration) {
        let started = self.shared.progress.borrow().started;
        let mut wanted = self.shared.wanted.subscribe();
        tokio::select! {
            () = sleep_until(Instant::now() + pause) => {}
            _ = wanted.wait_for(|wanted| *wanted > started) => {}
        }
    }
}

/// Up to a tenth earlier, so that many gateways do not fetch at the same moment.
fn spread(refresh: Duration, chance: f64) -> Duration {
    refresh - (refresh / 10).mul_f64(chance)
}

#[cfg(test)]
mod tests;
