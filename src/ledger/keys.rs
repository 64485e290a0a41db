//! Which idempotency key stands for which operation. The ledger belongs to this process
//! alone, so its memory decides, without a trip to the disk for each new key; the ledger
//! fills it again at start.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::{Digest, Idempotency, KeptAnswer, OperationId};

/// The most keys that are kept; more are refused, whoever sends them.
const MAX_KEYS: usize = 1_000_000;

/// Half a digest tells keys apart well enough, and there may be many of them.
type Short = [u8; 16];

/// All keys that are kept: about 70 bytes each.
pub struct Keys {
    known: Mutex<Known>,
    keep: Duration,
}

#[derive(Default)]
struct Known {
    held: HashMap<Short, Held>,
    /// Answers that were given, and are on their way into the ledger.
    given: HashMap<Short, Arc<KeptAnswer>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    /// Its request is being answered; the digest is its payload's.
    InUse(Short),
    /// It stands for this operation.
    Bound(OperationId),
}

/// What using a key comes to.
pub enum Claimed {
    /// It is new, and now this request's.
    New(Claim),
    /// The request that it came with first has no answer yet.
    InUse {
        /// Whether that request asks for the same.
        same_payload: bool,
    },
    /// That request was answered so.
    Given(Arc<KeptAnswer>),
    /// It has been used for this operation.
    Bound(OperationId),
    /// There is no room for another key.
    Full,
}

/// A key in the hands of the request that is to be answered first. When dropped, the
/// key stands for the operation that was made of it; if there is none, it is free.
pub struct Claim {
    keys: Arc<Keys>,
    asked: Idempotency,
    operation: Option<OperationId>,
}

fn short(digest: &Digest) -> Short {
    let (half, _) = digest.as_bytes().split_at(size_of::<Short>());
    half.try_into().unwrap_or_default()
}

impl Keys {
    /// No keys yet; each is kept for `keep` from the making of its operation.
    #[must_use]
    pub fn new(keep: Duration) -> Self {
        Self {
            known: Mutex::default(),
            keep,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what the ledger knows of earlier, oldest first: where a key was given
    /// back and used again, the later operation counts.
    pub fn restore(&self, known: Vec<(Digest, OperationId)>) {
        let held = &mut self.lock().held;
        held.reserve(known.len());
        for (key, operation) in known {
            held.insert(short(&key), Held::Bound(operation));
        }
    }

    /// The oldest moment whose operations still have their keys.
    #[must_use]
    pub fn horizon(&self) -> Timestamp {
        let keep = jiff::SignedDuration::try_from(self.keep);
        let horizon = keep.map(|keep| Timestamp::now().checked_sub(keep));
        horizon.ok().and_then(Result::ok).unwrap_or(Timestamp::MIN)
    }

    /// Uses a key for a request.
    #[must_use]
    pub fn claim(self: &Arc<Self>, asked: Idempotency) -> Claimed {
        let horizon = self.horizon();
        let Known { held, given } = &mut *self.lock();
        let is_full = held.len() >= MAX_KEYS;
        match held.entry(short(&asked.key)) {
            Entry::Occupied(mut entry) => match *entry.get() {
                Held::InUse(payload) => {
                    let same_payload = payload == short(&asked.payload);
                    let given = given.get(entry.key()).filter(|_| same_payload);
                    return match given {
                        Some(answer) => Claimed::Given(Arc::clone(answer)),
                        None => Claimed::InUse { same_payload },
                    };
                }
                Held::Bound(operation) if operation.created_at() >= horizon => {
                    return Claimed::Bound(operation);
                }
                Held::Bound(_) => {
                    entry.insert(Held::InUse(short(&asked.payload)));
                }
            },
            Entry::Vacant(_) if is_full => return Claimed::Full,
            Entry::Vacant(entry) => {
                entry.insert(Held::InUse(short(&asked.payload)));
            }
        }
        Claimed::New(Claim {
            keys: Arc::clone(self),
            asked,
            operation: None,
        })
    }

    /// Takes a key over that stands for `operation`: to answer for it if that never
    /// happened, or to use it anew. None if somebody else has been faster.
    #[must_use]
    pub fn take_over(
        self: &Arc<Self>,
        asked: Idempotency,
        operation: OperationId,
    ) -> Option<Claim> {
        let held = &mut self.lock().held;
        let known = held.get_mut(&short(&asked.key));
        *known.filter(|known| **known == Held::Bound(operation))? =
            Held::InUse(short(&asked.payload));
        Some(Claim {
            keys: Arc::clone(self),
            asked,
            operation: Some(operation),
        })
    }

    /// Forgets what has been kept for long enough.
    pub fn expire(&self) {
        let horizon = self.horizon();
        let held = &mut self.lock().held;
        held.retain(|_, held| match held {
            Held::InUse(_) => true,
            Held::Bound(operation) => operation.created_at() >= horizon,
        });
        let room = held.len() * 2;
        held.shrink_to(room);
    }
}

impl Claim {
    /// What was asked for under the key.
    #[must_use]
    pub fn asked(&self) -> Idempotency {
        self.asked
    }

    /// The operation that it stands for, if there is one.
    #[must_use]
    pub fn operation(&self) -> Option<OperationId> {
        self.operation
    }

    /// From here on the key stands for this operation, whatever happens.
    pub fn bind(&mut self, operation: OperationId) {
        self.operation = Some(operation);
    }

    /// This answer is being given: whoever repeats the request gets it, too, before it
    /// is in the ledger.
    pub fn given(&self, answer: Arc<KeptAnswer>) {
        let key = short(&self.asked.key);
        self.keys.lock().given.insert(key, answer);
    }

    /// Gives the key back: it can be used again.
    pub fn release(&mut self) {
        self.operation = None;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let key = short(&self.asked.key);
        let Known { held, given } = &mut *self.keys.lock();
        given.remove(&key);
        match self.operation {
            Some(operation) => held.insert(key, Held::Bound(operation)),
            None => held.remove(&key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(key: u8, payload: u8) -> Idempotency {
        Idempotency {
            key: Digest::from([key; 32]),
            payload: Digest::from([payload; 32]),
        }
    }

    fn keys(keep: Duration) -> Arc<Keys> {
        Arc::new(Keys::new(keep))
    }

    const HOUR: Duration = Duration::from_secs(3600);

    fn claim(keys: &Arc<Keys>, asked: Idempotency) -> Claim {
        match keys.claim(asked) {
            Claimed::New(claim) => claim,
            _ => panic!("not new"),
        }
    }

    #[test]
    fn a_key_is_new_in_use_and_bound() {
        let keys = keys(HOUR);
        let mut first = claim(&keys, asked(1, 1));
        for (payload, same) in [(1, true), (2, false)] {
            let second = keys.claim(asked(1, payload));
            assert!(matches!(second, Claimed::InUse { same_payload } if same_payload == same));
        }
        let _other = claim(&keys, asked(2, 1));
        let id = OperationId::generate();
        first.bind(id);
        drop(first);
        assert!(matches!(keys.claim(asked(1, 1)), Claimed::Bound(bound) if bound == id));
    }

    #[test]
    fn a_key_of_which_nothing_was_made_is_free_again() {
        let keys = keys(HOUR);
        drop(claim(&keys, asked(1, 1)));
        let mut again = claim(&keys, asked(1, 1));
        again.bind(OperationId::generate());
        again.release();
        drop(again);
        drop(claim(&keys, asked(1, 2)));
    }

    #[test]
    fn what_is_given_is_given_again_before_it_is_kept() {
        let keys = keys(HOUR);
        let mut first = claim(&keys, asked(1, 1));
        let answer = Arc::new(KeptAnswer {
            operation: OperationId::generate(),
            status: 202,
            headers: String::new(),
            body: Vec::new(),
        });
        first.bind(answer.operation);
        first.given(Arc::clone(&answer));
        let again = keys.claim(asked(1, 1));
        assert!(matches!(again, Claimed::Given(given) if given == answer));
        let other = keys.claim(asked(1, 2));
        assert!(matches!(
            other,
            Claimed::InUse {
                same_payload: false
            }
        ));
        drop(first);
        assert!(matches!(keys.claim(asked(1, 1)), Claimed::Bound(_)));
        assert!(keys.lock().given.is_empty());
    }

    #[test]
    fn only_one_takes_a_key_over() {
        let keys = keys(HOUR);
        let id = OperationId::generate();
        keys.restore(vec![
            (asked(1, 1).key, OperationId::generate()),
            (asked(1, 1).key, id),
        ]);
        assert!(
            keys.take_over(asked(1, 1), OperationId::generate())
                .is_none()
        );
        let taken = keys.take_over(asked(1, 1), id);
        assert!(taken.is_some());
        assert!(keys.take_over(asked(1, 1), id).is_none());
        assert!(matches!(keys.claim(asked(1, 1)), Claimed::InUse { .. }));
        drop(taken);
        assert!(matches!(keys.claim(asked(1, 1)), Claimed::Bound(bound) if bound == id));
    }

    #[test]
    fn what_was_kept_for_long_enough_is_new_again() {
        let keys = keys(Duration::ZERO);
        let old = OperationId::from(uuid::Uuid::new_v7(uuid::Timestamp::from_unix(
            uuid::NoContext,
            1_600_000_000,
            0,
        )));
        keys.restore(vec![(asked(1, 1).key, old), (asked(2, 2).key, old)]);
        drop(claim(&keys, asked(1, 1)));
        keys.expire();
        assert!(keys.lock().held.is_empty());
    }
}
