//! Where the evidence is plain, the outcome must be known: otherwise "unknown" would
//! satisfy the model.

use super::*;

/// Long enough before our cancel not to matter.
const LONG_AGO: i64 = 60_000;

fn request_of(took: i64, back: Back, names: Names) -> Request {
    Request {
        outbound: vec![Happening::Pass(took / 2)],
        arrives: true,
        bites: None,
        touches: false,
        at_vendor: Vec::new(),
        inbound: vec![Happening::Pass(took - took / 2)],
        back,
        names,
    }
}

fn publish() -> Happening {
    Happening::Publish {
        timed: true,
        strange: false,
    }
}

fn outcome_of(state: RunState) -> Outcome {
    match state {
        RunState::Canceled => Outcome::Canceled,
        RunState::Failed => Outcome::AlreadyFailed,
        _ => Outcome::AlreadyCompleted,
    }
}

fn begin(clocks: (i64, i64), history: &[RunState], running: bool, request: &Request) -> Ours {
    let mut world = World::new(clocks.0, clocks.1, 0);
    for state in history {
        let past = [publish(), Happening::Pass(LONG_AGO), Happening::End(*state)];
        world.happen(&past);
        world.pass(LONG_AGO);
    }
    if running {
        world.happen(&[publish()]);
        world.pass(LONG_AGO);
    }
    Ours::send(world, request)
}

fn names() -> impl Strategy<Value = Names> {
    prop_oneof![
        Just(Names::Met),
        Just(Names::Own),
        Just(Names::Offer),
        Just(Names::Nothing)
    ]
}

fn clocks() -> impl Strategy<Value = (i64, i64)> {
    (-7_200_000..7_200_000_i64, -7_200_000..7_200_000_i64)
}

proptest! {
    #[test]
    fn what_was_seen_running_ends_as_it_ended(
        clocks in clocks(),
        history in prop::collection::vec(end(), 0..3),
        names in names(),
        dated in any::<bool>(),
        took in 0..2_000_i64,
        restarts in any::<bool>(),
        state in end(),
    ) {
        let back = Back::Answer { dated, cut: false };
        let mut ours = begin(clocks, &history, true, &request_of(took, back, names));
        ours.observe(&prompt_observation())?;
        if restarts {
            ours.durable = ours.states.len();
            ours.restart(9);
        }
        ours.world.happen(&[Happening::Pass(90_000), Happening::End(state), publish()]);
        ours.finish()?;
        prop_assert_eq!(ours.operation.outcome, Some(outcome_of(state)));
    }

    #[test]
    fn an_old_publish_is_known_again_however_late_and_whatever_was_lost(
        clocks in clocks(),
        history in prop::collection::vec(end(), 0..3),
        back in prop_oneof![
            Just(Back::Nothing),
            Just(Back::Crash),
            Just(Back::Answer { dated: true, cut: true }),
        ],
        took in 0..50_000_i64,
        late in 0..600_000_i64,
        state in end(),
    ) {
        let request = request_of(took, back, Names::Nothing);
        let mut ours = begin(clocks, &history, true, &request);
        ours.world.pass(late);
        ours.observe(&prompt_observation())?;
        ours.world.happen(&[Happening::Pass(5_000), Happening::End(state), publish()]);
        ours.finish()?;
        prop_assert_eq!(ours.operation.outcome, Some(outcome_of(state)));
    }

    #[test]
    fn where_nothing_ran_there_was_nothing_to_cancel(
        clocks in clocks(),
        history in prop::collection::vec(end(), 0..3),
        names in names(),
        took in 0..50_000_i64,
        late in 0..600_000_i64,
    ) {
        let back = Back::Answer { dated: true, cut: false };
        let mut ours = begin(clocks, &history, false, &request_of(took, back, names));
        ours.world.pass(late);
        ours.observe(&prompt_observation())?;
        // Later than what a cancel may have changed.
        ours.world.happen(&[Happening::Pass(PROMPT), publish()]);
        ours.finish()?;
        prop_assert_eq!(ours.operation.outcome, Some(Outcome::NothingToCancel));
    }

    #[test]
    fn what_starts_after_an_immediate_observation_of_nothing_never_counts(
        clocks in clocks(),
        history in prop::collection::vec(end(), 0..3),
        dated in any::<bool>(),
        names in names(),
        took in 0..PROMPT - 100,
        after in 0..3_000_i64,
        timed in any::<bool>(),
        ended in prop::option::of((0..20_000_i64, end())),
        restarts in any::<bool>(),
    ) {
        // Without a date, an old end cannot be distinguished from a recent one.
        let dated = dated || !history.is_empty();
        let back = Back::Answer { dated, cut: false };
        let mut ours = begin(clocks, &history, false, &request_of(took, back, names));
        ours.observe(&prompt_observation())?;
        let publish = Happening::Publish { timed, strange: false };
        ours.world.happen(&[Happening::Pass(after), publish]);
        if let Some((lasts, state)) = ended {
            ours.observe(&prompt_observation())?;
            ours.world.happen(&[Happening::Pass(lasts), Happening::End(state)]);
        }
        if restarts {
            ours.durable = ours.states.len();
            ours.restart(9);
        }
        ours.finish()?;
        prop_assert_eq!(ours.operation.outcome, Some(Outcome::NothingToCancel));
    }

    #[test]
    fn an_end_before_the_first_observation_is_judged_by_its_date(
        clocks in clocks(),
        history in prop::collection::vec(end(), 0..3),
        names in names(),
        state in end(),
    ) {
        let mut request = request_of(400, Back::Answer { dated: true, cut: false }, names);
        request.at_vendor = vec![Happening::End(state)];
        let mut ours = begin(clocks, &history, true, &request);
        ours.observe(&prompt_observation())?;
        prop_assert_eq!(ours.operation.outcome, Some(outcome_of(state)));
    }

    #[test]
    fn what_never_stops_is_not_canceled(clocks in clocks(), names in names()) {
        let back = Back::Answer { dated: true, cut: false };
        let mut ours = begin(clocks, &[], true, &request_of(400, back, names));
        ours.finish()?;
        prop_assert_eq!(ours.operation.outcome, Some(Outcome::NotCanceled));
    }
}
