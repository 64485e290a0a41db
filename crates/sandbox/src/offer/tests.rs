//! The state machine, with time as an argument.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::progress::LIMIT;
use super::*;
use crate::text::later;

const SECOND: Duration = Duration::from_secs(1);

fn start() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn at(seconds: u32) -> Timestamp {
    later(start(), seconds * SECOND)
}

fn offers() -> Offers {
    Offers::new(Behaviour::new(3 * SECOND, None))
}

fn key(offer: &str) -> Key {
    Key {
        publisher: "contoso".into(),
        offer: offer.into(),
    }
}

fn offer(id: &str) -> Offer {
    offers().get_or_create(&key(id), start()).unwrap().clone()
}

/// States, newest first, after a cancel at second 10 and so many seconds more.
fn states_after_cancel(id: &str, seconds: u32) -> (Vec<String>, String) {
    let mut offer = offer(id);
    offer.settle(at(10));
    offer.cancel(at(10), "");
    offer.settle(at(10 + seconds));
    let states = offer.submissions.iter().rev();
    let states = states.map(|run| run.state.clone()).collect();
    let cancel = offer.cancels.back().unwrap().clone();
    (states, offer.became(&cancel).to_owned())
}

#[test]
fn a_cancel_takes_effect_after_its_time_and_not_before() {
    assert_eq!(
        states_after_cancel("migrated", 2),
        (vec!["running".into()], "pending".into())
    );
    let (states, became) = states_after_cancel("migrated", 300);
    assert_eq!(
        (states[0].as_str(), became.as_str()),
        ("canceled", "canceled")
    );
}

#[test]
fn the_change_is_stamped_with_the_moment_it_was_due() {
    let mut offer = offer("migrated");
    offer.cancel(at(10), "a@b.c");
    offer.settle(at(500));
    let run = offer.newest().unwrap();
    assert_eq!((run.changed, run.emails.as_str()), (at(13), "a@b.c"));
}

#[test]
fn every_scenario_ends_as_its_name_says() {
    for (id, newest, became) in [
        ("completes-1", Some("completed"), "completed-first"),
        ("fails-1", Some("failed"), "failed-first"),
        ("stubborn-1", Some("running"), "pending"),
        ("idle-1", Some("completed"), "nothing-running"),
        ("already-canceled-1", Some("canceled"), "nothing-running"),
        ("empty-1", None, "nothing-running"),
        ("sync-1", Some("canceled"), "canceled"),
        ("sync-object-1", Some("canceled"), "canceled"),
        ("own-operation-1", Some("canceled"), "canceled"),
        ("staging-done-1", Some("canceled"), "canceled"),
    ] {
        let (states, verdict) = states_after_cancel(id, 60);
        assert_eq!(states.first().map(String::as_str), newest, "{id}");
        assert_eq!(verdict, became, "{id}");
    }
    let (states, _) = states_after_cancel("staging-done", 60);
    assert_eq!(
        states,
        ["canceled", "completed"],
        "the staging one does not change"
    );
}

#[test]
fn each_scenario_names_its_operation_its_own_way() {
    let named = |id: &str| {
        let mut offer = offer(id);
        let run = offer.newest().unwrap().id;
        (offer.cancel(at(1), ""), run)
    };
    let (absolute, run) = named("absolute");
    let path = format!("/api/publishers/contoso/offers/absolute/operations/{run}");
    let host = "https://cloudpartner.azure.com";
    assert_eq!(
        absolute.header.unwrap(),
        ("Operation-Location", format!("{host}{path}"))
    );
    let (relative, run) = named("relative");
    let path = format!("/api/publishers/contoso/offers/relative/operations/{run}");
    assert_eq!(relative.header.unwrap(), ("Operation-Location", path));
    let (migrated, run) = named("migrated");
    let path = format!("/api/publishers/contoso/offers/migrated/operations/{run}");
    let value = format!("{path}?api-version=2017-10-31");
    assert_eq!(migrated.header.unwrap(), ("Location", value));
    let (unmigrated, _) = named("unmigrated");
    let value = "/api/operations/contoso$unmigrated$2$preview?api-version=2017-10-31";
    assert_eq!(unmigrated.header.unwrap(), ("Location", value.to_owned()));
    let (in_body, run) = named("in-body");
    let path = format!("/api/publishers/contoso/offers/in-body/operations/{run}");
    assert_eq!(in_body.member.unwrap(), ("operationLocation", path));
    assert_eq!(named("nowhere").0, Accepted::bare(202));
    assert_eq!(named("sync").0, Accepted::bare(200));
    let (own, run) = named("own-operation");
    assert!(!own.location().unwrap().contains(&run.to_string()));
}

#[test]
fn scenarios_are_found_by_the_longest_name_and_under_their_publisher() {
    let scenario = |id: &str| {
        let mut offers = offers();
        let offer = offers.get_or_create(&key(id), start());
        offer.map(|offer| offer.behaviour.scenario.clone())
    };
    assert_eq!(scenario("sync-object-7").as_deref(), Some("sync-object"));
    assert_eq!(scenario("Sync-7").as_deref(), Some("sync"));
    assert_eq!(scenario("contoso-vm-x").as_deref(), Some("contoso-vm"));
    for id in ["fabrikam-vm", "syncope", "unknown", ""] {
        assert_eq!(scenario(id), None, "{id}");
    }
}

#[test]
fn offers_of_other_publishers_are_forbidden() {
    let mut offers = offers();
    let foreign = Key {
        publisher: "adatum".into(),
        offer: "migrated".into(),
    };
    let mut seen = |key: &Key| offers.visible(key, start()).err();
    assert_eq!(seen(&foreign), Some(OfferError::Forbidden));
    assert_eq!(seen(&key("forbidden-1")), Some(OfferError::Forbidden));
    assert_eq!(seen(&key("missing-1")), Some(OfferError::NotFound));
    assert_eq!(seen(&key("other")), Some(OfferError::NotFound));
    assert_eq!(seen(&key("migrated")), None);
}

#[test]
fn one_operation_runs_at_a_time_and_golive_wants_a_preview() {
    let mut offer = offer("migrated");
    assert_eq!(offer.publish(at(1), "").unwrap_err(), ActionError::Running);
    assert_eq!(offer.go_live(at(1), "").unwrap_err(), ActionError::Running);
    offer.newest_running().unwrap().end("completed", at(2));
    offer.go_live(at(3), "").unwrap();
    assert_eq!(offer.newest().unwrap().slot, Slot::Production);
    offer.newest_running().unwrap().end("completed", at(4));
    assert_eq!(
        offer.go_live(at(5), "").unwrap_err(),
        ActionError::NothingInPreview
    );
    offer.publish(at(6), "").unwrap();
    offer.behaviour.valid = false;
    offer.newest_running().unwrap().end("failed", at(7));
    assert_eq!(offer.publish(at(8), "").unwrap_err(), ActionError::Invalid);
}

#[test]
fn golive_signs_off_what_waits_for_it() {
    let mut offer = offer("sign-off-1");
    offer.go_live(at(5), "").unwrap();
    let states: Vec<&str> = offer
        .submissions
        .iter()
        .map(|run| run.state.as_str())
        .collect();
    assert_eq!(states, ["completed", "running"]);
}

#[test]
fn slots_show_the_edition_that_was_published_there() {
    let mut offer = offer("empty");
    assert!(offer.published(Slot::Staging).is_none());
    assert_eq!(offer.published(Slot::Draft).unwrap().number, 1);
    offer.publish(at(1), "").unwrap();
    assert!(
        offer.published(Slot::Staging).is_none(),
        "not while it runs"
    );
    offer.newest_running().unwrap().end("completed", at(2));
    offer
        .definition
        .replace("vm", json!({"displayText": "two"}), at(3));
    assert_eq!(offer.published(Slot::Staging).unwrap().number, 1);
    assert_eq!(offer.published(Slot::Draft).unwrap().number, 2);
    assert!(offer.published(Slot::Production).is_none());
}

#[test]
fn a_publish_ends_by_itself_if_it_is_to() {
    let mut offers = Offers::new(Behaviour::new(30 * SECOND, Some(5 * SECOND)));
    let offer = offers.get_or_create(&key("empty"), start()).unwrap();
    offer.publish(at(1), "").unwrap();
    assert_eq!(offer.next_due(), Some(at(6)));
    offer.cancel(at(2), "");
    offer.settle(at(60));
    assert_eq!(
        offer.newest().unwrap().state,
        "completed",
        "the cancel came too late"
    );
    assert_eq!(offer.became(&offer.cancels[0].clone()), "completed-first");
}

#[test]
fn history_is_bounded() {
    let mut offer = offer("idle");
    for _ in 0..LIMIT + 5 {
        offer.cancel(at(1), "");
        offer.remember(Submission::running(Slot::Staging, at(1)));
    }
    assert_eq!(offer.submissions.len(), LIMIT);
    assert_eq!((offer.cancels.len(), offer.cancels_forgotten), (LIMIT, 5));
}

#[test]
fn a_description_says_what_differs_and_refuses_what_it_does_not_know() {
    let build = |text: &str| {
        let description: OfferDescription =
            serde_json::from_str(text).map_err(|e| e.to_string())?;
        let plain = Behaviour::new(3 * SECOND, None);
        let built = description.build(key("mine"), &plain, start());
        built.map_err(|error| error.to_string())
    };
    let offer = build(
        r#"{"scenario": "stubborn", "cancel": "bites", "cancelSeconds": 0.5, "location": "nowhere",
            "submissions": [{"state": "paused"}, {"state": "failed", "slot": "production",
            "changedTime": "2020-01-01T00:00:00Z"}]}"#,
    )
    .unwrap();
    assert_eq!(offer.behaviour.cancel_after, SECOND / 2);
    assert_eq!(offer.newest().unwrap().state, "paused");
    assert!(
        offer.newest().unwrap().is_running(),
        "an unknown word is no end"
    );
    for (text, why) in [
        (r#"{"scenari": "x"}"#, "unknown field"),
        (r#"{"scenario": "x"}"#, "unknown scenario"),
        (r#"{"cancelSeconds": -1}"#, "cancelSeconds must be"),
        (r#"{"location": "there"}"#, "unknown variant"),
        (r#"{"definition": 1}"#, "must be an object"),
    ] {
        let refusal = build(text).unwrap_err();
        assert!(refusal.contains(why), "{text}: {refusal}");
    }
}

#[test]
fn etags_match_weakly_and_by_star() {
    let offer = offer("idle");
    let tag = offer.definition.current().etag();
    for given in ["*", &tag, &format!("W/{tag}"), &format!("\"x\", {tag}")] {
        assert!(offer.definition.matches(given), "{given}");
    }
    assert!(!offer.definition.matches("\"1\""));
}
