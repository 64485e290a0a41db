//! How long a request waits for its idempotency key while a million of them are held, grow and
//! expire. The longest of a million times is the scheduler's: compare with those at rest.
//!
//! `cargo bench --bench keys`

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use offergate::domain::{CallerName, Digest, Idempotency, OperationId};
use offergate::ledger::{ClaimResult, IdempotencyIndex, MAX_KEYS, StoredKey};
use uuid::{Builder, Uuid};

const RETENTION: Duration = Duration::from_secs(24 * 3600);
/// As between two parts in the ledger's upkeep.
const GAP: Duration = Duration::from_millis(2);
const ROUNDS: usize = 5;

/// A digest that differs for each number, evenly distributed as SHA-256 is.
fn digest(number: u64) -> Digest {
    let mut bytes = [0; 32];
    let mut word = number;
    for eight in bytes.chunks_exact_mut(8) {
        // SplitMix64.
        word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        eight.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    Digest::from(bytes)
}

/// An operation that was created so long ago.
fn operation(age: Duration) -> OperationId {
    let created = std::time::SystemTime::now() - age;
    let since = created.duration_since(std::time::UNIX_EPOCH).unwrap();
    let millis = u64::try_from(since.as_millis()).unwrap();
    let id: Uuid = Builder::from_unix_timestamp_millis(millis, &[7; 10]).into_uuid();
    OperationId::parse(&id.to_string()).unwrap()
}

/// A full index, whose operations are of this age.
fn full(age: Duration, caller: &CallerName) -> Arc<IdempotencyIndex> {
    let index = Arc::new(IdempotencyIndex::new(RETENTION));
    let operation = operation(age);
    for number in 0..MAX_KEYS as u64 {
        index.restore(&StoredKey {
            key: digest(number),
            operation,
            caller: caller.clone(),
        });
    }
    index
}

/// Claims new keys, and returns them, until `ended`; every time that it took, sorted.
fn claim(index: &Arc<IdempotencyIndex>, caller: &CallerName, ended: &AtomicBool) -> Vec<Duration> {
    let mut times = Vec::with_capacity(1 << 22);
    let mut number = 1 << 40;
    while !ended.load(Ordering::Relaxed) {
        number += 1;
        let idempotency = Idempotency {
            key: digest(number),
            payload: digest(0),
        };
        let began = Instant::now();
        let claimed = index.claim(idempotency, caller, usize::MAX);
        times.push(began.elapsed());
        drop(claimed);
    }
    times.sort_unstable();
    times
}

fn report(what: &str, times: &[Duration]) {
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let [median, late, latest, last] = [0.5, 0.99, 0.9999, 1.0].map(at);
    println!(
        "{what:36} {:>8} times   median {median:>8.1?}   99 % {late:>8.1?}   99.99 % {latest:>8.1?}   \
         longest {last:>8.1?}",
        times.len()
    );
}

/// Claims while `upkeep` runs on another thread.
fn during(
    index: &Arc<IdempotencyIndex>,
    caller: &CallerName,
    upkeep: impl FnOnce() + Send,
) -> Vec<Duration> {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            upkeep();
            ended.store(true, Ordering::Relaxed);
        });
        claim(index, caller, &ended)
    })
}

fn main() {
    let caller = CallerName::parse("pipeline").unwrap();
    let mut growing: Vec<Duration> = Vec::with_capacity(MAX_KEYS);
    let index = Arc::new(IdempotencyIndex::new(RETENTION));
    let new = operation(Duration::ZERO);
    for number in 0..MAX_KEYS as u64 {
        let idempotency = Idempotency {
            key: digest(number),
            payload: digest(0),
        };
        let began = Instant::now();
        let claimed = index.claim(idempotency, &caller, usize::MAX);
        growing.push(began.elapsed());
        if let ClaimResult::New(mut claim) = claimed {
            claim.bind(new);
        }
    }
    growing.sort_unstable();
    report("growing to a million", &growing);
    drop(index);
    for (what, age) in [
        ("a million, none of which expires", Duration::ZERO),
        ("a million, all of which expire", 2 * RETENTION),
    ] {
        let mut parts = Vec::new();
        for _ in 0..ROUNDS {
            let index = full(age, &caller);
            let idle = during(&index, &caller, || {
                thread::sleep(Duration::from_millis(600))
            });
            report("  at rest", &idle);
            let times = during(&index, &caller, || {
                let mut part = Some(0);
                while let Some(present) = part {
                    let began = Instant::now();
                    part = index.expire(present);
                    parts.push(began.elapsed());
                    thread::sleep(GAP);
                }
            });
            report(what, &times);
        }
        parts.sort_unstable();
        report("  the locks of its parts", &parts);
    }
}
