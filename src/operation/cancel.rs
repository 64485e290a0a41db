//! `POST /offers/{offerId}/cancel`: the main job, as a story.
//!
//! The intent is on disk before the first byte goes to the vendor, and a finished
//! result before it is answered. The work runs in its own task, so that a client
//! which goes away does not stop a cancel that has begun.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::failure::{Failure, NotSent, Untold};
use super::vendor::{Exchange, NoAnswer, Vendor};
use super::watch::Follower;
use crate::domain::{Delivered, Email, Fault, Operation, Outcome, RequestId, Status, now};
use crate::ledger::Ledger;
use crate::policy::Permit;
use crate::portal::{Answer, Meaning, Refusal, SendError, Target, Unreachable};

/// What all threads share of the desk where actions are taken in.
#[derive(Clone)]
pub struct DeskOptions {
    /// Where intents and results go.
    pub ledger: Ledger,
    /// Who follows what is not finished.
    pub follower: Follower,
    /// Counts what is under way, so that draining can wait for it.
    pub tasks: TaskTracker,
    /// Set when no new actions are taken.
    pub draining: CancellationToken,
    /// The most actions under way at once in the whole process.
    pub max_in_flight: usize,
    /// How many are.
    pub in_flight: Arc<AtomicUsize>,
}

/// Where actions are taken in, on one thread.
pub struct Desk {
    shared: DeskOptions,
    vendor: Vendor,
}

/// One cancel to be done.
pub struct Work {
    /// That it may be done, and to what.
    pub permit: Permit,
    /// Under which request it was asked for.
    pub request_id: RequestId,
    /// Whom the vendor is to notify.
    pub notify: Vec<Email>,
}

/// How it went.
pub struct Told {
    /// The operation, or why it is not the answer.
    pub result: Result<Operation, Failure>,
    /// How long the vendor took, if it was asked.
    pub upstream: Option<Duration>,
}

impl From<Failure> for Told {
    fn from(failure: Failure) -> Self {
        Self {
            result: Err(failure),
            upstream: None,
        }
    }
}

/// A place among the actions under way, given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Desk {
    /// A desk for the calling thread.
    #[must_use]
    pub fn new(shared: DeskOptions, vendor: Vendor) -> Self {
        Self { shared, vendor }
    }

    /// Cancels, in a task of its own: dropping the returned future stops nothing.
    pub async fn cancel(self: &Rc<Self>, work: Work) -> Told {
        let Some(place) = self.take_place() else {
            return Failure::Overloaded.into();
        };
        let (tell, told) = oneshot::channel();
        let desk = Rc::clone(self);
        // Counted before the question whether we are draining, so that draining
        // cannot begin between the two.
        let tracked = self.shared.tasks.token();
        if self.shared.draining.is_cancelled() {
            return Failure::Draining.into();
        }
        tokio::task::spawn_local(async move {
            let _nobody_listens = tell.send(desk.carry_out(work).await);
            drop((place, tracked));
        });
        told.await.unwrap_or_else(|_| Failure::Internal.into())
    }

    fn take_place(&self) -> Option<Place> {
        let place = Place(Arc::clone(&self.shared.in_flight));
        let before = place.0.fetch_add(1, Ordering::Relaxed);
        (before < self.shared.max_in_flight).then_some(place)
    }

    async fn carry_out(&self, work: Work) -> Told {
        let target = Target {
            publisher: work.permit.publisher().clone(),
            offer: work.permit.offer().clone(),
        };
        let mut operation = intent(&work);
        if let Err(error) = self.shared.ledger.save(operation.clone()).await {
            tracing::error!(request_id = %work.request_id, %error, "intent not recorded; nothing sent");
            return Failure::NotRecorded.into();
        }
        let exchange = self.vendor.cancel(&target, &work.notify).await;
        let upstream = Some(exchange.took);
        let failure = apply(&mut operation, exchange, &target);
        let result = self.record(operation).await;
        Told {
            result: match (result, failure) {
                (Err(untold), _) => Err(Failure::Untold(untold)),
                (Ok(_), Some(failure)) => Err(failure),
                (Ok(operation), None) => Ok(operation),
            },
            upstream,
        }
    }

    /// A finished result is durable before it is told. Whatever is unfinished, or
    /// could not be recorded, goes to the watcher, which records it.
    async fn record(&self, operation: Operation) -> Result<Operation, Untold> {
        if !operation.status.is_final() {
            self.shared.follower.follow(operation.clone());
            return Ok(operation);
        }
        let Err(error) = self.shared.ledger.save(operation.clone()).await else {
            return Ok(operation);
        };
        tracing::error!(operation = %operation.id, %error, "result not recorded yet");
        let untold = Untold {
            operation: operation.id,
            http_status: operation.portal.http_status,
            said: Default::default(),
            correlation_id: operation.portal.correlation_id.clone(),
            delivered: operation.portal.delivered,
        };
        self.shared.follower.follow(operation);
        Err(untold)
    }
}

fn intent(work: &Work) -> Operation {
    let permit = &work.permit;
    Operation::intent(
        permit.action(),
        permit.publisher().clone(),
        permit.offer().clone(),
        permit.caller().clone(),
        work.request_id.clone(),
    )
}

/// Writes into the operation what came back, and says whether the caller is to be
/// answered with a problem instead of it.
fn apply(operation: &mut Operation, exchange: Exchange, target: &Target) -> Option<Failure> {
    let evidence = &mut operation.evidence;
    evidence.answered_at = Some(now());
    evidence.took_ms = u64::try_from(exchange.took.as_millis()).unwrap_or(u64::MAX);
    let delivered = if exchange.refused_once {
        Delivered::Yes
    } else {
        Delivered::No
    };
    match exchange.answer {
        Ok(answer) => apply_answer(operation, answer, target),
        Err(NoAnswer::Send(SendError::Lost(_))) => {
            follow(operation, Delivered::Unknown);
            None
        }
        Err(NoAnswer::Send(SendError::NotSent(cause))) => {
            let message = format!("The vendor could not be reached: {cause}. Nothing was sent.");
            let code = match cause {
                Unreachable::Timeout => "portal-timeout",
                Unreachable::Name
                | Unreachable::Connect
                | Unreachable::Tls
                | Unreachable::Request => "portal-failed",
            };
            refuse(operation, delivered, code, message);
            Some(Failure::Unreachable(NotSent {
                operation: operation.id,
                delivered,
                cause,
            }))
        }
        Err(NoAnswer::NoToken(cause)) => {
            let message = "The gateway has no usable token for this publisher.".into();
            refuse(operation, delivered, "credential-unavailable", message);
            Some(Failure::NoToken(NotSent {
                operation: operation.id,
                delivered,
                cause,
            }))
        }
        Err(NoAnswer::NoCredential) => {
            let message = "No credential is configured for this publisher.".into();
            refuse(operation, delivered, "internal-error", message);
            Some(Failure::Internal)
        }
    }
}

fn apply_answer(operation: &mut Operation, answer: Answer, target: &Target) -> Option<Failure> {
    let portal = &mut operation.portal;
    portal.http_status = Some(answer.http_status);
    portal.correlation_id = answer.correlation_id.clone();
    portal.location = answer.location.map(|location| location.path(target));
    portal.delivered = Delivered::Yes;
    operation.evidence.vendor_date = answer.date;
    let untold = Untold {
        operation: operation.id,
        http_status: Some(answer.http_status),
        said: answer.said,
        correlation_id: answer.correlation_id,
        delivered: Delivered::Yes,
    };
    match answer.meaning {
        Meaning::Finished => {
            operation.finish(Outcome::Canceled, None);
            None
        }
        Meaning::Accepted => {
            follow(operation, Delivered::Yes);
            None
        }
        Meaning::Cut => {
            follow(operation, Delivered::Unknown);
            None
        }
        Meaning::Failed => {
            follow(operation, Delivered::Yes);
            Some(Failure::PortalFailed(untold))
        }
        Meaning::BadResponse => {
            follow(operation, Delivered::Yes);
            Some(Failure::BadResponse(untold))
        }
        Meaning::Unauthorized => {
            let message = "The vendor refused the gateway's token.".into();
            refuse(
                operation,
                Delivered::Yes,
                "portal-rejected-credential",
                message,
            );
            Some(Failure::CredentialRejected(untold))
        }
        Meaning::Refused(refusal) => {
            let (code, message) = refusal_text(refusal);
            refuse(operation, Delivered::Yes, code, message.into());
            Some(Failure::Refused(untold, refusal))
        }
    }
}

fn follow(operation: &mut Operation, delivered: Delivered) {
    operation.status = Status::Running;
    operation.portal.delivered = delivered;
    operation.updated_at = now();
}

fn refuse(operation: &mut Operation, delivered: Delivered, code: &'static str, message: String) {
    let code = code.into();
    operation.refuse(delivered, Fault { code, message });
}

/// The code and the sentence that the operation keeps; the problem has the same code.
fn refusal_text(refusal: Refusal) -> (&'static str, &'static str) {
    match refusal {
        Refusal::BadRequest => (
            "portal-rejected-request",
            "The vendor rejected the request.",
        ),
        Refusal::Forbidden => (
            "publisher-access-denied",
            "The vendor does not let the gateway's application act for this publisher.",
        ),
        Refusal::NotFound => ("offer-not-found", "The vendor knows no such offer."),
        Refusal::Conflict => ("conflict", "The vendor reports a conflict."),
        Refusal::PreconditionFailed => (
            "precondition-failed",
            "The vendor reports that a precondition failed.",
        ),
        Refusal::Unprocessable => (
            "portal-validation-failed",
            "The vendor's validation failed.",
        ),
        Refusal::Throttled(_) => ("portal-throttled", "The vendor is throttling."),
    }
}
