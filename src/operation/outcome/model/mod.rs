//! The outcome and the operation's states, checked against a simulated vendor: the
//! reported outcome agrees with what the vendor did, for any sequence of events and faults.
//!
//! # What counts as the truth
//!
//! If our cancel arrived while a publish ran, it applied to that one: a reported end must
//! be its end, without any tolerance, and "nothing was running" is wrong.
//!
//! If it arrived when nothing ran, or never, it applied to none, and the contract allows to
//! report a publish that ran at about that time: from when our request was sent to when the
//! vendor answered, and
//!
//! - before: 10 s and the request's duration (the contract's slack), and 1 s more, by
//!   which a `Date` may be early;
//! - after: 5 s if the answer is dated (an observation within 2 s of noticing it, on a
//!   request of 2 s; or one dated no more than 4 s later, and `Date` is up to 1 s early),
//!   and in any case 4 s from when it was sent (the same without a date).
//!
//! The same tolerance holds where the vendor names an old publish, or its lists lag; then
//! both ends are as much wider. Where our cancel never arrived, "nothing was running" must
//! be true of some moment between sending and noticing. Unknown is never wrong, so
//! [`plain`] says where it is not good enough.

mod plain;
mod plan;
mod world;

use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

use super::terms::{Deadlines, MissingReason, Observation};
use super::update::{self, Effect};
use crate::domain::{
    Action, CallerName, Delivered, Evidence, Operation, OperationError, Outcome, ProblemCode,
    RequestId, Status, Target,
};
use crate::portal::{Location, RunState};
use plan::{Back, Event, Names, PlannedObservation, Request, plan};
use world::{Happening, World, end};

const DEADLINES: Deadlines = Deadlines {
    settle: std::time::Duration::from_secs(30),
    give_up: std::time::Duration::from_secs(1800),
};
const SLACK: i64 = 10_000 + 1_000;
const PROMPT: i64 = 2_000;
const AFTER_ANSWER: i64 = 5_000;

/// The gateway's side: the operation, its states so far, and the truth about it.
struct Ours {
    world: World,
    operation: Arc<Operation>,
    states: Vec<Arc<Operation>>,
    /// How many of them are durable.
    durable: usize,
    left: i64,
    noticed: i64,
    arrived: Option<i64>,
    /// The publish that our cancel applied to, where that is beyond doubt.
    met: Option<Uuid>,
    /// The latest moment that counts as the time of our cancel.
    latest: i64,
    location: Option<Location>,
}

fn intent(at: Timestamp) -> Operation {
    let mut intent = Operation::intent(
        Action::Cancel,
        Target::sample("contoso", "vm"),
        CallerName::parse("pipeline").unwrap(),
        RequestId::generate(),
    );
    intent.created_at = at;
    intent
}

impl Ours {
    fn send(mut world: World, request: &Request) -> Self {
        let (left, mut operation) = (world.now, intent(world.our_time()));
        let recorded = Arc::new(operation.clone());
        world.happen(&request.outbound);
        let arrived = request.arrives.then_some(world.now);
        let met = world
            .running()
            .filter(|_| request.arrives)
            .map(|run| run.id);
        if request.arrives {
            world.cancel(request.bites, request.touches);
        }
        world.happen(&request.at_vendor);
        let (date, last) = (world.date(), world.runs.last().map(|run| run.id));
        let answered = world.now;
        let mut latest = answered + AFTER_ANSWER;
        world.happen(&request.inbound);
        let mut location = None;
        operation.evidence.answered_at = Some(world.our_time());
        operation.evidence.took_ms = u64::try_from(world.now - left).unwrap();
        match request.back {
            Back::Answer { dated, cut } if request.arrives => {
                operation.evidence.vendor_date = dated.then_some(date);
                operation.follow(if cut {
                    Delivered::Unknown
                } else {
                    Delivered::Yes
                });
                location = match request.names {
                    Names::Met => met.or(last).map(Location::Operation),
                    Names::Own => Some(Location::Operation(Uuid::from_u128(u128::MAX))),
                    Names::Offer => Some(Location::Preview),
                    Names::Old(which) => {
                        let old = world.runs.get(which).map(|run| run.id);
                        old.filter(|id| Some(*id) <= last).map(Location::Operation)
                    }
                    Names::Nothing => None,
                };
            }
            Back::Crash => operation = Operation::clone(&recorded),
            Back::Answer { .. } | Back::Nothing => operation.follow(Delivered::Unknown),
        }
        if operation.evidence.vendor_date.is_none() {
            let named = matches!(location, Some(Location::Operation(_)));
            latest = (left + 2 * PROMPT).max(if named { answered } else { left });
        }
        let certain = world.lag == 0 && !matches!(request.names, Names::Old(_));
        let mut operation = Arc::new(operation);
        update::assume_sent(&mut operation, 0);
        Self {
            met: met.filter(|_| certain),
            latest,
            noticed: world.now,
            world,
            states: vec![recorded, Arc::clone(&operation)],
            operation,
            durable: 1,
            left,
            arrived,
            location,
        }
    }

    fn go(&mut self, event: &Event) -> Result<(), TestCaseError> {
        match event {
            Event::World(happenings) => self.world.happen(happenings),
            Event::Observe(planned) => self.observe(planned)?,
            Event::Saved => self.durable = self.states.len(),
            Event::Restart(back) => self.restart(*back),
            Event::Clock(by) => self.world.jump(*by),
        }
        Ok(())
    }

    fn observe(&mut self, planned: &PlannedObservation) -> Result<(), TestCaseError> {
        let (started, begun_at) = (self.world.our_time(), self.world.now);
        self.world.happen(&planned.before);
        let list = self.world.list();
        let date = planned.dated.then(|| self.world.date());
        self.world.happen(&planned.after);
        let ended = self.world.our_time();
        let is_last = ended >= update::gives_up_at(&self.operation, DEADLINES) + DEADLINES.grace();
        let unread = if is_last {
            MissingReason::ReadFailed
        } else {
            MissingReason::WillRetry
        };
        let observation = Observation {
            at: if planned.succeeds { started } else { ended },
            ended,
            date: date.filter(|_| planned.succeeds),
            submissions: planned.succeeds.then_some(&list[..]).ok_or(unread),
        };
        let before = Arc::clone(&self.operation);
        let effect = update::observe(
            &mut self.operation,
            self.location,
            observation,
            None,
            DEADLINES,
        );
        if before.status.is_final() || effect == Effect::Unchanged {
            prop_assert_eq!(&before, &self.operation);
            return Ok(());
        }
        prop_assert!(self.operation.updated_at > before.updated_at);
        prop_assert_eq!(effect == Effect::Ended, self.operation.status.is_final());
        self.states.push(Arc::clone(&self.operation));
        if let Some(outcome) = self.operation.outcome {
            self.hold_against_truth(outcome, begun_at)?;
        }
        Ok(())
    }

    fn restart(&mut self, back: usize) {
        let kept = (self.states.len().saturating_sub(back)).max(self.durable);
        self.states.truncate(kept);
        let mut found = Operation::clone(&self.states[kept - 1]);
        let stored = serde_json::to_string(&found.evidence).unwrap();
        found.evidence = serde_json::from_str(&stored).unwrap();
        if found.status == Status::NotStarted {
            // Nor was any location recorded.
            self.location = None;
        }
        let mut found = Arc::new(found);
        if update::assume_sent(&mut found, 0) {
            self.states.push(Arc::clone(&found));
        }
        self.operation = found;
    }

    fn hold_against_truth(&self, outcome: Outcome, observed: i64) -> Result<(), TestCaseError> {
        let lag = self.world.lag;
        let earliest = self.left - SLACK - (self.noticed - self.left) - lag;
        let counts = |run: &&world::Run| match self.met {
            Some(met) => run.id == met,
            None => {
                run.started <= self.latest + lag
                    && run.ended.is_none_or(|(ended, _)| ended >= earliest)
            }
        };
        let met: Vec<_> = self.world.runs.iter().filter(counts).collect();
        let ended = |state| {
            met.iter()
                .any(|run| matches!(run.ended, Some((_, end)) if end == state))
        };
        let truth = match outcome {
            Outcome::Canceled => ended(RunState::Canceled),
            Outcome::AlreadyFailed => ended(RunState::Failed),
            Outcome::AlreadyCompleted => ended(RunState::Completed),
            Outcome::NotCanceled => met
                .iter()
                .any(|run| run.ended.is_none_or(|(ended, _)| ended >= observed - lag)),
            Outcome::NothingToCancel => !self.world.runs.iter().any(|run| match self.arrived {
                Some(at) => run.ran_at(at) && run.started < at - lag,
                None => run.started < self.left - lag && run.ran_at(self.noticed),
            }),
            Outcome::Unknown => true,
        };
        prop_assert!(truth, "{outcome:?} is not so: {:#?}", self.world);
        Ok(())
    }

    /// Observes until the operation ends, which must happen in time.
    fn finish(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..40 {
            if self.operation.status.is_final() {
                break;
            }
            self.world.pass(50_000);
            self.observe(&prompt_observation())?;
        }
        prop_assert!(self.operation.status.is_final(), "no end");
        // A finished operation does not change.
        let over = Arc::clone(&self.operation);
        self.durable = self.states.len();
        self.restart(9);
        self.observe(&prompt_observation())?;
        let again = Arc::make_mut(&mut self.operation);
        again.follow(Delivered::Yes);
        again.record_poll(Evidence::default(), Some("running"));
        again.finish(Outcome::Canceled, None);
        let late = OperationError::new(ProblemCode::OutcomeUnknown, "");
        again.refuse(Delivered::No, late);
        prop_assert_eq!(&self.operation, &over);
        Ok(())
    }
}

fn prompt_observation() -> PlannedObservation {
    PlannedObservation {
        before: vec![Happening::Pass(100)],
        after: vec![Happening::Pass(100)],
        succeeds: true,
        dated: true,
    }
}

/// More than usual: rare sequences are what this is for. `PROPTEST_CASES` asks for more.
fn many() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: usual.cases.max(10_000),
        ..usual
    }
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn no_outcome_contradicts_what_the_vendor_did(plan in plan()) {
        let mut world = World::new(plan.clocks.0, plan.clocks.1, plan.lag);
        world.happen(&plan.past);
        let mut ours = Ours::send(world, &plan.request);
        for event in &plan.events {
            ours.go(event)?;
        }
        ours.finish()?;
    }
}
