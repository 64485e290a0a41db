//! The poller's event loop: one task, on a thread of its own with its own connections.
//! Only polls and writes in flight are futures; everything that waits is data.

use std::rc::Rc;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::{LocalBoxFuture, OptionFuture};
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::handle::{Enqueue, PollerHandle};
use super::now::Now;
use super::options::PollerOptions;
use super::poll::{PollResult, poll};
use super::poll_times::PollTimes;
use super::scheduler::{PollTask, Scheduler};
use super::state_writer::StateWriter;
use crate::domain::Operation;
use crate::ledger::Ledger;
use crate::operation::authorized_portal::AuthorizedPortal;
use crate::operation::outcome::{adopt, assume_sent};

/// The poller, before it runs.
pub struct Poller {
    ledger: Ledger,
    options: PollerOptions,
    incoming: mpsc::UnboundedReceiver<Enqueue>,
    times: PollTimes,
    stop: CancellationToken,
}

/// The poller at work.
struct RunningPoller {
    portal: Rc<AuthorizedPortal>,
    scheduler: Scheduler,
    writer: StateWriter,
    polls: FuturesUnordered<LocalBoxFuture<'static, (PollTask, PollResult)>>,
}

impl Poller {
    /// A poller that has not started, and the handle to it. `stop` ends its polling;
    /// what is still to be recorded is recorded first.
    #[must_use]
    pub fn new(
        ledger: Ledger,
        options: PollerOptions,
        stop: CancellationToken,
    ) -> (Self, PollerHandle) {
        let times = PollTimes::default();
        let (handle, incoming) = PollerHandle::new(times.clone());
        let poller = Self {
            ledger,
            options,
            incoming,
            times,
            stop,
        };
        (poller, handle)
    }

    /// Runs until stopped.
    pub async fn run(mut self, portal: AuthorizedPortal) {
        let mut running = RunningPoller {
            portal: Rc::new(portal),
            scheduler: Scheduler::new(self.options, self.times),
            writer: StateWriter::new(self.ledger),
            polls: FuturesUnordered::new(),
        };
        let stopped = self.stop.cancelled();
        tokio::pin!(stopped);
        let mut asked = Instant::now();
        loop {
            let ready_at = running.scheduler.ready_at(asked);
            let is_ready = OptionFuture::from(ready_at.map(sleep_until));
            tokio::select! {
                () = &mut stopped => break,
                Some(()) = is_ready => {}
                Some(message) = self.incoming.recv() => {
                    let now = Now::read();
                    running.take_in(message, now);
                    // What arrives at the same moment shares its first polls.
                    while let Ok(message) = self.incoming.try_recv() {
                        running.take_in(message, now);
                    }
                }
                Some((task, result)) = running.polls.next() => {
                    let changed = running.scheduler.poll_finished(&task, &result, Now::read());
                    running.record_all(changed);
                }
                Some(target) = running.scheduler.next_due() => {
                    let ended = running.scheduler.wake(&target, Now::read());
                    running.record_all(ended);
                }
                Some(()) = running.writer.progress() => {}
            }
            asked = running.start_polls();
        }
        self.incoming.close();
        while let Some(message) = self.incoming.recv().await {
            running.take_in(message, Now::read());
        }
        running.writer.drain().await;
    }
}

impl RunningPoller {
    /// Writes what is not in the ledger yet while the first poll is in flight: neither
    /// waits for the other.
    fn take_in(&mut self, message: Enqueue, now: Now) {
        let Enqueue {
            mut write,
            claim,
            is_recorded,
        } = message;
        if let Some(mut operation) = write.operation.take() {
            let is_final = operation.status.is_final();
            // The state of an operation that is polled already is newer here.
            if is_final || !self.scheduler.tracks(operation.id) {
                if is_recorded {
                    adopt(&mut operation, now.wall_ahead);
                }
                if assume_sent(&mut operation, now.wall_ahead) || !is_recorded {
                    write.operation = Some(Arc::clone(&operation));
                }
                if is_final {
                    self.scheduler.remove(operation.id);
                } else {
                    self.scheduler.add(operation, now);
                }
            }
        }
        self.writer.record(write, claim);
    }

    fn record_all(&mut self, operations: Vec<Arc<Operation>>) {
        for operation in operations {
            self.writer.record(operation.into(), None);
        }
    }

    /// Starts the polls that may be made now; returns the time for which that was decided.
    fn start_polls(&mut self) -> Instant {
        let now = Now::read();
        while let Some(mut task) = self.scheduler.next_poll(now) {
            let portal = Rc::clone(&self.portal);
            self.polls.push(Box::pin(async move {
                let locations = std::mem::take(&mut task.locations);
                let result = poll(portal, Rc::clone(&task.target), locations).await;
                (task, result)
            }));
        }
        now.instant
    }
}
