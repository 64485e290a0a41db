//! From what came of an action to the answer: held back as long as the caller wishes,
//! and kept if it was asked for under a key.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};

use super::idempotency::{self, Turn};
use super::prefer::Wait;
use super::{Gate, Problem, guard, operations, waiting};
use crate::domain::{Idempotency, Operation};
use crate::ledger::Claim;
use crate::operation::{Failure, Keyed, Told, UnderKey, Written};
use crate::telemetry::AccessLog;

/// A request for an action, on its way to its answer.
#[derive(Clone)]
pub struct Acting {
    request: HttpRequest,
    gate: web::Data<Gate>,
    log: Rc<AccessLog>,
    wait: Option<Wait>,
}

impl Acting {
    /// The answer to `request` is to be found.
    pub fn on(request: &HttpRequest, gate: &web::Data<Gate>, log: &Rc<AccessLog>) -> Self {
        Self {
            request: request.clone(),
            gate: gate.clone(),
            log: Rc::clone(log),
            wait: Wait::of(request.headers(), gate.max_wait),
        }
    }

    /// What is known already of the request with this key: a claim to it, if that is
    /// nothing; else the answer.
    ///
    /// # Errors
    /// As for [`idempotency::turn`]; also the answer, if that was a problem.
    pub async fn begin(
        &self,
        asked: Option<Idempotency>,
    ) -> Result<Result<Option<Claim>, HttpResponse>, Problem> {
        let Some(asked) = asked else {
            return Ok(Ok(None));
        };
        let answer = match idempotency::turn(&self.gate, asked).await? {
            Turn::First(claim) => return Ok(Ok(Some(claim))),
            Turn::Again(answer) => {
                let _first = self.log.operation.set(answer.operation);
                idempotency::read(&answer)
            }
            Turn::Over(operation) => self.answer(operation, None).await?,
            Turn::Unanswered(claim, operation) => self.answer(operation, Some(claim)).await?,
        };
        self.log.replayed.set(true);
        Ok(Err(idempotency::replayed(answer)))
    }

    /// What the action is told of the key.
    #[must_use]
    pub fn keyed(&self, claim: Claim) -> Keyed {
        let acting = self.clone();
        Keyed {
            claim,
            write_down: Box::new(move |operation, failure| acting.write_down(operation, failure)),
        }
    }

    /// The answer to the action.
    ///
    /// # Errors
    /// Why it is not its operation.
    pub async fn conclude(self, told: Told) -> Result<HttpResponse, Problem> {
        self.log.upstream.set(told.upstream);
        let claim = match told.under_key {
            UnderKey::Kept(answer) => {
                let _first = self.log.operation.set(answer.operation);
                return Ok(idempotency::read(&answer));
            }
            UnderKey::Open(claim) => Some(claim),
            UnderKey::Nothing => None,
        };
        self.answer(told.result?, claim).await
    }

    /// The operation, as soon as it is over or the wait is; kept first, under a key, if
    /// it is not over.
    async fn answer(
        &self,
        operation: Arc<Operation>,
        claim: Option<Claim>,
    ) -> Result<HttpResponse, Problem> {
        let _first = self.log.operation.set(operation.id);
        let waited = match self.wait {
            Some(wait) => {
                waiting::until_over(&self.request, &self.gate, Arc::clone(&operation), wait).await
            }
            None => Ok(Arc::clone(&operation)),
        };
        // The action is done, whatever has become of the caller's rights meanwhile: then
        // it is told no more than it was entitled to when it asked.
        let operation = waited.unwrap_or(operation);
        let response = operations::acted(&operation, self.wait, &self.gate)?;
        let Some(_until_kept) = claim.filter(|_| !operation.status.is_final()) else {
            return Ok(response);
        };
        let answer = Arc::new(idempotency::write_down(response, operation.id)?);
        self.gate.desk.keep(Arc::clone(&answer)).await;
        Ok(idempotency::read(&answer))
    }

    /// What the caller is told at once, as it is to be kept.
    fn write_down(&self, operation: &Operation, failure: Option<&Failure>) -> Written {
        let response = match failure {
            Some(failure) => Ok(guard::answer(&self.request, &failure.clone().into())),
            None if operation.status.is_final() => return Written::Itself,
            None if self.wait.is_some_and(|wait| !wait.limit().is_zero()) => {
                return Written::NotYet;
            }
            None => operations::acted(operation, self.wait, &self.gate),
        };
        response
            .and_then(|response| idempotency::write_down(response, operation.id))
            .map_or(Written::Itself, Written::Down)
    }
}
