//! Follows every unfinished operation to its end.
//!
//! One task, on a thread of its own with its own connections: it takes its first
//! look at the moment of the vendor's answer, looks again at the configured
//! interval, records what it finds, and continues after a restart where it was.

use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::outcome::{self, Case, Look, Patience, Verdict};
use super::vendor::{Unread, Vendor};
use crate::domain::{Operation, Status, now};
use crate::ledger::Ledger;
use crate::portal::{Location, Submission, Target};

/// A vendor that asks us to stay away longer than this is asked again all the same.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Looks under way at once: a start with many unfinished operations must not open
/// a connection for each.
const MAX_LOOKS: usize = 256;
/// How long to wait before writing again what the ledger did not take.
const RECORD_AGAIN: Duration = Duration::from_secs(1);

/// Hands operations to the watcher. Cheap to clone, for any thread.
#[derive(Clone)]
pub struct Follower(mpsc::UnboundedSender<Operation>);

impl Follower {
    /// From here on the watcher sees to it that the operation is recorded and,
    /// while it is unfinished, followed. Bounded by what is in flight.
    pub fn follow(&self, operation: Operation) {
        if let Err(returned) = self.0.send(operation) {
            // Only at the very end of draining; the next start finds the intent.
            tracing::warn!(operation = %returned.0.id, "the watcher is gone; the next start continues");
        }
    }
}

/// The watcher's settings.
#[derive(Debug, Clone, Copy)]
pub struct WatcherOptions {
    /// Time between two looks at one operation.
    pub poll: Duration,
    /// See [`Patience`].
    pub patience: Patience,
}

/// The watcher, before it runs.
pub struct Watcher {
    ledger: Ledger,
    options: WatcherOptions,
    incoming: mpsc::UnboundedReceiver<Operation>,
    stop: CancellationToken,
}

struct Watch {
    ledger: Ledger,
    vendor: Vendor,
    options: WatcherOptions,
    stop: CancellationToken,
    /// One permit for each look under way.
    looks: Semaphore,
}

impl Watcher {
    /// A watcher that has not begun, and the way to hand it operations. `stop` ends
    /// its looking; what is to be recorded is recorded first.
    #[must_use]
    pub fn new(
        ledger: Ledger,
        options: WatcherOptions,
        stop: CancellationToken,
    ) -> (Self, Follower) {
        let (sender, incoming) = mpsc::unbounded_channel();
        let watcher = Self {
            ledger,
            options,
            incoming,
            stop,
        };
        (watcher, Follower(sender))
    }

    /// Runs until stopped.
    pub async fn run(mut self, vendor: Vendor) {
        let watch = Rc::new(Watch {
            ledger: self.ledger,
            vendor,
            options: self.options,
            stop: self.stop.clone(),
            looks: Semaphore::new(MAX_LOOKS),
        });
        let mut followed = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                Some(()) = followed.next() => {}
                Some(operation) = self.incoming.recv() => {
                    followed.push(Rc::clone(&watch).follow(operation));
                }
            }
        }
        self.incoming.close();
        while let Some(operation) = self.incoming.recv().await {
            followed.push(Rc::clone(&watch).follow(operation));
        }
        while followed.next().await.is_some() {}
    }
}

impl Watch {
    async fn follow(self: Rc<Self>, mut operation: Operation) {
        begin(&mut operation);
        let target = Target {
            publisher: operation.publisher.clone(),
            offer: operation.offer.clone(),
        };
        let location = operation
            .portal
            .location
            .as_deref()
            .and_then(|path| Location::recognize(path, &target));
        let mut recorded = false;
        while !operation.status.is_final() && !self.stop.is_cancelled() {
            // The vendor's answer is recorded while the first look is on its way:
            // neither waits for the other.
            let before = (!recorded).then(|| operation.clone());
            let (saved, seen) = join(self.save(before), self.look(&target, location)).await;
            recorded = saved;
            let Some(seen) = seen else { break };
            let changed = self.weigh(&mut operation, location, &seen);
            if changed || !recorded {
                recorded = self.save(Some(operation.clone())).await;
            }
            if !operation.status.is_final() {
                self.pause(&seen).await;
            }
        }
        while !recorded && !self.save(Some(operation.clone())).await {
            // A shutdown tries once more and leaves the rest to the next start.
            if self.stop.is_cancelled() {
                break;
            }
            sleep(RECORD_AGAIN).await;
        }
    }

    async fn save(&self, operation: Option<Operation>) -> bool {
        let Some(operation) = operation else {
            return true;
        };
        let id = operation.id;
        match self.ledger.save(operation).await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(operation = %id, %error, "not recorded; will be written again");
                false
            }
        }
    }

    /// None when stopped in between.
    async fn look(&self, target: &Target, location: Option<Location>) -> Option<Seen> {
        let word = async {
            match location {
                Some(location) => self
                    .vendor
                    .status_word(target, location)
                    .await
                    .ok()
                    .flatten(),
                None => None,
            }
        };
        let _permit = self.looks.acquire().await.ok()?;
        let at = now();
        let both = join(self.vendor.submissions(target), word);
        tokio::select! {
            (submissions, word) = both => Some(Seen { at, submissions, word }),
            () = self.stop.cancelled() => None,
        }
    }

    /// Whether the look changed anything worth recording.
    fn weigh(&self, operation: &mut Operation, location: Option<Location>, seen: &Seen) -> bool {
        let before = (operation.evidence.clone(), operation.portal.status.clone());
        if let Err(error) = &seen.submissions {
            tracing::warn!(operation = %operation.id, %error, "submissions not read");
        }
        if seen.word.is_some() {
            operation.portal.status.clone_from(&seen.word);
        }
        let case = Case {
            named: match location {
                Some(Location::Operation(guid)) => Some(guid),
                Some(Location::Preview) | None => None,
            },
            delivered: operation.portal.delivered,
        };
        let look = Look {
            at: seen.at,
            submissions: seen.submissions.as_deref().ok(),
        };
        let verdict = outcome::judge(case, &mut operation.evidence, look, self.options.patience);
        match verdict {
            Verdict::KeepLooking => {
                let changed =
                    before != (operation.evidence.clone(), operation.portal.status.clone());
                if changed {
                    operation.updated_at = now();
                }
                changed
            }
            Verdict::Ended(outcome, fault) => {
                operation.finish(outcome, fault);
                tracing::info!(
                    operation = %operation.id,
                    offer = operation.offer.as_str(),
                    publisher = operation.publisher.as_str(),
                    outcome = outcome.as_str(),
                    "operation ended"
                );
                true
            }
        }
    }

    async fn pause(&self, seen: &Seen) {
        let asked = seen
            .submissions
            .as_ref()
            .err()
            .and_then(Unread::retry_after);
        let pause = asked
            .map_or(self.options.poll, |asked| asked.max(self.options.poll))
            .min(LONGEST_PAUSE.max(self.options.poll));
        tokio::select! {
            () = sleep(pause) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// What one look brought.
struct Seen {
    /// When it was begun.
    at: Timestamp,
    submissions: Result<Vec<Submission>, Unread>,
    word: Option<String>,
}

/// An intent that a crash left without a result may have been sent from the moment
/// it was recorded.
fn begin(operation: &mut Operation) {
    if operation.status == Status::NotStarted {
        operation.status = Status::Running;
        operation.evidence.answered_at = Some(operation.created_at);
        operation.updated_at = now();
    }
}
