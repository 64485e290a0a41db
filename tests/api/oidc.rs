//! JWTs of a real issuer.

use std::collections::BTreeSet;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};

use crate::client;
use crate::issuer::{BOARD, Issuer, PIPELINE, STRANGER, Wanted};

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
        let token = issuer.token(client, Wanted::default()).await;
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
        let wanted = Wanted {
            algorithm: name,
            ..Wanted::default()
        };
        let token = issuer.token(PIPELINE, wanted).await;
        assert_eq!(decode_header(&token).unwrap().alg, algorithm);
        assert!(verify(&token, &issuer, &keys).is_some(), "{token}");
    }
    let other = Wanted {
        audience: "another",
        ..Wanted::default()
    };
    let other = issuer.token(PIPELINE, other).await;
    assert_eq!(verify(&other, &issuer, &keys), None);
}

#[tokio::test]
async fn the_issuer_says_in_a_token_what_the_test_wants() {
    let Some(issuer) = Issuer::start().await else {
        return;
    };
    let wanted = Wanted {
        claims: json!({"azp": "a & b=c", "jti": null, "aud": ["offergate", "else"]}),
        header: json!({"typ": "JWT"}),
        ..Wanted::default()
    };
    let token = issuer.token(PIPELINE, wanted).await;
    let claims = verify(&token, &issuer, &issuer.keys().await).unwrap();
    assert_eq!(claims["azp"], "a & b=c");
    assert_eq!(claims["aud"], json!(["offergate", "else"]));
    assert!(claims.get("jti").is_none(), "{claims}");
    let header = decode_header(&token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("JWT"));
    let wanted = Wanted {
        header: json!({"kid": null}),
        ..Wanted::default()
    };
    let token = issuer.token(PIPELINE, wanted).await;
    assert_eq!(decode_header(&token).unwrap().kid, None);
}

#[tokio::test]
async fn the_issuer_rotates_and_retires_its_keys() {
    let Some(issuer) = Issuer::start().await else {
        return;
    };
    let before = issuer.token(PIPELINE, Wanted::default()).await;
    let old = issuer.keys().await;
    issuer.rotate().await;
    let after = issuer.token(PIPELINE, Wanted::default()).await;
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
async fn the_issuer_goes_down_and_counts_who_asks() {
    let Some(issuer) = Issuer::start().await else {
        return;
    };
    issuer.down().await;
    for path in ["/.well-known/openid-configuration", "/jwks"] {
        let answer = client::send(issuer.address, "GET", path, &[], "").await;
        assert_eq!(answer.status, 503, "{answer:?}");
    }
    // Tokens are made all the same: only who wants to verify them is refused.
    issuer.token(PIPELINE, Wanted::default()).await;
    issuer.up().await;
    let counts = issuer.counts().await;
    assert_eq!((counts.discovery, counts.jwks, counts.refused), (1, 1, 2));
    let (counts, _) = tokio::join!(issuer.asked_for_keys(2), issuer.keys());
    assert_eq!((counts.discovery, counts.jwks, counts.refused), (1, 2, 2));
}
