//! Callers by JWT: matching callers, sources of keys, and caching. Tokens that must be
//! rejected are in `forged.rs`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{self, Answer};
use crate::helpers::{KEY, Setup, World, spawn_with};
use crate::idp::Idp;
use crate::mint::Signer;

/// Callers by token, beside `pipeline` with its key.
pub fn toml(idp: &Idp, issuer_keys: &str) -> String {
    let issuer = idp.issuer();
    format!(
        r#"
[[identity.jwt]]
issuer = "{issuer}"
audience = "offergate"
{issuer_keys}
[[callers]]
name = "pipeline"
default_publisher = "contoso"
api_key_sha256 = ["$pipeline"]
allow = [ {{ actions = ["*"], publishers = ["contoso"], offers = ["*"] }} ]
[[callers]]
name = "release"
default_publisher = "contoso"
jwt = {{ issuer = "{issuer}", claims = {{ azp = "release" }} }}
allow = [ {{ actions = ["cancel"], publishers = ["contoso"], offers = ["*"] }} ]
[[callers]]
name = "board"
default_publisher = "contoso"
jwt = {{ issuer = "{issuer}", claims = {{ sub = "sub-board", roles = "reader" }} }}
allow = [ {{ actions = ["read"], publishers = ["contoso"], offers = ["*"] }} ]
[[callers]]
name = "second-azp"
jwt = {{ issuer = "{issuer}", claims = {{ azp = "two-faced" }} }}
[[callers]]
name = "second-sub"
jwt = {{ issuer = "{issuer}", claims = {{ sub = "sub-two-faced" }} }}
"#
    )
}

pub async fn spawn_jwt(idp: &Idp, issuer_keys: &str) -> World {
    spawn_with(Setup {
        toml: toml(idp, issuer_keys),
        ..Setup::default()
    })
    .await
}

/// A world that fetches its issuer's keys continuously.
async fn spawn_refreshing(idp: &Idp, issuer_keys: &str) -> World {
    spawn_with(Setup {
        toml: toml(idp, issuer_keys),
        tune: |settings| settings.jwt_issuers[0].refresh = Duration::from_millis(100),
        ..Setup::default()
    })
    .await
}

pub async fn send_token(world: &World, method: &str, path: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str())];
    client::send(world.address(), method, path, &headers, "").await
}

pub async fn cancel_with(world: &World, token: &str) -> Answer {
    send_token(world, "POST", "/offers/sync-1/cancel", token).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_names_its_caller_for_every_source_of_keys() {
    let signers = [
        Signer::rsa("rs", "RS256"),
        Signer::rsa("ps", "PS256"),
        Signer::ec("ec"),
        Signer::ed("ed"),
    ];
    let idp = Idp::start(&signers.each_ref());
    let algorithms = r#"algorithms = ["RS256", "PS256", "ES256", "EdDSA"]"#;
    let direct = format!("{algorithms}\njwks_url = \"{}\"", idp.jwks_url());
    for keys in [algorithms, &direct] {
        let world = spawn_jwt(&idp, keys).await;
        for signer in &signers {
            let token = signer.token(&idp.claims("release"));
            for _ in 0..2 {
                let answer = cancel_with(&world, &token).await;
                assert_eq!(answer.status, 200, "{}: {answer:?}", signer.kid);
                assert_eq!(answer.json()["requestedBy"], "release");
                let path = format!("/operations/{}", answer.json()["id"].as_str().unwrap());
                assert_eq!(send_token(&world, "GET", &path, &token).await.status, 200);
            }
        }
        // The scheme's case and a second space are irrelevant.
        let token = signers[0].token(&idp.claims("release"));
        for scheme in ["bearer ", "BEARER  "] {
            let value = format!("{scheme}{token}");
            let headers = [("Authorization", value.as_str())];
            let path = "/offers/sync-1/cancel";
            let answer = client::send(world.address(), "POST", path, &headers, "").await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
    assert_eq!(
        idp.fetches(),
        (1, 2),
        "one look at the document and each key set"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_token_must_match_exactly_one_caller() {
    let signer = Signer::ec("k");
    let idp = Idp::start(&[&signer]);
    let world = spawn_jwt(&idp, r#"algorithms = ["ES256"]"#).await;
    let with = |client: &str, members: Value| {
        let mut claims = idp.claims(client);
        for (name, value) in members.as_object().unwrap() {
            claims[name] = value.clone();
        }
        signer.token(&claims)
    };
    let unmatched = [
        with("stranger", json!({})),
        with("Release", json!({})),
        with("two-faced", json!({})),
        with("board", json!({})),
        with("board", json!({"roles": ["writer"]})),
        with("board", json!({"roles": {"reader": true}})),
        with("x", json!({"azp": ["release"]})),
        with("x", json!({"client_id": "release"})),
    ];
    for token in &unmatched {
        for _ in 0..2 {
            let answer = cancel_with(&world, token).await;
            answer.problem(403, "caller-not-allowed");
            assert_eq!(answer.header("www-authenticate"), None);
        }
    }
    for roles in [json!("reader"), json!(["other", "reader"])] {
        let token = with("board", json!({"roles": roles}));
        // A known caller without a rule for the action.
        let answer = cancel_with(&world, &token).await;
        let problem = answer.problem(403, "caller-not-allowed");
        assert!(problem["detail"].as_str().unwrap().contains("rule"));
        let path = "/operations/01996b2e-0000-7000-8000-000000000000";
        let answer = send_token(&world, "GET", path, &token).await;
        answer.problem(404, "operation-not-found");
    }
    world.assert_nothing_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_fetched_when_its_first_token_comes() {
    let (old, new) = (Signer::ec("old"), Signer::ec("new"));
    let idp = Idp::start(&[&old]);
    let world = spawn_jwt(&idp, r#"algorithms = ["ES256"]"#).await;
    let token = old.token(&idp.claims("release"));
    assert_eq!(cancel_with(&world, &token).await.status, 200);
    idp.publish(&[&new, &old]);
    let token = new.token(&idp.claims("release"));
    let answers = (0..8).map(|_| cancel_with(&world, &token));
    for answer in futures_util::future::join_all(answers).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert!(idp.fetches().1 <= 3, "{:?}", idp.fetches());
}

#[tokio::test(flavor = "multi_thread")]
async fn random_key_ids_do_not_flood_the_issuer() {
    let signer = Signer::ec("k");
    let idp = Idp::start(&[&signer]);
    let world = spawn_jwt(&idp, r#"algorithms = ["ES256"]"#).await;
    let good = signer.token(&idp.claims("release"));
    assert_eq!(cancel_with(&world, &good).await.status, 200);
    for round in 0..10 {
        let forged = (0..20).map(|number| {
            let header = json!({"alg": "ES256", "kid": format!("{round}-{number}")});
            signer.sign(&header, &idp.claims("release"))
        });
        let forged: Vec<String> = forged.collect();
        let answers = forged.iter().map(|token| cancel_with(&world, token));
        for answer in futures_util::future::join_all(answers).await {
            // 503: the rate limit on fetches leaves the key unknown.
            assert!([401, 503].contains(&answer.status), "{answer:?}");
        }
    }
    // The first fetch, the burst, and one more for each 10 s that this may take.
    assert!(idp.fetches().1 <= 8, "{:?}", idp.fetches());
    assert_eq!(cancel_with(&world, &good).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_token_is_dropped_with_its_key() {
    let (leaving, staying) = (Signer::ec("leaving"), Signer::ec("staying"));
    let idp = Idp::start(&[&leaving, &staying]);
    let world = spawn_refreshing(&idp, r#"algorithms = ["ES256"]"#).await;
    let lost = leaving.token(&idp.claims("release"));
    let kept = staying.token(&idp.claims("release"));
    for token in [&lost, &kept, &lost, &kept] {
        assert_eq!(cancel_with(&world, token).await.status, 200);
    }
    // One key is withdrawn, then all: an empty key set is valid.
    for (left, kept_is) in [(&[&staying][..], 200), (&[], 401)] {
        idp.publish(left);
        let (_, fetches) = idp.fetches();
        idp.fetched(fetches + 2).await;
        cancel_with(&world, &lost)
            .await
            .problem(401, "unauthenticated");
        assert_eq!(cancel_with(&world, &kept).await.status, kept_is);
    }
    world
        .readiness_until(|body| body["warnings"].to_string().contains("no usable key"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_serve_on_while_their_issuer_is_down() {
    let signer = Signer::rsa("k", "RS256");
    let idp = Idp::start(&[&signer]);
    let world = spawn_refreshing(&idp, "").await;
    let token = signer.token(&idp.claims("release"));
    assert_eq!(cancel_with(&world, &token).await.status, 200);
    idp.answer_with(Some(503));
    let ready = world
        .readiness_until(|body| body["warnings"].to_string().contains("renewal fails"))
        .await;
    assert_eq!(ready["ready"], true);
    let other = signer.token(&idp.claims("release"));
    assert_eq!(cancel_with(&world, &other).await.status, 200);
    // Whether the issuer publishes this key is unknown now.
    let unknown = json!({"alg": "RS256", "kid": "new"});
    let answer = cancel_with(&world, &signer.sign(&unknown, &idp.claims("release"))).await;
    let problem = answer.problem(503, "issuer-unavailable");
    assert_eq!(problem["retryable"], true);
    assert_eq!(problem["origin"], "identity-provider");
    assert!(answer.header("retry-after").is_some());
    idp.answer_with(None);
    world
        .readiness_until(|body| body["warnings"] == json!([]))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_a_token_gets_503() {
    let signer = Signer::ec("k");
    let table = [
        json!({"issuer": "https://another.issuer"}),
        json!({"jwks_uri": "http://198.51.100.1/keys"}),
        json!({"jwks_uri": 7}),
    ];
    for document in table {
        let idp = Idp::start(&[&signer]);
        idp.discover(document.clone());
        let world = spawn_jwt(&idp, r#"algorithms = ["ES256"]"#).await;
        let answer = cancel_with(&world, &signer.token(&idp.claims("release"))).await;
        answer.problem(503, "issuer-unavailable");
        assert_eq!(idp.fetches().1, 0, "{document}");
        // Callers with API keys are not affected.
        let body = world.readiness(200).await;
        assert!(
            body["warnings"].to_string().contains("keys not fetched"),
            "{body}"
        );
        assert_eq!(world.cancel("sync-1").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_for_the_issuer_is_sent_only_to_it() {
    let signer = Signer::ec("k");
    let (idp, other) = (Idp::start(&[&signer]), Idp::start(&[&signer]));
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "of-the-cluster").unwrap();
    idp.discover(json!({"jwks_uri": other.jwks_url()}));
    let keys = format!("bearer_token_file = \"{}\"", file.display());
    let world = spawn_jwt(&idp, &keys).await;
    world
        .readiness_until(|body| body["warnings"].to_string().contains("jwks_uri"))
        .await;
    assert_eq!(
        other.fetches(),
        (0, 0),
        "over plain HTTP nobody else is asked"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_require_a_token_get_the_one_of_the_file() {
    let signer = Signer::ec("k");
    let idp = Idp::start(&[&signer]);
    idp.want_bearer("of-the-cluster");
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "of-the-cluster\n").unwrap();
    let keys = format!(
        "algorithms = [\"ES256\"]\nbearer_token_file = \"{}\"",
        file.display()
    );
    let world = spawn_jwt(&idp, &keys).await;
    let answer = cancel_with(&world, &signer.token(&idp.claims("release"))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_configured_credentials_are_accepted() {
    let signer = Signer::ec("k");
    let idp = Idp::start(&[&signer]);
    let world = spawn_jwt(&idp, r#"algorithms = ["ES256"]"#).await;
    let path = "/offers/sync-1/cancel";
    let answer = client::send(world.address(), "POST", path, &[], "").await;
    answer.problem(401, "unauthenticated");
    let both = "ApiKey header=\"X-Api-Key\", Bearer";
    assert_eq!(answer.header("www-authenticate"), Some(both));
    let expired = json!({"alg": "ES256", "kid": "k"});
    let mut claims = idp.claims("release");
    claims["exp"] = json!(1);
    for token in [signer.sign(&expired, &claims), "no.jwt.at-all".to_owned()] {
        let answer = send_token(&world, "POST", path, &token).await;
        answer.problem(401, "unauthenticated");
        let both = "ApiKey header=\"X-Api-Key\", Bearer error=\"invalid_token\"";
        assert_eq!(answer.header("www-authenticate"), Some(both));
    }
    // Two valid credentials are refused.
    let bearer = format!("Bearer {}", signer.token(&idp.claims("release")));
    for headers in [
        [("X-Api-Key", KEY), ("Authorization", &*bearer)],
        [("X-Api-Key", KEY), ("Authorization", "Basic eDp5")],
        [("Authorization", &*bearer), ("Authorization", &*bearer)],
    ] {
        let answer = client::send(world.address(), "POST", path, &headers, "").await;
        let problem = answer.problem(401, "unauthenticated");
        assert!(problem["detail"].as_str().unwrap().contains("exactly one"));
    }
    world.assert_nothing_sent().await;
}
