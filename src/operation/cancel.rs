//! `POST /offers/{offerId}/cancel`: the main job, as a story.
//!
//! The intent is on disk before the first byte goes to the vendor, and a finished
//! result before it is answered. The work runs in its own task, so that a client
//! which goes away does not stop a cancel that has begun.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::failure::{Answered, Failure, NotDone};
use super::vendor::{Exchange, NoAnswer, Vendor};
use super::watch::Follower;
use crate::domain::{Delivered, Email, Fault, Operation, Outcome, RequestId, now};
use crate::ledger::Front;
use crate::policy::{Cancel, Permit};
use crate::portal::{Answer, Lost, Meaning, Refusal, SendError, Target, Unreachable};

/// What all threads share of the desk where actions are taken in.
#[derive(Clone)]
pub struct DeskShared {
    /// Who follows what is not finished.
    pub follower: Follower,
    /// Counts what is under way, so that draining can wait for it.
    pub tasks: TaskTracker,
    /// Set when no new actions are taken.
    pub draining: CancellationToken,
    /// One permit for each action under way in the whole process.
    pub places: Arc<Semaphore>,
}

/// Where actions are taken in, on one thread.
pub struct Desk {
    shared: DeskShared,
    ledger: Front,
    vendor: Vendor,
}

/// One cancel to be done.
pub struct Work {
    /// That it may be done, and to what.
    pub permit: Permit<Cancel>,
    /// Under which request it was asked for.
    pub request_id: RequestId,
    /// Whom the vendor is to notify.
    pub notify: Vec<Email>,
    /// The caller's place among its own actions, where their number is limited; given
    /// back when the cancel is done.
    pub place: Option<OwnedSemaphorePermit>,
}

/// How it went.
pub struct Told {
    /// The operation, or why it is not the answer.
    pub result: Result<Arc<Operation>, Failure>,
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

impl Desk {
    /// A desk for the calling thread.
    #[must_use]
    pub fn new(shared: DeskShared, ledger: Front, vendor: Vendor) -> Self {
        Self {
            shared,
            ledger,
            vendor,
        }
    }

    /// Cancels, in a task of its own: dropping the returned future stops nothing.
    pub async fn cancel(self: &Rc<Self>, work: Work) -> Told {
        let admission = match self.admit() {
            Ok(admission) => admission,
            Err(failure) => return failure.into(),
        };
        let intent = Arc::new(intent(&work));
        let (tell, told) = oneshot::channel();
        let (desk, operation) = (Rc::clone(self), Arc::clone(&intent));
        tokio::task::spawn_local(async move {
            let _nobody_listens = tell.send(desk.carry_out(work, operation).await);
            drop(admission);
        });
        told.await.unwrap_or_else(|_| {
            tracing::error!(operation = %intent.id, request_id = %intent.request_id, "an action's task has ended before its time; following");
            let failure = Failure::Internal(answered(&intent));
            self.shared.follower.follow(intent);
            failure.into()
        })
    }

    /// A place among the actions under way; draining waits until it is given back.
    fn admit(&self) -> Result<(OwnedSemaphorePermit, TaskTrackerToken), Failure> {
        let place = Arc::clone(&self.shared.places)
            .try_acquire_owned()
            .map_err(|_| Failure::Overloaded)?;
        // Counted before the question whether we are draining, so that draining
        // cannot begin between the two.
        let tracked = self.shared.tasks.token();
        if self.shared.draining.is_cancelled() {
            return Err(Failure::Draining);
        }
        Ok((place, tracked))
    }

    async fn carry_out(&self, work: Work, mut operation: Arc<Operation>) -> Told {
        if let Err(error) = self.ledger.save(Arc::clone(&operation)).await {
            return Failure::NotRecorded(error).into();
        }
        let target = Target {
            publisher: work.permit.publisher().clone(),
            offer: work.permit.offer().clone(),
        };
        let exchange = self
            .vendor
            .cancel(&work.permit, &target, &work.notify)
            .await;
        let upstream = Some(exchange.took);
        let failure = apply(Arc::make_mut(&mut operation), exchange, &target);
        let result = match (self.record(&operation).await, failure) {
            (Ok(()), None) => Ok(operation),
            (Ok(()), Some(failure)) => Err(failure),
            (Err(NotSaved), failure) => Err(not_told(&operation, failure)),
        };
        Told { result, upstream }
    }

    /// A finished result is durable before it is told. Whatever is unfinished, or
    /// could not be recorded, goes to the watcher, which records it.
    async fn record(&self, operation: &Arc<Operation>) -> Result<(), NotSaved> {
        if !operation.status.is_final() {
            self.ledger.announce(operation);
            self.shared.follower.follow(Arc::clone(operation));
            return Ok(());
        }
        self.ledger.save(Arc::clone(operation)).await.map_err(|_| {
            self.shared.follower.follow(Arc::clone(operation));
            NotSaved
        })
    }
}

/// The ledger did not take a result; the watcher will see to it.
struct NotSaved;

fn not_told(operation: &Operation, failure: Option<Failure>) -> Failure {
    let said = match failure {
        Some(
            Failure::Refused(answered, _)
            | Failure::CredentialRejected(answered)
            | Failure::PortalFailed(answered)
            | Failure::BadResponse(answered),
        ) => answered.said,
        _ => Default::default(),
    };
    Failure::ResultNotRecorded(Answered {
        said,
        ..answered(operation)
    })
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

fn answered(operation: &Operation) -> Answered {
    Answered {
        operation: operation.id,
        http_status: operation.portal.http_status,
        said: Default::default(),
        correlation_id: operation.portal.correlation_id.clone(),
        delivered: operation.portal.delivered,
    }
}

/// Writes into the operation what came back, and says whether the caller is to be
/// answered with a problem instead of it.
fn apply(operation: &mut Operation, exchange: Exchange, target: &Target) -> Option<Failure> {
    operation.evidence.answered_at = Some(now());
    operation.evidence.took_ms = u64::try_from(exchange.took.as_millis()).unwrap_or(u64::MAX);
    // A refused token means that the vendor did get a request, and did nothing.
    let delivered = if exchange.refused_once {
        Delivered::Yes
    } else {
        Delivered::No
    };
    match exchange.answer {
        Ok(answer) => apply_answer(operation, answer, target),
        Err(NoAnswer::Send(SendError::Lost(lost))) => {
            tracing::warn!(operation = %operation.id, request_id = %operation.request_id, %lost, "the vendor's answer is lost; following");
            operation.follow(Delivered::Unknown);
            match lost {
                // Something was said, only not by the vendor's API.
                Lost::NotHttp => Some(Failure::BadResponse(answered(operation))),
                Lost::Timeout | Lost::Closed | Lost::Interim => None,
            }
        }
        Err(NoAnswer::Send(SendError::NotSent(cause))) => {
            tracing::warn!(operation = %operation.id, request_id = %operation.request_id, %cause, "the vendor could not be reached");
            let code = match cause {
                Unreachable::Timeout => "portal-timeout",
                Unreachable::Request => "internal-error",
                Unreachable::Name | Unreachable::Connect | Unreachable::Tls => "portal-failed",
            };
            refuse(
                operation,
                delivered,
                code,
                format!("The vendor could not be asked: {cause}."),
            );
            Some(Failure::Unreachable(not_done(operation, cause)))
        }
        Err(NoAnswer::NoToken(cause)) => {
            let message = "The gateway has no usable token for this publisher.".into();
            refuse(operation, delivered, "credential-unavailable", message);
            Some(Failure::NoToken(not_done(operation, cause)))
        }
    }
}

fn not_done<Cause>(operation: &Operation, cause: Cause) -> NotDone<Cause> {
    NotDone {
        operation: operation.id,
        delivered: operation.portal.delivered,
        cause,
    }
}

fn apply_answer(operation: &mut Operation, answer: Answer, target: &Target) -> Option<Failure> {
    let portal = &mut operation.portal;
    portal.http_status = Some(answer.http_status);
    portal.correlation_id = answer.correlation_id;
    portal.location = answer.location.map(|location| location.path(target));
    operation.evidence.vendor_date = answer.date;
    let answered = |operation: &Operation| Answered {
        said: answer.said,
        ..answered(operation)
    };
    match answer.meaning {
        Meaning::Finished => {
            operation.portal.delivered = Delivered::Yes;
            operation.finish(Outcome::Canceled, None);
            None
        }
        Meaning::Accepted => {
            operation.follow(Delivered::Yes);
            None
        }
        Meaning::Cut => {
            operation.follow(Delivered::Unknown);
            None
        }
        Meaning::Failed => {
            operation.follow(Delivered::Yes);
            Some(Failure::PortalFailed(answered(operation)))
        }
        Meaning::BadResponse => {
            operation.follow(Delivered::Yes);
            Some(Failure::BadResponse(answered(operation)))
        }
        Meaning::Unauthorized => {
            let message = "The vendor refuses the gateway's token.".into();
            refuse(
                operation,
                Delivered::Yes,
                "portal-rejected-credential",
                message,
            );
            Some(Failure::CredentialRejected(answered(operation)))
        }
        Meaning::Refused(refusal) => {
            let (code, message) = refusal_text(refusal);
            refuse(operation, Delivered::Yes, code, message.into());
            Some(Failure::Refused(answered(operation), refusal))
        }
    }
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
