//! Outbound TLS: the gateway reaches the portal and the token endpoint over TLS and trusts what
//! `portal.ca_file` says.

use std::time::Duration;

use offergate_sandbox::Options;
use offergate_sandbox::tls::SelfSigned;

use crate::helpers::{Setup, spawn_with};

/// A vendor that speaks TLS, and a gateway that trusts `ca`.
fn setup(vendor: &SelfSigned, ca: &SelfSigned) -> Setup {
    Setup {
        vendor: Options {
            tls: Some(vendor.config.clone()),
            cancel_after: Duration::from_millis(300),
            ..Options::default()
        },
        credential: Some(
            r#"
kind = "client-secret"
authority = "https://$vendor"
tenant_id = "$tenant"
client_id = "$client_id"
client_secret = "$client_secret"
wait_ms = 3000
"#
            .into(),
        ),
        toml: "[portal]\nbase_url = \"https://$vendor\"\nca_file = \"vendor-ca.pem\"".into(),
        files: vec![("vendor-ca.pem", ca.ca_pem.clone())],
        ..Setup::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_reaches_the_vendor_over_tls() {
    let tls = SelfSigned::generate().unwrap();
    let world = spawn_with(setup(&tls, &tls)).await;
    let operation = world.outcome_of("contoso-vm").await;
    assert_eq!(operation["status"], "Succeeded", "{operation}");
    assert_eq!(operation["outcome"], "canceled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_of_an_unknown_ca_receives_nothing() {
    let (tls, other) = (SelfSigned::generate(), SelfSigned::generate());
    let world = spawn_with(setup(&tls.unwrap(), &other.unwrap())).await;
    let refused = world.cancel("contoso-vm").await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.json()["code"], "credential-unavailable");
    assert_eq!(refused.json()["delivered"], "no");
}
