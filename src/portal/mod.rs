//! The vendor's API, Cloud Partner Portal: its wire format, translated into the gateway's types.
//!
//! A call carries the gateway's token, `api-version`, `Content-Type` and `User-Agent`, and never a
//! header of the caller.

mod finished;
mod location;
mod normalize;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode, Uri};
use actix_web::web::Bytes;
use jiff::Timestamp;

use crate::domain::{Email, PublisherId, Redactor, Target, parse_json};
use crate::transport::{Body, HttpClient, Request, Transport, date, retry_after};

pub use location::Location;
pub use normalize::{Answer, Meaning, Refusal, action_answer};
pub use wire::{RunState, Submission};

/// Part of the errors of every call.
pub use crate::transport::{Lost, SendError, Unreachable};

/// The longest answer to an action that is read, in bytes.
const MAX_ACTION_ANSWER: usize = 256 * 1024;
/// The longest list that is read, in bytes.
const MAX_READ_ANSWER: usize = 4 * 1024 * 1024;
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("offergate/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// How the vendor is called; shared by all threads.
#[derive(Clone)]
pub struct PortalOptions {
    /// Scheme and authority, without a last slash.
    pub base_url: String,
    /// The value of `api-version`.
    pub api_version: String,
    /// Removes secrets from the vendor's text.
    pub redactor: Arc<Redactor>,
}

/// A client of the vendor's API, for one thread.
pub struct Portal {
    http: HttpClient,
    options: PortalOptions,
}

/// An offer's publishing runs at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submissions {
    /// Newest first.
    pub list: Vec<Submission>,
    /// The `Date` of the answer, by the same clock as the runs' `changed`.
    pub date: Option<Timestamp>,
}

/// Why a read failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// 401
    #[error("the vendor rejected the token (401)")]
    Unauthorized,
    /// Another status than 200, with the `Retry-After` of an error.
    #[error("the vendor answered {0}")]
    Status(u16, Option<Duration>),
    /// A 200 that is cut, too long or not as documented.
    #[error("the vendor's answer does not have the documented form")]
    Malformed,
    /// No answer.
    #[error("no answer from the vendor: {0}")]
    Send(SendError),
}

impl ReadError {
    /// The vendor's status, if an answer with a status other than 200 was the reason.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Unauthorized => Some(401),
            Self::Status(status, _) => Some(*status),
            Self::Malformed | Self::Send(_) => None,
        }
    }
}

impl Portal {
    /// A client for the calling thread.
    #[must_use]
    pub fn new(transport: &Transport, options: PortalOptions) -> Self {
        Self {
            http: transport.client(),
            options,
        }
    }

    /// `POST …/cancel`. The body names the addresses to be notified, if any.
    ///
    /// # Errors
    /// [`SendError`], which says whether the vendor can have received it.
    pub async fn cancel(
        &self,
        target: &Target,
        notify: &[Email],
        authorization: &HeaderValue,
    ) -> Result<Answer, SendError> {
        let path = format!(
            "/api/publishers/{}/offers/{}/cancel",
            target.publisher(),
            target.offer()
        );
        let body = notification_body(notify);
        let request = self.request(Method::POST, &path, authorization, body)?;
        let response = self.http.send(request).await?;
        Ok(action_answer(
            response.status().as_u16(),
            response.headers(),
            &response.body,
            target,
            &self.options.redactor,
            Timestamp::now(),
        ))
    }

    /// `GET …/submissions`: the offer's publishing runs.
    ///
    /// # Errors
    /// [`ReadError`]; also for a list that may be incomplete.
    pub async fn submissions(
        &self,
        target: &Target,
        authorization: &HeaderValue,
    ) -> Result<Submissions, ReadError> {
        let path = format!(
            "/api/publishers/{}/offers/{}/submissions",
            target.publisher(),
            target.offer()
        );
        let (body, date) = self.read_dated(&path, authorization).await?;
        let list = wire::submissions(&body).map_err(|_| ReadError::Malformed)?;
        Ok(Submissions { list, date })
    }

    /// The vendor's own status text at an operation's location, cleaned.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn status_text(
        &self,
        target: &Target,
        location: Location,
        authorization: &HeaderValue,
    ) -> Result<Option<String>, ReadError> {
        let body = self.read(&location.path(target), authorization).await?;
        let text = wire::monitor_status(&body).map_err(|_| ReadError::Malformed)?;
        Ok(text.map(|text| normalize::status_text(&text, &self.options.redactor)))
    }

    /// `GET /publishers/P/offers`: checks that this is the vendor, and that the token may act
    /// for the publisher.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn probe(
        &self,
        publisher: &PublisherId,
        authorization: &HeaderValue,
    ) -> Result<(), ReadError> {
        let path = format!("/api/publishers/{publisher}/offers");
        let body = self.read(&path, authorization).await?;
        parse_json::<Vec<serde::de::IgnoredAny>>(&body)
            .map(drop)
            .map_err(|_| ReadError::Malformed)
    }

    async fn read(&self, path: &str, authorization: &HeaderValue) -> Result<Bytes, ReadError> {
        let (body, _date) = self.read_dated(path, authorization).await?;
        Ok(body)
    }

    async fn read_dated(
        &self,
        path: &str,
        authorization: &HeaderValue,
    ) -> Result<(Bytes, Option<Timestamp>), ReadError> {
        let request = self
            .request(Method::GET, path, authorization, Bytes::new())
            .map_err(ReadError::Send)?;
        let response = self.http.send(request).await.map_err(ReadError::Send)?;
        match response.status() {
            StatusCode::OK => {
                let date = date(response.headers());
                match response.body {
                    Body::Whole(bytes) | Body::Unverified(bytes) => Ok((bytes, date)),
                    Body::Cut | Body::Unreadable => Err(ReadError::Malformed),
                }
            }
            StatusCode::UNAUTHORIZED => Err(ReadError::Unauthorized),
            status => {
                let is_error = status.is_client_error() || status.is_server_error();
                let asked = || retry_after(response.headers(), Timestamp::now());
                let wait = is_error.then(asked).flatten();
                Err(ReadError::Status(status.as_u16(), wait))
            }
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        authorization: &HeaderValue,
        body: Bytes,
    ) -> Result<Request, SendError> {
        let PortalOptions {
            base_url,
            api_version,
            ..
        } = &self.options;
        let uri = format!("{base_url}{path}?api-version={api_version}");
        let max_answer = if method == Method::GET {
            MAX_READ_ANSWER
        } else {
            MAX_ACTION_ANSWER
        };
        let headers: Vec<(HeaderName, HeaderValue)> = vec![
            (header::AUTHORIZATION, authorization.clone()),
            (header::CONTENT_TYPE, JSON),
            (header::USER_AGENT, USER_AGENT),
        ];
        Ok(Request {
            method,
            uri: Uri::try_from(uri).map_err(|_| SendError::NotSent(Unreachable::Request))?,
            headers,
            body,
            max_answer,
            direct: false,
        })
    }
}

/// `{"metadata":{"notification-emails":"a@x,b@y"}}`, or empty.
fn notification_body(notify: &[Email]) -> Bytes {
    if notify.is_empty() {
        return Bytes::new();
    }
    let list: Vec<&str> = notify.iter().map(Email::as_str).collect();
    let document = serde_json::json!({"metadata": {"notification-emails": list.join(",")}});
    document.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_the_vendors_or_empty() {
        assert_eq!(notification_body(&[]), "");
        let emails = ["a@b.c", "d@e.f"].map(|text| Email::parse(text).unwrap());
        assert_eq!(
            notification_body(&emails),
            r#"{"metadata":{"notification-emails":"a@b.c,d@e.f"}}"#
        );
    }
}
