//! One case of the model, drawn at random.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::prompt_observation;
use super::world::{Happening, happenings, time};

/// The path of the gateway's cancel.
#[derive(Debug, Clone)]
pub struct Request {
    pub outbound: Vec<Happening>,
    pub arrives: bool,
    /// How long it takes to take effect, if ever.
    pub bites: Option<i64>,
    pub touches: bool,
    pub at_vendor: Vec<Happening>,
    pub inbound: Vec<Happening>,
    pub back: Back,
    pub names: Names,
}

/// The answer to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Back {
    Answer {
        dated: bool,
        cut: bool,
    },
    Nothing,
    /// The gateway crashes before an answer.
    Crash,
}

/// The location in the answer.
#[derive(Debug, Clone, Copy)]
pub enum Names {
    Met,
    Own,
    Offer,
    Old(usize),
    Nothing,
}

/// An event after the cancel, at the vendor or in the gateway.
#[derive(Debug, Clone)]
pub enum Event {
    World(Vec<Happening>),
    Observe(PlannedObservation),
    /// The present state is durable.
    Saved,
    /// The gateway restarts and loses this many unsaved states.
    Restart(usize),
    /// The gateway's clock is set.
    Clock(SignedDuration),
}

/// One observation: what happens before the vendor reads its list, and until we have it.
#[derive(Debug, Clone)]
pub struct PlannedObservation {
    pub before: Vec<Happening>,
    pub after: Vec<Happening>,
    pub succeeds: bool,
    pub dated: bool,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub clocks: (i64, i64),
    pub lag: i64,
    pub past: Vec<Happening>,
    pub request: Request,
    pub events: Vec<Event>,
}

fn request() -> impl Strategy<Value = Request> {
    let back = prop_oneof![
        6 => (prop::bool::weighted(0.7), prop::bool::weighted(0.1))
            .prop_map(|(dated, cut)| Back::Answer { dated, cut }),
        2 => Just(Back::Nothing),
        1 => Just(Back::Crash),
    ];
    let names = prop_oneof![
        3 => Just(Names::Met),
        1 => Just(Names::Own),
        1 => Just(Names::Offer),
        1 => (0..4_usize).prop_map(Names::Old),
        3 => Just(Names::Nothing),
    ];
    let ways = (happenings(3), happenings(3), happenings(3));
    let cancel = (
        prop::bool::weighted(0.9),
        prop::option::of(time()),
        any::<bool>(),
    );
    (ways, cancel, back, names).prop_map(|(ways, (arrives, bites, touches), back, names)| Request {
        outbound: ways.0,
        arrives,
        bites,
        touches,
        at_vendor: ways.1,
        inbound: ways.2,
        back,
        names,
    })
}

fn planned() -> impl Strategy<Value = PlannedObservation> {
    let odds = (prop::bool::weighted(0.85), prop::bool::weighted(0.8));
    (happenings(2), happenings(2), odds).prop_map(|(before, after, odds)| PlannedObservation {
        before,
        after,
        succeeds: odds.0,
        dated: odds.1,
    })
}

fn event() -> impl Strategy<Value = Event> {
    let hours = prop_oneof![Just(-48_i64), 0..2_i64];
    prop_oneof![
        4 => happenings(3).prop_map(Event::World),
        6 => planned().prop_map(Event::Observe),
        2 => Just(Event::Observe(prompt_observation())),
        1 => Just(Event::Saved),
        1 => (0..6_usize).prop_map(Event::Restart),
        1 => hours.prop_map(|hours| Event::Clock(SignedDuration::from_hours(hours))),
    ]
}

/// A complete case.
pub fn plan() -> impl Strategy<Value = Plan> {
    let clocks = (-7_200_000..7_200_000_i64, -7_200_000..7_200_000_i64);
    let lag = prop_oneof![4 => Just(0), 1 => 0..1_000_i64];
    let events = prop::collection::vec(event(), 0..12);
    (clocks, lag, happenings(8), request(), events).prop_map(
        |(clocks, lag, past, request, events)| Plan {
            clocks,
            lag,
            past,
            request,
            events,
        },
    )
}
