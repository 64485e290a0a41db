//! The sandbox over TLS: responses, faults, and clients that do not speak TLS.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::client::{Running, start_with};
use crate::Options;
use crate::tls::SelfSigned;

/// One request over TLS to `localhost`; whatever comes back.
async fn send(sandbox: &Running, tls: &Arc<ClientConfig>, request: &str) -> String {
    let stream = TcpStream::connect(sandbox.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::clone(tls));
    let mut stream = connector.connect(name, stream).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes).await {
        Ok(_) => String::from_utf8(bytes).unwrap(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

#[tokio::test]
async fn tls_carries_responses_and_faults() {
    let SelfSigned { ca_pem, config } = SelfSigned::generate().unwrap();
    let sandbox = start_with(Options {
        tls: Some(config),
        ..Options::default()
    })
    .await;
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = Arc::new(client);

    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n");
    let health = send(&sandbox, &client, &get("/_sandbox/v1/health")).await;
    assert!(health.starts_with("HTTP/1.1 200 OK\r\n"), "{health}");
    for (fault, expected) in [
        (json!({"kind": "reset"}), "ConnectionReset"),
        (json!({"kind": "close"}), ""),
        (
            json!({"kind": "garbage", "bytes": "SSH-2.0-x"}),
            "SSH-2.0-x",
        ),
    ] {
        let order = json!({"on": "portal", "fault": fault}).to_string();
        let length = order.len();
        let order = format!(
            "POST /_sandbox/v1/faults HTTP/1.1\r\nConnection: close\r\n\
             Content-Length: {length}\r\n\r\n{order}"
        );
        let ordered = send(&sandbox, &client, &order).await;
        assert!(ordered.starts_with("HTTP/1.1 201 "), "{ordered}");
        let faulty = send(&sandbox, &client, &get("/api/publishers")).await;
        assert_eq!(faulty, expected, "{fault}");
    }

    let plain = sandbox.send("GET", "/_sandbox/v1/health", "", "").await;
    assert_eq!(plain.status, 200, "{plain:?}");
    let plain = sandbox.send("GET", "/api/publishers", "", "").await;
    assert!(
        plain.status == 400 && plain.body.contains("TLS"),
        "{plain:?}"
    );
    sandbox.stop().await;
}
