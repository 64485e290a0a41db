//! Outbound TLS: portal, token endpoint and issuer are trusted by `ca_file` alone, and anything
//! else is refused before a byte of a request, directly as well as through a proxy.

use std::net::Ipv6Addr;
use std::time::Duration;

use offergate_sandbox::Options;
use offergate_sandbox::tls::SelfSigned;
use rcgen::{BasicConstraints, CertificateParams, IsCa};

use crate::certs::{Ca, Issued, self_signed};
use crate::client;
use crate::config::write_config;
use crate::helpers::{Setup, World, spawn_before, spawn_with};
use crate::idp::Idp;
use crate::mint::Signer;
use crate::process::Process;
use crate::proxy::Proxy;
use crate::tls_front::TlsFront;
use crate::vendor::Vendor;

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

/// The names of the servers: by proxy and directly.
const NAMES: [&str; 2] = ["vendor.test", "127.0.0.1"];

/// Portal, a second credential's token endpoint and an issuer, each behind TLS with this
/// certificate, and the gateway in front of them.
struct Scene {
    world: World,
    idp: Idp,
    signer: Signer,
    fronts: [TlsFront; 3],
    way: String,
    proxy: Option<Proxy>,
}

impl Scene {
    async fn start(certificate: &Issued, ca: &Ca, by_proxy: bool) -> Self {
        let vendor = Vendor::start(Setup::default().vendor).await;
        let signer = Signer::ec("a");
        let idp = Idp::start(&[&signer]);
        let fronts = [
            TlsFront::start(certificate, vendor.address).await,
            TlsFront::start(certificate, vendor.address).await,
            TlsFront::start(certificate, idp.address).await,
        ];
        let [portal, tokens, keys] = fronts.each_ref().map(|front| front.port);
        let issuer = idp.issuer();
        let proxy = match by_proxy {
            true => Some(Proxy::start().await),
            false => None,
        };
        // The name is unknown to DNS: only the proxy finds it.
        let (host, way, outbound) = match &proxy {
            Some(proxy) => {
                let address = proxy.address;
                let url = format!("[outbound]\nproxy_url = \"http://me:p%40ss@{address}\"");
                (NAMES[0], format!("(by the proxy {address})"), url)
            }
            None => (NAMES[1], "(directly)".into(), String::new()),
        };
        let toml = format!(
            r#"
[portal]
base_url = "https://{host}:{portal}"
ca_file = "ca.pem"
{outbound}
[credentials.second]
kind = "client-secret"
authority = "https://{host}:{tokens}"
tenant_id = "$tenant"
client_id = "$client_id"
client_secret = "$client_secret"
wait_ms = 300
[[publishers]]
id = "contoso"
credential = "main"
[[publishers]]
id = "fabrikam"
credential = "second"
[[identity.jwt]]
issuer = "{issuer}"
audience = "offergate"
algorithms = ["ES256"]
jwks_url = "https://{host}:{keys}/realm/keys"
ca_file = "ca.pem"
[[callers]]
name = "pipeline"
default_publisher = "contoso"
api_key_sha256 = ["$pipeline"]
allow = [ {{ actions = ["*"], publishers = ["*"], offers = ["*"] }} ]
[[callers]]
name = "release"
default_publisher = "contoso"
jwt = {{ issuer = "{issuer}", claims = {{ azp = "release" }} }}
allow = [ {{ actions = ["*"], publishers = ["contoso"], offers = ["*"] }} ]
"#
        );
        let setup = Setup {
            toml,
            files: vec![("ca.pem", ca.pem.clone())],
            ..Setup::default()
        };
        Self {
            world: spawn_before(vendor, setup).await,
            idp,
            signer,
            fronts,
            way,
            proxy,
        }
    }

    /// What `check` says of portal, token endpoint and issuer.
    async fn check(&self, code: i32) -> [String; 3] {
        let arguments = ["check", "--config", ".", "--profile", "test"];
        let directory = self.world.directory.path();
        let ended = Process::start(directory, &arguments, &[]).ended().await;
        assert_eq!(ended.code, Some(code), "{ended:?}");
        let subjects = ["publisher contoso", "credential second", "issuer "];
        subjects.map(|subject| {
            let line = ended.stdout.lines().find(|line| line.contains(subject));
            line.unwrap_or_else(|| panic!("{ended:?}")).to_owned()
        })
    }

    async fn cancel_by_token(&self) -> client::Answer {
        let token = self.signer.token(&self.idp.claims("release"));
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str())];
        let path = "/offers/sync-1/cancel";
        client::send(self.world.address(), "POST", path, &headers, "").await
    }
}

async fn trusted(by_proxy: bool) {
    let ca = Ca::new("right");
    let certificate = ca.server_of(&NAMES, |_| ());
    let scene = Scene::start(&certificate, &ca, by_proxy).await;
    let operation = scene.world.outcome_of("contoso-vm").await;
    assert_eq!(operation["outcome"], "canceled", "{operation}");
    let answer = scene.cancel_by_token().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    for line in scene.check(0).await {
        assert!(line.starts_with("ok "), "{line}");
        assert!(line.ends_with(&scene.way), "{line}");
    }
    assert!(scene.fronts.iter().all(|front| front.received() > 0));
    if let Some(proxy) = &scene.proxy {
        let ports = scene.fronts.each_ref().map(|front| front.port);
        for port in ports {
            let head = format!(
                "CONNECT vendor.test:{port} HTTP/1.1\r\nHost: vendor.test:{port}\r\n\
                 Proxy-Authorization: Basic bWU6cEBzcw==\r\n\r\n"
            );
            assert!(proxy.heads().contains(&head), "{:?}", proxy.heads());
        }
        for text in ["Bearer", "HTTP/1.1", "client_secret"] {
            assert!(!proxy.has_seen(text), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_the_ca_file_are_trusted() {
    trusted(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_the_ca_file_are_trusted_through_a_proxy() {
    trusted(true).await;
}

async fn refused(by_proxy: bool) {
    let (ca, other) = (Ca::new("right"), Ca::new("other"));
    let past = |params: &mut CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    };
    let future = |params: &mut CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2190, 1, 1);
        params.not_after = rcgen::date_time_ymd(2191, 1, 1);
    };
    let authority = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    };
    for (certificate, reason, remedy) in [
        (
            other.server_of(&NAMES, |_| ()),
            "issued by an unknown authority",
            "put the authority's certificate (PEM) into the file that ",
        ),
        (
            ca.server_of(&["other.test", "127.0.0.2"], |_| ()),
            "is for another host name",
            "use a host name that the certificate has",
        ),
        (
            ca.server_of(&NAMES, past),
            "has expired",
            "renew the server's certificate",
        ),
        (
            ca.server_of(&NAMES, future),
            "is not valid yet",
            "check this machine's clock",
        ),
        (
            self_signed(&NAMES, |_| ()),
            "is self-signed and not trusted",
            "put it (PEM) into the file that ",
        ),
        (
            self_signed(&NAMES, authority),
            "is self-signed, and that of an authority",
            "put the authority's (PEM) into the file that ",
        ),
    ] {
        let scene = Scene::start(&certificate, &ca, by_proxy).await;
        let answer = scene.world.cancel("contoso-vm").await;
        let problem = answer.problem(502, "portal-failed");
        assert_eq!(problem["delivered"], "no", "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(reason), "{detail}");
        let path = "/publishers/fabrikam/offers/x/cancel";
        let answer = scene.world.send("POST", path, "").await;
        let problem = answer.problem(503, "credential-unavailable");
        assert_eq!(problem["delivered"], "no", "{problem}");
        let answer = scene.cancel_by_token().await;
        let problem = answer.problem(503, "issuer-unavailable");
        assert_eq!(problem["delivered"], "no", "{problem}");

        let keys = [
            "portal.ca_file",
            "portal.ca_file",
            "ca_file of its identity.jwt",
        ];
        for (line, key) in scene.check(69).await.into_iter().zip(keys) {
            assert!(line.starts_with("FAIL "), "{line}");
            assert!(line.contains(reason), "{line}");
            assert!(line.ends_with(&scene.way), "{line}");
            let remedy = match remedy.ends_with("that ") {
                true => format!("{remedy}{key} names"),
                false => remedy.to_owned(),
            };
            assert!(line.contains(&remedy), "{remedy}: {line}");
        }
        let received = scene.fronts.each_ref().map(TlsFront::received);
        assert_eq!(received, [0, 0, 0], "{reason}");
        assert!(scene.world.vendor.received("/api/").await.is_empty());
        assert_eq!(scene.idp.fetches(), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_certificates_are_refused_before_a_byte_is_sent() {
    refused(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_certificates_are_refused_through_a_proxy() {
    refused(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_has_an_ipv6_address() {
    let ca = Ca::new("right");
    let certificate = ca.server_of(&["::1"], |_| ());
    let vendor = Vendor::start(Setup::default().vendor).await;
    let here = Ipv6Addr::LOCALHOST.into();
    let front = TlsFront::start_at(here, &certificate, vendor.address).await;
    let setup = Setup {
        toml: format!(
            "[portal]\nbase_url = \"https://[::1]:{}\"\nca_file = \"ca.pem\"",
            front.port
        ),
        files: vec![("ca.pem", ca.pem.clone())],
        ..Setup::default()
    };
    let world = spawn_before(vendor, setup).await;
    let operation = world.outcome_of("contoso-vm").await;
    assert_eq!(operation["outcome"], "canceled", "{operation}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_names_no_authorities_is_named() {
    let vendor = Vendor::start(Setup::default().vendor).await;
    let directory = tempfile::TempDir::new().unwrap();
    let toml = "[portal]\nbase_url = \"https://127.0.0.1:1\"".into();
    let setup = Setup {
        toml,
        ..Setup::default()
    };
    write_config(&directory, vendor.address, &setup);
    let empty = directory.path().to_str().unwrap();
    for (variable, value) in [
        ("SSL_CERT_FILE", "/missing.pem"),
        ("SSL_CERT_DIR", "/missing"),
        ("SSL_CERT_DIR", empty),
    ] {
        for (command, code) in [("check", 69), ("serve", 69)] {
            let arguments = [command, "--config", ".", "--profile", "test"];
            let process = Process::start(directory.path(), &arguments, &[(variable, value)]);
            let ended = process.ended().await;
            assert_eq!(ended.code, Some(code), "{ended:?}");
            let said = format!("{}{}", ended.stdout, ended.stderr);
            assert!(said.contains(&format!("{variable} names ")), "{said}");
        }
    }
}
