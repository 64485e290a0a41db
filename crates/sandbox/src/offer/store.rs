//! All offers of the emulated portal. A scenario offer is created when its id is first used, so
//! that a test need not prepare it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::Timestamp;

use super::behaviour::{Access, Behaviour};
use super::definition::Definition;
use super::key::Key;
use super::progress::Offer;
use super::scenario;

/// The publishers that the sandbox's principal has a role in.
pub(crate) const PUBLISHERS: [&str; 2] = ["contoso", "fabrikam"];

/// Offers kept at once; beyond that, no scenario offers are created.
const LIMIT: usize = 500_000;

/// Why an offer is not visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OfferError {
    /// A publisher without a role, or an offer that is forbidden by its behaviour.
    Forbidden,
    /// No such offer.
    NotFound,
}

/// Every offer so far.
#[derive(Debug)]
pub(crate) struct Offers {
    default_behaviour: Behaviour,
    known: HashMap<(String, String), Offer>,
}

impl Offers {
    /// No offers yet; later ones have this behaviour where their scenario does not differ.
    pub(crate) fn new(default_behaviour: Behaviour) -> Self {
        Self {
            default_behaviour,
            known: HashMap::new(),
        }
    }

    pub(crate) fn default_behaviour(&self) -> &Behaviour {
        &self.default_behaviour
    }

    /// The offer at `now`, if the portal's callers may see it.
    pub(crate) fn visible(&mut self, key: &Key, now: Timestamp) -> Result<&mut Offer, OfferError> {
        if !is_known_publisher(&key.publisher) {
            return Err(OfferError::Forbidden);
        }
        let offer = self.get_or_create(key, now).ok_or(OfferError::NotFound)?;
        match offer.behaviour.access {
            Access::Granted => Ok(offer),
            Access::Forbidden => Err(OfferError::Forbidden),
            Access::Missing => Err(OfferError::NotFound),
        }
    }

    /// The offer at `now`, visible or not, created if its id names a scenario.
    pub(crate) fn get_or_create(&mut self, key: &Key, now: Timestamp) -> Option<&mut Offer> {
        let full = self.known.len() >= LIMIT;
        let offer = match self.known.entry(key.folded()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(_) if full => return None,
            Entry::Vacant(entry) => {
                let name = scenario::of_id(&key.publisher, &key.offer)?;
                let (behaviour, past) = scenario::build(name, self.default_behaviour.clone(), now)?;
                let definition = Definition::stock(&key.offer, now);
                entry.insert(Offer::new(key.clone(), behaviour, past, definition))
            }
        };
        offer.settle(now);
        Some(offer)
    }

    /// Adds an offer, replacing one with the same ids.
    pub(crate) fn put(&mut self, offer: Offer) {
        self.known.insert(offer.key.folded(), offer);
    }

    /// Removes an offer; a scenario offer is created anew when it is used again.
    pub(crate) fn forget(&mut self, key: &Key) -> bool {
        self.known.remove(&key.folded()).is_some()
    }

    pub(crate) fn clear(&mut self) {
        self.known.clear();
    }

    /// The visible offers of one publisher, by id.
    pub(crate) fn listed(&mut self, publisher: &str, now: Timestamp) -> Vec<&Offer> {
        let publisher = publisher.to_ascii_lowercase();
        let demo = Key {
            offer: format!("{publisher}-vm"),
            publisher: publisher.clone(),
        };
        self.get_or_create(&demo, now);
        let mut listed: Vec<&Offer> = self
            .known
            .iter_mut()
            .filter(|((owner, _), offer)| {
                *owner == publisher && offer.behaviour.access == Access::Granted
            })
            .map(|(_, offer)| {
                offer.settle(now);
                &*offer
            })
            .collect();
        listed.sort_by(|one, other| one.key.offer.cmp(&other.key.offer));
        listed
    }
}

/// Whether the sandbox's principal has a role in that publisher.
pub(crate) fn is_known_publisher(publisher: &str) -> bool {
    PUBLISHERS
        .iter()
        .any(|ours| ours.eq_ignore_ascii_case(publisher))
}
