//! Who waits for news of which operation. Nobody looks into the ledger for changes:
//! whatever becomes visible is told, once, to those who asked for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::domain::{Operation, OperationId};

/// The listeners of all operations.
#[derive(Default)]
pub struct Changes(Mutex<Listeners>);

#[derive(Default)]
struct Listeners {
    /// By operation, and by a number that makes each of them the only one.
    by_operation: BTreeMap<(OperationId, u64), UnboundedSender<Arc<Operation>>>,
    next: u64,
}

/// One who listens, until dropped. What it has not yet taken in is at most as much as
/// an operation has changes: a handful.
pub struct Subscription {
    changes: Arc<Changes>,
    key: (OperationId, u64),
    news: UnboundedReceiver<Arc<Operation>>,
}

impl Changes {
    /// Listens to an operation from now on.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, operation: OperationId) -> Subscription {
        let (tell, news) = mpsc::unbounded_channel();
        let mut listeners = self.lock();
        let key = (operation, listeners.next);
        listeners.next += 1;
        listeners.by_operation.insert(key, tell);
        Subscription {
            changes: Arc::clone(self),
            key,
            news,
        }
    }

    /// Tells a new state of some operations to whoever listens.
    pub fn tell(&self, operations: &[Arc<Operation>]) {
        // Nearly always.
        if self.lock().by_operation.is_empty() {
            return;
        }
        for operation in operations {
            // Told without the lock: waking many takes its time.
            for listener in self.listeners(operation.id) {
                // It may be leaving at this moment.
                let _ = listener.send(Arc::clone(operation));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listeners(&self, operation: OperationId) -> Vec<UnboundedSender<Arc<Operation>>> {
        let listeners = self.lock();
        let all = (operation, 0)..=(operation, u64::MAX);
        let those = listeners.by_operation.range(all);
        those.map(|(_, listener)| listener.clone()).collect()
    }
}

impl Subscription {
    /// The next state that is told. A state may be told twice, and one that was known
    /// when the subscription began may be told again.
    pub async fn next(&mut self) -> Option<Arc<Operation>> {
        self.news.recv().await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.changes.lock().by_operation.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::{finished, intent, running};

    #[tokio::test]
    async fn news_reach_those_who_asked_for_them() {
        let changes = Arc::new(Changes::default());
        let (one, other) = (intent(), intent());
        let mut first = changes.subscribe(one.id);
        let mut second = changes.subscribe(one.id);
        let mut elsewhere = changes.subscribe(other.id);
        let (begun, ended) = (Arc::new(running(one.clone())), Arc::new(finished(one)));
        changes.tell(&[Arc::clone(&begun), Arc::new(running(other.clone()))]);
        changes.tell(&[Arc::clone(&ended)]);
        for listener in [&mut first, &mut second] {
            assert_eq!(listener.next().await, Some(Arc::clone(&begun)));
            assert_eq!(listener.next().await, Some(Arc::clone(&ended)));
        }
        assert_eq!(elsewhere.next().await.unwrap().id, other.id);
    }

    #[tokio::test]
    async fn who_leaves_is_forgotten() {
        let changes = Arc::new(Changes::default());
        let operation = intent();
        let gone = changes.subscribe(operation.id);
        let mut stays = changes.subscribe(operation.id);
        drop(gone);
        changes.tell(&[Arc::new(operation)]);
        assert!(stays.next().await.is_some());
        drop(stays);
        assert!(changes.lock().by_operation.is_empty());
    }
}
