//! The scenarios: which offer id has which behaviour. An id is the name of a scenario, or the
//! name, a hyphen and anything, so that every test can have its own offer. The help page prints
//! this table.

use std::time::Duration;

use jiff::Timestamp;

use super::behaviour::{Access, Behaviour, CancelStyle, LocationStyle};
use super::definition::Slot;
use super::submission::Submission;
use crate::text::earlier;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What happened to an offer before it was created here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum History {
    Running,
    Never,
    CompletedLongAgo,
    CanceledLongAgo,
    StagingDone,
    AwaitsSignOff,
}

struct Scenario {
    name: &'static str,
    history: History,
    shape: fn(&mut Behaviour),
}

const fn scenario(name: &'static str, history: History, shape: fn(&mut Behaviour)) -> Scenario {
    Scenario {
        name,
        history,
        shape,
    }
}

use Access::{Forbidden, Missing};
use CancelStyle::{Completes, Fails, NeverStops, Sync, SyncObject};
use History::{AwaitsSignOff, CanceledLongAgo, CompletedLongAgo, Never, Running, StagingDone};
use LocationStyle::{Absolute, InBody, Nowhere, Relative, Unmigrated};

const SCENARIOS: [Scenario; 27] = [
    scenario("contoso-vm", Running, |_| {}),
    scenario("fabrikam-vm", Running, |_| {}),
    scenario("absolute", Running, |it| it.location = Absolute),
    scenario("relative", Running, |it| it.location = Relative),
    scenario("migrated", Running, |_| {}),
    scenario("unmigrated", Running, |it| it.location = Unmigrated),
    scenario("in-body", Running, |it| it.location = InBody),
    scenario("nowhere", Running, |it| it.location = Nowhere),
    scenario("sync", Running, |it| it.cancel = Sync),
    scenario("sync-object", Running, |it| it.cancel = SyncObject),
    scenario("idle", CompletedLongAgo, |_| {}),
    scenario("already-canceled", CanceledLongAgo, |_| {}),
    scenario("empty", Never, |_| {}),
    scenario("completes", Running, |it| it.cancel = Completes),
    scenario("fails", Running, |it| it.cancel = Fails),
    scenario("stubborn", Running, |it| it.cancel = NeverStops),
    scenario("own-operation", Running, |it| it.own_operation = true),
    scenario("forbidden", Running, |it| it.access = Forbidden),
    scenario("missing", Never, |it| it.access = Missing),
    scenario("staging-done", StagingDone, |_| {}),
    scenario("sign-off", AwaitsSignOff, |_| {}),
    scenario("sign-off-unmigrated", AwaitsSignOff, |it| {
        it.location = Unmigrated;
    }),
    scenario("no-zone", Running, |it| it.zone = false),
    scenario("no-date", Running, |it| it.date = false),
    scenario("no-etag", CompletedLongAgo, |it| it.etag = false),
    scenario("operation-in-array", Running, |it| {
        it.operation_in_array = true;
    }),
    scenario("invalid", CompletedLongAgo, |it| it.valid = false),
];

/// The names of all scenarios.
pub(crate) fn scenario_names() -> [&'static str; SCENARIOS.len()] {
    SCENARIOS.map(|scenario| scenario.name)
}

/// The scenario that an offer id names: the longest name that it is or begins with.
pub(super) fn of_id(publisher: &str, id: &str) -> Option<&'static str> {
    let id = id.to_ascii_lowercase();
    let matches = |name: &&'static str| {
        id.strip_prefix(*name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let name = scenario_names()
        .into_iter()
        .filter(matches)
        .max_by_key(|name| name.len())?;
    // The two demo offers belong to one publisher each and do not exist under the other.
    let owner = name.strip_suffix("-vm");
    owner
        .is_none_or(|owner| owner.eq_ignore_ascii_case(publisher))
        .then_some(name)
}

/// The behaviour and the history of the scenario of that name.
pub(super) fn build(
    name: &str,
    mut behaviour: Behaviour,
    now: Timestamp,
) -> Option<(Behaviour, Vec<Submission>)> {
    let scenario = SCENARIOS.iter().find(|one| one.name == name)?;
    behaviour.scenario = name.to_owned();
    (scenario.shape)(&mut behaviour);
    Some((behaviour, scenario.history.submissions(now)))
}

impl History {
    fn submissions(self, now: Timestamp) -> Vec<Submission> {
        let ended = |slot, state: &str, ago| {
            let at = earlier(now, ago);
            let mut run = Submission::running(slot, earlier(at, 90 * MINUTE));
            run.end(state, at);
            run
        };
        let running = |slot, ago| Submission::running(slot, earlier(now, ago));
        match self {
            Self::Never => Vec::new(),
            Self::Running => vec![running(Slot::Staging, 10 * MINUTE)],
            Self::CompletedLongAgo => vec![
                ended(Slot::Staging, "completed", 41 * DAY),
                ended(Slot::Production, "completed", 40 * DAY),
            ],
            Self::CanceledLongAgo => vec![ended(Slot::Staging, "canceled", 3 * DAY)],
            Self::StagingDone => vec![
                ended(Slot::Staging, "completed", 2 * DAY),
                running(Slot::Production, 10 * MINUTE),
            ],
            Self::AwaitsSignOff => {
                let mut run = running(Slot::Staging, 2 * DAY);
                run.awaits_sign_off = true;
                run.changed = earlier(now, DAY);
                vec![run]
            }
        }
    }
}
