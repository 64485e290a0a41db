//! An issuer's keys, kept fresh: one background keeper an issuer, the only one that
//! ever fetches them.
//!
//! A request only looks. If it finds no key of the token's id, it may ask for a
//! fetch, which is one flight for all who ask, and only so often: random ids cause
//! no storm. Keys that cannot be renewed serve on for a day, and then no more.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jsonwebtoken::Algorithm;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::issuer::{KeySource, KeysFailure};
use super::jwks::{Key, KeySet};
use crate::transport::{Backoff, HttpClient};

/// How long keys serve when they cannot be renewed.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a request waits for keys.
const WAIT: Duration = Duration::from_secs(5);
/// Requests that wait for an issuer's keys at a time; more are turned away.
const MAX_WAITING: usize = 1000;
/// Fetches because of unknown key ids: this many at once, then one in that time.
const FORCED_BURST: u32 = 5;
const FORCED_EVERY: Duration = Duration::from_secs(10);

/// Why there is no key for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoKey {
    /// The issuer does not publish it.
    Unknown,
    /// The issuer's keys are not known, or not known any more.
    Unavailable,
}

/// How the fetching goes. Fetches are counted, so that a request can wait for one
/// that began after it asked.
#[derive(Debug, Clone, Default)]
struct Progress {
    begun: u64,
    ended: u64,
    /// Why the last one failed; none if it did not.
    failure: Option<KeysFailure>,
}

struct Held {
    set: KeySet,
    fetched: Instant,
}

struct Shared {
    source: KeySource,
    refresh: Duration,
    held: ArcSwapOption<Held>,
    progress: watch::Sender<Progress>,
    /// The number of the fetch that somebody waits for.
    wanted: watch::Sender<u64>,
    forced: DefaultDirectRateLimiter,
    /// One permit for each request that waits for keys.
    waiting: Semaphore,
}

/// Where requests find an issuer's keys. The keeper ends with the last handle.
pub struct Keys {
    shared: Arc<Shared>,
    _ends_keeper: DropGuard,
}

impl Keys {
    /// A keeper that has not begun, and where its keys will be found.
    #[must_use]
    pub fn new(source: KeySource, refresh: Duration) -> (KeyKeeper, Arc<Self>) {
        let every = Quota::with_period(FORCED_EVERY).unwrap_or(Quota::per_second(ONE));
        let shared = Arc::new(Shared {
            source,
            refresh,
            held: ArcSwapOption::empty(),
            progress: watch::Sender::default(),
            wanted: watch::Sender::new(1),
            forced: RateLimiter::direct(every.allow_burst(BURST)),
            waiting: Semaphore::new(MAX_WAITING),
        });
        let stop = CancellationToken::new();
        let keeper = KeyKeeper {
            shared: Arc::clone(&shared),
            stop: stop.clone(),
            backoff: Backoff::default(),
        };
        let handle = Arc::new(Self {
            shared,
            _ends_keeper: stop.drop_guard(),
        });
        (keeper, handle)
    }

    /// Keys that are known already and never renewed.
    #[must_use]
    pub fn fixed(issuer: String, set: KeySet) -> Arc<Self> {
        let source = KeySource {
            issuer,
            jwks_url: None,
            bearer_token_file: None,
            ca: None,
        };
        let (_keeper, keys) = Self::new(source, MAX_AGE);
        keys.shared.install(set);
        // No fetch will follow, so nobody has to wait for one.
        keys.shared.progress.send_modify(|now| now.ended = u64::MAX);
        keys
    }

    /// Whether they are renewed from there, and so often.
    #[must_use]
    pub fn is_from(&self, source: &KeySource, refresh: Duration) -> bool {
        self.shared.source == *source && self.shared.refresh == refresh
    }

    /// Takes over what `earlier` knows, as old as it is, if it is the same place that
    /// is asked in another way: nobody has to do without keys meanwhile.
    pub fn inherit(&self, earlier: &Self) {
        let (ours, theirs) = (&self.shared.source, &earlier.shared.source);
        if ours.issuer == theirs.issuer && ours.jwks_url == theirs.jwks_url {
            self.shared.held.store(earlier.shared.held.load_full());
        }
    }

    /// Whether this very key is still known and not too old.
    #[must_use]
    pub fn hold(&self, key: &Arc<Key>) -> bool {
        let held = self.shared.held.load();
        held.as_ref()
            .is_some_and(|held| held.fetched.elapsed() < MAX_AGE && held.set.holds(key))
    }

    /// The key that a token names; waits for the first keys, and for fresh ones if
    /// it is unknown.
    ///
    /// # Errors
    /// [`NoKey`]
    pub async fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Arc<Key>, NoKey> {
        let shared = &*self.shared;
        let begun = shared.progress.borrow().begun;
        let why = match shared.look(kid, algorithm) {
            Ok(key) => return Ok(key),
            Err(why) => why,
        };
        // Anybody can make up tokens: a crowd of them is not waited with.
        let Ok(_place) = shared.waiting.try_acquire() else {
            return Err(NoKey::Unavailable);
        };
        // Whoever waited in vain looks all the same.
        let _elapsed = timeout(WAIT, shared.news(why, kid, algorithm)).await;
        match shared.look(kid, algorithm) {
            // That the issuer does not publish it is known only if it was asked since.
            Err(NoKey::Unknown) if !shared.was_asked_after(begun) => Err(NoKey::Unavailable),
            found => found,
        }
    }

    /// What an operator should know: keys that are missing or not renewed.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let issuer = &self.shared.source.issuer;
        let failure = self.shared.progress.borrow().failure.clone();
        let held = self.shared.held.load();
        let age = held.as_ref().map(|held| held.fetched.elapsed());
        match (age, failure) {
            (Some(age), None) if age > self.shared.refresh * 2 + WAIT * 12 => Some(format!(
                "issuer {issuer}: its keys have not been renewed for {} s",
                age.as_secs()
            )),
            (Some(_), None) if held.as_ref().is_some_and(|held| held.set.count() == 0) => Some(
                format!("issuer {issuer}: it publishes no usable key, its tokens are refused"),
            ),
            (Some(_), None) => None,
            (Some(age), Some(failure)) if age < MAX_AGE => Some(format!(
                "issuer {issuer}: its keys are {} s old and cannot be renewed: {failure}",
                age.as_secs()
            )),
            (_, Some(failure)) => Some(format!(
                "issuer {issuer}: no keys, its tokens are refused: {failure}"
            )),
            (None, None) => Some(format!("issuer {issuer}: no keys yet")),
        }
    }

    /// Waits until a fetch has ended; says how many keys are usable.
    ///
    /// # Errors
    /// Why there are none; nothing inside if none has ended in time.
    pub async fn first_fetch(&self) -> Result<usize, Option<KeysFailure>> {
        let _elapsed = timeout(WAIT, self.shared.ended(1)).await;
        match self.shared.held.load().as_ref() {
            Some(held) => Ok(held.set.count()),
            None => Err(self.shared.progress.borrow().failure.clone()),
        }
    }
}

const ONE: std::num::NonZeroU32 = std::num::NonZeroU32::MIN;
const BURST: std::num::NonZeroU32 = match std::num::NonZeroU32::new(FORCED_BURST) {
    Some(burst) => burst,
    None => ONE,
};

impl Shared {
    fn look(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Arc<Key>, NoKey> {
        let held = self.held.load();
        match held.as_ref() {
            Some(held) if held.fetched.elapsed() < MAX_AGE => {
                let key = held.set.find(kid, algorithm);
                key.cloned().ok_or(NoKey::Unknown)
            }
            _ => Err(NoKey::Unavailable),
        }
    }

    /// Asks for a fetch that begins from now on, and says which it will be; none if
    /// there have been too many.
    fn want_fetch(&self) -> Option<u64> {
        let next = self.progress.borrow().begun + 1;
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

    /// Waits for a fetch that may bring the key; has one begun, if it must.
    async fn news(&self, why: NoKey, kid: Option<&str>, algorithm: Algorithm) {
        if why == NoKey::Unavailable {
            // The keeper is at it anyhow, and backs off if it is in vain.
            return self.ended(1).await;
        }
        // A fetch that is under way may bring it, and costs nothing more.
        let under_way = self.progress.borrow().begun;
        self.ended(under_way).await;
        if self.look(kid, algorithm).is_err()
            && let Some(fetch) = self.want_fetch()
        {
            self.ended(fetch).await;
        }
    }

    /// Waits until that fetch has ended.
    async fn ended(&self, fetch: u64) {
        let mut progress = self.progress.subscribe();
        let _closed = progress.wait_for(|now| now.ended >= fetch).await;
    }

    /// Whether a later fetch than that one has ended well.
    fn was_asked_after(&self, fetch: u64) -> bool {
        let progress = self.progress.borrow();
        progress.ended > fetch && progress.failure.is_none()
    }

    fn install(&self, set: KeySet) {
        let fetched = Instant::now();
        self.held.store(Some(Arc::new(Held { set, fetched })));
    }
}

/// The background half.
pub struct KeyKeeper {
    shared: Arc<Shared>,
    stop: CancellationToken,
    backoff: Backoff,
}

impl KeyKeeper {
    /// Fetches, waits, fetches again; until the last handle is gone.
    pub async fn run(mut self, http: HttpClient) {
        let stop = self.stop.clone();
        let forever = async {
            loop {
                let pause = self.fetch(&http).await;
                self.rest(pause).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = forever => {}
        }
    }

    /// One fetch; says how long to wait for the next.
    async fn fetch(&mut self, http: &HttpClient) -> Duration {
        let shared = &*self.shared;
        shared.progress.send_modify(|progress| progress.begun += 1);
        let held = shared.held.load_full();
        let earlier = held.as_ref().map(|held| &held.set);
        let fetched = shared.source.fetch(http, earlier).await;
        let (pause, failure) = match fetched {
            Ok(set) => {
                if earlier.is_none_or(|earlier| !earlier.is_same(&set)) {
                    let issuer = &shared.source.issuer;
                    tracing::info!(issuer, keys = set.count(), "issuer's keys fetched");
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
                    "no new keys"
                );
                (pause, Some(failure))
            }
        };
        shared.progress.send_modify(|progress| {
            progress.ended = progress.begun;
            progress.failure = failure;
        });
        pause
    }

    /// Waits, but not once somebody wants a fetch that has not begun.
    async fn rest(&self, pause: Duration) {
        let begun = self.shared.progress.borrow().begun;
        let mut wanted = self.shared.wanted.subscribe();
        tokio::select! {
            () = sleep_until(Instant::now() + pause) => {}
            _ = wanted.wait_for(|wanted| *wanted > begun) => {}
        }
    }
}

/// Up to a tenth earlier, so that many gateways do not ask at once.
fn spread(refresh: Duration, chance: f64) -> Duration {
    refresh - (refresh / 10).mul_f64(chance)
}

#[cfg(test)]
mod tests;
