//! A bounded queue whose receiver takes everything that waits as one batch. Requests that
//! arrive while a batch is being served form the next one, so batches grow with the load
//! and no request waits for a timer.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::error::LedgerError;

/// The sending end. A request carries one or several items.
pub struct BatchSender<Q, A> {
    queue: mpsc::UnboundedSender<QueuedRequest<Q, A>>,
    /// Items in the queue.
    waiting: Arc<AtomicUsize>,
    capacity: usize,
}

/// The receiving end.
pub struct BatchReceiver<Q, A> {
    queue: mpsc::UnboundedReceiver<QueuedRequest<Q, A>>,
    waiting: Arc<AtomicUsize>,
    /// The next request, which was taken from the queue too early: it had too many items
    /// for the previous batch, or was looked at.
    deferred: Option<QueuedRequest<Q, A>>,
}

/// Items that are answered together.
pub struct QueuedRequest<Q, A> {
    pub items: Vec<Q>,
    arrived: Instant,
    reply: oneshot::Sender<Result<A, LedgerError>>,
}

/// A queue for at most `capacity` waiting items.
pub fn batch_queue<Q, A>(capacity: usize) -> (BatchSender<Q, A>, BatchReceiver<Q, A>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let sender = BatchSender {
        queue: sender,
        waiting: Arc::clone(&waiting),
        capacity,
    };
    let receiver = BatchReceiver {
        queue: receiver,
        waiting,
        deferred: None,
    };
    (sender, receiver)
}

impl<Q, A> BatchSender<Q, A> {
    /// Sends a request and waits for the reply. Dropping the future does not withdraw the
    /// request.
    pub async fn request(&self, items: Vec<Q>) -> Result<A, LedgerError> {
        let count = items.len();
        if self.waiting.fetch_add(count, Ordering::Relaxed) + count > self.capacity {
            self.waiting.fetch_sub(count, Ordering::Relaxed);
            return Err(LedgerError::Overloaded);
        }
        let (reply, replied) = oneshot::channel();
        let request = QueuedRequest {
            items,
            arrived: Instant::now(),
            reply,
        };
        self.queue
            .send(request)
            .map_err(|_closed| LedgerError::closed())?;
        replied.await.unwrap_or_else(|_| Err(LedgerError::closed()))
    }
}

impl<Q, A> QueuedRequest<Q, A> {
    /// Sends the reply, unless the requester has gone.
    pub fn reply(self, reply: Result<A, LedgerError>) {
        let _ = self.reply.send(reply);
    }
}

impl<Q, A> BatchReceiver<Q, A> {
    /// Waits for a request, then takes all that wait, up to `limit` items. Returns how many
    /// requests were taken: 0 once the queue is closed and empty. Cancel safe.
    pub async fn next_batch(
        &mut self,
        batch: &mut Vec<QueuedRequest<Q, A>>,
        limit: usize,
    ) -> usize {
        let first = match self.deferred.take() {
            Some(deferred) => deferred,
            None => match self.queue.recv().await {
                Some(request) => request,
                None => return 0,
            },
        };
        let mut count = first.items.len();
        batch.push(first);
        while let Ok(request) = self.queue.try_recv() {
            if count + request.items.len() > limit {
                self.deferred = Some(request);
                break;
            }
            count += request.items.len();
            batch.push(request);
        }
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        batch.len()
    }

    /// When the request arrived that has waited longest, if there is one.
    pub fn oldest(&mut self) -> Option<Instant> {
        if self.deferred.is_none() {
            self.deferred = self.queue.try_recv().ok();
        }
        self.deferred.as_ref().map(|request| request.arrived)
    }

    /// Refuses further requests. Those in the queue are still served.
    pub fn close(&mut self) {
        self.queue.close();
    }

    /// Awaits `work` on behalf of `batch`, or of none. If it takes longer than `deadline`
    /// since the first request of the batch arrived, or else the one that has waited
    /// longest, `on_late` is called, the batch is answered [`LedgerError::Late`], and every
    /// further request is refused until the work ends: it cannot be aborted, and nothing
    /// else can start before it is over.
    pub async fn with_deadline<T>(
        &mut self,
        batch: &mut Vec<QueuedRequest<Q, A>>,
        deadline: Duration,
        work: impl Future<Output = Result<T, LedgerError>>,
        on_late: impl FnOnce(&LedgerError),
    ) -> Result<T, LedgerError> {
        let first = batch.first().map(|request| request.arrived);
        let first = first.or_else(|| self.oldest());
        let began = first.unwrap_or_else(Instant::now);
        let mut work = pin!(work);
        if let Ok(result) = timeout_at(began + deadline, &mut work).await {
            return result;
        }
        on_late(&LedgerError::Late);
        for request in batch.drain(..) {
            request.reply(Err(LedgerError::Late));
        }
        if let Some(request) = self.deferred.take() {
            self.refuse(request);
        }
        loop {
            tokio::select! {
                result = &mut work => return result,
                Some(request) = self.queue.recv() => self.refuse(request),
            }
        }
    }

    fn refuse(&self, request: QueuedRequest<Q, A>) {
        self.waiting
            .fetch_sub(request.items.len(), Ordering::Relaxed);
        request.reply(Err(LedgerError::unavailable("the disk does not answer")));
    }
}
