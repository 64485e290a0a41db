//! What requests find, and for how long, by a clock that is wound on.

use super::*;

fn set() -> KeySet {
    let modulus = "A".repeat(342);
    let document =
        format!(r#"{{"keys": [{{"kty": "RSA", "kid": "k", "n": "{modulus}", "e": "AQAB"}}]}}"#);
    KeySet::parse(document.as_bytes(), None).unwrap()
}

fn source(url: &str) -> KeySource {
    KeySource {
        issuer: "https://id.example".into(),
        jwks_url: Some(url.into()),
        bearer_token_file: None,
        ca: None,
    }
}

const URL: &str = "https://id.example/keys";
const HOUR: Duration = Duration::from_secs(3600);

async fn find(keys: &Keys, kid: &str) -> Result<Arc<Key>, NoKey> {
    keys.find(Some(kid), Algorithm::RS256).await
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_not_renewed_serve_for_a_day() {
    let (_keeper, keys) = Keys::new(source(URL), HOUR);
    keys.shared.install(set());
    let key = find(&keys, "k").await.ok().unwrap();
    assert_eq!(keys.complaint(), None);
    tokio::time::advance(HOUR * 24 - Duration::from_secs(1)).await;
    assert!(keys.hold(&key) && find(&keys, "k").await.is_ok());
    assert!(keys.complaint().unwrap().contains("not been renewed"));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(!keys.hold(&key));
    assert_eq!(find(&keys, "k").await.err(), Some(NoKey::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_keys_has_an_end_and_a_crowd_does_not_wait() {
    let (_keeper, keys) = Keys::new(source(URL), HOUR);
    let begun = Instant::now();
    assert_eq!(find(&keys, "k").await.err(), Some(NoKey::Unavailable));
    assert_eq!(begun.elapsed(), WAIT);
    // A fetch that never ends, then one more: the two waits are one.
    keys.shared.install(set());
    keys.shared
        .progress
        .send_modify(|progress| progress.begun = 1);
    let begun = Instant::now();
    assert_eq!(find(&keys, "new").await.err(), Some(NoKey::Unavailable));
    assert_eq!(begun.elapsed(), WAIT);

    let waiting: Vec<_> = (0..MAX_WAITING)
        .map(|_| {
            let keys = Arc::clone(&keys);
            tokio::spawn(async move { find(&keys, "new").await.err() })
        })
        .collect();
    while keys.shared.waiting.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let begun = Instant::now();
    assert_eq!(find(&keys, "new").await.err(), Some(NoKey::Unavailable));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // Whoever has a known key does not mind.
    assert!(find(&keys, "k").await.is_ok());
    for one in waiting {
        assert_eq!(one.await.unwrap(), Some(NoKey::Unavailable));
    }
}

#[tokio::test(start_paused = true)]
async fn that_a_key_is_unknown_is_known_only_from_the_issuer() {
    let (_keeper, keys) = Keys::new(source(URL), HOUR);
    keys.shared.install(set());
    // The keeper, as far as this needs one: each fetch that is wanted ends well.
    let shared = Arc::clone(&keys.shared);
    let keeper = tokio::spawn(async move {
        let mut wanted = shared.wanted.subscribe();
        loop {
            let begun = shared.progress.borrow().begun;
            if wanted.wait_for(|wanted| *wanted > begun).await.is_err() {
                return;
            }
            shared.progress.send_modify(|progress| {
                progress.begun += 1;
                progress.ended = progress.begun;
            });
        }
    });
    assert_eq!(keys.first_fetch().await, Ok(1));
    for _ in 0..FORCED_BURST {
        assert_eq!(find(&keys, "new").await.err(), Some(NoKey::Unknown));
    }
    assert_eq!(find(&keys, "new").await.err(), Some(NoKey::Unavailable));
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn another_way_to_ask_inherits_what_is_known() {
    let (_keeper, keys) = Keys::new(source(URL), HOUR);
    keys.shared.install(set());
    let key = find(&keys, "k").await.ok().unwrap();
    let (_keeper, oftener) = Keys::new(source(URL), HOUR / 2);
    oftener.inherit(&keys);
    assert!(oftener.hold(&key));
    let (_keeper, elsewhere) = Keys::new(source("https://other.example/keys"), HOUR);
    elsewhere.inherit(&keys);
    assert!(!elsewhere.hold(&key));
}
