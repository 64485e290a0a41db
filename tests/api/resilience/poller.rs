//! How often the vendor is polled, by its journal: shared, fair, at growing intervals, and
//! not while it is throttling.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use offergate_sandbox::Options;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::helpers::{Setup, World, spawn_with};

/// The interval of these tests: long compared with a poll.
const POLL: Duration = Duration::from_millis(200);
/// What the time of a request's arrival may be off by.
const SLACK: Duration = Duration::from_millis(60);

async fn world(toml: &str) -> World {
    spawn_with(Setup {
        toml: toml.to_owned(),
        tune: |settings| settings.operations.poll = POLL,
        ..Setup::default()
    })
    .await
}

fn polls(offer: &str) -> String {
    format!("offers/{offer}/submissions")
}

fn time(entry: &Value) -> Timestamp {
    entry["at"].as_str().unwrap().parse().unwrap()
}

fn between(one: &Value, other: &Value) -> Duration {
    Duration::try_from(time(other).duration_since(time(one))).unwrap_or_default()
}

fn gaps(entries: &[Value]) -> Vec<Duration> {
    let pairs = entries.windows(2);
    pairs.map(|pair| between(&pair[0], &pair[1])).collect()
}

fn id(answer: &crate::client::Answer) -> String {
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_become_rarer_and_readers_cause_none() {
    let world = world("").await;
    let id = id(&world.cancel("stubborn-1").await);
    let (done, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    let reader = async || {
        while !done.load(Ordering::Relaxed) {
            assert_eq!(world.operation(&id).await["status"], "Running");
            reads.fetch_add(1, Ordering::Relaxed);
        }
    };
    let vendor = async {
        let entries = world.vendor.receives(&polls("stubborn-1"), 9).await;
        done.store(true, Ordering::Relaxed);
        entries
    };
    let readers = join_all((0..4).map(|_| reader()));
    let (entries, _) = tokio::join!(vendor, readers);
    assert!(reads.load(Ordering::Relaxed) > 50);
    let gaps = gaps(&entries[..9]);
    assert!(gaps.iter().all(|gap| *gap >= POLL - SLACK), "{gaps:?}");
    // The eighth pause is 4.7 times the first, give or take a tenth.
    assert!(gaps[7] >= 4 * POLL - SLACK, "{gaps:?}");
    assert!(gaps[0] < gaps[7], "{gaps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_of_one_offer_share_their_polls() {
    const COUNT: usize = 100;
    let world = world("").await;
    // Polls that would overlap, if they could.
    let slow = Duration::from_millis(500);
    let fault = json!({"kind": "delay", "ms": 500});
    let order = json!({"on": "submissions", "offer": "stubborn-1", "times": 0, "fault": fault});
    world.vendor.order(order).await;
    let answers = join_all((0..COUNT).map(|_| world.cancel("stubborn-1"))).await;
    let ids: Vec<String> = answers.iter().map(id).collect();
    let cancels = world.vendor.cancels("stubborn-1").await;
    let last_cancel = cancels.iter().map(time).max().unwrap();
    let first_cancel = cancels.iter().map(time).min().unwrap();
    let took = last_cancel.duration_since(first_cancel).as_secs_f64();

    let soon = world.vendor.received(&polls("stubborn-1")).await.len();
    let entries = world.vendor.receives(&polls("stubborn-1"), soon + 10).await;
    // The first four, and one more whenever one of them has finished.
    let is_first = |entry: &&Value| time(entry) < last_cancel + slow + POLL / 2;
    let first = entries.iter().filter(is_first).count();
    // On a busy machine the cancels take longer than one of these polls.
    let most = 12 + (4.0 * took / slow.as_secs_f64()) as usize;
    assert!(
        (1..=most).contains(&first),
        "{first} first polls in {took} s"
    );
    // Operations of two concurrent polls share them from the one after the next on.
    let further = gaps(&entries[first + 2..]);
    assert!(further.len() >= 3, "{further:?}");
    let apart = slow + POLL - SLACK;
    assert!(further.iter().all(|gap| *gap >= apart), "{further:?}");

    // All of them end by the same few polls.
    let finish = "offers/contoso/stubborn-1/finish";
    let canceled = json!({"state": "canceled"});
    world.vendor.control("POST", finish, canceled).await;
    for id in ids {
        assert_eq!(world.ended(&id).await["outcome"], "canceled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_respected() {
    let refusal = |status: u16| {
        let header = json!({"Retry-After": "2"});
        json!({"kind": "status", "status": status, "headers": header})
    };
    let throttle = json!({"kind": "throttle", "retryAfterSeconds": 2});
    for fault in [throttle, refusal(500), refusal(503), refusal(504)] {
        let world = world("").await;
        // Another offer of the publisher is polled already.
        id(&world.cancel("stubborn-other").await);
        world.vendor.receives(&polls("stubborn-other"), 2).await;
        let order = json!({"on": "submissions", "offer": "stubborn-1", "skip": 1, "times": 1, "fault": fault});
        world.vendor.order(order).await;
        id(&world.cancel("stubborn-1").await);
        let refused = loop {
            let entries = world.vendor.received("offers/stubborn-1/").await;
            let refused = entries.into_iter().find(|entry| entry["fault"].is_string());
            if let Some(refused) = refused {
                break refused;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        // A first poll of another offer is not held.
        id(&world.cancel("stubborn-new").await);
        let first = world.vendor.receives(&polls("stubborn-new"), 1).await;
        assert!(between(&refused, &first[0]) < Duration::from_secs(2));
        let since = |entry: &&Value| time(entry) > time(&refused);
        let asked = Duration::from_secs(2) - SLACK;
        let count = world.vendor.received(&polls("stubborn-1")).await.len();
        let entries = world.vendor.receives(&polls("stubborn-1"), count + 1).await;
        // A request that was in flight when the answer came does not count.
        let next = entries.iter().filter(since);
        let mut waits = next.map(|next| between(&refused, next));
        let next = waits
            .find(|wait| *wait > Duration::from_millis(150))
            .unwrap();
        assert!(next >= asked, "{fault}: {next:?}");
        // Meanwhile the publisher's other offers were polled.
        let others = world.vendor.received(&polls("stubborn-other")).await;
        let others = others.iter().filter(since);
        let meanwhile = others.filter(|poll| between(&refused, poll) < asked);
        assert!(meanwhile.count() >= 2, "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_status_texts_do_not_hold_the_list() {
    let world = world("").await;
    let header = json!({"Retry-After": "2"});
    let fault = json!({"kind": "status", "status": 503, "headers": header});
    let order = json!({"on": "operations", "offer": "stubborn-1", "times": 1, "fault": fault});
    world.vendor.order(order).await;
    id(&world.cancel("stubborn-1").await);
    let texts = "offers/stubborn-1/operations/";
    let refused = world.vendor.receives(texts, 1).await.remove(0);
    let next = world.vendor.receives(texts, 2).await.remove(1);
    assert!(between(&refused, &next) >= Duration::from_secs(2) - SLACK);
    let lists = world.vendor.received(&polls("stubborn-1")).await;
    let meanwhile = |entry: &&Value| time(entry) > time(&refused) && time(entry) < time(&next);
    let meanwhile = lists.iter().filter(meanwhile).count();
    assert!(meanwhile >= 3, "{meanwhile} lists");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_ends_in_time_although_the_vendor_is_throttling() {
    let world = spawn_with(Setup {
        tune: |settings| settings.operations.give_up = Duration::from_millis(1500),
        ..Setup::default()
    })
    .await;
    let fault = json!({"kind": "throttle", "retryAfterSeconds": 600});
    world.vendor.lasting_fault("submissions", fault).await;
    let started = Instant::now();
    let operation = world.outcome_of("migrated-1").await;
    assert!(started.elapsed() >= Duration::from_millis(1500) - SLACK);
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(operation["outcome"], "unknown", "{operation}");
    assert_eq!(operation["error"]["code"], "outcome-unknown");
    let message = operation["error"]["message"].as_str().unwrap();
    assert!(message.contains("throttling (429)"), "{message}");
    assert_eq!(world.vendor.received(&polls("migrated-1")).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_whose_reads_hang_does_not_hold_up_another() {
    let toml = r#"
[portal]
request_timeout_ms = 60000
[[publishers]]
id = "contoso"
credential = "main"
[[publishers]]
id = "fabrikam"
credential = "main"
[[callers]]
name = "pipeline"
default_publisher = "contoso"
api_key_sha256 = ["$pipeline"]
allow = [ { actions = ["*"], publishers = ["*"], offers = ["*"] } ]
"#;
    let world = spawn_with(Setup {
        toml: toml.to_owned(),
        vendor: Options {
            cancel_after: Duration::from_millis(800),
            ..Options::default()
        },
        ..Setup::default()
    })
    .await;
    // More operations than there are slots for further polls.
    let names = |kind: &str| {
        (0..100)
            .map(|n| format!("stubborn-{kind}{n}"))
            .collect::<Vec<_>>()
    };
    let cancel = async |kind: &str| {
        let names = names(kind);
        let answers = join_all(names.iter().map(|name| world.cancel(name))).await;
        answers.iter().for_each(|answer| drop(id(answer)));
    };
    for kind in ["old", "older"] {
        cancel(kind).await;
        for name in names(kind) {
            world.vendor.receives(&polls(&name), 1).await;
        }
    }
    let fault = json!({"kind": "hang"});
    let order = json!({"on": "submissions", "publisher": "contoso", "times": 0, "fault": fault});
    world.vendor.order(order).await;
    let hanging = async || {
        let entries = world.vendor.received("contoso/offers/").await;
        let hung = entries.iter().filter(|entry| entry["fault"] == "hang");
        hung.count()
    };
    let until = async |count: usize| {
        let deadline = Instant::now() + Duration::from_secs(30);
        while hanging().await < count {
            assert!(Instant::now() < deadline, "{} hang", hanging().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    until(192).await;
    // And more new ones than there are slots for first polls.
    for kind in ["new", "newer", "newest"] {
        cancel(kind).await;
    }
    until(192 + 256).await;
    let started = Instant::now();
    let path = "/publishers/fabrikam/offers/migrated-1/cancel";
    let answers = join_all((0..3).map(|_| world.send("POST", path, ""))).await;
    for answer in answers {
        let operation = world.ended(&id(&answer)).await;
        assert_eq!(operation["outcome"], "canceled", "{operation}");
    }
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    // Half of the slots of either kind, and no more.
    assert_eq!(hanging().await, 192 + 256);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_has_no_more_requests_than_the_limit_and_new_actions_come_first() {
    const LIMIT: usize = 20;
    let mut world = spawn_with(Setup {
        tune: |settings| settings.operations.max_polls_per_second = 20.try_into().unwrap(),
        ..Setup::default()
    })
    .await;
    // Together they would make 20 times as many.
    for number in 0..20 {
        id(&world.cancel(&format!("stubborn-{number}")).await);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.restart().await;
    let restarted = Instant::now();
    tokio::time::sleep(Duration::from_millis(500)).await;
    id(&world.cancel("stubborn-new").await);
    let asked = Instant::now();
    world.vendor.receives(&polls("stubborn-new"), 1).await;
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );
    tokio::time::sleep(Duration::from_secs(3).saturating_sub(restarted.elapsed())).await;
    let entries = world.vendor.received("contoso/offers/").await;
    let is_read = |entry: &&Value| entry["method"] == "GET";
    let times: Vec<Timestamp> = entries.iter().filter(is_read).map(time).collect();
    assert!(times.len() > 3 * LIMIT, "{}", times.len());
    // The restarted gateway does not know what the one before sent in the same second.
    let apart = times.windows(2 * LIMIT + 1);
    for window in apart {
        let second = window[2 * LIMIT].duration_since(window[0]);
        assert!(second.as_millis() >= 600, "{second:?}");
    }
    let last: Vec<_> = times.iter().rev().take(2 * LIMIT).collect();
    for window in last.windows(LIMIT + 1) {
        let second = window[0].duration_since(*window[LIMIT]);
        assert!(second.as_millis() >= 600, "{second:?}");
    }
}
