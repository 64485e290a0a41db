//! The stand-in's offers whose cancel takes its time: each has one publish, which runs
//! until the bench ends it. Says how often it was looked at.

use std::borrow::Cow;
use std::io::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{StandIn, document};

/// How the ids of these offers begin; a number ends them.
pub const FOLLOWED: &str = "bench-follow-";

const OFFERS: &str = "/api/publishers/contoso/offers/";
const LONG_AGO: &str = "2026-01-01T00:00:00Z";

impl StandIn {
    /// From now on the publishes of the offers whose ids begin so are canceled.
    pub async fn end(&self, offers: &str) -> Result<(), Error> {
        self.ask(&format!("POST /end/{offers}")).await?;
        Ok(())
    }

    /// How often a list of submissions was read.
    pub async fn looks(&self) -> Result<usize, Error> {
        let looks = self.ask("GET /looks").await?;
        looks.trim().parse().map_err(Error::other)
    }

    async fn ask(&self, what: &str) -> Result<String, Error> {
        let mut stream = TcpStream::connect(self.address()).await?;
        let request = format!("{what} HTTP/1.1\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        stream.shutdown().await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
        body.map(str::to_owned)
            .ok_or_else(|| Error::other("the stand-in gives no answer"))
    }
}

/// What is known of such offers.
#[derive(Default)]
pub struct Follow {
    looks: AtomicUsize,
    ended: Mutex<Vec<String>>,
}

/// A request about them.
#[derive(Clone, Copy)]
pub enum Call<'p> {
    Cancel(&'p str),
    Submissions(&'p str),
    Word(&'p str),
    End(&'p str),
    Looks,
}

impl<'p> Call<'p> {
    pub fn of(method: &str, path: &'p str) -> Option<Self> {
        match (method, path) {
            ("POST", path) if path.starts_with("/end/") => {
                path.strip_prefix("/end/").map(Self::End)
            }
            ("GET", "/looks") => Some(Self::Looks),
            (method, path) => {
                let (offer, what) = path.strip_prefix(OFFERS)?.split_once('/')?;
                offer.strip_prefix(FOLLOWED)?;
                match (method, what.split('/').next()?) {
                    ("POST", "cancel") => Some(Self::Cancel(offer)),
                    ("GET", "submissions") => Some(Self::Submissions(offer)),
                    ("GET", "operations") => Some(Self::Word(offer)),
                    _ => None,
                }
            }
        }
    }
}

impl Follow {
    pub fn answer(&self, call: Call<'_>, date: &str) -> Vec<u8> {
        match call {
            Call::Cancel(offer) => accepted(offer, date),
            Call::Submissions(offer) => {
                self.looks.fetch_add(1, Ordering::Relaxed);
                document(date, &self.submissions(offer))
            }
            Call::Word(offer) => {
                let word = self.state(offer).0;
                document(
                    date,
                    &format!(
                        r#"{{"status":"{word}","messages":[],"publishingVersion":2,"offerVersion":3,"cancellationRequestState":"canCancel","steps":[{{"estimatedTimeFrame":"< 15 min","id":"automatedvalidation","stepName":"Validation","description":"Automated validation","status":"inProgress","messages":[],"progressPercentage":40}}],"previewLinks":[],"liveLinks":[]}}"#
                    ),
                )
            }
            Call::End(offers) => {
                self.lock().push(offers.to_owned());
                document(date, "")
            }
            Call::Looks => document(date, &self.looks.load(Ordering::Relaxed).to_string()),
        }
    }

    fn submissions(&self, offer: &str) -> String {
        let (state, changed) = self.state(offer);
        format!(
            r#"[{{"id":"{}","offerId":"{offer}","offerVersion":3,"offerTypeId":"microsoft-azure-virtualmachines","publisherId":"contoso","submissionType":"publish","submissionState":"{state}","publishingVersion":2,"slot":"staging","version":636576975611768314,"definition":{{"metadata":{{"emails":"release@contoso.example"}}}},"changedTime":"{changed}"}}]"#,
            guid(offer)
        )
    }

    /// The publish's state, and since when it is so.
    fn state(&self, offer: &str) -> (&'static str, Cow<'static, str>) {
        let ended = self.lock().iter().any(|ended| offer.starts_with(ended));
        match ended {
            true => ("canceled", jiff::Timestamp::now().to_string().into()),
            false => ("running", LONG_AGO.into()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As a migrated offer's cancel is answered.
fn accepted(offer: &str, date: &str) -> Vec<u8> {
    let guid = guid(offer);
    format!(
        "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nDate: {date}\r\n\
         Location: {OFFERS}{offer}/operations/{guid}?api-version=2017-10-31\r\n\
         X-Ms-Correlation-Request-Id: 5f1ee3a0-0f34-4c5b-9a0e-6a3c1c5d0b11\r\n\r\n"
    )
    .into()
}

/// Of the offer's only publish.
fn guid(offer: &str) -> String {
    let number = offer.rsplit('-').next().unwrap_or_default();
    format!("5f1ee3a0-0f34-4c5b-9a0e-{number:0>12}")
}
