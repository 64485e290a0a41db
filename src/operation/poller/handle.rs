//! The way into the poller, from any thread.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::domain::{Operation, OperationId};
use crate::ledger::{Claim, Write};

/// A message to the poller.
pub enum Enqueue {
    /// Record this and poll its operation while that is unfinished. The key is released
    /// when the write is durable.
    Record(Write, Option<Claim>),
    /// Poll this operation, which was just read from the ledger.
    Resume(Arc<Operation>),
}

/// Hands operations to the poller. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct PollerHandle(mpsc::UnboundedSender<Enqueue>);

impl PollerHandle {
    /// A handle, and the receiver of what is sent through it and its clones.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Enqueue>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Records an operation's state, the first answer under its idempotency key, or both
    /// in one transaction, retrying until the ledger accepts it; shutdown waits for a last
    /// attempt. An unfinished operation is polled until it ends, for `give_up_seconds` at
    /// most, which bounds how many there are. `claim` is released once the write is
    /// durable, so that a repeated request finds the answer in the ledger.
    pub fn record(&self, write: Write, claim: Option<Claim>) {
        self.send(Enqueue::Record(write, claim));
    }

    /// Polls an operation that was just read from the ledger.
    pub fn resume(&self, operation: Arc<Operation>) {
        self.send(Enqueue::Resume(operation));
    }

    fn send(&self, message: Enqueue) {
        if let Err(returned) = self.0.send(message) {
            // Only at the very end of a shutdown.
            let operation = returned.0.operation().map(tracing::field::display);
            tracing::warn!(
                operation,
                "the poller has stopped; the next start resumes the operation"
            );
        }
    }
}

impl Enqueue {
    fn operation(&self) -> Option<OperationId> {
        match self {
            Self::Record(write, _) => super::state_writer::operation_of(write),
            Self::Resume(operation) => Some(operation.id),
        }
    }
}
