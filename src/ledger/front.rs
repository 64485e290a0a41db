//! The ledger as one thread sees it: what its requests ask within one turn of the
//! event loop crosses to the ledger's thread together. A wake-up of another thread
//! costs more than the write that it is for.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Claim, Claimed, Ledger, LedgerError, MAX_BATCH, Subscription, Write};
use crate::domain::{Idempotency, KeptAnswer, Operation, OperationId};

/// How often the event loop is asked for more before a batch leaves. It costs a
/// microsecond, and ends at the first turn that brings nothing.
const MOST_TURNS: usize = 4;

/// A handle for one thread; must be used inside a `LocalSet`.
#[derive(Clone)]
pub struct Front {
    ledger: Ledger,
    writes: Rc<Line<Write, ()>>,
    finds: Rc<Line<OperationId, Option<Operation>>>,
}

type Waiting<Q, A> = Vec<(Q, oneshot::Sender<Result<A, LedgerError>>)>;

/// What waits for the turn of the event loop to end.
struct Line<Q, A>(RefCell<Waiting<Q, A>>);

impl Front {
    /// A front of `ledger` for the calling thread.
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            writes: Rc::new(Line(RefCell::default())),
            finds: Rc::new(Line(RefCell::default())),
        }
    }

    /// See [`Ledger::save`].
    ///
    /// # Errors
    /// As there.
    pub async fn save(&self, operation: Arc<Operation>) -> Result<(), LedgerError> {
        self.write(operation.into()).await
    }

    /// Writes a state, an answer, or both. See [`Ledger::save`].
    ///
    /// # Errors
    /// As there.
    pub async fn write(&self, write: Write) -> Result<(), LedgerError> {
        let ledger = self.ledger.clone();
        let serve = async move |writes: Vec<Write>| ledger.write_all(writes).await;
        Line::ask(&self.writes, write, serve).await
    }

    /// Uses an idempotency key for a request.
    #[must_use]
    pub fn claim(&self, asked: Idempotency) -> Claimed {
        self.ledger.0.keys.claim(asked)
    }

    /// Takes over a key that stands for `operation`; none if somebody else has.
    #[must_use]
    pub fn take_over(&self, asked: Idempotency, operation: OperationId) -> Option<Claim> {
        self.ledger.0.keys.take_over(asked, operation)
    }

    /// The answer that was given to whoever asked for an operation under a key; none
    /// if that never came to an end.
    ///
    /// # Errors
    /// As for [`find`](Self::find).
    pub async fn answer(&self, operation: OperationId) -> Result<Option<KeptAnswer>, LedgerError> {
        self.ledger.answer(operation).await
    }

    /// Listens to what happens to an operation from now on.
    #[must_use]
    pub fn subscribe(&self, operation: OperationId) -> Subscription {
        self.ledger.0.news.changes.subscribe(operation)
    }

    /// Lets readers see a state that is on its way into the ledger: an unfinished
    /// result may follow its answer, but the status must not seem to go back.
    pub fn announce(&self, operation: &Arc<Operation>) {
        self.ledger.announce(operation);
    }

    /// See [`Ledger::find`]; one of the last that were saved is answered from memory.
    ///
    /// # Errors
    /// As there.
    pub async fn find(&self, id: OperationId) -> Result<Option<Arc<Operation>>, LedgerError> {
        if let Some(recent) = self.ledger.recent(id) {
            return Ok(Some(recent));
        }
        let ledger = self.ledger.clone();
        let serve = async move |ids: Vec<OperationId>| ledger.find_all(ids).await;
        let found = Line::ask(&self.finds, id, serve).await?;
        Ok(found.map(Arc::new))
    }
}

impl<Q: 'static, A: 'static> Line<Q, A> {
    /// The first to come sees to it that all are served.
    async fn ask<F>(
        line: &Rc<Self>,
        what: Q,
        serve: impl FnOnce(Vec<Q>) -> F + 'static,
    ) -> Result<A, LedgerError>
    where
        F: Future<Output = Vec<Result<A, LedgerError>>> + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let is_first = {
            let mut waiting = line.0.borrow_mut();
            waiting.push((what, answer));
            waiting.len() == 1
        };
        if is_first {
            tokio::task::spawn_local(Rc::clone(line).serve_all(serve));
        }
        answered
            .await
            .unwrap_or_else(|_| Err(LedgerError::closed()))
    }

    async fn serve_all<F>(self: Rc<Self>, serve: impl FnOnce(Vec<Q>) -> F)
    where
        F: Future<Output = Vec<Result<A, LedgerError>>>,
    {
        for _ in 0..MOST_TURNS {
            let before = self.0.borrow().len();
            tokio::task::yield_now().await;
            let now = self.0.borrow().len();
            if now == before || now >= MAX_BATCH {
                break;
            }
        }
        let waiting = self.0.take();
        let (questions, answers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        for (answer, result) in answers.into_iter().zip(serve(questions).await) {
            let _nobody_listens = answer.send(result);
        }
    }
}
