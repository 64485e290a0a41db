//! The vendor with the right token: each publisher is served with its own
//! credential, and a refused token is replaced once.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderValue;
use jiff::Timestamp;

use super::outcome::{Look, Unseen};
use crate::credential::{Handle, Refreshed, Token, Unavailable};
use crate::domain::{Email, PublisherId, now};
use crate::policy::{Cancel, Permit};
use crate::portal::{
    Answer, Location, Meaning, Portal, ReadError, Refusal, SendError, Submissions, Target,
};

/// Which credential serves which publisher.
#[derive(Clone, Default)]
pub struct Publishers(HashMap<PublisherId, Handle>);

impl FromIterator<(PublisherId, Handle)> for Publishers {
    fn from_iter<I: IntoIterator<Item = (PublisherId, Handle)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl Publishers {
    /// Its credential.
    #[must_use]
    pub fn get(&self, publisher: &PublisherId) -> Option<&Handle> {
        self.0.get(publisher)
    }
}

/// The vendor, for one thread.
pub struct Vendor {
    portal: Portal,
    publishers: Publishers,
}

/// Why an action brought no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// There is no token to send it with, or none to send it again with.
    NoToken(Unavailable),
    /// The vendor did not answer.
    Send(SendError),
}

/// An action's answer, or why there is none; and how long the vendor took.
pub struct Exchange {
    /// What came back.
    pub answer: Result<Answer, NoAnswer>,
    /// Time spent waiting for the vendor, without waiting for a token.
    pub took: Duration,
    /// Whether the vendor has refused the token at least once: it did get a request.
    pub refused_once: bool,
}

impl Vendor {
    /// The vendor behind `portal`, for these publishers.
    #[must_use]
    pub fn new(portal: Portal, publishers: Publishers) -> Self {
        Self { portal, publishers }
    }

    /// Sends a cancel; again, once, if the vendor refuses the token: a 401 means
    /// that nothing was done.
    pub(super) async fn cancel(
        &self,
        permit: &Permit<Cancel>,
        target: &Target,
        notify: &[Email],
    ) -> Exchange {
        let mut took = Duration::ZERO;
        let mut refused_once = false;
        let answer = async {
            let handle = self.handle(permit.publisher()).map_err(NoAnswer::NoToken)?;
            let mut token = handle.token().await.map_err(NoAnswer::NoToken)?;
            loop {
                let begun = Instant::now();
                let answer = self
                    .portal
                    .cancel(target, notify, token.authorization())
                    .await;
                took += begun.elapsed();
                let answer = answer.map_err(NoAnswer::Send)?;
                handle.note(match answer.meaning {
                    Meaning::Unauthorized => Some(401),
                    Meaning::Refused(Refusal::Forbidden) => Some(403),
                    _ => None,
                });
                if answer.meaning != Meaning::Unauthorized || refused_once {
                    return Ok(answer);
                }
                refused_once = true;
                match handle.replace(&token).await.map_err(NoAnswer::NoToken)? {
                    Refreshed::Token(newer) => token = newer,
                    Refreshed::TooSoon => return Ok(answer),
                }
            }
        }
        .await;
        Exchange {
            answer,
            took,
            refused_once,
        }
    }

    /// The policy permits only publishers that are configured; one that was taken
    /// out since is without a token.
    fn handle(&self, publisher: &PublisherId) -> Result<&Handle, Unavailable> {
        self.publishers.get(publisher).ok_or(Unavailable {
            retry_after: Duration::from_secs(60),
            failure: None,
        })
    }

    /// The offer's submissions. The request that brought them was begun after all
    /// waiting for a token.
    pub(super) async fn submissions(&self, target: &Target) -> Listing {
        let begun = Cell::new(now());
        let submissions = self
            .read(target, async |token| {
                begun.set(now());
                self.portal.submissions(target, token).await
            })
            .await;
        Listing {
            begun: begun.get(),
            ended: now(),
            submissions,
        }
    }

    /// The vendor's word at a location.
    ///
    /// # Errors
    /// [`Unread`]
    pub(super) async fn status_word(
        &self,
        target: &Target,
        location: Location,
    ) -> Result<Option<String>, Unread> {
        self.read(target, async |token| {
            self.portal.status_word(target, location, token).await
        })
        .await
    }

    async fn read<T>(
        &self,
        target: &Target,
        call: impl AsyncFn(&HeaderValue) -> Result<T, ReadError>,
    ) -> Result<T, Unread> {
        let handle = self.handle(&target.publisher).map_err(Unread::NoToken)?;
        let token = handle.token().await.map_err(Unread::NoToken)?;
        let answer = self.read_with(handle, &token, call).await;
        handle.note(match &answer {
            Err(Unread::Read(ReadError::Unauthorized)) => Some(401),
            Err(Unread::Read(ReadError::Status(403, _))) => Some(403),
            Ok(_) => None,
            // Nothing is learnt of the token.
            Err(_) => handle.refusal(),
        });
        answer
    }

    async fn read_with<T>(
        &self,
        handle: &Handle,
        token: &Token,
        call: impl AsyncFn(&HeaderValue) -> Result<T, ReadError>,
    ) -> Result<T, Unread> {
        match call(token.authorization()).await {
            Err(ReadError::Unauthorized) => {
                let Refreshed::Token(newer) =
                    handle.replace(token).await.map_err(Unread::NoToken)?
                else {
                    return Err(Unread::Read(ReadError::Unauthorized));
                };
                call(newer.authorization()).await.map_err(Unread::Read)
            }
            other => other.map_err(Unread::Read),
        }
    }
}

/// One reading of an offer's submissions.
pub struct Listing {
    /// When the request that brought them was begun; our clock.
    pub begun: Timestamp,
    /// When they were there, or were known not to come; our clock.
    pub ended: Timestamp,
    /// What the vendor gave.
    pub submissions: Result<Submissions, Unread>,
}

impl Listing {
    /// What it is for the judge, as long as there can be another. A list may be as old
    /// as its request, but that there is none is known only at the end.
    #[must_use]
    pub fn look(&self) -> Look<'_> {
        let read = self.submissions.as_ref().ok();
        Look {
            at: if read.is_some() {
                self.begun
            } else {
                self.ended
            },
            ended: self.ended,
            date: read.and_then(|read| read.date),
            submissions: read.map(|read| &*read.list).ok_or(Unseen::ForNow),
        }
    }
}

/// Why a read brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// There is no token.
    #[error("{0}")]
    NoToken(Unavailable),
    /// The vendor did not give it.
    #[error("{0}")]
    Read(ReadError),
}

impl Unread {
    /// How long the vendor asked us to stay away.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Read(ReadError::Status(_, wait)) => *wait,
            Self::NoToken(unavailable) => Some(unavailable.retry_after),
            Self::Read(_) => None,
        }
    }
}
