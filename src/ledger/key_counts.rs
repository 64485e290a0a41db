//! How many idempotency keys the index holds: of each caller, and of all.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::CallerName;

/// The most keys of all callers together.
pub const MAX_KEYS: usize = 1_000_000;

/// The counts. Callers are never forgotten: their number is that of the configuration.
#[derive(Default)]
pub struct KeyCounts {
    all: Arc<AtomicUsize>,
    by_caller: Mutex<HashMap<CallerName, Arc<CallerKeys>>>,
}

struct CallerKeys {
    own: AtomicUsize,
    all: Arc<AtomicUsize>,
}

/// One key in the counts, until dropped.
pub struct CountedKey(Arc<CallerKeys>);

/// Why a further key is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeysFull {
    /// The caller has as many as it may.
    Caller,
    /// There are [`MAX_KEYS`].
    Gateway,
}

impl KeyCounts {
    /// Counts a key of this caller, however many there are.
    pub fn add(&self, caller: &CallerName) -> CountedKey {
        let mut by_caller = self
            .by_caller
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let keys = match by_caller.get(caller) {
            Some(keys) => Arc::clone(keys),
            None => {
                let keys = Arc::new(CallerKeys {
                    own: AtomicUsize::new(0),
                    all: Arc::clone(&self.all),
                });
                by_caller.insert(caller.clone(), Arc::clone(&keys));
                keys
            }
        };
        drop(by_caller);
        keys.own.fetch_add(1, Ordering::Relaxed);
        keys.all.fetch_add(1, Ordering::Relaxed);
        CountedKey(keys)
    }

    /// Counts a further key of this caller, if it may have more.
    pub fn try_add(&self, caller: &CallerName, limit: usize) -> Result<CountedKey, KeysFull> {
        let key = self.add(caller);
        if key.0.own.load(Ordering::Relaxed) > limit {
            Err(KeysFull::Caller)
        } else if key.0.all.load(Ordering::Relaxed) > MAX_KEYS {
            Err(KeysFull::Gateway)
        } else {
            Ok(key)
        }
    }
}

#[cfg(test)]
impl KeyCounts {
    /// The number of this caller's keys.
    pub fn of(&self, caller: &CallerName) -> usize {
        let by_caller = self.by_caller.lock().unwrap();
        by_caller[caller].own.load(Ordering::Relaxed)
    }
}

impl Drop for CountedKey {
    fn drop(&mut self) {
        self.0.own.fetch_sub(1, Ordering::Relaxed);
        self.0.all.fetch_sub(1, Ordering::Relaxed);
    }
}
