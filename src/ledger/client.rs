//! The ledger as one worker thread uses it. Requests of one turn of the event loop cross to
//! the ledger's thread together, since waking another thread costs more than the write.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::error::LedgerError;
use super::feed::Subscription;
use super::handle::Ledger;
use super::store::MAX_BATCH;
use super::writer::Write;
use crate::domain::{Operation, OperationId};

/// The most turns of the event loop that a batch waits for further requests. A turn costs a
/// microsecond, and the first one without a new request is the last.
const MAX_TURNS: usize = 4;

/// A handle for one thread, to be used inside a `LocalSet`.
#[derive(Clone)]
pub struct LedgerClient {
    pub(super) ledger: Ledger,
    writes: Rc<Coalescer<Write, ()>>,
    finds: Rc<Coalescer<OperationId, Option<Operation>>>,
}

type Waiting<Q, A> = Vec<(Q, oneshot::Sender<Result<A, LedgerError>>)>;

/// Collects the requests of a few turns of the event loop into one.
struct Coalescer<Q, A>(RefCell<Waiting<Q, A>>);

impl LedgerClient {
    /// A client for the calling thread.
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            writes: Rc::new(Coalescer(RefCell::default())),
            finds: Rc::new(Coalescer(RefCell::default())),
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
        Coalescer::request(&self.writes, write, serve).await
    }

    /// Subscribes to the changes of an operation from now on.
    #[must_use]
    pub fn subscribe(&self, operation: OperationId) -> Subscription {
        self.ledger.feed().subscribe(operation)
    }

    /// Makes a state visible before it is durable. An unfinished result may be recorded
    /// after its answer, but a reader must not see an older status than the answer gave.
    pub fn publish(&self, operation: &Arc<Operation>) {
        self.ledger.feed().publish(operation);
    }

    /// See [`Ledger::find`]. Recently saved operations are answered from memory.
    ///
    /// # Errors
    /// As there.
    pub async fn find(&self, id: OperationId) -> Result<Option<Arc<Operation>>, LedgerError> {
        if let Some(recent) = self.ledger.feed().recent(id) {
            return Ok(Some(recent));
        }
        let ledger = self.ledger.clone();
        let serve = async move |ids: Vec<OperationId>| ledger.find_all(ids).await;
        let found = Coalescer::request(&self.finds, id, serve).await?;
        Ok(found.map(Arc::new))
    }
}

impl<Q: 'static, A: 'static> Coalescer<Q, A> {
    /// Adds a request and waits for its result. The first request of a batch spawns the
    /// task that serves the whole batch.
    async fn request<F>(
        this: &Rc<Self>,
        item: Q,
        serve: impl FnOnce(Vec<Q>) -> F + 'static,
    ) -> Result<A, LedgerError>
    where
        F: Future<Output = Vec<Result<A, LedgerError>>> + 'static,
    {
        let (reply, replied) = oneshot::channel();
        let is_first = {
            let mut waiting = this.0.borrow_mut();
            waiting.push((item, reply));
            waiting.len() == 1
        };
        if is_first {
            tokio::task::spawn_local(Rc::clone(this).serve_all(serve));
        }
        replied.await.unwrap_or_else(|_| Err(LedgerError::closed()))
    }

    async fn serve_all<F>(self: Rc<Self>, serve: impl FnOnce(Vec<Q>) -> F)
    where
        F: Future<Output = Vec<Result<A, LedgerError>>>,
    {
        for _ in 0..MAX_TURNS {
            let before = self.0.borrow().len();
            tokio::task::yield_now().await;
            let now = self.0.borrow().len();
            if now == before || now >= MAX_BATCH {
                break;
            }
        }
        let (items, replies): (Vec<_>, Vec<_>) = self.0.take().into_iter().unzip();
        for (reply, result) in replies.into_iter().zip(serve(items).await) {
            // The requester may have gone.
            let _ = reply.send(result);
        }
    }
}
