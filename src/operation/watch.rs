//! Follows every unfinished operation to its end.
//!
//! One task, on a thread of its own with its own connections: it takes its first
//! look at the moment of the vendor's answer, looks again at the configured
//! interval, records what it finds, and continues after a restart where it was.

use std::rc::Rc;
use std::sync::Arc;
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
use crate::domain::{Delivered, Operation, Status, now};
use crate::ledger::Ledger;
use crate::portal::{Location, Submission, Target};

/// A vendor that asks us to stay away longer than this is asked again all the same.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Looks under way at once: a start with many unfinished operations must not open
/// a connection for each.
const MAX_LOOKS: usize = 64;
/// The same for first looks, which are worth the most when they are prompt.
const MAX_FIRST_LOOKS: usize = 256;
/// How long to wait before writing again what the ledger did not take.
const RECORD_AGAIN: Duration = Duration::from_secs(1);

/// Hands operations to the watcher. Cheap to clone, for any thread.
#[derive(Clone)]
pub struct Follower(mpsc::UnboundedSender<Arc<Operation>>);

impl Follower {
    /// From here on the watcher sees to it that the operation is recorded and,
    /// while it is unfinished, followed: for `give_up_seconds` at the longest, which
    /// is what bounds how many there are.
    pub fn follow(&self, operation: Arc<Operation>) {
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
    incoming: mpsc::UnboundedReceiver<Arc<Operation>>,
    stop: CancellationToken,
}

struct Watch {
    ledger: Ledger,
    vendor: Vendor,
    options: WatcherOptions,
    stop: CancellationToken,
    /// One permit for each first look under way: it must not wait behind others.
    first_looks: Semaphore,
    /// One permit for each further look under way.
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
            first_looks: Semaphore::new(MAX_FIRST_LOOKS),
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
    async fn follow(self: Rc<Self>, mut operation: Arc<Operation>) {
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
        let mut complaints = Complaints::default();
        let mut recorded = false;
        while !operation.status.is_final() && !self.stop.is_cancelled() {
            // The vendor's answer is recorded while the first look is on its way:
            // neither waits for the other.
            let answer = (!recorded).then(|| Arc::clone(&operation));
            let (saved, seen) = join(
                self.save(answer, &mut complaints.unrecorded),
                self.look(&operation, &target, location),
            )
            .await;
            recorded = saved;
            let Some(seen) = seen else { break };
            complaints.about_reading(&operation, &seen);
            if self.weigh(&mut operation, location, &seen) || !recorded {
                let found = Some(Arc::clone(&operation));
                recorded = self.save(found, &mut complaints.unrecorded).await;
            }
            if !operation.status.is_final() {
                self.pause(&seen).await;
            }
        }
        while !recorded {
            let last = Some(Arc::clone(&operation));
            recorded = self.save(last, &mut complaints.unrecorded).await;
            // A shutdown tries once more and leaves the rest to the next start.
            if recorded || self.stop.is_cancelled() {
                return;
            }
            sleep(RECORD_AGAIN).await;
        }
    }

    /// Whether there is nothing left to record.
    async fn save(&self, operation: Option<Arc<Operation>>, complained: &mut bool) -> bool {
        let Some(operation) = operation else {
            return true;
        };
        let id = operation.id;
        match self.ledger.save(operation).await {
            Ok(()) => {
                *complained = false;
                true
            }
            Err(error) => {
                if !std::mem::replace(complained, true) {
                    tracing::error!(operation = %id, %error, "not recorded; will be written again until it is");
                }
                false
            }
        }
    }

    /// None when stopped in between.
    async fn look(
        &self,
        operation: &Operation,
        target: &Target,
        location: Option<Location>,
    ) -> Option<Seen> {
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
        let queue = match operation.evidence.first_look_at {
            None => &self.first_looks,
            Some(_) => &self.looks,
        };
        let _permit = queue.acquire().await.ok()?;
        let both = join(self.vendor.submissions(target), word);
        tokio::select! {
            ((at, submissions), word) = both => Some(Seen { at, submissions, word }),
            () = self.stop.cancelled() => None,
        }
    }

    /// Whether the look changed anything worth recording.
    fn weigh(
        &self,
        operation: &mut Arc<Operation>,
        location: Option<Location>,
        seen: &Seen,
    ) -> bool {
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
        let mut evidence = operation.evidence.clone();
        let verdict = outcome::judge(case, &mut evidence, look, self.options.patience);
        let new_word = seen.word.is_some() && seen.word != operation.portal.status;
        if verdict == Verdict::KeepLooking && evidence == operation.evidence && !new_word {
            return false;
        }
        let operation = Arc::make_mut(operation);
        operation.evidence = evidence;
        operation.updated_at = now();
        if new_word {
            operation.portal.status.clone_from(&seen.word);
        }
        if let Verdict::Ended(outcome, fault) = verdict {
            operation.finish(outcome, fault);
            tracing::info!(
                operation = %operation.id,
                offer = operation.offer.as_str(),
                publisher = operation.publisher.as_str(),
                request_id = operation.request_id.as_str(),
                outcome = outcome.as_str(),
                "operation ended"
            );
        }
        true
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

/// What has been complained about, so that a long outage is one line an operation.
#[derive(Default)]
struct Complaints {
    unrecorded: bool,
    unread: bool,
}

impl Complaints {
    fn about_reading(&mut self, operation: &Operation, seen: &Seen) {
        match &seen.submissions {
            Ok(_) => self.unread = false,
            Err(error) if !std::mem::replace(&mut self.unread, true) => {
                tracing::warn!(operation = %operation.id, %error, "submissions not read; looking again");
            }
            Err(error) => {
                tracing::debug!(operation = %operation.id, %error, "submissions not read")
            }
        }
    }
}

/// An intent that a crash left without a result may have been sent from the moment
/// it was recorded.
fn begin(operation: &mut Arc<Operation>) {
    if operation.status == Status::NotStarted {
        let operation = Arc::make_mut(operation);
        operation.follow(Delivered::Unknown);
        operation.evidence.answered_at = Some(operation.created_at);
    }
}
