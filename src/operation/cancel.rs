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

use super::answer::{answered, apply};
use super::authorized_portal::AuthorizedPortal;
use super::failure::{Answered, Failure};
use super::poller::PollerHandle;
use crate::domain::{
    Delivered, Email, KeptAnswer, Operation, OperationError, ProblemCode, RequestId,
};
use crate::ledger::{Claim, LedgerClient, LedgerError, Write};
use crate::policy::{Cancel, Permit};

/// What all threads share of the desk where actions are taken in.
#[derive(Clone)]
pub struct DeskShared {
    /// Records results and polls what is not finished.
    pub poller: PollerHandle,
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
    ledger: LedgerClient,
    portal: AuthorizedPortal,
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
    /// The idempotency key that it was asked for under, if any.
    pub keyed: Option<Keyed>,
}

/// An idempotency key in the hands of an action, and how its answer is written down.
pub struct Keyed {
    /// The key.
    pub claim: Claim,
    /// Writes down what the caller will be answered.
    pub write_down: WriteDown,
}

/// From an operation, or from why it is not the answer, to the answer.
pub type WriteDown = Box<dyn FnOnce(&Operation, Option<&Failure>) -> Written>;

/// The answer under a key, written down.
pub enum Written {
    /// The operation is over, and is itself the answer for ever: nothing else is kept.
    Itself,
    /// This is to be kept.
    Down(KeptAnswer),
    /// It is not known yet.
    NotYet,
}

/// How it went.
pub struct Told {
    /// The operation, or why it is not the answer.
    pub result: Result<Arc<Operation>, Failure>,
    /// How long the vendor took, if it was asked.
    pub upstream: Option<Duration>,
    /// What came of the idempotency key.
    pub under_key: UnderKey,
}

/// What came of an action's idempotency key.
pub enum UnderKey {
    /// Nothing that is to be kept.
    Nothing,
    /// This answer is kept, and is to be given.
    Kept(Arc<KeptAnswer>),
    /// The answer is not known yet. It is to be kept before it is given; until then the
    /// key stays in use.
    Open(Claim),
}

impl From<Failure> for Told {
    fn from(failure: Failure) -> Self {
        Self {
            result: Err(failure),
            upstream: None,
            under_key: UnderKey::Nothing,
        }
    }
}

impl Desk {
    /// A desk for the calling thread.
    #[must_use]
    pub fn new(shared: DeskShared, ledger: LedgerClient, portal: AuthorizedPortal) -> Self {
        Self {
            shared,
            ledger,
            portal,
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
            self.shared.poller.record(intent.into(), None);
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

    async fn carry_out(self: &Rc<Self>, mut work: Work, mut operation: Arc<Operation>) -> Told {
        if let Err(error) = self.ledger.save(Arc::clone(&operation)).await {
            return self.not_begun(operation, error).into();
        }
        if let Some(keyed) = &mut work.keyed {
            keyed.claim.bind(operation.id);
        }
        let exchange = self.portal.cancel(&work.permit, &work.notify).await;
        let upstream = Some(exchange.took);
        let failure = apply(Arc::make_mut(&mut operation), exchange);
        let (under_key, claim) = match work.keyed {
            Some(keyed) => keyed.settle(&operation, failure.as_ref()),
            None => (UnderKey::Nothing, None),
        };
        match (
            self.record(&operation, under_key.kept(), claim).await,
            failure,
        ) {
            (Ok(()), failure) => Told {
                result: failure.map_or(Ok(operation), Err),
                upstream,
                under_key,
            },
            (Err(NotSaved), failure) => Told {
                upstream,
                ..not_told(&operation, failure).into()
            },
        }
    }

    /// The ledger did not take the intent, so nothing is sent. Where it may take it yet,
    /// it must not be found at the next start and taken for one that was sent.
    fn not_begun(&self, mut operation: Arc<Operation>, error: LedgerError) -> Failure {
        if error == LedgerError::Late {
            let fault = OperationError::new(
                ProblemCode::LedgerUnavailable,
                "The intent could not be recorded in time; nothing was sent.",
            );
            Arc::make_mut(&mut operation).refuse(Delivered::No, fault);
            self.shared.poller.record(operation.into(), None);
        }
        Failure::NotRecorded(error)
    }

    /// A finished result is durable before it is answered. An unfinished one, and one that
    /// the ledger did not accept, goes to the poller, which records it together with the
    /// answer that is kept under a key. A crash in between leaves the key with its operation.
    async fn record(
        &self,
        operation: &Arc<Operation>,
        answer: Option<Arc<KeptAnswer>>,
        claim: Option<Claim>,
    ) -> Result<(), NotSaved> {
        let write = Write {
            operation: Some(Arc::clone(operation)),
            answer,
        };
        if operation.status.is_final() {
            return self.ledger.write(write.clone()).await.map_err(|_| {
                self.shared.poller.record(write, claim);
                NotSaved
            });
        }
        self.ledger.publish(operation);
        if let (Some(answer), Some(claim)) = (&write.answer, &claim) {
            claim.given(Arc::clone(answer));
        }
        self.shared.poller.record(write, claim);
        Ok(())
    }

    /// Keeps the first answer under a key as soon as the ledger takes it. Until then it
    /// is given again from memory.
    pub fn keep(&self, answer: Arc<KeptAnswer>, claim: Claim) {
        claim.given(Arc::clone(&answer));
        let write = Write {
            operation: None,
            answer: Some(answer),
        };
        self.shared.poller.record(write, Some(claim));
    }
}

impl Keyed {
    /// What is to be kept, and the key as long as that is not done.
    fn settle(
        mut self,
        operation: &Operation,
        failure: Option<&Failure>,
    ) -> (UnderKey, Option<Claim>) {
        if !operation.consumes_idempotency_key() {
            self.claim.release();
            return (UnderKey::Nothing, None);
        }
        match (self.write_down)(operation, failure) {
            Written::Itself => (UnderKey::Nothing, Some(self.claim)),
            Written::Down(answer) => (UnderKey::Kept(Arc::new(answer)), Some(self.claim)),
            Written::NotYet => (UnderKey::Open(self.claim), None),
        }
    }
}

impl UnderKey {
    fn kept(&self) -> Option<Arc<KeptAnswer>> {
        match self {
            Self::Kept(answer) => Some(Arc::clone(answer)),
            Self::Nothing | Self::Open(_) => None,
        }
    }
}

/// The ledger did not take a result; the poller records it.
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
    let keyed = work.keyed.as_ref();
    Operation {
        idempotency: keyed.map(|keyed| Box::new(keyed.claim.asked())),
        ..Operation::intent(
            permit.action(),
            permit.target().clone(),
            permit.caller().clone(),
            work.request_id.clone(),
        )
    }
}
