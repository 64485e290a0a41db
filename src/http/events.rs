//! `GET /operations/{id}/events`: every change of an operation as it happens, as
//! server-sent events (HTML Living Standard, section 9.2).
//!
//! An event is the whole operation, and its id says which state that is. Whoever comes
//! back with the id of the last event it got is not told that state again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream::{self, Stream};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::connection::{Streaming, closed};
use super::waiting::{Waiter, take_newer};
use super::{Gate, Problem, caller, operations};
use crate::domain::{CallerName, Operation, ProblemCode};
use crate::ledger::Subscription;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How many comments a client may leave untaken.
const UNTAKEN: u32 = 3;
/// Sent first: when to come back after the connection was lost, in milliseconds.
const GREETING: &[u8] = b"retry: 2000\n\n";
/// When there may be room for another stream.
const NO_ROOM_RETRY: Duration = Duration::from_secs(5);
const COMMENT: &[u8] = b": nothing new\n\n";

/// `GET /operations/{id}/events`
///
/// # Errors
/// As for [`operations::show`].
pub async fn stream(request: HttpRequest, gate: web::Data<Gate>) -> Result<HttpResponse, Problem> {
    let log = super::log(&request)?;
    // From before the caller is known: no version that comes later is missed.
    let rights = gate.access.changes();
    let mut operation = operations::own(&request, &gate, &log).await?;
    let last = last_event(&request);
    if operation.status.is_final() && last == Some(operation.updated_at) {
        // There is nothing to come, which is how a stream says so.
        return Ok(HttpResponse::NoContent().finish());
    }
    let caller = operation.requested_by.clone();
    let waiter = Waiter::enter(&request, &gate, &caller).ok_or_else(no_room)?;
    let news = gate.ledger.subscribe(operation.id);
    // What happened before the subscription is told by nobody.
    let found = gate.ledger.find(operation.id).await?;
    take_newer(&mut operation, found);
    let events = Events {
        streaming: Streaming::begin(&request, gate.events_beat * UNTAKEN),
        _waiter: waiter,
        rights,
        beat: beat(gate.events_beat),
        next: Step::Greet(operation),
        last,
        news,
        caller,
        request,
        gate,
    };
    Ok(HttpResponse::build(StatusCode::OK)
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        // A proxy that collects an answer before it passes it on would make it useless.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(events.into_stream()))
}

fn no_room() -> Problem {
    let detail =
        "As many wait and listen as you may have at a time, or as the gateway has room for.";
    Problem::new(ProblemCode::RateLimited, detail).retry_after(NO_ROOM_RETRY)
}

/// The state that the caller knows already; an id that is none of ours is none.
fn last_event(request: &HttpRequest) -> Option<Timestamp> {
    let id = request.headers().get(LAST_EVENT_ID)?.to_str().ok()?;
    Timestamp::from_microsecond(id.parse().ok()?).ok()
}

fn beat(every: Duration) -> Interval {
    let mut beat = interval(every);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once.
    beat.reset();
    beat
}

/// A stream on its way.
struct Events {
    request: HttpRequest,
    gate: web::Data<Gate>,
    /// Whose operation it is.
    caller: CallerName,
    news: Subscription,
    rights: watch::Receiver<()>,
    beat: Interval,
    /// The state that the caller knows.
    last: Option<Timestamp>,
    next: Step,
    /// While there is a stream, its connection is not idle.
    streaming: Streaming,
    _waiter: Waiter,
}

/// What a stream does next.
enum Step {
    Greet(Arc<Operation>),
    Tell(Arc<Operation>),
    Wait,
    End,
}

impl Events {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, async |mut events| {
            let chunk = events.next().await?;
            Some((Ok(chunk), events))
        })
    }

    /// The next bytes; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        self.streaming.asked();
        loop {
            match std::mem::replace(&mut self.next, Step::Wait) {
                Step::Greet(operation) => {
                    self.next = Step::Tell(operation);
                    return Some(Bytes::from_static(GREETING));
                }
                Step::Tell(operation) => {
                    if operation.status.is_final() {
                        self.next = Step::End;
                    }
                    let is_news = self.last.is_none_or(|last| last != operation.updated_at);
                    // Much may have happened since the one before was taken.
                    if is_news && self.has_rights().await {
                        self.last = Some(operation.updated_at);
                        return self.event(&operation);
                    }
                }
                Step::Wait => {
                    if let Some(comment) = self.wait().await {
                        return Some(comment);
                    }
                }
                Step::End => return None,
            }
        }
    }

    /// Waits for news, for the end, or for so long that a comment is due.
    async fn wait(&mut self) -> Option<Bytes> {
        let known = self.last;
        tokio::select! {
            biased;
            () = closed(&self.request) => {
                self.next = Step::End;
                None
            }
            Ok(()) = self.rights.changed() => {
                self.has_rights().await;
                None
            }
            Some(operation) = self.news.next() => {
                if known.is_none_or(|known| operation.updated_at > known) {
                    self.next = Step::Tell(operation);
                }
                None
            }
            () = self.gate.draining.cancelled() => {
                self.next = Step::End;
                None
            }
            _ = self.beat.tick() => {
                self.has_rights().await.then(|| Bytes::from_static(COMMENT))
            }
        }
    }

    /// Whether the caller may still see it; if not, the stream ends.
    async fn has_rights(&mut self) -> bool {
        let still = Box::pin(caller::still(&self.request, &self.gate, &self.caller)).await;
        if let Err(problem) = &still {
            tracing::info!(
                code = problem.code().as_str(),
                "a stream of events is ended: its caller may not, or cannot be known to, see it"
            );
            self.next = Step::End;
        }
        still.is_ok()
    }

    /// One state as an event; its JSON is one line. None, hence the end, if it cannot be
    /// written.
    fn event(&self, operation: &Operation) -> Option<Bytes> {
        let id = operation.updated_at.as_microsecond();
        let mut event = format!("id: {id}\ndata: ").into_bytes();
        let location = operations::location(operation, &self.gate);
        operations::write(operation, &location, &self.gate, &mut event).ok()?;
        event.extend_from_slice(b"\n\n");
        Some(event.into())
    }
}
