//! The vendor with the right token: each publisher is served with its own
//! credential, and a refused token is replaced once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderValue;

use crate::credential::{Handle, Refreshed, Unavailable};
use crate::domain::{Email, PublisherId};
use crate::portal::{Answer, Location, Meaning, Portal, ReadError, SendError, Submission, Target};

/// Which credential serves which publisher.
#[derive(Clone, Default)]
pub struct Publishers(HashMap<PublisherId, Handle>);

impl FromIterator<(PublisherId, Handle)> for Publishers {
    fn from_iter<I: IntoIterator<Item = (PublisherId, Handle)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
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
    /// No credential is configured for the publisher.
    NoCredential,
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
    pub async fn cancel(&self, target: &Target, notify: &[Email]) -> Exchange {
        let mut exchange = Exchange {
            answer: Err(NoAnswer::NoCredential),
            took: Duration::ZERO,
            refused_once: false,
        };
        let Some(handle) = self.publishers.0.get(&target.publisher) else {
            return exchange;
        };
        let mut token = match handle.token().await {
            Ok(token) => token,
            Err(unavailable) => {
                exchange.answer = Err(NoAnswer::NoToken(unavailable));
                return exchange;
            }
        };
        loop {
            let begun = Instant::now();
            let answer = self
                .portal
                .cancel(target, notify, token.authorization())
                .await;
            exchange.took += begun.elapsed();
            let refused = matches!(&answer, Ok(answer) if answer.meaning == Meaning::Unauthorized);
            exchange.answer = answer.map_err(NoAnswer::Send);
            if !refused || exchange.refused_once {
                return exchange;
            }
            exchange.refused_once = true;
            match handle.replace(&token).await {
                Ok(Refreshed::Token(newer)) => token = newer,
                Ok(Refreshed::TooSoon) => return exchange,
                Err(unavailable) => {
                    exchange.answer = Err(NoAnswer::NoToken(unavailable));
                    return exchange;
                }
            }
        }
    }

    /// The offer's submissions.
    ///
    /// # Errors
    /// `Unread`
    pub async fn submissions(&self, target: &Target) -> Result<Vec<Submission>, Unread> {
        self.read(target, async |token| {
            self.portal.submissions(target, token).await
        })
        .await
    }

    /// The vendor's word at a location.
    ///
    /// # Errors
    /// `Unread`
    pub async fn status_word(
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
        let handle = self
            .publishers
            .0
            .get(&target.publisher)
            .ok_or(Unread::NoCredential)?;
        let token = handle.token().await.map_err(Unread::NoToken)?;
        match call(token.authorization()).await {
            Err(ReadError::Unauthorized) => {
                let Refreshed::Token(newer) =
                    handle.replace(&token).await.map_err(Unread::NoToken)?
                else {
                    return Err(Unread::Read(ReadError::Unauthorized));
                };
                call(newer.authorization()).await.map_err(Unread::Read)
            }
            other => other.map_err(Unread::Read),
        }
    }
}

/// Why a read brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// No credential is configured for the publisher any more.
    #[error("no credential is configured for the publisher")]
    NoCredential,
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
            Self::Read(ReadError::Throttled(wait)) => *wait,
            Self::NoToken(unavailable) => Some(unavailable.retry_after),
            Self::Read(_) | Self::NoCredential => None,
        }
    }
}
