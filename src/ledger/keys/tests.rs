//! The states of a key, the ceilings, and expiry part by part.

use sha2::Digest as _;

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
    match state(index, idempotency) {
        ClaimResult::New(claim) => claim,
        _ => panic!("not new"),
    }
}

/// A claim of a caller that may have any number of keys.
fn state(index: &Arc<IdempotencyIndex>, idempotency: Idempotency) -> ClaimResult {
    index.claim(idempotency, &caller("pipeline"), usize::MAX)
}

fn caller(name: &str) -> CallerName {
    CallerName::parse(name).unwrap()
}

fn stored(key: u8, operation: OperationId) -> StoredKey {
    StoredKey {
        key: used(key, 1).key,
        operation,
        caller: caller("pipeline"),
    }
}

fn size(index: &IdempotencyIndex) -> usize {
    let parts = index.parts.iter();
    parts.map(|part| part.lock().unwrap().by_key.len()).sum()
}

fn expire_all(index: &IdempotencyIndex) -> usize {
    let parts = std::iter::successors(Some(0), |part| index.expire(*part));
    parts.count()
}

#[test]
fn a_key_is_new_in_use_and_bound() {
    let index = index(HOUR);
    let mut first = claim(&index, used(1, 1));
    assert!(matches!(state(&index, used(1, 1)), ClaimResult::InUse));
    assert!(matches!(state(&index, used(1, 2)), ClaimResult::Reused));
    let _other = claim(&index, used(2, 1));
    let id = OperationId::generate();
    first.bind(id);
    drop(first);
    assert!(matches!(state(&index, used(1, 1)), ClaimResult::Bound(bound) if bound == id));
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
    let again = state(&index, used(1, 1));
    assert!(matches!(again, ClaimResult::Unwritten(first) if first == answer));
    assert!(matches!(state(&index, used(1, 2)), ClaimResult::Reused));
    drop(first);
    assert!(matches!(state(&index, used(1, 1)), ClaimResult::Bound(_)));
    assert!(index.part([1; 16]).unwritten.is_empty());
}

#[test]
fn only_one_request_reclaims_a_key() {
    let index = index(HOUR);
    let id = OperationId::generate();
    index.restore(&stored(1, OperationId::generate()));
    index.restore(&stored(1, id));
    let other = OperationId::generate();
    assert!(index.reclaim(used(1, 1), other).is_none());
    let reclaimed = index.reclaim(used(1, 1), id);
    assert!(reclaimed.is_some());
    assert!(index.reclaim(used(1, 1), id).is_none());
    assert!(matches!(state(&index, used(1, 1)), ClaimResult::InUse));
    drop(reclaimed);
    assert!(matches!(state(&index, used(1, 1)), ClaimResult::Bound(bound) if bound == id));
}

#[test]
fn a_key_is_new_again_after_its_retention() {
    let index = index(Duration::ZERO);
    let old = OperationId::from(uuid::Uuid::new_v7(uuid::Timestamp::from_unix(
        uuid::NoContext,
        1_600_000_000,
        0,
    )));
    for key in 1..=3 {
        index.restore(&stored(key, old));
    }
    drop(claim(&index, used(1, 1)));
    let in_use = claim(&index, used(3, 1));
    assert_eq!(expire_all(&index), PARTS);
    assert_eq!(size(&index), 1);
    drop(in_use);
    assert_eq!(size(&index), 0);
    assert_eq!(index.counts.of(&caller("pipeline")), 0);
}

#[test]
fn a_caller_at_its_ceiling_keeps_its_keys_and_hinders_no_other() {
    let index = index(HOUR);
    let (one, other) = (caller("one"), caller("other"));
    let bind = |key, caller: &CallerName| match index.claim(used(key, 1), caller, 2) {
        ClaimResult::New(mut claim) => {
            claim.bind(OperationId::generate());
            true
        }
        ClaimResult::Full(KeysFull::Caller) => false,
        _ => panic!("neither new nor full"),
    };
    assert!(bind(1, &one) && bind(2, &one));
    assert!(!bind(3, &one));
    assert!(matches!(
        index.claim(used(1, 1), &one, 2),
        ClaimResult::Bound(_)
    ));
    assert!(bind(4, &other));
    // A key that is returned makes room.
    let Some(claim) = (match index.claim(used(1, 1), &one, 2) {
        ClaimResult::Bound(operation) => index.reclaim(used(1, 1), operation),
        _ => None,
    }) else {
        panic!("not reclaimed");
    };
    claim.release();
    assert!(bind(3, &one));
}

#[test]
fn expiry_locks_one_part_of_many_at_a_time() {
    let index = index(HOUR);
    for number in 0..25_600_u32 {
        let key = <[u8; 32]>::from(sha2::Sha256::digest(number.to_be_bytes()));
        index.restore(&StoredKey {
            key: Digest::from(key),
            operation: OperationId::generate(),
            caller: caller("pipeline"),
        });
    }
    let sizes = index
        .parts
        .iter()
        .map(|part| part.lock().unwrap().by_key.len());
    let largest = sizes.max().unwrap();
    assert!(largest < 200, "{largest} of 25,600");
    // A lock that expiry needed would never be free.
    let _in_use = index.part([7; 16]);
    assert_eq!(index.expire(6), Some(7));
    assert_eq!(index.expire(8), Some(9));
}
