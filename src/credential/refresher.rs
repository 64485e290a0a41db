//! The background task that renews a credential's token: the only code that fetches one.
//!
//! Requests do not fetch tokens, so even a thousand of them after a cold start or a
//! revocation cause one fetch. All times are monotonic.

use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::candidate::Candidate;
use super::error::TokenFetchError;
use super::handle::{Handle, RefreshCommand, RefreshStatus, SharedToken};
use super::refresh_trigger::RefreshTrigger;
use super::source::TokenSource;
use super::token::{Grant, Token};
use crate::domain::{Redactor, TokenHistory};
use crate::transport::{Backoff, HttpClient};

/// A token with less time left than this is renewed.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// A token with less time left than this is not used any more.
const MARGIN: Duration = Duration::from_secs(30);
/// Shortest time between two fetches because of rejected tokens.
const FORCED_INTERVAL: Duration = Duration::from_secs(10);
/// Shortest time between renewals of a token that is granted again near its end.
const SHORTEST_WAIT: Duration = Duration::from_secs(5);
/// Shortest time between fetches because of a changed file.
const TRIGGER_INTERVAL: Duration = Duration::from_secs(1);
/// Longest `Retry-After` that is observed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

/// The background half of a credential: acquires tokens and puts them where
/// [`Handle`]s find them.
pub struct TokenRefresher {
    source: Arc<TokenSource>,
    candidate: Option<Candidate>,
    history: TokenHistory,
    shared: Arc<SharedToken>,
    commands: mpsc::UnboundedReceiver<RefreshCommand>,
    serial: u64,
    /// The last fetch because of a rejected token: when, and that token's serial.
    forced: Option<(Instant, u64)>,
    /// Triggers and rejections cause no fetch before this.
    not_before: Instant,
    backoff: Backoff,
    /// Armed before each fetch, so that a change during the fetch counts.
    trigger: RefreshTrigger,
}

/// Why a refresher wakes.
enum Wake {
    /// The token is to be renewed or replaced.
    Renew,
    /// The candidate's attempt has ended.
    Tried(Result<Grant, TokenFetchError>),
    /// All handles are gone.
    End,
}

impl TokenRefresher {
    /// A refresher that has not been started, and the handle to its tokens.
    #[must_use]
    pub fn new(
        name: String,
        source: TokenSource,
        wait: Duration,
        redactor: &Arc<Redactor>,
    ) -> (Self, Handle) {
        let (sender, commands) = mpsc::unbounded_channel();
        let history = redactor.token_history(&name);
        let handle = Handle::new(name, &source, wait, sender);
        let refresher = Self {
            trigger: RefreshTrigger::new(source.watched()),
            source: Arc::new(source),
            candidate: None,
            history,
            shared: handle.shared(),
            commands,
            serial: 0,
            forced: None,
            not_before: Instant::now(),
            backoff: Backoff::default(),
        };
        (refresher, handle)
    }

    /// The credential's name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Fetches, waits, fetches again, until every handle is gone. Must run among local
    /// tasks.
    pub async fn run(mut self, http: HttpClient) {
        let http = Rc::new(http);
        let mut next = self.renew(&http).await;
        loop {
            match self.sleep(next, &http).await {
                Wake::Renew => next = self.renew(&http).await,
                Wake::Tried(outcome) => next = self.finish_attempt(outcome).unwrap_or(next),
                Wake::End => return,
            }
        }
    }

    /// Fetches a token; returns when to do so again.
    async fn renew(&mut self, http: &HttpClient) -> Instant {
        self.update_status(|status| status.next_attempt = None);
        self.trigger = RefreshTrigger::watch(self.source.watched()).await;
        let outcome = self.source.fetch(http, &self.history).await;
        let (pause, failure) = match outcome.and_then(|grant| self.install(grant)) {
            Ok(pause) => (pause, None),
            Err(failure) => (self.back_off(&failure), Some(failure)),
        };
        let next = Instant::now() + pause;
        let asked_to_wait = failure.as_ref().is_some_and(|f| f.retry_after().is_some());
        self.not_before = if asked_to_wait {
            next
        } else {
            Instant::now() + TRIGGER_INTERVAL
        };
        self.update_status(|status| {
            status.next_attempt = Some(next);
            if let Some(failure) = &failure {
                status.last_failure = Some((Timestamp::now(), failure.clone()));
            }
            status.failure = failure;
        });
        next
    }

    /// Replaces the old credential by the changed one if that has acquired a token;
    /// returns when to renew the token.
    fn finish_attempt(&mut self, outcome: Result<Grant, TokenFetchError>) -> Option<Instant> {
        let mut candidate = self.candidate.take()?;
        match outcome.and_then(|grant| self.install(grant)) {
            Ok(pause) => {
                let (kind, expires) = (candidate.source.kind(), candidate.source.expires());
                tracing::info!(credential = self.shared.name, kind, "credential replaced");
                self.source = candidate.source;
                self.trigger = candidate.trigger;
                let next = Instant::now() + pause;
                self.update_status(|status| {
                    status.next_attempt = Some(next);
                    status.failure = None;
                    status.rotation_failure = None;
                    status.kind = kind;
                    status.expires = expires;
                });
                Some(next)
            }
            Err(failure) => {
                let pause = pause_after(&failure, &mut candidate.backoff);
                tracing::warn!(
                    credential = self.shared.name,
                    error = %failure,
                    retry_in_ms = millis(pause),
                    "no token with the changed credential; the old one stays in use"
                );
                candidate.retry_at(Instant::now() + pause);
                self.candidate = Some(candidate);
                self.update_status(|status| status.rotation_failure = Some(failure));
                None
            }
        }
    }

    fn update_status(&self, change: impl FnOnce(&mut RefreshStatus)) {
        self.shared.status.send_modify(change);
    }

    /// Makes a granted token the current one; returns when to renew it.
    fn install(&mut self, grant: Grant) -> Result<Duration, TokenFetchError> {
        let usable = grant.lifetime.saturating_sub(MARGIN);
        if usable.is_zero() {
            return Err(TokenFetchError::AlreadyExpired);
        }
        self.serial += 1;
        let now = Instant::now();
        // If the same token is granted again, its age counts from the first grant.
        let before = self.shared.current.load_full();
        let again = before.filter(|token| token.authorization == grant.authorization);
        self.shared.current.store(Some(Arc::new(Token {
            authorization: grant.authorization,
            serial: self.serial,
            granted_at: again.map_or(now, |token| token.granted_at),
            usable_until: now + usable,
        })));
        self.backoff = Backoff::default();
        self.update_status(|status| status.succeeded_at = Some(Timestamp::now()));
        tracing::info!(
            credential = self.shared.name,
            seconds_left = grant.lifetime.as_secs(),
            "token renewed"
        );
        Ok(renew_in(grant.lifetime, fastrand::f64()))
    }

    fn back_off(&mut self, failure: &TokenFetchError) -> Duration {
        let pause = pause_after(failure, &mut self.backoff);
        let current = self.shared.current.load();
        let left = current.as_ref().map(|token| token.usable_for().as_secs());
        tracing::warn!(
            credential = self.shared.name,
            error = %failure,
            retry_in_ms = millis(pause),
            usable_seconds_left = left.unwrap_or(0),
            "token not renewed"
        );
        pause
    }

    /// Waits until `next`, or until something else is to be done.
    async fn sleep(&mut self, next: Instant, http: &Rc<HttpClient>) -> Wake {
        loop {
            let Self {
                candidate,
                trigger,
                commands,
                history,
                not_before,
                ..
            } = self;
            let earliest = *not_before;
            let triggered = async {
                trigger.fired().await;
                sleep_until(earliest).await;
            };
            let tried = async {
                match candidate {
                    Some(candidate) => candidate.acquire(http, history).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = sleep_until(next) => return Wake::Renew,
                outcome = tried => return Wake::Tried(outcome),
                () = triggered => return Wake::Renew,
                command = commands.recv() => match command {
                    None => return Wake::End,
                    Some(RefreshCommand::Rotate(source)) => {
                        self.candidate = Some(Candidate::new(source));
                    }
                    Some(RefreshCommand::Replace { serial, reply }) => {
                        if self.handle_rejection(serial, reply) {
                            return Wake::Renew;
                        }
                    }
                },
            }
        }
    }

    /// Replies to a request whose token the vendor has rejected. Returns whether to fetch
    /// another one now: only if the rejected one is still the current one, and at most
    /// once in [`FORCED_INTERVAL`]. The current token stays until the new one is there.
    fn handle_rejection(&mut self, rejected: u64, reply: oneshot::Sender<bool>) -> bool {
        let now = Instant::now();
        let current = self
            .shared
            .current
            .load()
            .as_ref()
            .map(|token| token.serial);
        let forced = self.forced.filter(|(at, _)| now < *at + FORCED_INTERVAL);
        let is_failing = self.shared.status.borrow().failure.is_some();
        let (is_coming, fetch) = match forced {
            _ if current != Some(rejected) => (true, false),
            // Its replacement could not be fetched yet; the next attempt is due anyhow.
            Some((_, serial)) if serial == rejected => (true, false),
            // The token is a replacement itself.
            Some(_) => (false, false),
            // The endpoint has asked for a pause.
            None if is_failing && now < self.not_before => (true, false),
            None => (true, true),
        };
        if fetch {
            self.forced = Some((now, rejected));
            // Before the reply, so that the request finds the attempt under way.
            self.update_status(|status| {
                status.next_attempt = None;
                status.failure = None;
            });
            tracing::warn!(
                credential = self.shared.name,
                "token rejected by the vendor (401); fetching another"
            );
        }
        let _gone = reply.send(is_coming);
        fetch
    }
}

/// The pause after a failure: at least what the endpoint has asked for.
fn pause_after(failure: &TokenFetchError, backoff: &mut Backoff) -> Duration {
    let pause = backoff.pause();
    match failure.retry_after() {
        Some(asked) => asked.clamp(pause, LONGEST_RETRY_AFTER.max(pause)),
        None => pause,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The time from a grant to its renewal. `chance` in 0..1 spreads gateways apart. An
/// endpoint may grant the same token again until it expires: then the pauses shrink with
/// its remaining life, down to [`SHORTEST_WAIT`].
fn renew_in(lifetime: Duration, chance: f64) -> Duration {
    let spread = (lifetime / 10).min(Duration::from_secs(60)).mul_f64(chance);
    let ahead = lifetime.saturating_sub(RENEW_BEFORE).saturating_sub(spread);
    ahead
        .max((lifetime / 4).min(RENEW_BEFORE / 4))
        .max(SHORTEST_WAIT)
}

#[cfg(test)]
mod tests;
