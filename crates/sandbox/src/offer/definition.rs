//! An offer's definition in versions ("editions", since the vendor has many versions): every PUT
//! adds one, a slot shows the one that was published there, and the ETag names the newest.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Editions kept for one offer; the oldest are dropped first.
const LIMIT: usize = 100;

/// Where something is published, in the vendor's words for submissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Slot {
    /// Not published; no submission has this slot.
    Draft,
    /// The preview, which the offer's slots call `Preview`.
    #[default]
    Staging,
    /// Live.
    Production,
}

impl Slot {
    /// The slot's name as a path segment, in any case.
    pub(crate) fn of_segment(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "draft" => Some(Self::Draft),
            "preview" => Some(Self::Staging),
            "production" => Some(Self::Production),
            _ => None,
        }
    }
}

/// One edition of an offer's definition.
#[derive(Clone, Debug)]
pub(crate) struct Edition {
    /// Counts from 1.
    pub(crate) number: u64,
    pub(crate) offer_type: String,
    /// The `definition` member.
    pub(crate) body: Value,
    pub(crate) changed: Timestamp,
}

impl Edition {
    pub(crate) fn etag(&self) -> String {
        format!("\"{}-{}\"", self.number, self.changed.as_microsecond())
    }

    pub(crate) fn display_text(&self) -> &str {
        self.body["displayText"].as_str().unwrap_or_default()
    }
}

/// All editions of an offer's definition, oldest first; there is always one.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    older: Vec<Edition>,
    current: Edition,
}

impl Definition {
    pub(crate) fn new(offer_type: &str, body: Value, changed: Timestamp) -> Self {
        let current = Edition {
            number: 1,
            offer_type: offer_type.to_owned(),
            body,
            changed,
        };
        Self {
            older: Vec::new(),
            current,
        }
    }

    /// The definition of an offer that no test described.
    pub(crate) fn stock(offer: &str, changed: Timestamp) -> Self {
        let mut body: Value = serde_json::from_str(include_str!("stock.json")).unwrap_or_default();
        let title = format!("The {offer} offer");
        body["displayText"] = title.as_str().into();
        body["offer"]["microsoft-azure-marketplace.title"] = title.into();
        Self::new("microsoft-azure-virtualmachines", body, changed)
    }

    pub(crate) fn current(&self) -> &Edition {
        &self.current
    }

    pub(crate) fn edition(&self, number: u64) -> Option<&Edition> {
        let mut all = self.older.iter().chain([&self.current]);
        all.find(|edition| edition.number == number)
    }

    pub(crate) fn replace(&mut self, offer_type: &str, body: Value, at: Timestamp) {
        let next = Edition {
            number: self.current.number + 1,
            offer_type: offer_type.to_owned(),
            body,
            changed: at,
        };
        if self.older.len() == LIMIT {
            self.older.remove(0);
        }
        self.older.push(std::mem::replace(&mut self.current, next));
    }

    /// Whether an `If-Match` value names the current edition. Weak tags count, since the vendor
    /// does not promise strong ones.
    pub(crate) fn matches(&self, if_match: &str) -> bool {
        let current = self.current.etag();
        if_match.split(',').map(str::trim).any(|tag| {
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            tag == "*" || tag == current
        })
    }
}
