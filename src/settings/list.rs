//! Lists: every element is looked at, and none may be there twice.

use std::collections::HashMap;
use std::hash::Hash;

use super::checker::Checker;
use super::problem::KeyPath;

/// Looks at every element, then says whether all were good.
pub(super) fn each<T, U>(
    list: Vec<T>,
    at: &KeyPath,
    mut look: impl FnMut(&KeyPath, T) -> Option<U>,
) -> Option<Vec<U>> {
    let looked: Vec<Option<U>> = list
        .into_iter()
        .enumerate()
        .map(|(index, element)| look(&at.index(index), element))
        .collect();
    looked.into_iter().collect()
}

/// Refuses what stands under an earlier key already.
pub(super) fn unique<V: Hash + Eq>(
    c: &mut Checker<'_>,
    seen: &mut HashMap<V, KeyPath>,
    value: V,
    key: &KeyPath,
) {
    match seen.get(&value) {
        Some(first) => c.problem(key, format!("is the same as {first}")),
        None => {
            seen.insert(value, key.clone());
        }
    }
}
