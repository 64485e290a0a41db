//! Findings of polling an operation, in a form that survives a restart.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// All state between two observations that the judgement of an outcome needs. Stored
/// as JSON beside the operation, so the names of the fields stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Evidence {
    /// When the vendor's answer came, or its absence was noticed; the gateway's clock.
    pub answered_at: Option<Timestamp>,
    /// The `Date` of the vendor's answer; its clock, the only one that its `changedTime`
    /// may be compared with.
    pub vendor_date: Option<Timestamp>,
    /// How long the vendor took to answer, in milliseconds.
    pub took_ms: u64,
    /// When the first observation that succeeded was requested; the gateway's clock.
    pub first_look_at: Option<Timestamp>,
    /// The submission that the cancel applies to, once it was seen running.
    pub pinned: Option<Uuid>,
    /// When the first of the two observations that find nothing running was requested; gateway
    /// clock.
    pub quiet_since: Option<Timestamp>,
    /// Our clock was set back since the answer, so it no longer measures how long ago that
    /// was.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub clock_went_back: bool,
    /// The first observation was immediate and found nothing that was running, or had ended
    /// since: what starts from then on does not count.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub nothing_at_once: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_of_an_older_version_is_read() {
        let stored = r#"{"answered_at":"2018-09-13T10:11:12Z","vendor_date":null,"took_ms":7,"first_look_at":null,"pinned":"56615b67-2185-49fe-80d2-c4ddf77bb2e8","quiet_since":null}"#;
        let read: Evidence = serde_json::from_str(stored).unwrap();
        assert_eq!(read.took_ms, 7);
        assert!(read.pinned.is_some() && !read.clock_went_back && !read.nothing_at_once);
        // Without new findings its stored form does not change.
        assert_eq!(serde_json::to_string(&read).unwrap(), stored);
    }
}
