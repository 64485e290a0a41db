//! The index of idempotency keys and their operations. The ledger belongs to this process
//! alone, so an index in memory decides, without a trip to the disk for each new key; it
//! is restored from the ledger at start. It consists of many parts, each with a lock of its
//! own, so that neither expiry nor growth keeps requests waiting.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::key_counts::{CountedKey, KeyCounts, KeysFull};
use super::store::StoredKey;
use crate::domain::clock::earliest_now;
use crate::domain::{CallerName, Digest, FirstAnswer, Idempotency, OperationId};

/// The number of parts. Of a million keys one has about 4,000, and expiry holds its lock for
/// about 0.1 ms (`cargo bench --bench keys`).
const PARTS: usize = 256;

/// Half a digest identifies a key reliably and saves memory.
type Short = [u8; 16];

/// The index of all keys: about 80 bytes each.
pub struct IdempotencyIndex {
    parts: Box<[Mutex<Part>]>,
    counts: KeyCounts,
    retention: Duration,
}

#[derive(Default)]
struct Part {
    by_key: HashMap<Short, KeyEntry>,
    /// First answers that are being written into the ledger.
    unwritten: HashMap<Short, Arc<FirstAnswer>>,
}

struct KeyEntry {
    usage: KeyUsage,
    _counted: CountedKey,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyUsage {
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
    /// There may be no further one.
    Full(KeysFull),
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
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            counts: KeyCounts::default(),
            retention,
        }
    }

    /// The part that a key belongs to. Keys are digests, hence evenly distributed.
    fn part(&self, [first, ..]: Short) -> MutexGuard<'_, Part> {
        let part = self.parts[usize::from(first)].lock();
        part.unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a key in the ledger. Where it was returned and used again, the operation that
    /// is added last counts. The ceilings do not apply.
    pub fn restore(&self, stored: &StoredKey) {
        let key = short(&stored.key);
        let entry = KeyEntry {
            usage: KeyUsage::Bound(stored.operation),
            _counted: self.counts.add(&stored.caller),
        };
        self.part(key).by_key.insert(key, entry);
    }

    /// The time before which operations have lost their keys.
    #[must_use]
    pub fn horizon(&self) -> Timestamp {
        let retention = jiff::SignedDuration::try_from(self.retention);
        let horizon = retention.map(|retention| earliest_now().checked_sub(retention));
        horizon.ok().and_then(Result::ok).unwrap_or(Timestamp::MIN)
    }

    /// Claims a key of this caller for a request, if it is new and the caller has fewer
    /// than `limit`.
    #[must_use]
    pub fn claim(
        self: &Arc<Self>,
        idempotency: Idempotency,
        caller: &CallerName,
        limit: usize,
    ) -> ClaimResult {
        let horizon = self.horizon();
        let (key, payload) = (short(&idempotency.key), short(&idempotency.payload));
        let Part { by_key, unwritten } = &mut *self.part(key);
        match by_key.entry(key) {
            Entry::Occupied(mut entry) => match entry.get().usage {
                KeyUsage::InUse(first) if first != payload => return ClaimResult::Reused,
                KeyUsage::InUse(_) => {
                    let answer = unwritten.get(&key).map(Arc::clone);
                    return answer.map_or(ClaimResult::InUse, ClaimResult::Unwritten);
                }
                KeyUsage::Bound(operation) if operation.created_at() >= horizon => {
                    return ClaimResult::Bound(operation);
                }
                KeyUsage::Bound(_) => entry.get_mut().usage = KeyUsage::InUse(payload),
            },
            Entry::Vacant(entry) => match self.counts.try_add(caller, limit) {
                Err(full) => return ClaimResult::Full(full),
                Ok(counted) => {
                    entry.insert(KeyEntry {
                        usage: KeyUsage::InUse(payload),
                        _counted: counted,
                    });
                }
            },
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
        let key = short(&idempotency.key);
        let by_key = &mut self.part(key).by_key;
        let usage = by_key.get_mut(&key).map(|entry| &mut entry.usage);
        *usage.filter(|usage| **usage == KeyUsage::Bound(operation))? =
            KeyUsage::InUse(short(&idempotency.payload));
        Some(Claim {
            index: Arc::clone(self),
            idempotency,
            operation: Some(operation),
        })
    }

    /// Removes the keys of one part whose retention is over; returns the part to continue
    /// with, none after the last. The first one is 0.
    pub fn expire(&self, part: usize) -> Option<usize> {
        let horizon = self.horizon();
        let locked = self.parts.get(part)?.lock();
        let by_key = &mut locked.unwrap_or_else(PoisonError::into_inner).by_key;
        by_key.retain(|_, entry| match entry.usage {
            KeyUsage::InUse(_) => true,
            KeyUsage::Bound(operation) => operation.created_at() >= horizon,
        });
        let room = by_key.len() * 2;
        by_key.shrink_to(room);
        Some(part + 1).filter(|next| *next < PARTS)
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
        self.index.part(key).unwritten.insert(key, answer);
    }

    /// Releases the key for reuse.
    pub fn release(mut self) {
        self.operation = None;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let key = short(&self.idempotency.key);
        let Part { by_key, unwritten } = &mut *self.index.part(key);
        unwritten.remove(&key);
        match self.operation {
            None => drop(by_key.remove(&key)),
            Some(operation) => {
                if let Some(entry) = by_key.get_mut(&key) {
                    entry.usage = KeyUsage::Bound(operation);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
