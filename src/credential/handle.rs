//! What the rest of the gateway has of a credential: its current token, and how its
//! keeper fares.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::{Failure, Source, Token};

/// What a keeper is doing, and how its last attempt ended.
#[derive(Debug, Clone)]
pub struct Standing {
    /// When the next attempt is due; none while one is under way.
    pub next_attempt: Option<Instant>,
    /// Why the last attempt failed; none if it did not.
    pub failure: Option<Failure>,
    /// The last failure, also if an attempt has gone well since, and when it was.
    pub last_failure: Option<(Timestamp, Failure)>,
    /// When the last one that did not fail ended, by the machine's clock.
    pub succeeded_at: Option<Timestamp>,
    /// Why a changed secret, certificate or file is not in use yet; none if there is
    /// no such.
    pub rotation: Option<Failure>,
    /// The kind of credential that is in use.
    pub kind: &'static str,
    /// When its secret or certificate ends, if it does and that is known.
    pub ends: Option<Timestamp>,
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

pub(super) struct Shared {
    pub(super) name: String,
    pub(super) current: ArcSwapOption<Token>,
    pub(super) standing: watch::Sender<Standing>,
    /// How long a request waits for a token.
    wait: Duration,
}

/// What a keeper is told.
pub(super) enum Command {
    /// The vendor has refused a token.
    Reject(Rejection),
    /// The credential has changed.
    Rotate(Source),
}

/// Hands out the current token. Cheap to clone, for any thread.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
    /// The status with which the vendor last refused a token of ours; 0 for none.
    refusal: Arc<AtomicU16>,
}

pub(super) struct Rejection {
    pub(super) serial: u64,
    pub(super) answer: oneshot::Sender<Verdict>,
}

pub(super) enum Verdict {
    /// There is, or was tried to be, a newer one.
    Handled,
    TooSoon,
}

impl Handle {
    pub(super) fn new(
        name: String,
        source: &Source,
        wait: Duration,
        commands: mpsc::UnboundedSender<Command>,
    ) -> Self {
        let standing = Standing {
            next_attempt: None,
            failure: None,
            last_failure: None,
            succeeded_at: None,
            rotation: None,
            kind: source.kind(),
            ends: source.ends(),
        };
        let shared = Shared {
            name,
            current: ArcSwapOption::empty(),
            standing: watch::Sender::new(standing),
            wait,
        };
        Self {
            shared: Arc::new(shared),
            commands,
            refusal: Arc::default(),
        }
    }

    /// A handle to the same token, for another publisher: what the vendor refuses for
    /// one it may grant for the other.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self {
            refusal: Arc::default(),
            ..self.clone()
        }
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Has the keeper earn its tokens from another source, once that has earned one.
    /// Until then everything stays as it is.
    pub fn rotate(&self, source: Source) {
        if self.commands.send(Command::Rotate(source)).is_err() {
            tracing::error!(
                credential = self.name(),
                "its keeper has ended; it cannot be changed"
            );
        }
    }

    /// Notes how the vendor took the token: the status with which it refused it (401,
    /// or 403 for a publisher that we may not act for), none if it did not.
    pub fn note(&self, refusal: Option<u16>) {
        let refusal = refusal.unwrap_or(0);
        // Nearly always there is nothing to change.
        if self.refusal.load(Ordering::Relaxed) != refusal {
            self.refusal.store(refusal, Ordering::Relaxed);
        }
    }

    /// The status with which the vendor has refused the last token; none if it has not.
    #[must_use]
    pub fn refusal(&self) -> Option<u16> {
        Some(self.refusal.load(Ordering::Relaxed)).filter(|status| *status != 0)
    }

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
        if self.commands.send(Command::Reject(rejection)).is_err() {
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
