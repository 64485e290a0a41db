//! Credentials in the log, and the limits of a caller.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::client::{self, Answer};
use crate::helpers::{KEY, NOBODY_KEY, READER_KEY, Setup, spawn_toml, spawn_with};
use crate::idp::Idp;
use crate::jwt::toml;
use crate::mint::Signer;
use crate::process::Served;
use crate::reload::{ALL, callers, hash, with_key};
use crate::vendor::Vendor;

const CANCEL: &str = "/offers/sync-1/cancel";

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_credentials_without_showing_them() {
    let signer = Signer::ec("k");
    let idp = Idp::start(&[&signer]);
    let setup = Setup {
        toml: toml(&idp, r#"algorithms = ["ES256"]"#),
        ..Setup::default()
    };
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let mut served = Served::start(&vendor, &setup).await;
    assert_eq!(with_key(&served, KEY).await, 200);
    let mut claims = idp.claims("release");
    claims["sub"] = json!("sub\u{1b}[2Jx\n");
    let good = signer.token(&claims);
    claims["exp"] = json!(1);
    let expired = signer.token(&claims);
    let stranger = signer.token(&idp.claims("stranger"));
    for token in [&good, &expired, &stranger] {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str())];
        client::send(served.address, "POST", CANCEL, &headers, "").await;
    }
    let prefix = &hash(KEY)[..8];
    let issuer = idp.issuer();
    let wanted = [
        json!({"caller": "pipeline", "credential": format!("key {prefix}"), "status": 200}),
        json!({"caller": "release", "credential": format!("jwt {issuer} sub\u{fffd}[2Jx\u{fffd}")}),
        json!({"problem": "unauthenticated", "refused": "expired", "status": 401}),
        json!({"problem": "caller-not-allowed", "refused": "no-caller-matches", "credential": format!("jwt {issuer} sub-stranger")}),
    ];
    for members in wanted {
        let members = members.as_object().unwrap();
        let line = served.process.wait_for_line(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            members
                .iter()
                .all(|(name, value)| line[name] == *value)
                .then_some(())
        });
        line.await;
    }
    let log = served.process.stdout();
    for token in [good, expired, stranger] {
        let signature = token.rsplit('.').next().unwrap();
        assert!(
            !log.contains(&signature[..16]) && !log.contains("eyJ"),
            "{log}"
        );
    }
    assert!(!log.contains(KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_has_its_own_limits() {
    let limited = format!(
        "{}rate_limit = {{ per_second = 1, burst = 3 }}\n[[callers]]\nname = \"busy\"\n\
         default_publisher = \"contoso\"\napi_key_sha256 = [\"$reader\"]\n\
         max_in_flight_actions = 1\nallow = [ {ALL} ]\n",
        callers("$nobody", ALL)
    );
    let world = spawn_with(Setup {
        toml: limited,
        ..Setup::default()
    })
    .await;
    for left in ["2", "1", "0"] {
        let answer = world.send_as(NOBODY_KEY, "POST", CANCEL, "").await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some("\"caller\";q=3;w=3")
        );
        let state = answer.header("ratelimit").unwrap();
        assert!(
            state.starts_with(&format!("\"caller\";r={left};")),
            "{state}"
        );
    }
    let answer = world.send_as(NOBODY_KEY, "POST", CANCEL, "").await;
    let problem = answer.problem(429, "rate-limited");
    assert_eq!(problem["retryable"], true);
    let limit = "(callers.rate_limit = { per_second = 1, burst = 3 })";
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(limit), "{detail}");
    assert_eq!(answer.retry_after(), Some(1));
    assert!(answer.header("ratelimit").unwrap().contains("r=0;"));
    assert_eq!(world.vendor.received("/cancel").await.len(), 3);

    let slow = json!({"kind": "delay", "ms": 1000});
    world
        .vendor
        .order(json!({"on": "cancel", "fault": slow}))
        .await;
    let first = world.send_as(READER_KEY, "POST", CANCEL, "");
    let second = async {
        world.vendor.receives("/cancel", 4).await;
        world.send_as(READER_KEY, "POST", CANCEL, "").await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.status, 200);
    assert_eq!(first.header("ratelimit"), None);
    second.problem(429, "rate-limited");
    assert_eq!(second.retry_after(), Some(1));
    assert_eq!(
        world.send_as(READER_KEY, "POST", CANCEL, "").await.status,
        200
    );
}

/// The defaults leave room for others, whatever one caller does.
#[tokio::test(flavor = "multi_thread")]
async fn without_limits_a_caller_gets_half_of_what_all_share() {
    let world = spawn_toml(&format!(
        "[server]\nmax_in_flight_actions = 4\nmax_connections = 20\n\
         [[callers]]\nname = \"greedy\"\ndefault_publisher = \"contoso\"\n\
         api_key_sha256 = [\"$pipeline\"]\nallow = [ {ALL} ]\n\
         [[callers]]\nname = \"other\"\ndefault_publisher = \"contoso\"\n\
         api_key_sha256 = [\"$reader\"]\nallow = [ {ALL} ]\n"
    ))
    .await;
    let cancel = |offer: &str| format!("/offers/{offer}/cancel");
    let known = world.send("POST", &cancel("stubborn-1"), "").await.json();
    let monitor = format!("/operations/{}", known["id"].as_str().unwrap());

    // Actions: two of four.
    let slow = json!({"on": "cancel", "times": 0, "fault": {"kind": "delay", "ms": 1200}});
    world.vendor.order(slow).await;
    let paths = ["sync-1", "sync-2"].map(cancel);
    let own = join_all(paths.iter().map(|path| world.send("POST", path, "")));
    let others = async {
        world.vendor.receives("/cancel", 3).await;
        let refused = world.send("POST", &cancel("sync-3"), "").await;
        let problem = refused.problem(429, "rate-limited");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("(callers.max_in_flight_actions = 2, by default half of server.max_in"),
            "{detail}"
        );
        let other = world
            .send_as(READER_KEY, "POST", &cancel("sync-4"), "")
            .await;
        assert_eq!(other.status, 200);
    };
    let (own, ()) = tokio::join!(own, others);
    assert!(own.iter().all(|answer| answer.status == 200), "{own:?}");

    // Waits and streams: nine of eighteen. The tenth is answered at once.
    let wait = [("Prefer", "wait=2")];
    let waiting = (0..10).map(|_| world.send_with("GET", &monitor, &wait, ""));
    let waited = join_all(waiting).await;
    let held = |answer: &&Answer| answer.header("preference-applied").is_some();
    assert_eq!(waited.iter().filter(held).count(), 9);
}
