//! A bounded line in front of something slow that serves many at once. Whoever
//! comes while a batch is being served forms the next batch, so batches grow
//! with the load and nobody waits for a timer.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::LedgerError;

/// The end at which questions are asked, several at a time.
pub struct Queue<Q, A> {
    line: mpsc::UnboundedSender<Asked<Q, A>>,
    /// Questions that wait.
    waiting: Arc<AtomicUsize>,
    capacity: usize,
}

/// The end at which they are answered.
pub struct Counter<Q, A> {
    line: mpsc::UnboundedReceiver<Asked<Q, A>>,
    waiting: Arc<AtomicUsize>,
    /// Who came next, but had too many questions for the batch before.
    held: Option<Asked<Q, A>>,
}

/// Questions, and who waits for the answer to all of them.
pub struct Asked<Q, A> {
    pub what: Vec<Q>,
    arrived: Instant,
    answer: oneshot::Sender<Result<A, LedgerError>>,
}

/// A line in which at most `capacity` questions can wait.
pub fn queue<Q, A>(capacity: usize) -> (Queue<Q, A>, Counter<Q, A>) {
    let (asking, asked) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let queue = Queue {
        line: asking,
        waiting: Arc::clone(&waiting),
        capacity,
    };
    let counter = Counter {
        line: asked,
        waiting,
        held: None,
    };
    (queue, counter)
}

impl<Q, A> Queue<Q, A> {
    /// Waits for the answer. Dropping the future does not take the questions back.
    pub async fn ask(&self, what: Vec<Q>) -> Result<A, LedgerError> {
        let count = what.len();
        if self.waiting.fetch_add(count, Ordering::Relaxed) + count > self.capacity {
            self.waiting.fetch_sub(count, Ordering::Relaxed);
            return Err(LedgerError::Overloaded);
        }
        let (answer, answered) = oneshot::channel();
        let asked = Asked {
            what,
            arrived: Instant::now(),
            answer,
        };
        self.line
            .send(asked)
            .map_err(|_closed| LedgerError::closed())?;
        answered
            .await
            .unwrap_or_else(|_| Err(LedgerError::closed()))
    }
}

impl<Q, A> Asked<Q, A> {
    /// Answers, if anyone still listens.
    pub fn answer(self, answer: Result<A, LedgerError>) {
        let _ = self.answer.send(answer);
    }
}

impl<Q, A> Counter<Q, A> {
    /// Takes who waits, at least one, as long as their questions together are not
    /// more than `limit`; none once the line is closed and empty. Cancelling it
    /// loses nobody.
    pub async fn next(&mut self, batch: &mut Vec<Asked<Q, A>>, limit: usize) -> usize {
        let first = match self.held.take() {
            Some(held) => held,
            None => match self.line.recv().await {
                Some(asked) => asked,
                None => return 0,
            },
        };
        let mut count = first.what.len();
        batch.push(first);
        while let Ok(asked) = self.line.try_recv() {
            if count + asked.what.len() > limit {
                self.held = Some(asked);
                break;
            }
            count += asked.what.len();
            batch.push(asked);
        }
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        batch.len()
    }

    /// Lets nobody join the line any more.
    pub fn close(&mut self) {
        self.line.close();
    }

    /// Does `work` on behalf of `batch`. When it takes longer than `patience`
    /// since the first of the batch came, all of them are refused, and everyone
    /// who comes after them too, until the work ends after all: it cannot be
    /// called off, and nothing else can be begun meanwhile.
    pub async fn patiently<T>(
        &mut self,
        batch: &mut Vec<Asked<Q, A>>,
        patience: Duration,
        work: impl Future<Output = Result<T, LedgerError>>,
        on_late: impl FnOnce(&LedgerError),
    ) -> Result<T, LedgerError> {
        let began = batch
            .first()
            .map_or_else(Instant::now, |first| first.arrived);
        let mut work = pin!(work);
        if let Ok(result) = timeout_at(began + patience, &mut work).await {
            return result;
        }
        on_late(&LedgerError::Late);
        for asked in batch.drain(..) {
            asked.answer(Err(LedgerError::Late));
        }
        let refused = LedgerError::unavailable("the disk does not answer");
        if let Some(asked) = self.held.take() {
            self.waiting.fetch_sub(asked.what.len(), Ordering::Relaxed);
            asked.answer(Err(refused.clone()));
        }
        loop {
            tokio::select! {
                result = &mut work => return result,
                Some(asked) = self.line.recv() => {
                    self.waiting.fetch_sub(asked.what.len(), Ordering::Relaxed);
                    asked.answer(Err(refused.clone()));
                }
            }
        }
    }
}
