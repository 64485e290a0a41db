//! A changed credential that has not brought a token yet, while the old one stays in use.

use std::rc::Rc;
use std::sync::Arc;

use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::error::TokenFetchError;
use super::refresh_trigger::RefreshTrigger;
use super::source::TokenSource;
use super::token::Grant;
use crate::domain::TokenHistory;
use crate::transport::{Backoff, HttpClient};

/// A changed credential that has not brought a token yet.
pub(super) struct Candidate {
    pub(super) source: Arc<TokenSource>,
    pub(super) trigger: RefreshTrigger,
    pub(super) backoff: Backoff,
    attempt: NextAttempt,
}

/// A candidate's next attempt. It runs beside the refresher, which renews the old
/// credential's token meanwhile.
enum NextAttempt {
    /// Due at this time.
    Due(Instant),
    /// Running.
    Running(AbortOnDropHandle<Result<Grant, TokenFetchError>>),
}

impl Candidate {
    pub(super) fn new(source: TokenSource) -> Self {
        Self {
            trigger: RefreshTrigger::new(source.watched()),
            source: Arc::new(source),
            attempt: NextAttempt::Due(Instant::now()),
            backoff: Backoff::default(),
        }
    }

    /// Puts off the next attempt.
    pub(super) fn retry_at(&mut self, at: Instant) {
        self.attempt = NextAttempt::Due(at);
    }

    /// Makes the next attempt when it is due or its file has changed. Cancelling this
    /// future leaves a running attempt running.
    pub(super) async fn acquire(
        &mut self,
        http: &Rc<HttpClient>,
        history: &TokenHistory,
    ) -> Result<Grant, TokenFetchError> {
        loop {
            match &mut self.attempt {
                NextAttempt::Due(at) => {
                    tokio::select! {
                        () = sleep_until(*at) => {}
                        () = self.trigger.fired() => {}
                    }
                    self.trigger = RefreshTrigger::watch(self.source.watched()).await;
                    let source = Arc::clone(&self.source);
                    let (http, history) = (Rc::clone(http), history.clone());
                    let fetch = async move { source.fetch(&http, &history).await };
                    self.attempt = NextAttempt::Running(AbortOnDropHandle::new(spawn_local(fetch)));
                }
                // Only a panic ends it in another way.
                NextAttempt::Running(fetch) => {
                    return fetch.await.unwrap_or(Err(TokenFetchError::Signing));
                }
            }
        }
    }
}
