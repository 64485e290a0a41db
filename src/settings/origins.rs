//! Who wrote which value: places in the shape of the configuration, without values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{Map, Value, ValueKind};

use super::problem::{KeyPath, Place, Step};

/// Where each value of the merged layers was written.
pub(super) struct Origins {
    top: Node,
    /// Where a key that is nowhere should have been: the last file that was read.
    last_file: Place,
}

/// A value, as far as places go. A tree and not a map of paths: a path for each of a
/// million values takes seconds to build.
struct Node {
    /// Its own; none for a table, which several places may have written, unless it
    /// is empty and nothing in it could tell.
    place: Option<Arc<Place>>,
    below: Below,
}

enum Below {
    Nothing,
    Table(BTreeMap<String, Node>),
    List(Vec<Node>),
}

impl Origins {
    /// `places` holds them by the text that a value of `config` carries as its origin.
    pub(super) fn new(
        table: &Map<String, Value>,
        places: BTreeMap<String, Place>,
        last_file: Place,
    ) -> Self {
        let places = places
            .into_iter()
            .map(|(origin, place)| (origin, Arc::new(place)))
            .collect();
        Self {
            top: Node {
                place: None,
                below: Below::of_table(table, &places),
            },
            last_file,
        }
    }

    /// The place of a key or, if it is missing, of the closest thing around it.
    pub(super) fn of(&self, key: &KeyPath) -> &Place {
        let steps = key.steps();
        for length in (1..=steps.len()).rev() {
            // `server` holds keys of every layer: a neighbour there tells nothing.
            if length == 1 && steps.len() > 1 {
                break;
            }
            let Some(node) = self.at(&steps[..length]) else {
                continue;
            };
            // A table may mix places: what is missing from it belongs into its file.
            let is_file = |place: &&Place| matches!(place, Place::File(_));
            if let Some(place) = node.find(&is_file).or_else(|| node.find(&|_| true)) {
                return place;
            }
        }
        &self.last_file
    }

    /// Every place that wrote the key or something below it.
    pub(super) fn all(&self, key: &KeyPath) -> BTreeSet<&Place> {
        let mut all = BTreeSet::new();
        if let Some(node) = self.at(key.steps()) {
            node.collect(&mut all);
        }
        all
    }

    fn at(&self, steps: &[Step]) -> Option<&Node> {
        steps
            .iter()
            .try_fold(&self.top, |node, step| match (&node.below, step) {
                (Below::Table(table), Step::Key(key)) => table.get(&**key),
                (Below::List(list), Step::Index(index)) => list.get(*index),
                _ => None,
            })
    }
}

impl Node {
    fn of(value: &Value, places: &BTreeMap<String, Arc<Place>>) -> Self {
        let below = match &value.kind {
            ValueKind::Table(table) => Below::of_table(table, places),
            ValueKind::Array(list) => {
                Below::List(list.iter().map(|value| Self::of(value, places)).collect())
            }
            _ => Below::Nothing,
        };
        let own = !matches!(&below, Below::Table(table) if !table.is_empty());
        let place = value.origin().and_then(|origin| places.get(origin));
        Self {
            place: place.filter(|_| own).cloned(),
            below,
        }
    }

    /// The first place that is meant, this node's own before those below it.
    fn find(&self, meant: &impl Fn(&&Place) -> bool) -> Option<&Place> {
        let own = self.place.as_deref().filter(meant);
        own.or_else(|| self.children().find_map(|node| node.find(meant)))
    }

    fn collect<'a>(&'a self, all: &mut BTreeSet<&'a Place>) {
        all.extend(self.place.as_deref());
        for node in self.children() {
            node.collect(all);
        }
    }

    fn children(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match &self.below {
            Below::Nothing => Box::new(std::iter::empty()),
            Below::Table(table) => Box::new(table.values()),
            Below::List(list) => Box::new(list.iter()),
        }
    }
}

impl Below {
    fn of_table(table: &Map<String, Value>, places: &BTreeMap<String, Arc<Place>>) -> Self {
        let nodes = table
            .iter()
            .map(|(key, value)| (key.clone(), Node::of(value, places)));
        Self::Table(nodes.collect())
    }
}
