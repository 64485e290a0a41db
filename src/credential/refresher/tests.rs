//! When tokens are renewed, and what happens to a rejected one.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::task::LocalSet;

use super::*;
use crate::credential::TokenFile;
use crate::transport::{Transport, TransportOptions};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn renews_well_before_the_end() {
    assert_eq!(renew_in(3600 * SECOND, 0.0), 3300 * SECOND);
    assert_eq!(renew_in(3600 * SECOND, 1.0), 3240 * SECOND);
}

#[test]
fn a_token_near_its_end_is_not_renewed_at_once() {
    assert_eq!(renew_in(240 * SECOND, 0.5), 60 * SECOND);
    assert_eq!(renew_in(31 * SECOND, 0.5), 7750 * Duration::from_millis(1));
    assert_eq!(renew_in(SECOND, 0.5), SHORTEST_WAIT);
}

proptest! {
    #[test]
    fn a_renewal_is_never_at_once_and_mostly_before_the_end(secs in 0_u32..100_000, chance in 0.0..1.0) {
        let lifetime = secs * SECOND;
        let wait = renew_in(lifetime, chance);
        prop_assert!(wait >= SHORTEST_WAIT);
        if lifetime > MARGIN + SHORTEST_WAIT * 2 {
            prop_assert!(wait < lifetime - MARGIN);
        }
    }
}

/// Writes a token that expires in an hour.
fn write_token(path: &Path, name: &str) {
    let expiry = Timestamp::now().as_second() + 3600;
    let claims = format!("{{\"exp\":{expiry},\"jti\":\"{name}\"}}");
    let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
    std::fs::write(path, token).unwrap();
}

/// Runs `test` beside the refresher of a token file.
async fn with_refresher(wait: Duration, test: impl AsyncFnOnce(&Handle, &Path)) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("token");
    write_token(&path, "first");
    let source = TokenSource::TokenFile(TokenFile { path: path.clone() });
    let (refresher, handle) = TokenRefresher::new("main".into(), source, wait, &Arc::default());
    let transport = Transport::new(&TransportOptions {
        ca_file: None,
        connect_timeout: SECOND,
        request_timeout: SECOND,
        tls: false,
        egress: crate::domain::Egress::default(),
    });
    let http = transport.unwrap().client();
    let run = async {
        tokio::select! {
            () = refresher.run(http) => unreachable!("a handle is left"),
            () = test(&handle, &path) => {}
        }
    };
    LocalSet::new().run_until(run).await;
}

#[tokio::test]
async fn a_rejected_token_serves_others_until_a_newer_one_is_there() {
    with_refresher(20 * SECOND, async |handle, path| {
        let rejected = handle.token().await.unwrap();
        std::fs::remove_file(path).unwrap();
        let (newer, ()) = tokio::join!(handle.replace(&rejected), async {
            while handle.status().last_failure.is_none() {
                tokio::time::sleep(SECOND / 50).await;
            }
            assert_eq!(handle.token().await.unwrap().serial, rejected.serial);
            write_token(path, "second");
        });
        let newer = newer.unwrap().unwrap();
        assert_ne!(newer.authorization(), rejected.authorization());
        assert_eq!(handle.token().await.unwrap().serial, newer.serial);
        // Late: the token that it asks to replace is not the current one any more.
        let late = handle.replace(&rejected).await.unwrap().unwrap();
        assert_eq!(late.serial, newer.serial);
        // The newer one is rejected, too: a third would not help.
        assert!(handle.replace(&newer).await.unwrap().is_none());
        assert_eq!(handle.token().await.unwrap().serial, newer.serial);
    })
    .await;
}

#[tokio::test]
async fn without_a_newer_token_the_wait_ends_and_the_old_one_stays() {
    with_refresher(SECOND / 2, async |handle, path| {
        let rejected = handle.token().await.unwrap();
        std::fs::remove_file(path).unwrap();
        // Both wait for the same fetch, the second while it is being retried.
        for _ in 0..2 {
            let unavailable = handle.replace(&rejected).await.unwrap_err();
            assert!(unavailable.failure.is_some());
            assert_eq!(handle.token().await.unwrap().serial, rejected.serial);
        }
    })
    .await;
}
