//! One background keeper per credential: the only one that ever asks for a token.
//!
//! Because nobody else asks, there is no stampede: a thousand requests on a cold
//! cache, or at the moment of a revocation, wait for one flight. Everything here
//! goes by the monotonic clock.

use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::disturbance::Disturbance;
use super::handle::{Command, Rejection, Shared, Verdict};
use super::{Failure, Grant, Handle, Source, Standing, Token};
use crate::domain::{Redactor, Ring};
use crate::transport::{Backoff, HttpClient};

/// With less than this left, a token is due for renewal.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// With less than this left, a token is not used any more.
const MARGIN: Duration = Duration::from_secs(30);
/// At most one fetch because of a rejected token in this time.
const FORCED_EVERY: Duration = Duration::from_secs(10);
/// Renewals of a token that is handed out again near its end are this far apart at least.
const SHORTEST_WAIT: Duration = Duration::from_secs(5);
/// Fetches because of a changed file are this far apart at least.
const LEAST_APART: Duration = Duration::from_secs(1);
/// A `Retry-After` longer than this is not believed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

/// The background half: earns tokens and puts them where [`Handle`]s find them.
pub struct Keeper {
    source: Arc<Source>,
    candidate: Option<Candidate>,
    ring: Ring,
    shared: Arc<Shared>,
    commands: mpsc::UnboundedReceiver<Command>,
    serial: u64,
    forced_at: Option<Instant>,
    /// A file that changes all the time is no reason to ask before then.
    not_before: Instant,
    backoff: Backoff,
    /// Looks from before each fetch: what changes while it is under way counts.
    disturbance: Disturbance,
}

/// A changed credential that has not earned a token yet.
struct Candidate {
    source: Arc<Source>,
    disturbance: Disturbance,
    attempt: Attempt,
    backoff: Backoff,
}

/// A candidate's next try. It runs beside the keeper, which has the old credential to
/// look after.
enum Attempt {
    /// It is due then.
    Due(Instant),
    /// It is under way.
    Begun(AbortOnDropHandle<Result<Grant, Failure>>),
}

impl Candidate {
    fn new(source: Source) -> Self {
        Self {
            disturbance: Disturbance::watch(source.watched()),
            source: Arc::new(source),
            attempt: Attempt::Due(Instant::now()),
            backoff: Backoff::default(),
        }
    }

    /// Begins the next try when it is due, or its file has changed; then waits for how
    /// it ends.
    async fn earn(&mut self, http: &Rc<HttpClient>, ring: &Ring) -> Result<Grant, Failure> {
        loop {
            match &mut self.attempt {
                Attempt::Due(at) => {
                    tokio::select! {
                        () = sleep_until(*at) => {}
                        () = self.disturbance.noticed() => {}
                    }
                    self.disturbance = Disturbance::watch(self.source.watched());
                    let (source, http, ring) =
                        (Arc::clone(&self.source), Rc::clone(http), ring.clone());
                    let fetch = async move { source.fetch(&http, &ring).await };
                    self.attempt = Attempt::Begun(AbortOnDropHandle::new(spawn_local(fetch)));
                }
                // Only a panic ends it otherwise.
                Attempt::Begun(fetch) => return fetch.await.unwrap_or(Err(Failure::Signing)),
            }
        }
    }
}

/// Why a keeper gets up.
enum Call {
    /// The token is due for renewal, or must be replaced.
    Renew,
    /// The candidate's try has ended.
    Tried(Result<Grant, Failure>),
    /// Nobody is left to hand tokens to.
    End,
}

impl Keeper {
    /// A keeper that has not begun, and the handle to what it will bring.
    #[must_use]
    pub fn new(
        name: String,
        source: Source,
        wait: Duration,
        redactor: &Arc<Redactor>,
    ) -> (Self, Handle) {
        let (sender, commands) = mpsc::unbounded_channel();
        let ring = redactor.ring(&name);
        let handle = Handle::new(name, &source, wait, sender);
        let keeper = Self {
            disturbance: Disturbance::watch(source.watched()),
            source: Arc::new(source),
            candidate: None,
            ring,
            shared: handle.shared(),
            commands,
            serial: 0,
            forced_at: None,
            not_before: Instant::now(),
            backoff: Backoff::default(),
        };
        (keeper, handle)
    }

    /// Fetches, waits, fetches again; until every handle is gone. Must run among local
    /// tasks.
    pub async fn run(mut self, http: HttpClient) {
        let http = Rc::new(http);
        let mut next = self.renew(&http).await;
        loop {
            match self.rest(next, &http).await {
                Call::Renew => next = self.renew(&http).await,
                Call::Tried(outcome) => next = self.tried(outcome).unwrap_or(next),
                Call::End => return,
            }
        }
    }

    /// Earns a token; says when to do so again.
    async fn renew(&mut self, http: &HttpClient) -> Instant {
        self.report(|standing| standing.next_attempt = None);
        self.disturbance = Disturbance::watch(self.source.watched());
        let outcome = self.source.fetch(http, &self.ring).await;
        let (pause, failure) = match outcome.and_then(|grant| self.install(grant)) {
            Ok(pause) => (pause, None),
            Err(failure) => (self.back_off(&failure), Some(failure)),
        };
        let next = Instant::now() + pause;
        let asked_to_wait = failure.as_ref().is_some_and(|f| f.retry_after().is_some());
        self.not_before = if asked_to_wait {
            next
        } else {
            Instant::now() + LEAST_APART
        };
        self.report(|standing| {
            standing.next_attempt = Some(next);
            if let Some(failure) = &failure {
                standing.last_failure = Some((Timestamp::now(), failure.clone()));
            }
            standing.failure = failure;
        });
        next
    }

    /// The changed credential takes the place of the old one once it has earned a
    /// token; says when to renew.
    fn tried(&mut self, outcome: Result<Grant, Failure>) -> Option<Instant> {
        let mut candidate = self.candidate.take()?;
        match outcome.and_then(|grant| self.install(grant)) {
            Ok(pause) => {
                let (kind, ends) = (candidate.source.kind(), candidate.source.ends());
                tracing::info!(credential = self.shared.name, kind, "credential replaced");
                self.source = candidate.source;
                self.disturbance = candidate.disturbance;
                let next = Instant::now() + pause;
                self.report(|standing| {
                    standing.next_attempt = Some(next);
                    standing.failure = None;
                    standing.rotation = None;
                    standing.kind = kind;
                    standing.ends = ends;
                });
                Some(next)
            }
            Err(failure) => {
                let pause = pause_after(&failure, &mut candidate.backoff);
                tracing::warn!(
                    credential = self.shared.name,
                    error = %failure,
                    retry_in_ms = millis(pause),
                    "the changed credential earns no token; the old one stays"
                );
                candidate.attempt = Attempt::Due(Instant::now() + pause);
                self.candidate = Some(candidate);
                self.report(|standing| standing.rotation = Some(failure));
                None
            }
        }
    }

    fn report(&self, change: impl FnOnce(&mut Standing)) {
        self.shared.standing.send_modify(change);
    }

    /// Makes a granted token the current one; says when to renew it.
    fn install(&mut self, grant: Grant) -> Result<Duration, Failure> {
        let usable = grant.lifetime.saturating_sub(MARGIN);
        if usable.is_zero() {
            return Err(Failure::Spent);
        }
        self.serial += 1;
        let now = Instant::now();
        // The same token may be handed out again: it is no younger for that.
        let before = self.shared.current.load_full();
        let again = before.filter(|token| token.authorization == grant.authorization);
        self.shared.current.store(Some(Arc::new(Token {
            authorization: grant.authorization,
            serial: self.serial,
            granted_at: again.map_or(now, |token| token.granted_at),
            usable_until: now + usable,
        })));
        self.backoff = Backoff::default();
        self.report(|standing| standing.succeeded_at = Some(Timestamp::now()));
        tracing::info!(
            credential = self.shared.name,
            seconds_left = grant.lifetime.as_secs(),
            "token renewed"
        );
        Ok(renew_in(grant.lifetime, fastrand::f64()))
    }

    fn back_off(&mut self, failure: &Failure) -> Duration {
        let pause = pause_after(failure, &mut self.backoff);
        let usable = self.shared.current.load();
        let left = usable.as_ref().map_or(0, |token| token.left().as_secs());
        tracing::warn!(
            credential = self.shared.name,
            error = %failure,
            retry_in_ms = millis(pause),
            usable_seconds_left = left,
            "no new token"
        );
        pause
    }

    /// Waits until `next`, or until there is something else to do.
    async fn rest(&mut self, next: Instant, http: &Rc<HttpClient>) -> Call {
        loop {
            let Self {
                candidate,
                disturbance,
                commands,
                ring,
                not_before,
                ..
            } = self;
            let earliest = *not_before;
            let disturbed = async {
                disturbance.noticed().await;
                sleep_until(earliest).await;
            };
            let trying = async {
                match candidate {
                    Some(candidate) => candidate.earn(http, ring).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = sleep_until(next) => return Call::Renew,
                outcome = trying => return Call::Tried(outcome),
                () = disturbed => return Call::Renew,
                command = commands.recv() => match command {
                    None => return Call::End,
                    Some(Command::Rotate(source)) => {
                        self.candidate = Some(Candidate::new(source));
                    }
                    Some(Command::Reject(rejection)) => if self.drops_token(rejection) {
                        return Call::Renew;
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
        self.report(|standing| {
            standing.next_attempt = None;
            standing.failure = None;
        });
        self.shared.current.store(None);
        tracing::warn!(
            credential = self.shared.name,
            "the vendor refused the token; fetching another"
        );
        let _gone = rejection.answer.send(Verdict::Handled);
        true
    }
}

/// How long to stay away: at least as long as was asked for.
fn pause_after(failure: &Failure, backoff: &mut Backoff) -> Duration {
    let pause = backoff.pause();
    match failure.retry_after() {
        Some(asked) => asked.clamp(pause, LONGEST_RETRY_AFTER.max(pause)),
        None => pause,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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
