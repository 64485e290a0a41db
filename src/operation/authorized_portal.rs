//! The vendor's API with the right token: each publisher has its own credential.
//!
//! [`AuthorizedPortal::call`] is the one rule for tokens, for actions and reads alike.
//! A call goes out with the current token. If the vendor answers 401, which means that
//! it did nothing, the credential is asked for a newer token and the call is made once
//! more with that; a second 401 stands. Other calls go on with the current token until
//! the newer one is there, since a 401 may concern one publisher or offer only.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderValue;
use jiff::Timestamp;

use super::outcome::{MissingReason, Observation};
use crate::credential::{Handle, Unavailable};
use crate::domain::clock::steady_now;
use crate::domain::{Email, PublisherId, Target};
use crate::policy::{Cancel, Permit};
use crate::portal::{Answer, Location, Portal, ReadError, SendError, Submissions};

/// Which credential serves which publisher.
#[derive(Clone, Default)]
pub struct Publishers(HashMap<PublisherId, Handle>);

impl FromIterator<(PublisherId, Handle)> for Publishers {
    fn from_iter<I: IntoIterator<Item = (PublisherId, Handle)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl Publishers {
    /// The publisher's credential.
    #[must_use]
    pub fn get(&self, publisher: &PublisherId) -> Option<&Handle> {
        self.0.get(publisher)
    }
}

/// The vendor's API, for one thread.
pub struct AuthorizedPortal {
    portal: Portal,
    publishers: Publishers,
}

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallFailure<E> {
    /// No token, or no newer one after a 401.
    #[error("{0}")]
    NoToken(Unavailable),
    /// The vendor's API gave no answer that can be used.
    #[error("{0}")]
    Portal(E),
}

/// Why an action brought no answer.
pub type SendFailure = CallFailure<SendError>;

/// Why a read brought nothing.
pub type ReadFailure = CallFailure<ReadError>;

impl ReadFailure {
    /// How long to wait before the next read, if the vendor or the credential demands it.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Portal(ReadError::Status(_, wait)) => *wait,
            Self::NoToken(unavailable) => Some(unavailable.retry_after),
            Self::Portal(_) => None,
        }
    }
}

/// An action's answer, or why there is none.
pub struct Exchange {
    /// The answer.
    pub answer: Result<Answer, SendFailure>,
    /// Time spent waiting for the vendor, without waiting for a token.
    pub took: Duration,
    /// Whether the vendor has answered 401 at least once: it did receive a request.
    pub refused_once: bool,
}

/// One reading of an offer's submissions.
pub struct SubmissionsSnapshot {
    /// When the request began; gateway clock.
    pub started: Timestamp,
    /// When it ended, with or without them; gateway clock.
    pub ended: Timestamp,
    /// The submissions, or why they could not be read.
    pub submissions: Result<Submissions, ReadFailure>,
}

impl SubmissionsSnapshot {
    /// The observation that the outcome is judged by. A list counts as of the moment of its
    /// request; a failed read counts as of its end.
    #[must_use]
    pub fn observation(&self) -> Observation<'_> {
        let read = self.submissions.as_ref().ok();
        Observation {
            at: if read.is_some() {
                self.started
            } else {
                self.ended
            },
            ended: self.ended,
            date: read.and_then(|read| read.date),
            submissions: read.map(|read| &*read.list).ok_or(MissingReason::WillRetry),
        }
    }
}

impl AuthorizedPortal {
    /// The vendor's API behind `portal`, for these publishers.
    #[must_use]
    pub fn new(portal: Portal, publishers: Publishers) -> Self {
        Self { portal, publishers }
    }

    /// Cancels what the permit allows to cancel.
    pub(super) async fn cancel(&self, permit: &Permit<Cancel>, notify: &[Email]) -> Exchange {
        let (mut took, mut refused_once) = (Duration::ZERO, false);
        let target = permit.target();
        let answer = self
            .call(target.publisher(), answer_status, async |token| {
                let started = Instant::now();
                let answer = self.portal.cancel(target, notify, token).await;
                took += started.elapsed();
                refused_once |= answer_status(&answer) == Some(401);
                answer
            })
            .await;
        Exchange {
            answer,
            took,
            refused_once,
        }
    }

    /// The offer's submissions. `started` is after all waiting for a token.
    pub(super) async fn submissions(&self, target: &Target) -> SubmissionsSnapshot {
        let started = Cell::new(steady_now());
        let submissions = self
            .call(target.publisher(), read_status, async |token| {
                started.set(steady_now());
                self.portal.submissions(target, token).await
            })
            .await;
        SubmissionsSnapshot {
            started: started.get(),
            ended: steady_now(),
            submissions,
        }
    }

    /// The vendor's status text at a location.
    ///
    /// # Errors
    /// [`ReadFailure`]
    pub(super) async fn status_text(
        &self,
        target: &Target,
        location: Location,
    ) -> Result<Option<String>, ReadFailure> {
        self.call(target.publisher(), read_status, async |token| {
            self.portal.status_text(target, location, token).await
        })
        .await
    }

    /// Makes a call with the publisher's token; once more with a newer token if the
    /// vendor answers 401 and the credential has one, or can get one. `status_of` reads
    /// the status off the outcome of an attempt, if there was an answer.
    async fn call<T, E>(
        &self,
        publisher: &PublisherId,
        status_of: impl Fn(&Result<T, E>) -> Option<u16>,
        mut attempt: impl AsyncFnMut(&HeaderValue) -> Result<T, E>,
    ) -> Result<T, CallFailure<E>> {
        // The policy permits configured publishers only; one that was taken out since
        // has no credential.
        let credential = self.publishers.get(publisher);
        let credential = credential.ok_or(CallFailure::NoToken(Unavailable {
            retry_after: Duration::from_secs(60),
            failure: None,
        }))?;
        let token = credential.token().await.map_err(CallFailure::NoToken)?;
        let mut outcome = attempt(token.authorization()).await;
        credential.note_status(status_of(&outcome));
        if status_of(&outcome) == Some(401)
            && let Some(newer) = credential
                .replace(&token)
                .await
                .map_err(CallFailure::NoToken)?
        {
            outcome = attempt(newer.authorization()).await;
            credential.note_status(status_of(&outcome));
        }
        outcome.map_err(CallFailure::Portal)
    }
}

fn answer_status(answer: &Result<Answer, SendError>) -> Option<u16> {
    answer.as_ref().ok().map(|answer| answer.http_status)
}

fn read_status<T>(read: &Result<T, ReadError>) -> Option<u16> {
    match read {
        Ok(_) => Some(200),
        Err(error) => error.status(),
    }
}
