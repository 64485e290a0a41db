//! A credential as the rest of the gateway sees it: its current token, and the status of
//! its renewal.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::error::TokenFetchError;
use super::source::TokenSource;
use super::token::Token;

/// What a refresher is doing, and how its last attempt ended.
#[derive(Debug, Clone)]
pub struct RefreshStatus {
    /// When the next attempt is due; none while one is under way.
    pub next_attempt: Option<Instant>,
    /// Why the last attempt failed; none if it succeeded.
    pub failure: Option<TokenFetchError>,
    /// The last failure, kept after later successes, with its time.
    pub last_failure: Option<(Timestamp, TokenFetchError)>,
    /// When an attempt last succeeded.
    pub succeeded_at: Option<Timestamp>,
    /// Why a changed secret, certificate or file is not in use yet; none if no change
    /// is pending.
    pub rotation_failure: Option<TokenFetchError>,
    /// The kind of credential that is in use.
    pub kind: &'static str,
    /// When its secret or certificate expires, if that is known.
    pub expires: Option<Timestamp>,
}

/// No usable token is available.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no usable token: {}", .failure.as_ref().map_or_else(|| "the token endpoint has not answered yet".to_owned(), ToString::to_string))]
pub struct Unavailable {
    /// When the next attempt is due.
    pub retry_after: Duration,
    /// Why, if an attempt has failed.
    pub failure: Option<TokenFetchError>,
}

/// What a credential's handles and its refresher share.
pub(super) struct SharedToken {
    pub(super) name: String,
    pub(super) current: ArcSwapOption<Token>,
    pub(super) status: watch::Sender<RefreshStatus>,
    /// How long a request waits for a token.
    wait: Duration,
}

/// A message from a handle to its refresher.
pub(super) enum RefreshCommand {
    /// Fetch another token: the vendor has rejected this one.
    Replace {
        /// The rejected token's.
        serial: u64,
        /// Answered with whether a newer token is there or on its way.
        reply: oneshot::Sender<bool>,
    },
    /// Acquire tokens from this source as soon as it succeeds.
    Rotate(TokenSource),
}

/// Gives out the current token. Cheap to clone, for any thread.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<SharedToken>,
    commands: mpsc::UnboundedSender<RefreshCommand>,
    /// The status with which the vendor last refused the token; 0 for none.
    refusal: Arc<AtomicU16>,
}

impl Handle {
    pub(super) fn new(
        name: String,
        source: &TokenSource,
        wait: Duration,
        commands: mpsc::UnboundedSender<RefreshCommand>,
    ) -> Self {
        let status = RefreshStatus {
            next_attempt: None,
            failure: None,
            last_failure: None,
            succeeded_at: None,
            rotation_failure: None,
            kind: source.kind(),
            expires: source.expires(),
        };
        let shared = SharedToken {
            name,
            current: ArcSwapOption::empty(),
            status: watch::Sender::new(status),
            wait,
        };
        Self {
            shared: Arc::new(shared),
            commands,
            refusal: Arc::default(),
        }
    }

    /// A handle to the same token for another publisher, with a refusal of its own: the
    /// vendor may refuse the token for one publisher and take it for another.
    #[must_use]
    pub fn for_another_publisher(&self) -> Self {
        Self {
            refusal: Arc::default(),
            ..self.clone()
        }
    }

    pub(super) fn shared(&self) -> Arc<SharedToken> {
        Arc::clone(&self.shared)
    }

    /// Replaces the source of tokens as soon as the new one has brought a token. Until
    /// then the old one stays in use.
    pub fn rotate(&self, source: TokenSource) {
        if self.commands.send(RefreshCommand::Rotate(source)).is_err() {
            tracing::error!(
                credential = self.name(),
                "changed credential not applied: its refresher has ended; restart the gateway"
            );
        }
    }

    /// Notes the status of the vendor's answer to a call with the token. 401 and 403
    /// (a publisher that the application may not act for) refuse the token; 429 and
    /// 5xx, like no answer at all, say nothing about it.
    pub fn note_status(&self, status: Option<u16>) {
        let refusal = match status {
            Some(status @ (401 | 403)) => status,
            None | Some(429 | 500..) => return,
            Some(_) => 0,
        };
        // Nearly always there is nothing to change.
        if self.refusal.load(Ordering::Relaxed) != refusal {
            self.refusal.store(refusal, Ordering::Relaxed);
        }
    }

    /// The status with which the vendor has refused the token when it was last used;
    /// none if it was accepted.
    #[must_use]
    pub fn refusal(&self) -> Option<u16> {
        Some(self.refusal.load(Ordering::Relaxed)).filter(|status| *status != 0)
    }

    /// The credential's name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What the refresher is doing.
    #[must_use]
    pub fn status(&self) -> RefreshStatus {
        self.shared.status.borrow().clone()
    }

    /// Waits until an attempt has ended, whether it succeeded or not.
    pub async fn first_attempt(&self) -> RefreshStatus {
        let mut status = self.shared.status.subscribe();
        let ended = status.wait_for(|status| status.next_attempt.is_some());
        let ended = ended.await.map(|status| status.clone());
        ended.unwrap_or_else(|_| self.status())
    }

    /// The current token, if it is usable: one atomic load.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Token>> {
        self.shared
            .current
            .load_full()
            .filter(|token| Instant::now() < token.usable_until)
    }

    /// The current token. Waits for the first one, for `wait_ms` at most, and not at all
    /// if no attempt is due in that time.
    ///
    /// # Errors
    /// [`Unavailable`] if there is none in time.
    pub async fn token(&self) -> Result<Arc<Token>, Unavailable> {
        match self.current() {
            Some(token) => Ok(token),
            None => self.token_after(0, Instant::now() + self.shared.wait).await,
        }
    }

    /// A newer token than `rejected`, which the vendor has answered with 401. None if
    /// `rejected` itself replaced a rejected token a short while ago: then yet another
    /// one would not help.
    ///
    /// Until the newer token is there, `rejected` stays the current one and serves other
    /// requests: what the vendor refuses for one offer it may accept for others.
    ///
    /// # Errors
    /// [`Unavailable`] if there is none in the time that a request may wait.
    pub async fn replace(&self, rejected: &Token) -> Result<Option<Arc<Token>>, Unavailable> {
        let deadline = Instant::now() + self.shared.wait;
        let serial = rejected.serial;
        if self.current().is_some_and(|token| token.serial == serial) {
            let (reply, is_coming) = oneshot::channel();
            let command = RefreshCommand::Replace { serial, reply };
            // A refresher that has ended brings no newer token.
            if self.commands.send(command).is_err() {
                return Ok(None);
            }
            match timeout_at(deadline, is_coming).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false) | Err(_)) => return Ok(None),
                Err(_elapsed) => return Err(unavailable(self.status())),
            }
        }
        self.token_after(serial, deadline).await.map(Some)
    }

    /// The first usable token with a serial above `serial`.
    async fn token_after(&self, serial: u64, deadline: Instant) -> Result<Arc<Token>, Unavailable> {
        let find = || self.current().filter(|token| token.serial > serial);
        let mut changes = self.shared.status.subscribe();
        loop {
            let status = changes.borrow_and_update().clone();
            if let Some(token) = find() {
                return Ok(token);
            }
            let too_late = status.next_attempt.is_some_and(|at| at > deadline);
            if too_late || timeout_at(deadline, changes.changed()).await.is_err() {
                return find().ok_or_else(|| unavailable(status));
            }
        }
    }
}

fn unavailable(status: RefreshStatus) -> Unavailable {
    let until_next = status
        .next_attempt
        .map(|at| at.saturating_duration_since(Instant::now()));
    Unavailable {
        retry_after: until_next.unwrap_or_default().max(Duration::from_secs(1)),
        failure: status.failure,
    }
}
