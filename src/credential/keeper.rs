//! One background keeper per credential: the only one that ever asks for a token.
//!
//! Because nobody else asks, there is no stampede: a thousand requests on a cold
//! cache, or at the moment of a revocation, wait for one flight. Everything here
//! goes by the monotonic clock.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{ClientSecret, Failure, Grant, Token};
use crate::domain::Redactor;
use crate::transport::{Backoff, HttpClient};

/// With less than this left, a token is due for renewal.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// With less than this left, a token is not used any more.
const MARGIN: Duration = Duration::from_secs(30);
/// At most one fetch because of a rejected token in this time.
const FORCED_EVERY: Duration = Duration::from_secs(10);
/// Renewals of a token that is handed out again near its end are this far apart at least.
const SHORTEST_WAIT: Duration = Duration::from_secs(5);
/// A `Retry-After` longer than this is not believed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

/// What a keeper is doing, and how its last attempt ended.
#[derive(Debug, Clone)]
pub struct Standing {
    /// When the next attempt is due; none while one is under way.
    pub next_attempt: Option<Instant>,
    /// Why the last attempt failed; none if it did not.
    pub failure: Option<Failure>,
}

/// There is no usable token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no usable token: {}", .failure.as_ref().map_or_else(|| "the token endpoint has not answered yet".to_owned(), ToString::to_string))]
pub struct Unavailable {
    /// When it is worth asking again.
    pub retry_after: Duration,
    /// Why, if an attempt has failed.
    pub failure: Option<Failure>,
}

/// What became of the wish for another token than a rejected one.
#[derive(Debug)]
pub enum Refreshed {
    /// This one is newer.
    Token(Arc<Token>),
    /// A rejected token was replaced only just now: asking again would not help.
    TooSoon,
}

struct Shared {
    name: String,
    current: ArcSwapOption<Token>,
    standing: watch::Sender<Standing>,
    /// How long a request waits for a token.
    wait: Duration,
}

/// Hands out the current token. Cheap to clone, for any thread.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    rejections: mpsc::UnboundedSender<Rejection>,
}

struct Rejection {
    serial: u64,
    answer: oneshot::Sender<Verdict>,
}

enum Verdict {
    /// There is, or was tried to be, a newer one.
    Handled,
    TooSoon,
}

impl Handle {
    /// The credential's name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What the keeper is doing.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.shared.standing.borrow().clone()
    }

    /// Waits until an attempt has ended, well or badly; says how.
    pub async fn first_attempt(&self) -> Standing {
        let mut standing = self.shared.standing.subscribe();
        let ended = standing
            .wait_for(|standing| standing.next_attempt.is_some())
            .await;
        ended.map_or_else(|_| self.standing(), |standing| standing.clone())
    }

    /// The current token, if it is usable: one atomic load.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Token>> {
        self.shared
            .current
            .load_full()
            .filter(|token| Instant::now() < token.usable_until)
    }

    /// The current token; waits for the first one, but not longer than configured,
    /// and not at all if none can come in that time.
    ///
    /// # Errors
    /// [`Unavailable`] if there is none in time.
    pub async fn token(&self) -> Result<Arc<Token>, Unavailable> {
        match self.current() {
            Some(token) => Ok(token),
            None => self.token_by(Instant::now() + self.shared.wait).await,
        }
    }

    async fn token_by(&self, deadline: Instant) -> Result<Arc<Token>, Unavailable> {
        let mut changes = self.shared.standing.subscribe();
        loop {
            let standing = changes.borrow_and_update().clone();
            if let Some(token) = self.current() {
                return Ok(token);
            }
            // A token is dropped only after that was reported: one dropped between the
            // two looks above has news here, and the standing is not the present one.
            let is_stale = changes.has_changed().unwrap_or(false);
            let hopeless = !is_stale && standing.next_attempt.is_some_and(|at| at > deadline);
            if hopeless || timeout_at(deadline, changes.changed()).await.is_err() {
                return self.current().ok_or_else(|| unavailable(standing));
            }
        }
    }

    /// Another token than `rejected`, which the vendor refused. Asks the keeper for
    /// one only if the rejected one is still the current one.
    ///
    /// # Errors
    /// [`Unavailable`] if there is none in the time that a request may wait.
    pub async fn replace(&self, rejected: &Token) -> Result<Refreshed, Unavailable> {
        let deadline = Instant::now() + self.shared.wait;
        match self.current() {
            Some(token) if token.serial == rejected.serial => {}
            // Somebody else has seen to it, or is about to.
            _ => return self.token_by(deadline).await.map(Refreshed::Token),
        }
        let (answer, verdict) = oneshot::channel();
        let rejection = Rejection {
            serial: rejected.serial,
            answer,
        };
        // A keeper that is gone leaves things as they are: no newer token will come.
        if self.rejections.send(rejection).is_err() {
            return Ok(Refreshed::TooSoon);
        }
        match timeout_at(deadline, verdict).await {
            Ok(Ok(Verdict::Handled)) => self.token_by(deadline).await.map(Refreshed::Token),
            Ok(Ok(Verdict::TooSoon) | Err(_)) => Ok(Refreshed::TooSoon),
            Err(_elapsed) => Err(unavailable(self.standing())),
        }
    }
}

fn unavailable(standing: Standing) -> Unavailable {
    let until_next = standing
        .next_attempt
        .map(|at| at.saturating_duration_since(Instant::now()));
    Unavailable {
        retry_after: until_next.unwrap_or_default().max(Duration::from_secs(1)),
        failure: standing.failure,
    }
}

/// The background half: earns tokens and puts them where [`Handle`]s find them.
pub struct Keeper {
    source: ClientSecret,
    redactor: Arc<Redactor>,
    shared: Arc<Shared>,
    rejections: mpsc::UnboundedReceiver<Rejection>,
    serial: u64,
    forced_at: Option<Instant>,
    backoff: Backoff,
}

impl Keeper {
    /// A keeper that has not begun, and the handle to what it will bring.
    #[must_use]
    pub fn new(
        name: String,
        source: ClientSecret,
        wait: Duration,
        redactor: Arc<Redactor>,
    ) -> (Self, Handle) {
        let standing = Standing {
            next_attempt: None,
            failure: None,
        };
        let shared = Arc::new(Shared {
            name,
            current: ArcSwapOption::empty(),
            standing: watch::Sender::new(standing),
            wait,
        });
        let (sender, rejections) = mpsc::unbounded_channel();
        let keeper = Self {
            source,
            redactor,
            shared: Arc::clone(&shared),
            rejections,
            serial: 0,
            forced_at: None,
            backoff: Backoff::default(),
        };
        let handle = Handle {
            shared,
            rejections: sender,
        };
        (keeper, handle)
    }

    /// Fetches, waits, fetches again; until every handle is gone.
    pub async fn run(mut self, http: HttpClient) {
        loop {
            // Two statements: a watch must not be borrowed while it is written.
            let failure = self.shared.standing.borrow().failure.clone();
            self.report(None, failure);
            let outcome = self.source.fetch(&http, &self.redactor).await;
            let (pause, failure) = match outcome.and_then(|grant| self.install(grant)) {
                Ok(pause) => (pause, None),
                Err(failure) => (self.back_off(&failure), Some(failure)),
            };
            let next = Instant::now() + pause;
            self.report(Some(next), failure);
            if !self.rest(next).await {
                return;
            }
        }
    }

    fn report(&self, next_attempt: Option<Instant>, failure: Option<Failure>) {
        self.shared.standing.send_replace(Standing {
            next_attempt,
            failure,
        });
    }

    /// Makes a granted token the current one; says when to renew it.
    fn install(&mut self, grant: Grant) -> Result<Duration, Failure> {
        let usable = grant.lifetime.saturating_sub(MARGIN);
        if usable.is_zero() {
            return Err(Failure::Garbage("the token is at its end already"));
        }
        self.serial += 1;
        self.shared.current.store(Some(Arc::new(Token {
            authorization: grant.authorization,
            serial: self.serial,
            usable_until: Instant::now() + usable,
        })));
        self.backoff = Backoff::default();
        tracing::info!(
            credential = self.shared.name,
            seconds_left = grant.lifetime.as_secs(),
            "token renewed"
        );
        Ok(renew_in(grant.lifetime, fastrand::f64()))
    }

    fn back_off(&mut self, failure: &Failure) -> Duration {
        let pause = self.backoff.pause();
        let pause = match failure.retry_after() {
            Some(asked) => asked.clamp(pause, LONGEST_RETRY_AFTER),
            None => pause,
        };
        let usable = self.shared.current.load();
        let left = usable.as_ref().map_or(0, |token| token.left().as_secs());
        tracing::warn!(
            credential = self.shared.name,
            error = %failure,
            retry_in_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
            usable_seconds_left = left,
            "no new token"
        );
        pause
    }

    /// Waits until `next`, or until a rejected token must be replaced. False when
    /// nobody is left to hand tokens to.
    async fn rest(&mut self, next: Instant) -> bool {
        loop {
            tokio::select! {
                () = sleep_until(next) => return true,
                rejection = self.rejections.recv() => match rejection {
                    None => return false,
                    Some(rejection) => if self.drops_token(rejection) {
                        return true;
                    },
                },
            }
        }
    }

    /// Whether the rejected token was the current one and is now dropped. Its
    /// sender is answered here, and waits for the fetch that follows by itself.
    fn drops_token(&mut self, rejection: Rejection) -> bool {
        let current = self.shared.current.load_full();
        let is_current = current.is_some_and(|token| token.serial == rejection.serial);
        if !is_current {
            let _gone = rejection.answer.send(Verdict::Handled);
            return false;
        }
        let now = Instant::now();
        if self.forced_at.is_some_and(|at| now < at + FORCED_EVERY) {
            let _gone = rejection.answer.send(Verdict::TooSoon);
            return false;
        }
        self.forced_at = Some(now);
        // In this order: whoever finds no token finds that one is being fetched.
        self.report(None, None);
        self.shared.current.store(None);
        tracing::warn!(
            credential = self.shared.name,
            "the vendor refused the token; fetching another"
        );
        let _gone = rejection.answer.send(Verdict::Handled);
        true
    }
}

/// How long after a grant to renew it. `chance` in 0..1 spreads gateways apart.
/// The same token may be handed out again until its end: then the waits shrink
/// with what is left of it, but never to nothing.
fn renew_in(lifetime: Duration, chance: f64) -> Duration {
    let spread = (lifetime / 10).min(Duration::from_secs(60)).mul_f64(chance);
    let ahead = lifetime.saturating_sub(RENEW_BEFORE).saturating_sub(spread);
    ahead
        .max((lifetime / 4).min(RENEW_BEFORE / 4))
        .max(SHORTEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn renews_well_before_the_end() {
        assert_eq!(renew_in(3600 * SECOND, 0.0), 3300 * SECOND);
        assert_eq!(renew_in(3600 * SECOND, 1.0), 3240 * SECOND);
    }

    #[test]
    fn a_token_near_its_end_is_no_reason_to_hurry() {
        assert_eq!(renew_in(240 * SECOND, 0.5), 60 * SECOND);
        assert_eq!(renew_in(31 * SECOND, 0.5), 7750 * Duration::from_millis(1));
        assert_eq!(renew_in(SECOND, 0.5), SHORTEST_WAIT);
    }

    proptest! {
        #[test]
        fn a_renewal_is_never_at_once_and_mostly_before_the_end(secs in 0_u32..100_000, chance in 0.0..1.0) {
            let lifetime = secs * SECOND;
            let wait = renew_in(lifetime, chance);
            prop_assert!(wait >= SHORTEST_WAIT);
            if lifetime > MARGIN + SHORTEST_WAIT * 2 {
                prop_assert!(wait < lifetime - MARGIN);
            }
        }
    }
}
