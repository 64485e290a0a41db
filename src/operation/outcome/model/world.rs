//! A simulated vendor that records the truth, with a clock that differs from the gateway's.
//!
//! Time is true time, in milliseconds; both clocks are off from it. One publish of the
//! offer runs at a time, and the list holds every publish, newest first.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

use crate::portal::{RunState, Submission};

/// Something that happens at the vendor, for any reason.
#[derive(Debug, Clone)]
pub enum Happening {
    /// Time passes.
    Pass(i64),
    /// A publish starts unless one is running. The flags say whether its times are reported and
    /// whether its status is an unknown text.
    Publish { timed: bool, strange: bool },
    /// Another client cancels: the running publish ends canceled after this time.
    OthersCancel(i64),
    /// The running publish ends in this state.
    End(RunState),
    /// The running publish changes without ending.
    Progress,
}

/// One publish.
#[derive(Debug, Clone)]
pub struct Run {
    pub id: Uuid,
    pub started: i64,
    pub ended: Option<(i64, RunState)>,
    /// When it changed, its start and end among them.
    changes: Vec<i64>,
    timed: bool,
    strange: bool,
    bites_at: Option<i64>,
}

impl Run {
    pub fn ran_at(&self, at: i64) -> bool {
        self.started <= at && self.ended.is_none_or(|(ended, _)| ended > at)
    }

    fn end(&mut self, at: i64, state: RunState) {
        self.ended = Some((at, state));
        self.changes.push(at);
    }
}

/// The vendor, and true time.
#[derive(Debug)]
pub struct World {
    pub now: i64,
    /// Oldest first.
    pub runs: Vec<Run>,
    /// How far the vendor's clock is ahead.
    theirs: i64,
    /// How far the gateway's clock is ahead.
    pub ours: i64,
    /// How old its lists are.
    pub lag: i64,
}

fn clock(at: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + at).unwrap()
}

impl World {
    pub fn new(theirs: i64, ours: i64, lag: i64) -> Self {
        Self {
            now: 0,
            runs: Vec::new(),
            theirs,
            ours,
            lag,
        }
    }

    /// This moment by the gateway's clock.
    pub fn our_time(&self) -> Timestamp {
        clock(self.now + self.ours)
    }

    /// This moment as the vendor dates an answer.
    pub fn date(&self) -> Timestamp {
        let exact = clock(self.now + self.theirs);
        Timestamp::from_second(exact.as_millisecond().div_euclid(1000)).unwrap()
    }

    pub fn running(&mut self) -> Option<&mut Run> {
        self.runs.last_mut().filter(|run| run.ended.is_none())
    }

    pub fn happen(&mut self, happenings: &[Happening]) {
        for happening in happenings {
            // No two things happen at the same moment.
            self.pass(1);
            let now = self.now;
            match happening {
                Happening::Pass(ms) => self.pass(*ms),
                Happening::Publish { timed, strange } => {
                    if self.running().is_none() {
                        self.runs.push(Run {
                            id: Uuid::from_u128(self.runs.len() as u128 + 1),
                            started: now,
                            ended: None,
                            changes: vec![now],
                            timed: *timed,
                            strange: *strange,
                            bites_at: None,
                        });
                    }
                }
                Happening::OthersCancel(ms) => self.cancel(Some(*ms), false),
                Happening::End(state) => {
                    if let Some(run) = self.running() {
                        run.end(now, *state);
                    }
                }
                Happening::Progress => {
                    if let Some(run) = self.running() {
                        run.changes.push(now);
                    }
                }
            }
        }
    }

    /// A cancel arrives. It takes effect after this time, or never, and may leave a trace at once.
    pub fn cancel(&mut self, bites: Option<i64>, touches: bool) {
        let now = self.now;
        if let Some(run) = self.running() {
            if touches {
                run.changes.push(now);
            }
            let at = bites.map(|ms| now + ms);
            run.bites_at = run.bites_at.into_iter().chain(at).min();
        }
    }

    pub fn pass(&mut self, ms: i64) {
        self.now += ms;
        let now = self.now;
        if let Some(run) = self.running()
            && let Some(at) = run.bites_at.filter(|at| *at <= now)
        {
            run.end(at, RunState::Canceled);
        }
    }

    /// The vendor's list, as old as it is.
    pub fn list(&self) -> Vec<Submission> {
        let at = self.now - self.lag;
        let there = self.runs.iter().rev().filter(|run| run.started <= at);
        let submission = |run: &Run| Submission {
            id: run.id,
            state: match run.ended {
                Some((ended, state)) if ended <= at => state,
                _ if run.strange => RunState::Unrecognized,
                _ => RunState::Running,
            },
            changed: run
                .changes
                .iter()
                .rfind(|change| **change <= at)
                .filter(|_| run.timed)
                .map(|change| clock(*change + self.theirs)),
        };
        there.map(submission).collect()
    }

    /// The gateway's clock jumps.
    pub fn jump(&mut self, by: SignedDuration) {
        self.ours += i64::try_from(by.as_millis()).unwrap();
    }
}

/// Times as they occur: moments, seconds, minutes.
pub fn time() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 0..3_000_i64, 2 => 0..20_000_i64, 1 => 0..300_000_i64]
}

pub fn end() -> impl Strategy<Value = RunState> {
    prop_oneof![
        Just(RunState::Canceled),
        Just(RunState::Failed),
        Just(RunState::Completed)
    ]
}

/// Up to this many events.
pub fn happenings(most: usize) -> impl Strategy<Value = Vec<Happening>> {
    let publish = (prop::bool::weighted(0.9), prop::bool::weighted(0.05));
    let happening = prop_oneof![
        6 => time().prop_map(Happening::Pass),
        3 => publish.prop_map(|(timed, strange)| Happening::Publish { timed, strange }),
        1 => time().prop_map(Happening::OthersCancel),
        3 => end().prop_map(Happening::End),
        1 => Just(Happening::Progress),
    ];
    prop::collection::vec(happening, 0..=most)
}
