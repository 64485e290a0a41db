//! `GET /operations/{id}/events`: every change of an operation as it happens, as
//! server-sent events (HTML Living Standard, section 9.2).
//!
//! An event is the whole operation, and its id identifies the state. Reconnecting with
//! `Last-Event-ID` resumes after that state; 204 means that the operation has finished and
//! there is nothing left to send.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderName};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream::{self, Stream};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::operations;
use crate::domain::{CallerName, Operation, ProblemCode};
use crate::http::long_poll::{NoWaitSlot, WaitSlot, check_rights, take_newer};
use crate::http::{AppState, Problem, extract};
use crate::ledger::Subscription;
use crate::operation::reply;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Begins the first event: when to reconnect after the connection was lost, in milliseconds.
/// It is not an event of its own, since some clients would take it for an empty one.
const RECONNECT: &str = "retry: 2000\n";
/// When a slot may be free again.
const NO_SLOT_RETRY: Duration = Duration::from_secs(5);
/// Without a blank line, which could end an event.
const COMMENT: &[u8] = b": nothing new\n";

/// `GET /operations/{id}/events`
///
/// # Errors
/// As for [`operations::show`].
pub async fn stream(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let log = extract::access_log(&request)?;
    // Before the caller is authenticated, so that no change is missed.
    let rights = state.access.changes();
    let mut operation = operations::load_owned(&request, &state, &log).await?;
    let last = last_event(&request);
    if operation.status.is_final() && last == Some(operation.updated_at) {
        // Tells the client not to reconnect.
        return Ok(HttpResponse::NoContent().finish());
    }
    let mut response = HttpResponse::build(StatusCode::OK);
    response
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        // A proxy must not buffer the answer.
        .insert_header(("x-accel-buffering", "no"));
    if request.method() == Method::HEAD {
        return Ok(response.streaming(stream::empty::<Result<Bytes, Infallible>>()));
    }
    let caller = operation.requested_by.clone();
    let slot = WaitSlot::acquire(&state, &caller).map_err(no_slot)?;
    let updates = state.ledger.subscribe(operation.id);
    // The subscription does not bring what was published before it.
    let found = state.ledger.find(operation.id).await?;
    take_newer(&mut operation, found);
    let events = Events {
        _slot: slot,
        rights,
        keepalive: keepalive(state.keepalive),
        next: Step::Send(operation),
        is_first: true,
        last,
        updates,
        caller,
        request,
        state,
    };
    Ok(response.streaming(events.into_stream()))
}

fn no_slot(reached: NoWaitSlot) -> Problem {
    let detail = format!("Too many waiting requests and streams {reached}. Retry after 5 s.");
    Problem::new(ProblemCode::RateLimited, detail).retry_after(NO_SLOT_RETRY)
}

/// The state that the client already has; none for an id of another form.
fn last_event(request: &HttpRequest) -> Option<Timestamp> {
    let id = request.headers().get(LAST_EVENT_ID)?.to_str().ok()?;
    Timestamp::from_microsecond(id.parse().ok()?).ok()
}

fn keepalive(every: Duration) -> Interval {
    let mut keepalive = interval(every);
    keepalive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick would be at once.
    keepalive.reset();
    keepalive
}

/// An open stream.
struct Events {
    request: HttpRequest,
    state: web::Data<AppState>,
    /// Who requested the operation.
    caller: CallerName,
    updates: Subscription,
    rights: watch::Receiver<()>,
    keepalive: Interval,
    /// The last state that was sent to the client.
    last: Option<Timestamp>,
    next: Step,
    /// Whether no event was sent yet.
    is_first: bool,
    _slot: WaitSlot,
}

/// The next step of a stream.
enum Step {
    Send(Arc<Operation>),
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
        loop {
            match std::mem::replace(&mut self.next, Step::Wait) {
                Step::Send(operation) => {
                    if operation.status.is_final() {
                        self.next = Step::End;
                    }
                    let is_new = self.last.is_none_or(|last| last != operation.updated_at);
                    // Rights may have changed since the event before was read.
                    if is_new && self.has_rights().await {
                        self.last = Some(operation.updated_at);
                        return Some(self.event(&operation));
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

    /// Waits for an update, for the end, or until a comment is due.
    async fn wait(&mut self) -> Option<Bytes> {
        let known = self.last;
        tokio::select! {
            biased;
            Ok(()) = self.rights.changed() => {
                self.has_rights().await;
                None
            }
            Some(operation) = self.updates.next() => {
                if known.is_none_or(|known| operation.updated_at > known) {
                    self.next = Step::Send(operation);
                }
                None
            }
            () = self.state.draining.cancelled() => {
                self.next = Step::End;
                None
            }
            _ = self.keepalive.tick() => {
                self.has_rights().await.then(|| Bytes::from_static(COMMENT))
            }
        }
    }

    /// Ends the stream unless the caller may still see the operation.
    async fn has_rights(&mut self) -> bool {
        let checked = check_rights(&self.request, &self.state, &self.caller).await;
        if let Err(problem) = &checked {
            tracing::info!(
                code = problem.code().as_str(),
                caller = self.caller.as_str(),
                "event stream closed: caller no longer authorized"
            );
            self.next = Step::End;
        }
        checked.is_ok()
    }

    /// One state as an event; its JSON is one line.
    fn event(&mut self, operation: &Operation) -> Bytes {
        let id = operation.updated_at.as_microsecond();
        let reconnect = match std::mem::take(&mut self.is_first) {
            true => RECONNECT,
            false => "",
        };
        let mut event = format!("{reconnect}id: {id}\ndata: ").into_bytes();
        let config = &self.state.reply;
        let location = reply::location(operation.id, &config.public_url);
        reply::write_json(operation, &location, config, &mut event);
        event.extend_from_slice(b"\n\n");
        event.into()
    }
}
