//! `[operations]`: how unfinished operations are polled.

use std::num::NonZeroU32;
use std::time::Duration;

use super::reader::Table;

/// How unfinished operations are polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationsSettings {
    /// Between two polls of one operation.
    pub poll: Duration,
    /// Requests in a second that polls of one publisher make.
    pub max_polls_per_second: NonZeroU32,
    /// Between the two polls that prove that nothing is running.
    pub settle: Duration,
    /// How long an operation is polled before it ends unconfirmed; longer than the others.
    pub give_up: Duration,
}

pub fn read(t: &mut Table<'_, '_>) -> Option<OperationsSettings> {
    let poll = t.seconds("poll_seconds", 1..=3600);
    let max_polls = t.number("max_polls_per_second", 1..=100_000);
    let max_polls = max_polls.and_then(|count| NonZeroU32::new(u32::try_from(count).ok()?));
    let settle = t.seconds("settle_seconds", 1..=3600);
    let give_up = t.seconds("give_up_seconds", 1..=604_800);
    for (name, shorter) in [("poll_seconds", poll), ("settle_seconds", settle)] {
        if give_up.zip(shorter).is_some_and(|(all, part)| all <= part) {
            let (all, part) = (t.at("give_up_seconds"), t.at(name));
            let message = format!("{} must be greater than {}", all.key, part.key);
            t.reading.conflict(&all, &part, message);
        }
    }
    Some(OperationsSettings {
        poll: poll?,
        max_polls_per_second: max_polls?,
        settle: settle?,
        give_up: give_up?,
    })
}
