//! When each operation is polled next, for the threads that answer its caller.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::OperationId;

/// Tables that share the operations, so that threads seldom meet at one.
const SHARDS: usize = 16;

/// When operations are polled next. All clones are the same.
#[derive(Clone, Default)]
pub struct PollTimes(Arc<[Shard; SHARDS]>);

type Shard = RwLock<HashMap<OperationId, Instant>>;

/// One operation's place there; it is left when dropped.
pub struct PollTime {
    times: PollTimes,
    id: OperationId,
}

impl PollTimes {
    /// A place for this operation.
    #[must_use]
    pub fn enter(&self, id: OperationId) -> PollTime {
        let times = self.clone();
        PollTime { times, id }
    }

    /// The time until this operation is polled. If its poll is overdue, because the vendor is
    /// slow or others come first, the answer is as long as it has been overdue: a client that
    /// asks after that time doubles its interval each time. Zero for an operation that is not
    /// polled: it is about to be, or has ended.
    #[must_use]
    pub fn remaining(&self, id: OperationId, now: Instant) -> Duration {
        let shard = self.shard(id).read();
        let due = shard
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .copied();
        match due {
            Some(due) if due > now => due - now,
            Some(due) => Duration::from_secs((now - due).as_secs()),
            None => Duration::ZERO,
        }
    }

    fn shard(&self, id: OperationId) -> &Shard {
        // The last byte of a UUIDv7 is random.
        let [.., last] = id.as_uuid().into_bytes();
        &self.0[usize::from(last) % SHARDS]
    }
}

impl PollTime {
    /// It is polled at this time.
    pub fn set(&self, due: Instant) {
        let shard = self.times.shard(self.id).write();
        let mut shard = shard.unwrap_or_else(PoisonError::into_inner);
        shard.insert(self.id, due);
    }
}

impl Drop for PollTime {
    fn drop(&mut self) {
        let shard = self.times.shard(self.id).write();
        shard
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remaining_time_is_known_while_the_operation_is_polled() {
        let (times, now) = (PollTimes::default(), Instant::now());
        let (id, other) = (OperationId::generate(), OperationId::generate());
        assert_eq!(times.remaining(id, now), Duration::ZERO);
        let place = times.enter(id);
        let due = now + Duration::from_millis(4500);
        place.set(due);
        assert_eq!(times.remaining(id, now), Duration::from_millis(4500));
        assert_eq!(times.remaining(other, now), Duration::ZERO);
        // Overdue: first at once, then ever later.
        for (late, remaining) in [(0, 0), (900, 0), (1100, 1), (40_000, 40)] {
            let now = due + Duration::from_millis(late);
            assert_eq!(times.remaining(id, now), Duration::from_secs(remaining));
        }
        drop(place);
        assert_eq!(times.remaining(id, now), Duration::ZERO);
    }
}
