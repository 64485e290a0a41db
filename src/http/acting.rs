//! From what came of an action to the answer: held back as long as the caller wishes,
//! and kept if it was asked for under a key.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};

use super::idempotency::{self, Turn};
use super::prefer::Wait;
use super::waiting::Held;
use super::{Gate, Problem, guard, operations, waiting};
use crate::domain::{Idempotency, Operation, ProblemCode};
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

/// What is to be done for a request.
pub enum Begun {
    /// The action, under this key if it came with one.
    ToDo(Option<Claim>),
    /// Nothing: this is the answer.
    Answered(HttpResponse),
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
    pub async fn begin(&self, asked: Option<Idempotency>) -> Result<Begun, Problem> {
        let Some(asked) = asked else {
            return Ok(Begun::ToDo(None));
        };
        let answer = match idempotency::turn(&self.gate, asked).await? {
            Turn::First(claim) => return Ok(Begun::ToDo(Some(claim))),
            Turn::Again(answer) => {
                let _first = self.log.operation.set(answer.operation);
                let code = idempotency::problem_code(&answer);
                self.log.problem.set(code.map(ProblemCode::as_str));
                idempotency::read(&answer)
            }
            Turn::Over(operation) => {
                let _first = self.log.operation.set(operation.id);
                operations::acted(&operation, None, &self.gate)?
            }
            Turn::Unanswered(claim, operation) => self.answer(operation, Some(claim)).await?,
        };
        self.log.replayed.set(true);
        Ok(Begun::Answered(idempotency::replayed(answer)))
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
                let mut response = idempotency::read(&answer);
                if let (Some(wait), Ok(_)) = (self.wait, &told.result) {
                    wait.confirm(&mut response);
                }
                return Ok(response);
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
        let held = waiting::hold(&self.request, &self.gate, Arc::clone(&operation), self.wait);
        // The action is done, whatever has become of the caller's rights meanwhile: then
        // it is told no more than it was entitled to when it asked.
        let (operation, applied) = match held.await {
            Ok(Held::Told(newer, applied)) => (newer, applied),
            // The key then stands for the operation, and the next one who asks is told.
            Ok(Held::Gone) => return operations::acted(&operation, None, &self.gate),
            Err(_lost) => {
                self.log.refused.set(None);
                (operation, None)
            }
        };
        if let Some(claim) = claim.filter(|_| !operation.status.is_final()) {
            let response = operations::acted(&operation, None, &self.gate)?;
            let answer = Arc::new(idempotency::write_down(response, operation.id)?);
            self.gate.desk.keep(answer, claim);
        }
        operations::acted(&operation, applied, &self.gate)
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
