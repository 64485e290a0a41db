//! The token: fetched only by its refresher, no more often than necessary; and the answers to
//! callers while none is available.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::client::Answer;
use crate::helpers::{Setup, World, spawn, spawn_toml, spawn_with};

const TOKENS: &str = "/oauth2/";

/// The SHA-256 of an empty text, as which the sandbox shows an empty credential.
const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A world whose token endpoint has this fault from the beginning until healed.
async fn without_tokens(fault: Value) -> World {
    let order = json!({"on": "token", "times": 0, "fault": fault});
    spawn_with(Setup {
        toml: "[credentials.main]\nwait_ms = 100".into(),
        prepare: vec![("faults", order)],
        ..Setup::default()
    })
    .await
}

/// Every request to the vendor carried a token, and one that is a token.
async fn assert_always_authorized(world: &World) {
    for request in world.vendor.received("/api/").await {
        let authorization = request["headers"]["authorization"].as_str();
        let authorization = authorization.unwrap_or_else(|| panic!("none: {request}"));
        assert!(authorization.starts_with("Bearer sha256:"), "{request}");
        assert!(!authorization.contains(EMPTY), "{request}");
    }
}

/// A thousand cancels at the same moment. Returns their answers.
async fn a_thousand_cancels(world: &World, name: &str) -> Vec<Answer> {
    let offers: Vec<String> = (0..1000).map(|n| format!("sync-{name}-{n}")).collect();
    join_all(offers.iter().map(|offer| world.cancel(offer))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_cause_one_token_request() {
    let slow = json!({"on": "token", "fault": {"kind": "delay", "ms": 1000}});
    let world = spawn_with(Setup {
        toml: "[server]\nmax_in_flight_actions = 2000\n[credentials.main]\nwait_ms = 30000\n\
               [portal]\nrequest_timeout_ms = 30000"
            .into(),
        prepare: vec![("faults", slow)],
        ..Setup::default()
    })
    .await;
    for (moment, tokens) in [("cold", 1), ("warm", 1), ("revoked", 2)] {
        if moment == "revoked" {
            let revoke = world.vendor.control("POST", "token/revoke", Value::Null);
            revoke.await;
        }
        for answer in a_thousand_cancels(&world, moment).await {
            assert_eq!(answer.status, 200, "{moment}: {answer:?}");
        }
        let asked = world.vendor.received(TOKENS).await.len();
        assert_eq!(asked, tokens, "{moment}");
    }
    // Each refused request was sent exactly once more.
    let sent = world.vendor.received("/cancel").await.len();
    assert!((3001..=4000).contains(&sent), "{sent}");
    assert_always_authorized(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_the_endpoint_work() {
    let resource = "https%3A%2F%2Fcloudpartner.azure.com";
    for (toml, path, wanted) in [
        (
            "[credentials.main]\nendpoint_version = \"v1\"\nresource = \"https://cloudpartner.azure.com\"",
            "/sandbox/oauth2/token",
            format!("resource={resource}"),
        ),
        (
            "",
            "/sandbox/oauth2/v2.0/token",
            format!("scope={resource}%2F.default"),
        ),
    ] {
        let world = spawn_toml(toml).await;
        assert_eq!(world.cancel("sync-1").await.status, 200);
        let asked = world.vendor.received(TOKENS).await;
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert_eq!(asked[0]["path"], path);
        assert_eq!(
            asked[0]["headers"]["content-type"],
            "application/x-www-form-urlencoded"
        );
        let body = asked[0]["body"].as_str().unwrap();
        let mut members: Vec<&str> = body.split('&').collect();
        members.retain(|member| !member.starts_with("client_secret=sha256:"));
        members.sort_unstable();
        assert_eq!(
            members,
            [
                "client_id=offergate",
                "grant_type=client_credentials",
                &wanted
            ]
        );
    }
}

/// Nothing is sent, the problem names the reason and Retry-After, `/readyz` names the remedy,
/// and requests succeed as soon as the endpoint does.
async fn fails_and_recovers(fault: Value, reason: &str) {
    let world = without_tokens(fault.clone()).await;
    let answer = world.cancel("sync-1").await;
    let problem = answer.problem(503, "credential-unavailable");
    assert_eq!(problem["origin"], "identity-provider", "{fault}");
    assert_eq!(problem["delivered"], "no");
    assert_eq!(problem["retryable"], true);
    assert!(
        (1..=60).contains(&answer.retry_after().unwrap()),
        "{answer:?}"
    );
    let location = problem["operationLocation"].as_str().unwrap();
    let operation = world.operation(location.rsplit('/').next().unwrap()).await;
    assert_eq!(operation["status"], "Failed");
    assert_eq!(operation["error"]["code"], "credential-unavailable");

    let asked = world.vendor.receives(TOKENS, 3).await;
    let at = |n: usize| {
        asked[n]["at"]
            .as_str()
            .unwrap()
            .parse::<Timestamp>()
            .unwrap()
    };
    for (n, least) in [(0, 450), (1, 900)] {
        let gap = at(n + 1).duration_since(at(n)).as_millis();
        assert!(gap >= least, "{fault}: asked again after {gap} ms");
    }
    let ready = world.admin("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains(reason), "{fault}: {}", ready.body);
    assert!(world.vendor.received("/api/").await.is_empty());

    world.vendor.heal().await;
    loop {
        let answer = world.cancel("sync-1").await;
        if answer.status == 200 {
            break;
        }
        answer.problem(503, "credential-unavailable");
        let asked = world.vendor.received(TOKENS).await.len();
        assert!(asked < 8, "{fault}: it does not recover");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(world.admin("/readyz").await.status, 200);
    assert_always_authorized(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_there_is_no_token_nothing_is_sent() {
    let grants = |body: Value| json!({"kind": "status", "status": 200, "body": body});
    let entra = |code: u32| json!({"kind": "entra-error", "code": code});
    let token = "0123456789abcdef";
    let rows = [
        (json!({"kind": "reset"}), "the connection was closed"),
        (json!({"kind": "garbage"}), "not HTTP"),
        (json!({"kind": "empty"}), "not a JSON object"),
        (json!({"kind": "not-json"}), "not a JSON object"),
        (json!({"kind": "cut-body"}), "not a JSON object"),
        (
            json!({"kind": "huge", "bytes": 200_000}),
            "not a JSON object",
        ),
        (json!({"kind": "html", "status": 502}), "502"),
        (
            json!({"kind": "redirect", "location": "/sandbox/oauth2/token"}),
            "302",
        ),
        (
            entra(7_000_215),
            "AADSTS7000215, invalid_client): the client secret is wrong",
        ),
        (entra(7_000_222), "the client secret has expired"),
        (entra(90_002), "unknown tenant"),
        (entra(700_016), "unknown application"),
        (entra(500_011), "the resource or scope is unknown"),
        (grants(json!({})), "has no access_token"),
        (
            grants(json!({"access_token": "", "expires_in": 3599})),
            "has no access_token",
        ),
        (
            grants(json!({"access_token": token, "token_type": "mac", "expires_in": 3599})),
            "not Bearer",
        ),
        (
            grants(json!({"access_token": "a b\r\nc", "expires_in": 3599})),
            "a header cannot carry",
        ),
        (
            grants(json!({"access_token": token, "expires_in": "soon"})),
            "not a number of seconds",
        ),
        (
            grants(json!({"access_token": token, "expires_in": 20})),
            "has expired or is about to",
        ),
        (
            grants(json!({"access_token": token, "expires_in": 0})),
            "has expired or is about to",
        ),
    ];
    join_all(rows.map(|(fault, reason)| Box::pin(fails_and_recovers(fault, reason)))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttling_token_endpoint_gets_its_pause() {
    let throttle = json!({"kind": "throttle", "retryAfterSeconds": 40});
    let world = without_tokens(throttle).await;
    world.vendor.receives(TOKENS, 1).await;
    for _ in 0..20 {
        let answer = world.cancel("sync-1").await;
        answer.problem(503, "credential-unavailable");
        // The first one may have come before the endpoint's answer.
        let wait = answer.retry_after().unwrap();
        assert!((30..=40).contains(&wait) || wait == 1, "{wait}");
    }
    let answer = world.cancel("sync-1").await;
    assert!((30..=40).contains(&answer.retry_after().unwrap()));
    assert_eq!(world.vendor.received(TOKENS).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiring_token_is_not_used_and_not_fetched_in_a_loop() {
    let world = spawn_with(Setup {
        toml: "[credentials.main]\nwait_ms = 100".into(),
        prepare: vec![("token", json!({"expiresIn": 10, "sameToken": true}))],
        ..Setup::default()
    })
    .await;
    let answer = world.cancel("sync-1").await;
    answer.problem(503, "credential-unavailable");
    assert!(world.vendor.received("/api/").await.is_empty());
    world.vendor.receives(TOKENS, 3).await;
    assert!(world.vendor.received("/api/").await.is_empty());
    let asked = world.vendor.received(TOKENS).await.len();
    assert!(asked <= 4, "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_token_outlives_its_endpoint() {
    // Renewed after a quarter of its life, used until 30 s before its end.
    let world = spawn_with(Setup {
        prepare: vec![("token", json!({"expiresIn": 44}))],
        ..Setup::default()
    })
    .await;
    assert_eq!(world.cancel("sync-1").await.status, 200);
    world
        .vendor
        .lasting_fault("token", json!({"kind": "reset"}))
        .await;
    world.vendor.receives(TOKENS, 2).await;
    assert_eq!(world.cancel("sync-2").await.status, 200);
    let fails = |body: &Value| body["warnings"].to_string().contains("renewal fails");
    let ready = world.readiness_until(fails).await;
    assert_eq!(ready["ready"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_without_a_replacement_stays_in_use() {
    let world = spawn_toml("[credentials.main]\nwait_ms = 300").await;
    assert_eq!(world.cancel("sync-1").await.status, 200);
    world
        .vendor
        .lasting_fault("token", json!({"kind": "reset"}))
        .await;
    world
        .vendor
        .control("POST", "token/revoke", Value::Null)
        .await;
    for _ in 0..3 {
        let answer = world.cancel("sync-2").await;
        let problem = answer.problem(503, "credential-unavailable");
        assert_eq!(problem["origin"], "identity-provider");
    }
    // The vendor may accept the refused token for others, so it stays in use until there is
    // a newer one. Each of these was sent with it, and none was sent again.
    assert_eq!(world.vendor.cancels("sync-2").await.len(), 3);
    assert_always_authorized(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_refused_for_one_offer_serves_the_others_while_its_endpoint_is_down() {
    let world = spawn_toml("[credentials.main]\nwait_ms = 300").await;
    assert_eq!(world.cancel("sync-1").await.status, 200);
    let down = json!({"kind": "reset"});
    world.vendor.lasting_fault("token", down).await;
    let refused = json!({"kind": "unauthorized"});
    let order = json!({"on": "cancel", "offer": "sync-bad", "times": 0, "fault": refused});
    world.vendor.order(order).await;
    let others = async |count: usize| {
        for number in 0..count {
            let answer = world.cancel(&format!("sync-{number}")).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    };
    for _ in 0..3 {
        let (bad, ()) = tokio::join!(world.cancel("sync-bad"), others(20));
        bad.problem(503, "credential-unavailable");
    }
    world.vendor.heal().await;
    others(20).await;
    assert_always_authorized(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_credential_failing_does_not_stop_another() {
    let mut world = spawn().await;
    let address: SocketAddr = world.vendor.address;
    let toml = format!(
        "[credentials.other]\nkind = \"client-secret\"\nauthority = \"http://{address}\"\n\
         tenant_id = \"sandbox\"\nclient_id = \"offergate\"\nclient_secret = \"wrong-secret\"\n\
         wait_ms = 100\n\
         [[publishers]]\nid = \"contoso\"\ncredential = \"main\"\n\
         [[publishers]]\nid = \"fabrikam\"\ncredential = \"other\"\n\
         [[callers]]\nname = \"pipeline\"\ndefault_publisher = \"contoso\"\n\
         api_key_sha256 = [\"$pipeline\"]\n\
         allow = [ {{ actions = [\"*\"], publishers = [\"*\"], offers = [\"*\"] }} ]"
    );
    world.reconfigure(&toml).await;
    assert_eq!(world.cancel("sync-1").await.status, 200);
    let path = "/publishers/fabrikam/offers/sync-1/cancel";
    let answer = world.send("POST", path, "").await;
    answer.problem(503, "credential-unavailable");
    let ready = world.admin("/readyz").await;
    assert_eq!(ready.status, 200, "{ready:?}");
    let warnings = ready.json()["warnings"].to_string();
    assert!(warnings.contains("no token for fabrikam"), "{warnings}");
    assert!(warnings.contains("AADSTS7000215"), "{warnings}");
}
