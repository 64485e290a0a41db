//! Findings of polling an operation, in a form that survives a restart.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// All state between two observations that the judgement of an outcome needs. Stored
/// as JSON beside the operation, so the names of the fields stay. The gateway's clock is the
/// steady one.
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
    /// How far the wall clock was ahead of the gateway's clock when this was recorded, in
    /// seconds: the next process, whose clock begins as the wall clock, needs to know.
    #[serde(skip_serializing_if = "is_zero")]
    pub wall_ahead: i64,
    /// Our clock was set back since the answer, so it no longer measures how long ago that
    /// was.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub clock_went_back: bool,
    /// The first observation was immediate and found nothing that was running, or had ended
    /// since: what starts from then on does not count.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub nothing_at_once: bool,
}

impl Evidence {
    /// Moves its times to the clock of this process, which the wall clock is so far ahead
    /// of.
    pub fn adopt(&mut self, wall_ahead: i64) {
        let shift = SignedDuration::from_secs(self.wall_ahead.saturating_sub(wall_ahead));
        for moment in [
            &mut self.answered_at,
            &mut self.first_look_at,
            &mut self.quiet_since,
        ] {
            *moment = moment.map(|at| at.saturating_add(shift).unwrap_or(at));
        }
        self.wall_ahead = wall_ahead;
    }
}

fn is_zero(seconds: &i64) -> bool {
    *seconds == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_moved_to_the_clock_of_another_process() {
        let at = |second| Timestamp::from_second(second).ok();
        let mut evidence = Evidence {
            answered_at: at(10_000),
            quiet_since: at(10_030),
            vendor_date: at(5),
            wall_ahead: 7200,
            ..Evidence::default()
        };
        evidence.adopt(0);
        assert_eq!(
            (evidence.answered_at, evidence.quiet_since),
            (at(17_200), at(17_230))
        );
        assert_eq!(
            (evidence.vendor_date, evidence.first_look_at),
            (at(5), None)
        );
        assert_eq!(evidence.wall_ahead, 0);
        evidence.adopt(-60);
        assert_eq!(
            (evidence.answered_at, evidence.wall_ahead),
            (at(17_260), -60)
        );
    }

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
