//! The latest states of operations, in memory: for readers, and for subscribers who wait
//! for a change. The ledger belongs to this process alone, so what it wrote last is what a
//! query would find, and no reader has to poll the database.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::domain::{Operation, OperationId};

/// The number of operations whose latest state is kept; about 750 bytes each.
const CAPACITY: usize = 2048;

/// Receives every state that becomes visible.
#[derive(Default)]
pub struct UpdateFeed {
    recent: Mutex<RecentStates>,
    subscribers: Mutex<Subscribers>,
}

#[derive(Default)]
struct RecentStates {
    by_id: HashMap<OperationId, Arc<Operation>>,
    /// Oldest first.
    order: VecDeque<OperationId>,
}

#[derive(Default)]
struct Subscribers {
    /// By operation and by a number that makes the key unique.
    by_operation: BTreeMap<(OperationId, u64), UnboundedSender<Arc<Operation>>>,
    next: u64,
}

/// The changes of one operation, until dropped. The queue is unbounded but short: an
/// operation changes a handful of times.
pub struct Subscription {
    feed: Arc<UpdateFeed>,
    key: (OperationId, u64),
    updates: UnboundedReceiver<Arc<Operation>>,
}

impl UpdateFeed {
    /// Makes a state visible to readers and sends it to subscribers.
    pub fn publish(&self, operation: &Arc<Operation>) {
        let one = std::slice::from_ref(operation);
        self.remember(one);
        self.notify(one);
    }

    /// Makes saved states visible to readers. As in the ledger, a finished or newer state
    /// is not replaced.
    pub fn remember(&self, saved: &[Arc<Operation>]) {
        let mut recent = lock(&self.recent);
        for operation in saved {
            match recent.by_id.get_mut(&operation.id) {
                Some(known) if known.status.is_final() => {}
                Some(known) if known.updated_at > operation.updated_at => {}
                Some(known) => *known = Arc::clone(operation),
                None => recent.add(Arc::clone(operation)),
            }
        }
    }

    /// Sends states to their subscribers.
    pub fn notify(&self, operations: &[Arc<Operation>]) {
        // The usual case.
        if lock(&self.subscribers).by_operation.is_empty() {
            return;
        }
        for operation in operations {
            // Sent without the lock, since waking many subscribers takes time.
            for subscriber in self.subscribers_of(operation.id) {
                // The subscription may have been dropped meanwhile.
                let _ = subscriber.send(Arc::clone(operation));
            }
        }
    }

    /// The latest state of an operation, if it is still in memory.
    pub fn recent(&self, id: OperationId) -> Option<Arc<Operation>> {
        lock(&self.recent).by_id.get(&id).cloned()
    }

    /// Subscribes to the changes of an operation from now on.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, operation: OperationId) -> Subscription {
        let (sender, updates) = mpsc::unbounded_channel();
        let mut subscribers = lock(&self.subscribers);
        let key = (operation, subscribers.next);
        subscribers.next += 1;
        subscribers.by_operation.insert(key, sender);
        Subscription {
            feed: Arc::clone(self),
            key,
            updates,
        }
    }

    fn subscribers_of(&self, operation: OperationId) -> Vec<UnboundedSender<Arc<Operation>>> {
        let subscribers = lock(&self.subscribers);
        let keys = (operation, 0)..=(operation, u64::MAX);
        let matching = subscribers.by_operation.range(keys);
        matching.map(|(_, sender)| sender.clone()).collect()
    }
}

impl RecentStates {
    fn add(&mut self, operation: Arc<Operation>) {
        if self.order.len() == CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        self.order.push_back(operation.id);
        self.by_id.insert(operation.id, operation);
    }
}

impl Subscription {
    /// The next state. A state can arrive twice, and one from before the subscription can
    /// arrive, too.
    pub async fn next(&mut self) -> Option<Arc<Operation>> {
        self.updates.recv().await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        lock(&self.feed.subscribers).by_operation.remove(&self.key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Delivered, Outcome};
    use crate::ledger::samples::{finished, intent, running};

    #[tokio::test]
    async fn updates_reach_the_subscribers_of_their_operation() {
        let feed = Arc::new(UpdateFeed::default());
        let (one, other) = (intent(), intent());
        let mut first = feed.subscribe(one.id);
        let mut second = feed.subscribe(one.id);
        let mut elsewhere = feed.subscribe(other.id);
        let (started, ended) = (Arc::new(running(one.clone())), Arc::new(finished(one)));
        feed.notify(&[Arc::clone(&started), Arc::new(running(other.clone()))]);
        feed.publish(&ended);
        for subscription in [&mut first, &mut second] {
            assert_eq!(subscription.next().await, Some(Arc::clone(&started)));
            assert_eq!(subscription.next().await, Some(Arc::clone(&ended)));
        }
        assert_eq!(elsewhere.next().await.unwrap().id, other.id);
        assert_eq!(feed.recent(ended.id), Some(ended));
    }

    #[tokio::test]
    async fn a_dropped_subscription_is_removed() {
        let feed = Arc::new(UpdateFeed::default());
        let operation = intent();
        let dropped = feed.subscribe(operation.id);
        let mut remaining = feed.subscribe(operation.id);
        drop(dropped);
        feed.notify(&[Arc::new(operation)]);
        assert!(remaining.next().await.is_some());
        drop(remaining);
        assert!(lock(&feed.subscribers).by_operation.is_empty());
    }

    #[test]
    fn the_latest_state_is_kept_and_a_final_one_is_never_replaced() {
        let feed = UpdateFeed::default();
        let mut operation = intent();
        feed.remember(&[Arc::new(operation.clone())]);
        operation.follow(Delivered::Yes);
        feed.remember(&[Arc::new(operation.clone())]);
        assert_eq!(*feed.recent(operation.id).unwrap(), operation);
        let mut other = operation.clone();
        operation.finish(Outcome::Canceled, None);
        feed.remember(&[Arc::new(operation.clone())]);
        other.finish(Outcome::Unknown, None);
        feed.remember(&[Arc::new(other)]);
        let latest = feed.recent(operation.id).unwrap();
        assert_eq!(latest.outcome, Some(Outcome::Canceled));
    }

    #[test]
    fn the_oldest_state_is_dropped_when_the_feed_is_full() {
        let feed = UpdateFeed::default();
        let first = Arc::new(intent());
        feed.remember(&[Arc::clone(&first)]);
        let more: Vec<_> = (0..CAPACITY).map(|_| Arc::new(intent())).collect();
        feed.remember(&more);
        assert!(feed.recent(first.id).is_none());
        assert!(more.iter().all(|state| feed.recent(state.id).is_some()));
    }
}
