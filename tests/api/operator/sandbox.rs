//! `offergate sandbox` and `offergate healthcheck` as processes.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use offergate_sandbox::tls::SelfSigned;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

use crate::certs::Ca;
use crate::process::{Process, run};
use crate::{client, tls_client};

const HEALTH: &str = "/_sandbox/v1/health";

/// The URL in the first line that a sandbox prints, and its address.
async fn listens(sandbox: &mut Process) -> (String, SocketAddr) {
    let line = "The sandbox listens on ";
    let url = sandbox
        .wait_for_line(|said| Some(said.strip_prefix(line)?.split(';').next()?.to_owned()))
        .await;
    let (_, address) = url.split_once("://").unwrap();
    let address = address.replace("0.0.0.0", "127.0.0.1").parse().unwrap();
    (url, address)
}

/// A client that trusts only this CA.
fn trusting(ca_pem: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_listens_on_loopback_unless_allowed() {
    let directory = TempDir::new().unwrap();
    let refused = run(directory.path(), &["sandbox", "--listen", "0.0.0.0:0"]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("--allow-remote"), "{refused:?}");
    for arguments in [
        &[
            "sandbox",
            "--listen",
            "127.0.0.1:0",
            "--cancel-seconds",
            "1",
        ][..],
        &["sandbox", "--listen", "0.0.0.0:0", "--allow-remote"],
    ] {
        let mut sandbox = Process::start(directory.path(), arguments, &[]);
        let (url, address) = listens(&mut sandbox).await;
        assert!(url.starts_with("http://"), "{url}");
        let help = client::send(address, "GET", "/_sandbox/v1/", &[], "").await;
        assert!(help.body.contains("SCENARIOS"), "{help:?}");
        sandbox.signal("TERM");
        assert_eq!(sandbox.ended().await.code, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_signed_sandbox_writes_its_ca() {
    let directory = TempDir::new().unwrap();
    let arguments = ["sandbox", "--listen", "127.0.0.1:0", "--self-signed", "tls"];
    let mut sandbox = Process::start(directory.path(), &arguments, &[]);
    let (url, address) = listens(&mut sandbox).await;
    assert!(url.starts_with("https://"), "{url}");
    sandbox
        .wait_for_line(|line| {
            (line.contains("tls/ca.pem") && line.contains("portal.ca_file")).then_some(())
        })
        .await;
    let ca = fs::read_to_string(directory.path().join("tls/ca.pem")).unwrap();
    let tls = trusting(&ca);
    let health = tls_client::send(address, &tls, "GET", HEALTH, &[], "").await;
    assert_eq!(health.status, 200, "{health:?}");
    // No keys are written.
    let written: Vec<_> = fs::read_dir(directory.path().join("tls"))
        .unwrap()
        .collect();
    assert_eq!(written.len(), 1, "{written:?}");
    // A health check need not trust the CA; everything else needs TLS.
    let path = format!("http://{address}{HEALTH}");
    let checked = run(directory.path(), &["healthcheck", "--url", &path]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let plain = client::send(address, "GET", "/_sandbox/v1/journal", &[], "").await;
    assert_eq!(plain.status, 400, "{plain:?}");
    assert!(plain.body.contains("TLS"), "{plain:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_presents_the_given_certificate() {
    let directory = TempDir::new().unwrap();
    let ca = Ca::new("sandbox");
    ca.server().write(directory.path(), "server");
    let files = ["--tls-cert", "server.pem", "--tls-key", "server.key"];
    let command = [&["sandbox", "--listen", "127.0.0.1:0"][..], &files].concat();
    let mut sandbox = Process::start(directory.path(), &command, &[]);
    let (_, address) = listens(&mut sandbox).await;
    let health = tls_client::send(address, &trusting(&ca.pem), "GET", HEALTH, &[], "").await;
    assert_eq!(health.status, 200, "{health:?}");

    let other = SelfSigned::generate().unwrap().ca_pem;
    fs::write(directory.path().join("other.pem"), other).unwrap();
    for (arguments, code) in [
        (&files[..2], 2),
        (&files[2..], 2),
        (&[&files[..], &["--self-signed", "tls"]].concat(), 2),
        (
            &["--tls-cert", "missing.pem", "--tls-key", "server.key"],
            78,
        ),
        (&["--tls-cert", "other.pem", "--tls-key", "server.key"], 78),
        (&["--tls-cert", "server.pem", "--tls-key", "server.pem"], 78),
    ] {
        let command = [&["sandbox", "--listen", "127.0.0.1:0"], arguments].concat();
        let refused = run(directory.path(), &command).await;
        assert_eq!(refused.code, Some(code), "{arguments:?}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_health_check_asks_the_first_that_listens() {
    let directory = TempDir::new().unwrap();
    let arguments = ["sandbox", "--listen", "127.0.0.1:0"];
    let mut sandbox = Process::start(directory.path(), &arguments, &[]);
    let (url, _) = listens(&mut sandbox).await;
    let nothing = "http://127.0.0.1:1/healthz";
    let healthy = format!("{url}{HEALTH}");
    let missing = format!("{url}/healthz");
    for (urls, code) in [
        (vec![healthy.as_str()], 0),
        (vec![nothing, &healthy], 0),
        (vec![nothing], 1),
        (vec![nothing, nothing], 1),
        (vec![&missing, &healthy], 1),
        (vec!["https://127.0.0.1/", &healthy], 1),
    ] {
        let command: Vec<&str> = ["healthcheck"]
            .into_iter()
            .chain(urls.iter().flat_map(|url| ["--url", url]))
            .collect();
        let ended = run(directory.path(), &command).await;
        assert_eq!(ended.code, Some(code), "{urls:?}: {ended:?}");
    }
    let help = run(directory.path(), &["healthcheck", "--help"]).await;
    for default in ["/healthz at admin.listen", "offergate sandbox"] {
        assert!(help.stdout.contains(default), "{help:?}");
    }
}
