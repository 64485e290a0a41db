//! A handle to the poller for any thread.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::poll_times::PollTimes;
use super::state_writer::operation_of;
use crate::domain::{Operation, OperationId};
use crate::ledger::{Claim, Write};

/// A message to the poller: record this, and poll its operation while that is unfinished.
pub struct Enqueue {
    pub write: Write,
    /// The key to release once the write is durable.
    pub claim: Option<Claim>,
    /// The operation was just read from the ledger.
    pub is_recorded: bool,
}

/// Hands operations to the poller. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct PollerHandle {
    sender: mpsc::UnboundedSender<Enqueue>,
    times: PollTimes,
}

impl PollerHandle {
    /// A handle, and the receiver of what is sent through it and its clones.
    pub(super) fn new(times: PollTimes) -> (Self, mpsc::UnboundedReceiver<Enqueue>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender, times }, receiver)
    }

    /// The time until this operation is polled next. While its poll is overdue, as long as
    /// that; zero if it is not polled, because it has ended, or is about to be.
    #[must_use]
    pub fn next_poll(&self, id: OperationId) -> Duration {
        self.times.remaining(id, Instant::now())
    }

    /// Records an operation's state, the first answer under its idempotency key, or both
    /// in one transaction, retrying until the ledger accepts it; shutdown waits for a last
    /// attempt. An unfinished operation is polled until it ends, for `give_up_seconds` at
    /// most, which bounds how many there are. `claim` is released once the write is
    /// durable, so that a repeated request finds the answer in the ledger.
    pub fn record(&self, write: Write, claim: Option<Claim>) {
        self.send(write, claim, false);
    }

    /// Polls an operation that was just read from the ledger.
    pub fn resume(&self, operation: Arc<Operation>) {
        self.send(operation.into(), None, true);
    }

    fn send(&self, write: Write, claim: Option<Claim>, is_recorded: bool) {
        let message = Enqueue {
            write,
            claim,
            is_recorded,
        };
        if let Err(returned) = self.sender.send(message) {
            // Only at the very end of a shutdown.
            let operation = operation_of(&returned.0.write).map(tracing::field::display);
            tracing::warn!(
                operation,
                "poller stopped; the next start resumes the operation"
            );
        }
    }
}
