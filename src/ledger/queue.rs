//! A bounded line in front of something slow that serves many at once. Whoever
//! comes while a batch is being served forms the next batch, so batches grow
//! with the load and nobody waits for a timer.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::LedgerError;

/// The end at which questions are asked.
pub struct Queue<Q, A> {
    line: mpsc::Sender<Asked<Q, A>>,
}

/// The end at which they are answered.
pub struct Counter<Q, A> {
    line: mpsc::Receiver<Asked<Q, A>>,
}

/// A question, and who waits for the answer.
pub struct Asked<Q, A> {
    pub what: Q,
    arrived: Instant,
    answer: oneshot::Sender<Result<A, LedgerError>>,
}

/// A line that at most `capacity` can stand in.
pub fn queue<Q, A>(capacity: usize) -> (Queue<Q, A>, Counter<Q, A>) {
    let (asking, asked) = mpsc::channel(capacity);
    (Queue { line: asking }, Counter { line: asked })
}

impl<Q, A> Queue<Q, A> {
    /// Waits for the answer. Dropping the future does not take the question back.
    pub async fn ask(&self, what: Q) -> Result<A, LedgerError> {
        let (answer, answered) = oneshot::channel();
        let asked = Asked {
            what,
            arrived: Instant::now(),
            answer,
        };
        self.line.try_send(asked).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => LedgerError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => LedgerError::closed(),
        })?;
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
    /// Takes up to `limit` that wait, at least one; none once the line is
    /// closed and empty. Cancelling it loses nobody.
    pub async fn next(&mut self, batch: &mut Vec<Asked<Q, A>>, limit: usize) -> usize {
        self.line.recv_many(batch, limit).await
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
        let late = LedgerError::unavailable("the disk does not answer in time");
        on_late(&late);
        for asked in batch.drain(..) {
            asked.answer(Err(late.clone()));
        }
        loop {
            tokio::select! {
                result = &mut work => return result,
                Some(asked) = self.line.recv() => asked.answer(Err(late.clone())),
            }
        }
    }
}
