//! The way out is a proxy: what it may answer instead of opening a tunnel, and where its
//! address comes from.

use crate::certs::Ca;
use crate::client;
use crate::config::write_config;
use crate::helpers::{KEY, Setup, spawn_before};
use crate::process::Process;
use crate::proxy::{Conduct, ESTABLISHED, Proxy};
use crate::tls_front::TlsFront;
use crate::vendor::Vendor;

const PASSWORD: &str = "Zq-proxy-password";

/// A gateway whose portal is `vendor.test` on this port, which only a proxy finds.
fn setup(port: u16, ca: &Ca, outbound: &str) -> Setup {
    let toml = format!(
        "[portal]\nbase_url = \"https://vendor.test:{port}\"\nca_file = \"ca.pem\"\n\
         connect_timeout_ms = 1000\n{outbound}"
    );
    Setup {
        toml,
        files: vec![
            ("ca.pem", ca.pem.clone()),
            ("proxy-url", format!("http://me:{PASSWORD}@127.0.0.1:1")),
        ],
        ..Setup::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_opens_no_tunnel_is_named_and_nothing_is_delivered() {
    let ca = Ca::new("right");
    let vendor = Vendor::start(Setup::default().vendor).await;
    let front = TlsFront::start(&ca.server_of(&["vendor.test"], |_| ()), vendor.address).await;
    let proxy = Proxy::start().await;
    let outbound = format!(
        "[outbound]\nproxy_url = \"http://me:{PASSWORD}@{}\"",
        proxy.address
    );
    let world = spawn_before(vendor, setup(front.port, &ca, &outbound)).await;
    let target = format!("vendor.test:{}", front.port);
    for (conduct, status, reason, remedy) in [
        (
            Conduct::Answer("HTTP/1.1 407 Proxy Authentication Required\r\n\r\nwhy"),
            502,
            "refused a tunnel (407)",
            "check user and password in outbound.proxy_url".to_owned(),
        ),
        (
            Conduct::Answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
            502,
            "refused a tunnel (403)",
            format!("let it allow CONNECT to {target}, or add that to outbound.no_proxy"),
        ),
        (
            Conduct::Answer("HTTP/1.0 502 Bad Gateway\r\n\r\n"),
            502,
            "refused a tunnel (502)",
            format!("check that it can reach {target}"),
        ),
        (
            Conduct::Answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<a login>"),
            502,
            "a page instead of a tunnel",
            "check that outbound.proxy_url is an HTTP proxy".into(),
        ),
        (
            Conduct::Answer("SSH-2.0-x\r\n"),
            502,
            "not HTTP",
            "check scheme and port in outbound.proxy_url".into(),
        ),
        (
            Conduct::Answer(""),
            502,
            "closed the connection",
            "check host and port in outbound.proxy_url".into(),
        ),
        (
            Conduct::Flood("HTTP/1.1 100 Continue\r\n\r\n"),
            502,
            "a head that is too long",
            "check that outbound.proxy_url is an HTTP proxy".into(),
        ),
        (
            Conduct::Silence,
            504,
            "did not answer in time",
            "check host and port in outbound.proxy_url".into(),
        ),
    ] {
        proxy.conduct(conduct);
        let answer = world.cancel("contoso-vm").await;
        let code = if status == 504 {
            "portal-timeout"
        } else {
            "portal-failed"
        };
        let problem = answer.problem(status, code);
        assert_eq!(problem["delivered"], "no", "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        for text in ["the proxy on the way ", reason] {
            assert!(detail.contains(text), "{text}: {detail}");
        }
        // The address and what to do about it are for the log and `check`.
        for text in [proxy.address.to_string(), "outbound.".into(), remedy] {
            assert!(!answer.body.contains(&text), "{text}: {answer:?}");
        }
        assert!(!answer.body.contains(PASSWORD), "{answer:?}");
    }
    assert_eq!(front.received(), 0);
    for head in [
        ESTABLISHED,
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.0 200\r\n\r\n",
    ] {
        proxy.conduct(Conduct::Tunnel(head));
        assert_eq!(world.cancel("sync-1").await.status, 200, "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_can_be_spoken_to_over_tls() {
    let ca = Ca::new("right");
    let vendor = Vendor::start(Setup::default().vendor).await;
    let front = TlsFront::start(&ca.server_of(&["vendor.test"], |_| ()), vendor.address).await;
    let proxy = Proxy::start().await;
    let before_proxy = TlsFront::start(&ca.server(), proxy.address).await;
    let outbound = format!(
        "[outbound]\nproxy_url = \"https://127.0.0.1:{}\"",
        before_proxy.port
    );
    let world = spawn_before(vendor, setup(front.port, &ca, &outbound)).await;
    let operation = world.outcome_of("contoso-vm").await;
    assert_eq!(operation["outcome"], "canceled", "{operation}");
    assert!(proxy.heads()[0].starts_with("CONNECT vendor.test:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_names_the_proxy_and_its_exceptions() {
    let ca = Ca::new("right");
    let vendor = Vendor::start(Setup::default().vendor).await;
    let front = TlsFront::start(&ca.server_of(&["vendor.test"], |_| ()), vendor.address).await;
    let proxy = Proxy::start().await;
    let url = format!("http://me:{PASSWORD}@{}", proxy.address);
    let by_proxy = format!("(by the proxy {})", proxy.address);
    for (outbound, variables, code, expected) in [
        (
            "",
            vec![("HTTPS_PROXY", url.as_str())],
            0,
            by_proxy.as_str(),
        ),
        ("", vec![("https_proxy", &url)], 0, &by_proxy),
        ("", vec![], 69, "(directly)"),
        ("", vec![("HTTP_PROXY", &url)], 69, "(directly)"),
        (
            "",
            vec![("HTTPS_PROXY", &url), ("NO_PROXY", "a.test, .test")],
            69,
            "could not be resolved",
        ),
        (
            "[outbound]\nno_proxy = \"*\"",
            vec![("HTTPS_PROXY", &url)],
            69,
            "(directly)",
        ),
        (
            "[outbound]\nproxy_url_file = \"proxy-url\"",
            vec![("HTTPS_PROXY", &url)],
            69,
            "the proxy 127.0.0.1:1 (outbound.proxy_url_file) accepted no connection",
        ),
        (
            "",
            vec![("HTTPS_PROXY", "http://me:Zq-proxy-password@127.0.0.1:1")],
            69,
            "the proxy 127.0.0.1:1 (HTTPS_PROXY) accepted no connection",
        ),
    ] {
        let directory = tempfile::TempDir::new().unwrap();
        write_config(
            &directory,
            vendor.address,
            &setup(front.port, &ca, outbound),
        );
        let arguments = ["check", "--config", ".", "--profile", "test"];
        let process = Process::start(directory.path(), &arguments, &variables);
        let ended = process.ended().await;
        assert_eq!(
            ended.code,
            Some(code),
            "{outbound} {variables:?}: {ended:?}"
        );
        let mut lines = ended.stdout.lines();
        let line = lines
            .find(|line| line.contains("publisher contoso"))
            .unwrap();
        assert!(line.contains(expected), "{expected}: {line}");
        // Loopback is reached directly in any case.
        let mut lines = ended.stdout.lines();
        let line = lines.find(|line| line.contains("credential main")).unwrap();
        assert!(
            line.starts_with("ok ") && line.ends_with("(directly)"),
            "{line}"
        );
        assert!(!format!("{ended:?}").contains(PASSWORD), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_the_proxy_and_not_its_password() {
    let ca = Ca::new("right");
    let vendor = Vendor::start(Setup::default().vendor).await;
    let proxy = Proxy::start().await;
    proxy.conduct(Conduct::Answer("HTTP/1.1 407 No\r\n\r\n"));
    let directory = tempfile::TempDir::new().unwrap();
    write_config(&directory, vendor.address, &setup(1, &ca, ""));
    let url = format!("http://me:{PASSWORD}@{}", proxy.address);
    let arguments = ["serve", "--config", ".", "--profile", "test"];
    let variables = [
        ("HTTPS_PROXY", url.as_str()),
        ("OFFERGATE_TELEMETRY__LOG_LEVEL", "trace"),
    ];
    let mut process = Process::start(directory.path(), &arguments, &variables);
    let (address, _) = process.listens().await;
    let headers = [("X-Api-Key", KEY)];
    let answer = client::send(address, "POST", "/offers/x/cancel", &headers, "").await;
    answer.problem(502, "portal-failed");
    process.signal("TERM");
    let ended = process.ended().await;
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(
        said.contains("https connections go through a proxy"),
        "{said}"
    );
    assert!(said.contains("refused a tunnel (407)"), "{said}");
    // As it is, and as it is sent.
    for secret in [PASSWORD, "WnEtcHJveHktcGFzc3dvcmQ", "bWU6"] {
        assert!(!said.contains(secret), "{said}");
    }
}
