//! The operations that were saved last, in memory: whoever has just asked for
//! something is the one who asks what became of it. The ledger belongs to this
//! process alone, so what it has written last is what a reader would find.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::{Operation, OperationId};

/// How many are kept; about three quarters of a kilobyte each.
const CAPACITY: usize = 2048;

#[derive(Default)]
pub struct Recent(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_id: HashMap<OperationId, Arc<Operation>>,
    /// Oldest first.
    order: VecDeque<OperationId>,
}

impl Recent {
    /// Keeps what has been saved. What is finished, or later, stays as it is, as it does
    /// in the ledger.
    pub fn keep(&self, saved: &[Arc<Operation>]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for operation in saved {
            match kept.by_id.get_mut(&operation.id) {
                Some(known) if known.status.is_final() => {}
                Some(known) if known.updated_at > operation.updated_at => {}
                Some(known) => *known = Arc::clone(operation),
                None => kept.add(Arc::clone(operation)),
            }
        }
    }

    /// The operation, if it is among the last.
    pub fn get(&self, id: OperationId) -> Option<Arc<Operation>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.by_id.get(&id).cloned()
    }
}

impl Kept {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Delivered, Outcome};

    #[test]
    fn keeps_the_latest_state_and_no_other_end() {
        let recent = Recent::default();
        let mut operation = Operation::sample();
        recent.keep(&[Arc::new(operation.clone())]);
        operation.follow(Delivered::Yes);
        recent.keep(&[Arc::new(operation.clone())]);
        assert_eq!(*recent.get(operation.id).unwrap(), operation);
        let mut other = operation.clone();
        operation.finish(Outcome::Canceled, None);
        recent.keep(&[Arc::new(operation.clone())]);
        other.finish(Outcome::Unknown, None);
        recent.keep(&[Arc::new(other)]);
        assert_eq!(
            recent.get(operation.id).unwrap().outcome,
            Some(Outcome::Canceled)
        );
    }

    #[test]
    fn forgets_the_oldest() {
        let recent = Recent::default();
        let first = Arc::new(Operation::sample());
        recent.keep(&[Arc::clone(&first)]);
        let more: Vec<_> = (0..CAPACITY)
            .map(|_| Arc::new(Operation::sample()))
            .collect();
        recent.keep(&more);
        assert!(recent.get(first.id).is_none());
        assert!(
            more.iter()
                .all(|operation| recent.get(operation.id).is_some())
        );
    }
}
