//! JWTs of a real issuer: matching callers, and checks of the issuer fixture itself. Changes of
//! its keys over time are in `rotation.rs`.

use std::collections::BTreeSet;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};

use crate::client::{self, assert_not_delivered};
use crate::helpers::{Setup, World, spawn_with};
use crate::issuer::{BOARD, Issuer, PIPELINE, STRANGER, TokenRequest};
use crate::jwt::{cancel_with, send_token};

/// Callers by the tokens of this issuer: `release` by `client_id`, which is in every client's
/// token, and `board` by `azp`.
pub fn toml(issuer: &Issuer, more: &str) -> String {
    let issuer = &issuer.url;
    format!(
        r#"
[[identity.jwt]]
issuer = "{issuer}"
audience = "offergate"
{more}
[[callers]]
name = "pipeline"
default_publisher = "contoso"
api_key_sha256 = ["$pipeline"]
allow = [ {{ actions = ["*"], publishers = ["contoso"], offers = ["*"] }} ]
[[callers]]
name = "release"
default_publisher = "contoso"
jwt = {{ issuer = "{issuer}", claims = {{ client_id = "{PIPELINE}" }} }}
allow = [ {{ actions = ["read", "cancel"], publishers = ["contoso"], offers = ["*"] }} ]
[[callers]]
name = "board"
default_publisher = "contoso"
jwt = {{ issuer = "{issuer}", claims = {{ azp = "{BOARD}" }} }}
allow = [ {{ actions = ["read"], publishers = ["contoso"], offers = ["*"] }} ]
"#
    )
}

pub async fn spawn_oidc(issuer: &Issuer, more: &str) -> World {
    spawn_with(Setup {
        toml: toml(issuer, more),
        ..Setup::default()
    })
    .await
}

/// The token's claims, if one of these keys signed it and it is for `offergate`.
fn verify(token: &str, issuer: &Issuer, keys: &JwkSet) -> Option<Value> {
    let header = decode_header(token).unwrap();
    let key = DecodingKey::from_jwk(keys.find(header.kid.as_deref()?)?).unwrap();
    let mut rules = Validation::new(header.alg);
    rules.set_audience(&["offergate"]);
    rules.set_issuer(&[&issuer.url]);
    Some(decode(token, &key, &rules).ok()?.claims)
}

fn kid(token: &str) -> String {
    decode_header(token).unwrap().kid.unwrap()
}

fn kids(keys: &JwkSet) -> BTreeSet<String> {
    let kids = keys.keys.iter().map(|key| key.common.key_id.clone());
    kids.map(Option::unwrap).collect()
}

/// The fixture itself: what the other tests rely on.
#[tokio::test]
async fn the_issuer_is_a_real_one() {
    let Some(issuer) = Issuer::start().await else {
        return;
    };
    let discovery = issuer.discovery().await;
    assert_eq!(discovery["issuer"], issuer.url);
    assert_eq!(discovery["jwks_uri"], issuer.jwks_url());
    let keys = issuer.keys().await;
    for client in [PIPELINE, BOARD, STRANGER] {
        let token = issuer.token(client, TokenRequest::default()).await;
        assert_eq!(token.split('.').count(), 3, "{token}");
        let claims = verify(&token, &issuer, &keys).unwrap();
        assert_eq!(claims["client_id"], client);
        assert_eq!(claims["sub"], client);
    }
    for (name, algorithm) in [
        ("RS256", Algorithm::RS256),
        ("PS256", Algorithm::PS256),
        ("ES256", Algorithm::ES256),
    ] {
        let token = issuer.token(PIPELINE, TokenRequest::algorithm(name)).await;
        assert_eq!(decode_header(&token).unwrap().alg, algorithm);
        assert!(verify(&token, &issuer, &keys).is_some(), "{token}");
    }
    let other = issuer
        .token(PIPELINE, TokenRequest::audience("another"))
        .await;
    assert_eq!(verify(&other, &issuer, &keys), None);
}

#[tokio::test]
async fn the_issuer_puts_requested_claims_into_a_token() {
    let Some(issuer) = Issuer::start().await else {
        return;
    };
    let wanted = TokenRequest {
        claims: json!({"azp": "a & b=c", "jti": null, "aud": ["offergate", "else"]}),
        header: json!({"typ": "JWT"}),
        ..TokenRequest::default()
    };
    let token = issuer.token(PIPELINE, wanted).await;
    let claims = verify(&token, &issuer, &issuer.keys().await).unwrap();
    assert_eq!(claims["azp"], "a & b=c");
    assert_eq!(claims["aud"], json!(["offergate", "else"]));
    assert!(claims.get("jti").is_none(), "{claims}");
    let header = decode_header(&token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("JWT"));
    let wanted = TokenRequest::header(json!({"kid": null}));
    let token = issuer.token(PIPELINE, wanted).await;
    assert_eq!(decode_header(&token).unwrap().kid, None);
}

#[tokio::test]
async fn the_issuer_rotates_and_retires_its_keys() {
    let Some(issuer) = Issuer::start().await else {
        return;
    };
    let before = issuer.token(PIPELINE, TokenRequest::default()).await;
    let old = issuer.keys().await;
    issuer.rotate().await;
    let after = issuer.token(PIPELINE, TokenRequest::default()).await;
    let both = issuer.keys().await;
    assert_ne!(kid(&before), kid(&after));
    assert!(kids(&both).is_superset(&kids(&old)));
    assert_eq!(verify(&after, &issuer, &old), None);
    assert!(verify(&before, &issuer, &both).is_some());
    assert!(verify(&after, &issuer, &both).is_some());

    issuer.retire().await;
    let new = issuer.keys().await;
    assert!(kids(&new).is_disjoint(&kids(&old)));
    assert_eq!(verify(&before, &issuer, &new), None);
    assert!(verify(&after, &issuer, &new).is_some());
}

#[tokio::test]
async fn the_issuer_can_fail_and_counts_requests() {
    let Some(issuer) = Issuer::start().await else {
        return;
    };
    issuer.down().await;
    for path in ["/.well-known/openid-configuration", "/jwks"] {
        let answer = client::send(issuer.address, "GET", path, &[], "").await;
        assert_eq!(answer.status, 503, "{answer:?}");
    }
    // Tokens are still issued; only discovery and keys are refused.
    issuer.token(PIPELINE, TokenRequest::default()).await;
    issuer.up().await;
    let counts = issuer.counts().await;
    assert_eq!((counts.discovery, counts.jwks, counts.refused), (1, 1, 2));
    let (counts, _) = tokio::join!(issuer.reaches("jwks", 2), issuer.keys());
    assert_eq!((counts.discovery, counts.jwks, counts.refused), (1, 2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_cancels_for_every_source_of_keys() {
    let Some(issuer) = Issuer::start().await else {
        return;
    };
    let algorithms = r#"algorithms = ["RS256", "PS256", "ES256"]"#;
    let direct = format!("{algorithms}\njwks_url = \"{}\"", issuer.jwks_url());
    for (more, discoveries) in [(algorithms, 1), (&direct, 0)] {
        let before = issuer.counts().await;
        let world = spawn_oidc(&issuer, more).await;
        for algorithm in ["RS256", "PS256", "ES256"] {
            let token = issuer
                .token(PIPELINE, TokenRequest::algorithm(algorithm))
                .await;
            let answer = cancel_with(&world, &token).await;
            assert_eq!(answer.status, 200, "{algorithm}: {answer:?}");
            assert_eq!(answer.json()["requestedBy"], "release");
            let path = format!("/operations/{}", answer.json()["id"].as_str().unwrap());
            let answer = send_token(&world, "GET", &path, &token).await;
            assert_eq!(answer.status, 200, "{algorithm}: {answer:?}");
        }
        assert_eq!(world.vendor.cancels("sync-1").await.len(), 3);
        let after = issuer.counts().await;
        assert_eq!(after.discovery - before.discovery, discoveries, "{more}");
        assert_eq!(after.jwks - before.jwks, 1, "{more}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_counts_for_its_own_caller_and_audience() {
    let (Some(issuer), Some(other)) = (Issuer::start().await, Issuer::start().await) else {
        return;
    };
    // Both issuers have the same clients, and the same ids for their keys.
    let both = format!(
        "typ = \"at+jwt\"\n[[identity.jwt]]\nissuer = \"{}\"\naudience = \"offergate\"",
        other.url
    );
    let world = spawn_oidc(&issuer, &both).await;
    let unmatched = [
        issuer.token(STRANGER, TokenRequest::default()).await,
        // Also valid, but only the first issuer's clients are callers.
        other.token(PIPELINE, TokenRequest::default()).await,
        // Its `azp` is missing; `client_id` is not a substitute.
        issuer.token(BOARD, TokenRequest::default()).await,
    ];
    for token in &unmatched {
        let problem = cancel_with(&world, token).await;
        assert_not_delivered(&problem.problem(403, "caller-not-allowed"));
    }
    // A caller, but one that may only read.
    let azp = TokenRequest::claims(json!({"azp": BOARD}));
    let board = issuer.token(BOARD, azp).await;
    let problem = cancel_with(&world, &board).await;
    let problem = problem.problem(403, "caller-not-allowed");
    assert!(problem["detail"].as_str().unwrap().contains("rule"));

    let useless = [
        (&issuer, TokenRequest::audience("another")),
        (&issuer, TokenRequest::algorithm("ES256")),
        (&issuer, TokenRequest::header(json!({"typ": "JWT"}))),
        (&issuer, TokenRequest::claims(json!({"exp": 1}))),
        (&issuer, TokenRequest::claims(json!({"iss": other.url}))),
        (&other, TokenRequest::claims(json!({"iss": issuer.url}))),
    ];
    for (by, wanted) in useless {
        let what = format!("{wanted:?}");
        let answer = cancel_with(&world, &by.token(PIPELINE, wanted).await).await;
        assert_eq!(answer.status, 401, "{what}: {answer:?}");
        assert_not_delivered(&answer.problem(401, "unauthenticated"));
    }
    world.assert_nothing_sent().await;
    let good = issuer.token(PIPELINE, TokenRequest::default()).await;
    assert_eq!(cancel_with(&world, &good).await.status, 200);
}
