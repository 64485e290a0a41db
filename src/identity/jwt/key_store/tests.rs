//! Key lookups over time, on a paused clock.

use jsonwebtoken::Algorithm;

use super::*;

fn set() -> KeySet {
    let modulus = format!("{}w", "_".repeat(341));
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

async fn find(keys: &KeyStore, kid: &str) -> Result<Arc<VerificationKey>, KeyLookupError> {
    let hint = KeyHint {
        kid: Some(kid),
        x5t: None,
        x5t_s256: None,
        algorithm: Algorithm::RS256,
    };
    keys.find(&hint).await.map(|mut found| found.keys.remove(0))
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_not_renewed_are_used_for_a_day() {
    let (_refresher, keys) = KeyStore::new(source(URL), HOUR);
    keys.shared.install(set());
    let key = find(&keys, "k").await.ok().unwrap();
    assert_eq!(keys.warning(), None);
    tokio::time::advance(HOUR * 24 - Duration::from_secs(1)).await;
    assert!(keys.contains(&key) && find(&keys, "k").await.is_ok());
    assert!(keys.warning().unwrap().contains("not renewed"));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(!keys.contains(&key));
    assert_eq!(
        find(&keys, "k").await.err(),
        Some(KeyLookupError::Unavailable)
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_for_keys_is_limited_in_time_and_number() {
    let (_refresher, keys) = KeyStore::new(source(URL), HOUR);
    let started = Instant::now();
    assert_eq!(
        find(&keys, "k").await.err(),
        Some(KeyLookupError::Unavailable)
    );
    assert_eq!(started.elapsed(), WAIT);
    // A fetch that never ends, then a requested one: both within one wait.
    keys.shared.install(set());
    keys.shared
        .progress
        .send_modify(|progress| progress.started = 1);
    let started = Instant::now();
    assert_eq!(
        find(&keys, "new").await.err(),
        Some(KeyLookupError::Unavailable)
    );
    assert_eq!(started.elapsed(), WAIT);

    let waiting: Vec<_> = (0..MAX_WAITING)
        .map(|_| {
            let keys = Arc::clone(&keys);
            tokio::spawn(async move { find(&keys, "new").await.err() })
        })
        .collect();
    while keys.shared.waiting.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let started = Instant::now();
    assert_eq!(
        find(&keys, "new").await.err(),
        Some(KeyLookupError::Unavailable)
    );
    assert_eq!(started.elapsed(), Duration::ZERO);
    // A known key is found without waiting.
    assert!(find(&keys, "k").await.is_ok());
    for one in waiting {
        assert_eq!(one.await.unwrap(), Some(KeyLookupError::Unavailable));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_unknown_only_after_a_later_fetch() {
    let (_refresher, keys) = KeyStore::new(source(URL), HOUR);
    keys.shared.install(set());
    // Stands in for the refresher: each requested fetch succeeds.
    let shared = Arc::clone(&keys.shared);
    let refresher = tokio::spawn(async move {
        let mut wanted = shared.wanted.subscribe();
        loop {
            let started = shared.progress.borrow().started;
            if wanted.wait_for(|wanted| *wanted > started).await.is_err() {
                return;
            }
            shared.progress.send_modify(|progress| {
                progress.started += 1;
                progress.ended = progress.started;
            });
        }
    });
    assert_eq!(keys.first_fetch().await, Ok(1));
    for _ in 0..FORCED_BURST.get() {
        assert_eq!(
            find(&keys, "new").await.err(),
            Some(KeyLookupError::Unknown)
        );
    }
    assert_eq!(
        find(&keys, "new").await.err(),
        Some(KeyLookupError::Unavailable)
    );
    refresher.abort();
}

#[tokio::test(start_paused = true)]
async fn keys_are_taken_over_from_the_same_address() {
    let (_refresher, keys) = KeyStore::new(source(URL), HOUR);
    keys.shared.install(set());
    let key = find(&keys, "k").await.ok().unwrap();
    let (_refresher, more_often) = KeyStore::new(source(URL), HOUR / 2);
    more_often.inherit(&keys);
    assert!(more_often.contains(&key));
    let (_refresher, elsewhere) = KeyStore::new(source("https://other.example/keys"), HOUR);
    elsewhere.inherit(&keys);
    assert!(!elsewhere.contains(&key));
}
