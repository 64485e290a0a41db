//! The index of idempotency keys and their operations. The ledger belongs to this process
//! alone, so an index in memory decides, without a trip to the disk for each new key; it
//! is restored from the ledger at start.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::clock::earliest_now;
use crate::domain::{Digest, FirstAnswer, Idempotency, OperationId};

/// The most keys in the index; further ones are refused, from every caller.
const MAX_KEYS: usize = 1_000_000;

/// Half a digest identifies a key reliably and saves memory.
type Short = [u8; 16];

/// The index of all keys: about 70 bytes each.
pub struct IdempotencyIndex {
    entries: Mutex<Entries>,
    retention: Duration,
}

#[derive(Default)]
struct Entries {
    by_key: HashMap<Short, KeyEntry>,
    /// First answers that are being written into the ledger.
    unwritten: HashMap<Short, Arc<FirstAnswer>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyEntry {
    /// Its request is being answered; the digest is of its payload.
    InUse(Short),
    /// It stands for this operation.
    Bound(OperationId),
}

/// The result of claiming a key.
pub enum ClaimResult {
    /// The key is new, and claimed for this request.
    New(Claim),
    /// The first request with it is still being answered.
    InUse,
    /// The first request with it was a different one, and is being answered.
    Reused,
    /// The first request with it was answered with this, which is being written.
    Unwritten(Arc<FirstAnswer>),
    /// It stands for this operation.
    Bound(OperationId),
    /// The index is full.
    Full,
}

/// Exclusive use of a key by the request that is answered first. When dropped, the key
/// stands for the operation that it is bound to, or is free if there is none.
pub struct Claim {
    index: Arc<IdempotencyIndex>,
    idempotency: Idempotency,
    operation: Option<OperationId>,
}

fn short(digest: &Digest) -> Short {
    let (half, _) = digest.as_bytes().split_at(size_of::<Short>());
    half.try_into().unwrap_or_default()
}

impl IdempotencyIndex {
    /// An empty index; each key is kept for `retention` from the creation of its operation.
    #[must_use]
    pub fn new(retention: Duration) -> Self {
        Self {
            entries: Mutex::default(),
            retention,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the keys in the ledger, oldest first: where a key was returned and used again,
    /// the later operation counts.
    pub fn restore(&self, stored: Vec<(Digest, OperationId)>) {
        let by_key = &mut self.lock().by_key;
        by_key.reserve(stored.len());
        for (key, operation) in stored {
            by_key.insert(short(&key), KeyEntry::Bound(operation));
        }
    }

    /// The time before which operations have lost their keys.
    #[must_use]
    pub fn horizon(&self) -> Timestamp {
        let retention = jiff::SignedDuration::try_from(self.retention);
        let horizon = retention.map(|retention| earliest_now().checked_sub(retention));
        horizon.ok().and_then(Result::ok).unwrap_or(Timestamp::MIN)
    }

    /// Claims a key for a request, if it is new.
    #[must_use]
    pub fn claim(self: &Arc<Self>, idempotency: Idempotency) -> ClaimResult {
        let horizon = self.horizon();
        let payload = short(&idempotency.payload);
        let Entries { by_key, unwritten } = &mut *self.lock();
        let is_full = by_key.len() >= MAX_KEYS;
        match by_key.entry(short(&idempotency.key)) {
            Entry::Occupied(mut entry) => match *entry.get() {
                KeyEntry::InUse(first) if first != payload => return ClaimResult::Reused,
                KeyEntry::InUse(_) => {
                    let answer = unwritten.get(entry.key()).map(Arc::clone);
                    return answer.map_or(ClaimResult::InUse, ClaimResult::Unwritten);
                }
                KeyEntry::Bound(operation) if operation.created_at() >= horizon => {
                    return ClaimResult::Bound(operation);
                }
                KeyEntry::Bound(_) => {
                    entry.insert(KeyEntry::InUse(payload));
                }
            },
            Entry::Vacant(_) if is_full => return ClaimResult::Full,
            Entry::Vacant(entry) => {
                entry.insert(KeyEntry::InUse(payload));
            }
        }
        ClaimResult::New(Claim {
            index: Arc::clone(self),
            idempotency,
            operation: None,
        })
    }

    /// Claims a key that stands for `operation`: to give its first answer if that never
    /// happened, or to use it anew. None if another request has claimed it.
    #[must_use]
    pub fn reclaim(
        self: &Arc<Self>,
        idempotency: Idempotency,
        operation: OperationId,
    ) -> Option<Claim> {
        let by_key = &mut self.lock().by_key;
        let entry = by_key.get_mut(&short(&idempotency.key));
        *entry.filter(|entry| **entry == KeyEntry::Bound(operation))? =
            KeyEntry::InUse(short(&idempotency.payload));
        Some(Claim {
            index: Arc::clone(self),
            idempotency,
            operation: Some(operation),
        })
    }

    /// Removes the keys whose retention is over.
    pub fn expire(&self) {
        let horizon = self.horizon();
        let by_key = &mut self.lock().by_key;
        by_key.retain(|_, entry| match entry {
            KeyEntry::InUse(_) => true,
            KeyEntry::Bound(operation) => operation.created_at() >= horizon,
        });
        let room = by_key.len() * 2;
        by_key.shrink_to(room);
    }
}

impl Claim {
    /// The key, and what was requested with it.
    #[must_use]
    pub fn idempotency(&self) -> Idempotency {
        self.idempotency
    }

    /// From here on the key stands for this operation, even if the claim is dropped.
    pub fn bind(&mut self, operation: OperationId) {
        self.operation = Some(operation);
    }

    /// The first answer exists: repeated requests get it even before it is in the ledger.
    pub fn set_answer(&self, answer: Arc<FirstAnswer>) {
        let key = short(&self.idempotency.key);
        self.index.lock().unwritten.insert(key, answer);
    }

    /// Releases the key for reuse.
    pub fn release(mut self) {
        self.operation = None;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let key = short(&self.idempotency.key);
        let Entries { by_key, unwritten } = &mut *self.index.lock();
        unwritten.remove(&key);
        match self.operation {
            Some(operation) => by_key.insert(key, KeyEntry::Bound(operation)),
            None => by_key.remove(&key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Operation;

    fn used(key: u8, payload: u8) -> Idempotency {
        Idempotency {
            key: Digest::from([key; 32]),
            payload: Digest::from([payload; 32]),
        }
    }

    fn index(retention: Duration) -> Arc<IdempotencyIndex> {
        Arc::new(IdempotencyIndex::new(retention))
    }

    const HOUR: Duration = Duration::from_secs(3600);

    fn claim(index: &Arc<IdempotencyIndex>, idempotency: Idempotency) -> Claim {
        match index.claim(idempotency) {
            ClaimResult::New(claim) => claim,
            _ => panic!("not new"),
        }
    }

    #[test]
    fn a_key_is_new_in_use_and_bound() {
        let index = index(HOUR);
        let mut first = claim(&index, used(1, 1));
        assert!(matches!(index.claim(used(1, 1)), ClaimResult::InUse));
        assert!(matches!(index.claim(used(1, 2)), ClaimResult::Reused));
        let _other = claim(&index, used(2, 1));
        let id = OperationId::generate();
        first.bind(id);
        drop(first);
        assert!(matches!(index.claim(used(1, 1)), ClaimResult::Bound(bound) if bound == id));
    }

    #[test]
    fn a_key_without_an_operation_is_free_again() {
        let index = index(HOUR);
        drop(claim(&index, used(1, 1)));
        let mut again = claim(&index, used(1, 1));
        again.bind(OperationId::generate());
        again.release();
        drop(claim(&index, used(1, 2)));
    }

    #[test]
    fn an_answer_is_replayed_before_it_is_written() {
        let index = index(HOUR);
        let mut first = claim(&index, used(1, 1));
        let answer = Arc::new(FirstAnswer::of(Arc::new(Operation::sample())));
        first.bind(answer.operation.id);
        first.set_answer(Arc::clone(&answer));
        let again = index.claim(used(1, 1));
        assert!(matches!(again, ClaimResult::Unwritten(first) if first == answer));
        assert!(matches!(index.claim(used(1, 2)), ClaimResult::Reused));
        drop(first);
        assert!(matches!(index.claim(used(1, 1)), ClaimResult::Bound(_)));
        assert!(index.lock().unwritten.is_empty());
    }

    #[test]
    fn only_one_request_reclaims_a_key() {
        let index = index(HOUR);
        let id = OperationId::generate();
        index.restore(vec![
            (used(1, 1).key, OperationId::generate()),
            (used(1, 1).key, id),
        ]);
        let other = OperationId::generate();
        assert!(index.reclaim(used(1, 1), other).is_none());
        let reclaimed = index.reclaim(used(1, 1), id);
        assert!(reclaimed.is_some());
        assert!(index.reclaim(used(1, 1), id).is_none());
        assert!(matches!(index.claim(used(1, 1)), ClaimResult::InUse));
        drop(reclaimed);
        assert!(matches!(index.claim(used(1, 1)), ClaimResult::Bound(bound) if bound == id));
    }

    #[test]
    fn a_key_is_new_again_after_its_retention() {
        let index = index(Duration::ZERO);
        let old = OperationId::from(uuid::Uuid::new_v7(uuid::Timestamp::from_unix(
            uuid::NoContext,
            1_600_000_000,
            0,
        )));
        index.restore(vec![(used(1, 1).key, old), (used(2, 2).key, old)]);
        drop(claim(&index, used(1, 1)));
        index.expire();
        assert!(index.lock().by_key.is_empty());
    }
}
