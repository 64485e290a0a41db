//! All offers of the emulated portal. Scenario offers come into being when they are first
//! touched, so that a test need not announce the one it uses.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use jiff::Timestamp;

use super::{Access, Behaviour, Definition, Offer, scenario};

/// The publishers that the sandbox's principal may see.
pub(crate) const PUBLISHERS: [&str; 2] = ["contoso", "fabrikam"];

/// Offers held at once; beyond that, scenario offers are no longer created.
const LIMIT: usize = 500_000;

/// Which offer, as the caller spelled it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) publisher: String,
    pub(crate) offer: String,
}

impl Key {
    /// The vendor does not tell ids apart by case.
    fn folded(&self) -> (String, String) {
        let fold = str::to_ascii_lowercase;
        (fold(&self.publisher), fold(&self.offer))
    }
}

/// Why an offer cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Not a publisher of ours, or an offer that refuses us.
    Forbidden,
    /// No such offer.
    Missing,
}

/// Every offer known so far.
#[derive(Debug)]
pub(crate) struct Offers {
    plain: Behaviour,
    known: HashMap<(String, String), Offer>,
}

impl Offers {
    /// No offers yet; those to come behave like `plain` where their scenario says nothing.
    pub(crate) fn new(plain: Behaviour) -> Self {
        Self {
            plain,
            known: HashMap::new(),
        }
    }

    pub(crate) fn plain(&self) -> &Behaviour {
        &self.plain
    }

    /// The offer as the portal's callers see it at `now`.
    pub(crate) fn visible(&mut self, key: &Key, now: Timestamp) -> Result<&mut Offer, Absent> {
        if !is_ours(&key.publisher) {
            return Err(Absent::Forbidden);
        }
        let offer = self.touch(key, now).ok_or(Absent::Missing)?;
        match offer.behaviour.access {
            Access::Granted => Ok(offer),
            Access::Forbidden => Err(Absent::Forbidden),
            Access::Missing => Err(Absent::Missing),
        }
    }

    /// The offer at `now`, whoever may see it, created if its id asks for a scenario.
    pub(crate) fn touch(&mut self, key: &Key, now: Timestamp) -> Option<&mut Offer> {
        let full = self.known.len() >= LIMIT;
        let offer = match self.known.entry(key.folded()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(_) if full => return None,
            Entry::Vacant(entry) => {
                let name = scenario::of_id(&key.publisher, &key.offer)?;
                let (behaviour, past) = scenario::build(name, self.plain.clone(), now)?;
                entry.insert(Offer {
                    key: key.clone(),
                    behaviour,
                    submissions: past,
                    cancels: VecDeque::new(),
                    cancels_forgotten: 0,
                    definition: Definition::stock(&key.offer, now),
                })
            }
        };
        offer.settle(now);
        Some(offer)
    }

    /// Puts an offer in place of whatever is there.
    pub(crate) fn put(&mut self, offer: Offer) {
        self.known.insert(offer.key.folded(), offer);
    }

    /// Forgets an offer; a scenario offer starts anew when it is touched again.
    pub(crate) fn forget(&mut self, key: &Key) -> bool {
        self.known.remove(&key.folded()).is_some()
    }

    /// Forgets all offers.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
    }

    /// The offers of one publisher that a list shows, by id.
    pub(crate) fn listed(&mut self, publisher: &str, now: Timestamp) -> Vec<&Offer> {
        let publisher = publisher.to_ascii_lowercase();
        let demo = Key {
            offer: format!("{publisher}-vm"),
            publisher: publisher.clone(),
        };
        self.touch(&demo, now);
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
pub(crate) fn is_ours(publisher: &str) -> bool {
    PUBLISHERS
        .iter()
        .any(|ours| ours.eq_ignore_ascii_case(publisher))
}
