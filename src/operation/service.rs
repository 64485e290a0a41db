//! The steps of every action: admission, intent, task, result.
//!
//! The intent is on disk before the first byte goes to the vendor, and a finished result
//! before it is answered. An action runs in a task of its own, so that a client that
//! disconnects does not stop it. An [`Act`] holds what differs between actions.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::Instrument;

use super::act::Act;
use super::answer;
use super::authorized_portal::AuthorizedPortal;
use super::failure::RequestFailure;
use super::poller::PollerHandle;
use crate::domain::{
    Delivered, Email, FirstAnswer, Operation, OperationError, OperationId, ProblemCode, RequestId,
};
use crate::ledger::{Claim, LedgerClient, LedgerError, Write};
use crate::policy::{Permit, Right};

/// State that the operation services of all threads share.
#[derive(Clone)]
pub struct ServiceShared {
    /// Records results and polls unfinished operations to their end.
    pub poller: PollerHandle,
    /// Counts actions in progress, so that draining can wait for them.
    pub tasks: TaskTracker,
    /// Set when no new actions are accepted.
    pub draining: CancellationToken,
    /// One permit for each action that may be in progress at a time.
    pub slots: Arc<Semaphore>,
    /// The number of those permits.
    pub max_in_flight: usize,
}

/// Carries out actions, on one thread.
pub struct OperationService {
    shared: ServiceShared,
    ledger: LedgerClient,
    portal: AuthorizedPortal,
}

/// An action to be carried out.
pub struct ActionRequest<A> {
    /// The permit, with the target.
    pub permit: Permit<A>,
    /// The id of the request.
    pub request_id: RequestId,
    /// The addresses that the vendor is to notify.
    pub notify: Vec<Email>,
    /// The caller's slot among its own actions, where their number is limited.
    pub slot: Option<OwnedSemaphorePermit>,
    /// The idempotency key of the request, if it has one.
    pub claim: Option<Claim>,
    /// How long the caller prefers to wait for the end (`Prefer: wait`).
    pub wait: Option<Duration>,
}

/// The result of an action.
pub struct Executed {
    /// The operation, or why it is not the answer.
    pub result: Result<Arc<Operation>, RequestFailure>,
    /// How long the vendor took, if the action was sent.
    pub upstream: Option<Duration>,
    /// The idempotency key, where the caller waits and the first answer does not exist
    /// yet: to be given to [`OperationService::store_first_answer`] with it.
    pub claim: Option<Claim>,
}

impl From<RequestFailure> for Executed {
    fn from(failure: RequestFailure) -> Self {
        Self {
            result: Err(failure),
            upstream: None,
            claim: None,
        }
    }
}

impl OperationService {
    /// A service for the calling thread.
    #[must_use]
    pub fn new(shared: ServiceShared, ledger: LedgerClient, portal: AuthorizedPortal) -> Self {
        Self {
            shared,
            ledger,
            portal,
        }
    }

    /// How long until this operation is polled next, as far as is known; see
    /// [`PollerHandle::next_poll`].
    #[must_use]
    pub fn next_poll(&self, id: OperationId) -> Duration {
        self.shared.poller.next_poll(id)
    }

    /// Carries out an action, in a task of its own: dropping the returned future stops
    /// nothing. `admitted` learns the operation's id before anything is recorded or sent.
    pub async fn execute<A: Act>(
        self: &Rc<Self>,
        request: ActionRequest<A>,
        admitted: impl FnOnce(OperationId),
    ) -> Executed {
        let admission = match self.admit() {
            Ok(admission) => admission,
            Err(failure) => return failure.into(),
        };
        let intent = Arc::new(request.intent());
        admitted(intent.id);
        let (service, operation) = (Rc::clone(self), Arc::clone(&intent));
        let action = async move {
            // Caught here, since the caller may have gone: nobody would poll the operation.
            let carried_out = service.carry_out(request, Arc::clone(&operation));
            let executed = AssertUnwindSafe(carried_out).catch_unwind().await;
            let executed = executed.unwrap_or_else(|_panic| service.interrupted(operation));
            drop(admission);
            executed
        };
        let task = tokio::task::spawn_local(action.in_current_span());
        // Only a worker that ends aborts the task, and with it this request.
        task.await
            .unwrap_or_else(|_aborted| self.interrupted(intent))
    }

    /// The action's task has panicked. Whether the vendor got the request is not known, so the
    /// operation is polled.
    fn interrupted(&self, intent: Arc<Operation>) -> Executed {
        tracing::error!(operation = %intent.id, "action task ended early; its operation is polled");
        let failure = RequestFailure::interrupted(&intent);
        self.shared.poller.record(intent.into(), None);
        failure.into()
    }

    /// A slot among the actions in progress; draining waits until it is returned.
    fn admit(&self) -> Result<(OwnedSemaphorePermit, TaskTrackerToken), RequestFailure> {
        let slot = Arc::clone(&self.shared.slots)
            .try_acquire_owned()
            .map_err(|_| RequestFailure::overloaded(self.shared.max_in_flight))?;
        // Counted before draining is checked, so that it cannot begin between the two.
        let tracked = self.shared.tasks.token();
        if self.shared.draining.is_cancelled() {
            return Err(RequestFailure::draining());
        }
        Ok((slot, tracked))
    }

    async fn carry_out<A: Act>(
        &self,
        request: ActionRequest<A>,
        mut operation: Arc<Operation>,
    ) -> Executed {
        let ActionRequest {
            permit,
            notify,
            slot: _slot,
            mut claim,
            wait,
            ..
        } = request;
        if let Err(error) = self.ledger.save(Arc::clone(&operation)).await {
            return self.intent_not_recorded(operation, &error).into();
        }
        if let Some(claim) = &mut claim {
            claim.bind(operation.id);
        }
        let exchange = A::send(&self.portal, &permit, &notify).await;
        let upstream = Some(exchange.took);
        let failure = answer::apply::<A>(&mut operation, exchange);
        if let Some(claim) = claim.take_if(|_| !operation.consumes_idempotency_key()) {
            claim.release();
        }
        // A caller that waits gets its first answer later: the key stays in use until then.
        let waits = failure.is_none() && wait.is_some_and(|wait| !wait.is_zero());
        let open = claim.take_if(|_| waits && !operation.status.is_final());
        let answer = claim.as_ref().and_then(|_| {
            let first = FirstAnswer {
                operation: Arc::clone(&operation),
                problem: failure.as_ref().map(RequestFailure::portal_problem),
                waited: wait.filter(|_| failure.is_none()),
            };
            (!first.is_the_operation()).then(|| Arc::new(first))
        });
        let result = match (self.record(&operation, answer, claim).await, failure) {
            (Ok(()), None) => Ok(operation),
            (Ok(()), Some(failure)) => Err(failure),
            (Err(_), failure) => {
                let said = failure.map(|failure| failure.said).unwrap_or_default();
                Err(RequestFailure::result_not_recorded(operation, said))
            }
        };
        Executed {
            result,
            upstream,
            claim: open,
        }
    }

    /// The ledger did not take the intent, so nothing is sent. If it may take it yet, the
    /// next start must not mistake it for one that was sent.
    fn intent_not_recorded(
        &self,
        mut operation: Arc<Operation>,
        error: &LedgerError,
    ) -> RequestFailure {
        if *error == LedgerError::Late {
            let late = OperationError::new(
                ProblemCode::LedgerUnavailable,
                "The intent could not be recorded in time; nothing was sent.",
            );
            Arc::make_mut(&mut operation).refuse(Delivered::No, late);
            self.shared.poller.record(operation.into(), None);
        }
        RequestFailure::ledger(error, "The intent could not be recorded; nothing was sent.")
    }

    /// A finished result is durable before it is answered. An unfinished one may follow
    /// its answer, and so may the first answer under a key: a crash in between leaves the
    /// key with its operation. What the ledger does not take is left to the poller.
    async fn record(
        &self,
        operation: &Arc<Operation>,
        answer: Option<Arc<FirstAnswer>>,
        claim: Option<Claim>,
    ) -> Result<(), LedgerError> {
        let write = Write {
            operation: Some(Arc::clone(operation)),
            answer,
        };
        if operation.status.is_final() {
            let written = self.ledger.write(write.clone()).await;
            return written.inspect_err(|_| self.shared.poller.record(write, claim));
        }
        self.ledger.publish(operation);
        if let (Some(answer), Some(claim)) = (&write.answer, &claim) {
            claim.set_answer(Arc::clone(answer));
        }
        self.shared.poller.record(write, claim);
        Ok(())
    }

    /// Stores the answer after a wait as the first one under its key. Replays get it from
    /// memory until it is written.
    pub fn store_first_answer(&self, answer: FirstAnswer, claim: Claim) {
        if answer.is_the_operation() {
            return;
        }
        let answer = Arc::new(answer);
        claim.set_answer(Arc::clone(&answer));
        let write = Write {
            operation: None,
            answer: Some(answer),
        };
        self.shared.poller.record(write, Some(claim));
    }
}

impl<A: Right> ActionRequest<A> {
    fn intent(&self) -> Operation {
        let permit = &self.permit;
        let idempotency = self.claim.as_ref().map(Claim::idempotency);
        Operation {
            idempotency: idempotency.map(Box::new),
            ..Operation::intent(
                permit.action(),
                permit.target().clone(),
                permit.caller().clone(),
                self.request_id.clone(),
            )
        }
    }
}
