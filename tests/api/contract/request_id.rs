//! `X-Request-Id`: kept if valid, otherwise replaced, and always returned.

use crate::client;
use crate::helpers::{KEY, spawn};

/// Of version 7, as every id that the gateway makes.
fn is_ours(id: &str) -> bool {
    id.len() == 36 && id.as_bytes()[14] == b'7'
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_id_is_kept_and_others_are_replaced() {
    let world = spawn().await;
    let longest = "x".repeat(128);
    let too_long = "x".repeat(129);
    for (number, (given, kept)) in [
        (vec!["a"], true),
        (vec!["Build-1.2_3"], true),
        (vec![".."], true),
        (vec![longest.as_str()], true),
        (vec![], false),
        (vec![""], false),
        (vec!["a b"], false),
        (vec!["a/b"], false),
        (vec!["{\"a\":1}"], false),
        (vec!["\u{e9}"], false),
        (vec!["a,b"], false),
        (vec!["a", "b"], false),
        (vec!["a", "a"], false),
        (vec![too_long.as_str()], false),
    ]
    .into_iter()
    .enumerate()
    {
        let headers: Vec<(&str, &str)> = given.iter().map(|id| ("X-Request-Id", *id)).collect();
        let path = format!("/offers/sync-{number}/cancel");
        let mut with_key = headers.clone();
        with_key.push(("X-Api-Key", KEY));
        // On success, on a problem of a route, and on an unknown route.
        for (path, headers) in [
            (&*path, &with_key),
            (&*path, &headers),
            ("/nowhere", &headers),
        ] {
            let answer = client::send(world.address(), "POST", path, headers, "").await;
            answer.guarded();
            let id = answer.header("x-request-id").unwrap();
            if kept {
                assert_eq!(id, given[0]);
            } else {
                assert!(is_ours(id), "{given:?} became {id}");
            }
            assert_eq!(answer.json()["requestId"], id);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_keeps_its_request_id() {
    let world = spawn().await;
    let mine = [("X-Request-Id", "asked-for-it")];
    let answer = world
        .send_with("POST", "/offers/sync-1/cancel", &mine, "")
        .await;
    let path = format!("/operations/{}", answer.json()["id"].as_str().unwrap());
    let answer = world
        .send_with("GET", &path, &[("X-Request-Id", "looked")], "")
        .await;
    assert_eq!(answer.json()["requestId"], "asked-for-it");
    assert_eq!(answer.header("x-request-id"), Some("looked"));
    let operation = answer.json();
    let id = operation["id"].as_str().unwrap();
    assert!(is_ours(id), "{id}");
}
