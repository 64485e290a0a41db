//! Compares the outcome of each cancel with the sandbox's record of the truth.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use jiff::Timestamp;
use serde_json::Value;

use super::cancels::TrackedCancel;
use super::file::Row;
use crate::vendor::Vendor;

const UNKNOWN: &str = "unknown";

/// The sandbox's record of an offer.
pub struct Truth {
    /// How many requests to cancel it have arrived.
    pub posts: usize,
    /// The result of the one that was carried out.
    became: Option<String>,
    /// The state of the last publish and its time, if there was one.
    publish: Option<(String, Timestamp)>,
}

impl Truth {
    pub async fn of(vendor: &Vendor, offer: &str, posts: usize) -> Self {
        let path = format!("offers/contoso/{offer}");
        let known = vendor.control("GET", &path, Value::Null).await;
        let cancels = known["cancels"].as_array().unwrap();
        assert!(cancels.len() <= posts.min(1), "{known}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            posts,
            became: cancels.first().map(|cancel| text(&cancel["became"])),
            publish: known["submissions"].get(0).map(|publish| {
                let changed = text(&publish["changedAt"]).parse().unwrap();
                (text(&publish["state"]), changed)
            }),
        }
    }

    /// The matching outcome; `unknown` is accepted, too.
    fn outcome(&self, asked_at: Timestamp) -> &'static str {
        match self.became.as_deref() {
            Some("canceled") => return "canceled",
            Some("nothing-running") => return "nothingToCancel",
            Some("completed-first") => return "alreadyCompleted",
            Some("failed-first") => return "alreadyFailed",
            Some("pending") => return "notCanceled",
            Some(other) => panic!("{other}"),
            None => {}
        }
        // No cancel: any end of the publish.
        match &self.publish {
            None => "nothingToCancel",
            Some((state, _)) if state == "running" => "notCanceled",
            Some((_, ended)) if *ended < asked_at => "nothingToCancel",
            Some((state, _)) if state == "completed" => "alreadyCompleted",
            Some((state, _)) => panic!("nobody canceled it, and it is {state}"),
        }
    }

    /// The operation has ended with the true outcome or `unknown`.
    pub fn assert_answer(&self, row: &Row) {
        assert!(row.is_finished(), "still unfinished: {row:?}");
        let sent = self.posts - row.throttled;
        match row.outcome.as_deref() {
            None => {
                // It was refused, or never sent.
                assert_eq!(row.status, "Failed", "{row:?}");
                assert!(self.became.is_none(), "carried out: {row:?}");
                assert!(row.delivered == "yes" || sent == 0, "{row:?}");
            }
            Some(UNKNOWN) => {
                assert_eq!(
                    row.error_code.as_deref(),
                    Some("outcome-unknown"),
                    "{row:?}"
                );
                let why = row.error_message.as_deref().unwrap_or_default();
                assert!(why.ends_with('.'), "{row:?}");
            }
            Some(outcome) => {
                let asked_at = Timestamp::from_microsecond(row.created_at).unwrap();
                assert_eq!(outcome, self.outcome(asked_at), "{row:?}");
            }
        }
    }
}

/// How many of each.
#[derive(Default)]
pub struct Table {
    outcomes: BTreeMap<String, Count>,
    reasons: BTreeMap<String, usize>,
    unrecorded: usize,
    /// Cut off by a kill.
    cut_off: usize,
    /// Of those, repeated under their keys and answered.
    answered_again: usize,
}

#[derive(Default)]
struct Count {
    all: usize,
    /// Of those whose caller was cut off by a kill.
    cut_off: usize,
}

impl Table {
    pub fn new(tracked: &[TrackedCancel], rows: &HashMap<String, Row>) -> Self {
        let mut table = Self::default();
        for tracked in tracked {
            table.cut_off += usize::from(tracked.cut_off);
            table.answered_again += usize::from(tracked.cut_off && tracked.id.is_some());
            let Some(row) = rows.get(&tracked.cancel.offer) else {
                table.unrecorded += 1;
                continue;
            };
            let outcome = row.outcome.as_deref().unwrap_or("refused");
            let count = table.outcomes.entry(outcome.to_owned()).or_default();
            count.all += 1;
            count.cut_off += usize::from(tracked.cut_off);
            if outcome == UNKNOWN {
                let reason = row.error_message.clone().unwrap_or_default();
                *table.reasons.entry(reason).or_default() += 1;
            }
        }
        table
    }

    /// Most outcomes are known, also of cancels that were never answered.
    pub fn assert_telling(&self) {
        let (unknown, all) = self.unknown();
        assert!(unknown * 2 < all, "{}", self.text());
        assert!(self.answered_again > 0, "{}", self.text());
        let found_out = self.outcomes.get("canceled");
        let found_out = found_out.is_some_and(|count| count.cut_off > 0);
        assert!(found_out, "{}", self.text());
    }

    /// How many are unknown, and of how many.
    fn unknown(&self) -> (usize, usize) {
        let unknown = self.outcomes.get(UNKNOWN).map_or(0, |count| count.all);
        (unknown, self.outcomes.values().map(|count| count.all).sum())
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        let (cut_off, again) = (self.cut_off, self.answered_again);
        writeln!(
            text,
            "kill test: {cut_off:>4} cut off, {again} of them repeated under their keys"
        )
        .unwrap();
        for (outcome, Count { all, cut_off }) in &self.outcomes {
            writeln!(
                text,
                "kill test: {all:>4} {outcome}, {cut_off} of them cut off"
            )
            .unwrap();
        }
        for (reason, count) in &self.reasons {
            writeln!(text, "kill test: {count:>4} unknown: {reason}").unwrap();
        }
        let (unknown, all) = self.unknown();
        writeln!(text, "kill test: {unknown:>4} unknown of {all}").unwrap();
        let unrecorded = self.unrecorded;
        writeln!(text, "kill test: {unrecorded:>4} neither recorded nor sent").unwrap();
        text
    }
}
