//! The keys of a real issuer over time: rotated, withdrawn, unreachable, and unknown.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use crate::helpers::{Setup, World, spawn_with};
use crate::issuer::{Issuer, PIPELINE, TokenRequest};
use crate::jwt::{cancel_with, send_token};
use crate::oidc::{spawn_oidc, toml};

/// Concurrent callers.
const CALLERS: u64 = 4;
/// As many lookups as the gateway allows at once.
const ROTATIONS: u32 = 5;

/// A world that fetches the keys continuously.
async fn spawn_refreshing(issuer: &Issuer) -> World {
    spawn_with(Setup {
        toml: toml(issuer, ""),
        tune: |settings| settings.jwt_issuers[0].refresh = Duration::from_millis(100),
        ..Setup::default()
    })
    .await
}

/// A token as it is at this moment.
async fn token(issuer: &Issuer) -> String {
    issuer.token(PIPELINE, TokenRequest::default()).await
}

/// Cancels and reads with this token and with current ones, as long as the receiver of its
/// progress exists.
async fn work(world: &World, issuer: &Issuer, old: &str, rounds: &watch::Sender<u64>) {
    while rounds.receiver_count() > 0 {
        let new = token(issuer).await;
        for token in [old, &new] {
            let answer = cancel_with(world, token).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let path = format!("/operations/{}", answer.json()["id"].as_str().unwrap());
            let answer = send_token(world, "GET", &path, token).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        rounds.send_modify(|rounds| *rounds += 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_keys_rotate() {
    let Some(issuer) = Issuer::start().await else {
        return;
    };
    let world = spawn_oidc(&issuer, "").await;
    let old = token(&issuer).await;
    let (rounds, mut seen) = watch::channel(0);
    let rotations = async {
        for _ in 0..ROTATIONS {
            // Every caller has completed at least one round with the current keys.
            let enough = *seen.borrow() + 2 * CALLERS;
            seen.wait_for(|rounds| *rounds >= enough).await.unwrap();
            issuer.rotate().await;
        }
        let enough = *seen.borrow() + 2 * CALLERS;
        seen.wait_for(|rounds| *rounds >= enough).await.unwrap();
        drop(seen);
    };
    let callers = join_all((0..CALLERS).map(|_| work(&world, &issuer, &old, &rounds)));
    tokio::join!(callers, rotations);
    // All requests with the new key wait for the same fetch.
    let counts = issuer.counts().await;
    assert_eq!(counts.jwks, 1 + ROTATIONS, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_key_is_rejected() {
    let Some(issuer) = Issuer::start().await else {
        return;
    };
    let world = spawn_refreshing(&issuer).await;
    let old = token(&issuer).await;
    issuer.rotate().await;
    let new = token(&issuer).await;
    for token in [&old, &new, &old, &new] {
        assert_eq!(cancel_with(&world, token).await.status, 200);
    }
    issuer.retire().await;
    // The second fetch from here comes after the first has been dealt with.
    let fetches = issuer.counts().await.jwks;
    issuer.reaches("jwks", fetches + 2).await;
    let answer = cancel_with(&world, &old).await;
    answer.problem(401, "unauthenticated");
    assert_eq!(cancel_with(&world, &new).await.status, 200);
}

/// Tries until the gateway has the keys again; until then it must say that it has not.
async fn checked_in_the_end(world: &World, token: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = cancel_with(world, token).await;
        if answer.status == 200 {
            return;
        }
        answer.problem(503, "issuer-unavailable");
        assert!(Instant::now() < deadline, "still {answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn known_keys_serve_while_the_issuer_is_down() {
    let Some(issuer) = Issuer::start().await else {
        return;
    };
    let world = spawn_refreshing(&issuer).await;
    let used = token(&issuer).await;
    assert_eq!(cancel_with(&world, &used).await.status, 200);
    let fresh = token(&issuer).await;
    issuer.down().await;
    issuer.reaches("refused", 2).await;
    for token in [&used, &fresh] {
        let answer = cancel_with(&world, token).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    // This token cannot be verified.
    issuer.rotate().await;
    let unknown = token(&issuer).await;
    let answer = cancel_with(&world, &unknown).await;
    let problem = answer.problem(503, "issuer-unavailable");
    assert_eq!(problem["retryable"], true);
    assert!(answer.retry_after().is_some());
    issuer.up().await;
    checked_in_the_end(&world, &unknown).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_may_start_before_its_issuer() {
    let Some(issuer) = Issuer::start().await else {
        return;
    };
    issuer.down().await;
    let world = spawn_oidc(&issuer, "").await;
    let token = token(&issuer).await;
    issuer.reaches("refused", 1).await;
    let answer = cancel_with(&world, &token).await;
    answer.problem(503, "issuer-unavailable");
    // Callers with API keys are not affected.
    assert_eq!(world.cancel("sync-1").await.status, 200);
    issuer.up().await;
    checked_in_the_end(&world, &token).await;
}

/// Each is signed by the issuer; only the key id is invented.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_with_unknown_keys_do_not_flood_the_issuer() {
    let Some(issuer) = Issuer::start().await else {
        return;
    };
    let world = spawn_oidc(&issuer, "").await;
    let good = token(&issuer).await;
    assert_eq!(cancel_with(&world, &good).await.status, 200);
    let started = Instant::now();
    for _ in 0..10 {
        let forged = (0..20).map(|_| async {
            let header = json!({"kid": Uuid::new_v4().to_string()});
            let token = issuer.token(PIPELINE, TokenRequest::header(header)).await;
            cancel_with(&world, &token).await
        });
        for answer in join_all(forged).await {
            // 503: the rate limit on fetches leaves the key unknown.
            assert!([401, 503].contains(&answer.status), "{answer:?}");
        }
        assert_eq!(cancel_with(&world, &good).await.status, 200);
    }
    // The first fetch, a burst of five, and one for every ten seconds that this took.
    let most = 6 + started.elapsed().as_secs() / 10;
    let counts = issuer.counts().await;
    assert!(u64::from(counts.jwks) <= most, "{counts:?}, at most {most}");
    assert!(
        counts.jwks > 1,
        "{counts:?}: no unknown key was ever looked for"
    );
}
