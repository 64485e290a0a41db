//! What following a cancel has found so far, in a form that survives a restart.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Everything that the decision about an outcome needs to remember between two
/// looks at the vendor. Stored as JSON beside the operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Evidence {
    /// When the vendor's answer came, or its failure to come was noticed; our clock.
    pub answered_at: Option<Timestamp>,
    /// The `Date` of the vendor's answer; its clock, the only one that its
    /// `changedTime` may be held against.
    pub vendor_date: Option<Timestamp>,
    /// How long the vendor took to answer, in milliseconds.
    pub took_ms: u64,
    /// When the first look that succeeded was begun; our clock.
    pub first_look_at: Option<Timestamp>,
    /// The submission that the cancel meets, once it is known: it was seen running.
    pub pinned: Option<Uuid>,
    /// When the first of the two looks that find nothing running was begun; our clock.
    pub quiet_since: Option<Timestamp>,
}
