//! TLS on the public listener: accepted protocols, and certificates that are replaced while it
//! runs.

use std::path::Path;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, ProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::certs::{Ca, Issued};
use crate::client::{read_answer, request};
use crate::helpers::{KEY, Setup, World, spawn_with};
use crate::tls_client::{self, HTTP_1, HTTP_2, TlsClientOptions, TlsStream, cancel_on, connect};

/// A gateway that speaks TLS, and the CA of its certificate.
pub struct Secured {
    pub world: World,
    pub ca: Ca,
    /// Where its certificate and key are.
    pub files: TempDir,
}

/// A gateway that speaks TLS, with this TOML laid over the rest. `$files` in it stands
/// for the directory of its certificate.
pub async fn secured(toml: &str) -> Secured {
    let ca = Ca::new("servers");
    let files = TempDir::new().unwrap();
    ca.server().write(files.path(), "server");
    let world = spawn_with(Setup {
        toml: self::toml(files.path(), toml),
        tls: Some(TlsClientOptions::new(&ca).config()),
        ..Setup::default()
    });
    Secured {
        world: world.await,
        ca,
        files,
    }
}

/// `[server.tls]` with the files of that directory, and what follows.
pub fn toml(files: &Path, rest: &str) -> String {
    let tls = "[server.tls]\ncert_file = '$files/server.pem'\nkey_file = '$files/server.key'";
    format!("{tls}\n{rest}").replace("$files", files.to_str().unwrap())
}

pub const IMPATIENT: &str = "[server]\nhead_timeout_ms = 1000\nkeep_alive_seconds = 1";

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_carry_http1_and_never_http2() {
    let Secured { world, ca, .. } = secured("").await;
    let ours = format!("https://{}/operations/", world.address());
    for version in [&TLS12, &TLS13] {
        for protocols in [&[HTTP_1][..], &[HTTP_2, HTTP_1], &[]] {
            let wish = TlsClientOptions {
                protocols,
                versions: &[version],
                ..TlsClientOptions::new(&ca)
            };
            let stream = connect(world.address(), &wish.config()).await.unwrap();
            let session = stream.get_ref().1;
            assert_eq!(session.protocol_version(), Some(version.version));
            let agreed = session.alpn_protocol();
            let expected = protocols.last().map(|protocol| protocol.as_bytes());
            assert_eq!(agreed, expected, "{protocols:?}");

            let key = &[("X-Api-Key", KEY)];
            let path = "/offers/sync-1/cancel";
            let config = wish.config();
            let answer = tls_client::send(world.address(), &config, "POST", path, key, "").await;
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.guarded();
            let location = answer.header("operation-location").unwrap();
            assert!(location.starts_with(&ours), "{location}");
        }
        let wish = TlsClientOptions {
            protocols: &[HTTP_2],
            versions: &[version],
            ..TlsClientOptions::new(&ca)
        };
        let refused = connect(world.address(), &wish.config()).await;
        assert!(refused.is_err(), "HTTP/2 alone is agreed on");
    }
}

/// A ClientHello of `version` (RFC 5246 section 7.4.1.2) with one cipher suite.
fn hello(version: ProtocolVersion, suite: CipherSuite) -> Vec<u8> {
    // Group P-256, uncompressed points, ECDSA with SHA-256 on P-256.
    let extensions = [
        [0, 10, 0, 4, 0, 2, 0, 23].as_slice(),
        &[0, 11, 0, 2, 1, 0],
        &[0, 13, 0, 4, 0, 2, 4, 3],
    ];
    let extensions = extensions.concat();
    let mut body = version.to_array().to_vec();
    body.extend([7; 32]);
    body.extend([0, 0, 2]);
    body.extend(suite.to_array());
    body.extend([1, 0, 0, u8::try_from(extensions.len()).unwrap()]);
    body.extend(extensions);
    let length = u8::try_from(body.len()).unwrap();
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(body);
    record
}

/// What the gateway sends in reply to these bytes before it closes.
async fn reply_to(world: &World, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut said = Vec::new();
    let end = timeout(Duration::from_secs(20), stream.read_to_end(&mut said)).await;
    let _closed_or_reset = end.expect("still waited for");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn older_protocols_and_plain_http_are_refused() {
    const ALERT: u8 = 21;
    const PROTOCOL_VERSION: u8 = 70;
    const HANDSHAKE_FAILURE: u8 = 40;
    let Secured { world, .. } = secured("").await;
    // Unsafe suites of TLS 1.2: RSA key exchange, CBC, RC4.
    let (modern, rsa, cbc, rc4) = (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::TLS_RSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
        CipherSuite::TLS_RSA_WITH_RC4_128_SHA,
    );
    for (version, suite, description) in [
        (ProtocolVersion::SSLv3, modern, PROTOCOL_VERSION),
        (ProtocolVersion::TLSv1_0, modern, PROTOCOL_VERSION),
        (ProtocolVersion::TLSv1_1, modern, PROTOCOL_VERSION),
        (ProtocolVersion::TLSv1_2, rsa, HANDSHAKE_FAILURE),
        (ProtocolVersion::TLSv1_2, cbc, HANDSHAKE_FAILURE),
        (ProtocolVersion::TLSv1_2, rc4, HANDSHAKE_FAILURE),
    ] {
        let said = reply_to(&world, &hello(version, suite)).await;
        assert_eq!(said.first(), Some(&ALERT), "{version:?}: {said:?}");
        assert_eq!(said[5..], [2, description], "{version:?}");
    }
    // Control: with this version and suite the hello is accepted.
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    let acceptable = hello(ProtocolVersion::TLSv1_2, modern);
    stream.write_all(&acceptable).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), 22, "no handshake");

    let plain = request(
        world.address(),
        "POST",
        "/offers/sync-1/cancel",
        &[("X-Api-Key", KEY)],
        "",
    );
    for bytes in [plain.as_bytes(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let said = reply_to(&world, bytes).await;
        assert_ne!(said.first(), Some(&b'H'), "{said:?}");
    }
    world.assert_nothing_sent().await;
}

/// Replaces the files of certificate, key and client CA, and reloads.
async fn exchange(secured: &Secured, server: &Issued, client_ca: Option<&Ca>) {
    server.write(secured.files.path(), "server");
    let client_ca = client_ca.map(|ca| {
        let path = ca.write(secured.files.path(), "clients.pem");
        format!("client_ca_file = '{}'", path.display())
    });
    let toml = toml(secured.files.path(), &client_ca.unwrap_or_default());
    secured.world.reload(&toml).await;
}

/// One request on a connection that is kept.
async fn again(world: &World, stream: &mut TlsStream<TcpStream>) -> u16 {
    let key = &[("X-Api-Key", KEY)];
    cancel_on(stream, world.address(), key).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_applies_to_new_connections() {
    let secured = secured("").await;
    let Secured { world, ca, .. } = &secured;
    let config = TlsClientOptions::new(ca).config();
    let mut kept = connect(world.address(), &config).await.unwrap();
    assert_eq!(again(world, &mut kept).await, 200);

    // Signed by a CA that the old clients do not trust.
    let (other, before) = (Ca::new("others"), shown(&kept));
    let renewed = other.server();
    exchange(&secured, &renewed, None).await;
    assert!(connect(world.address(), &config).await.is_err());
    let config = TlsClientOptions::new(&other).config();
    let mut new = connect(world.address(), &config).await.unwrap();
    assert_eq!(shown(&new), renewed.certificate.as_ref());
    assert_ne!(shown(&new), before);
    for stream in [&mut new, &mut kept] {
        assert_eq!(again(world, stream).await, 200);
    }
}

/// The certificate that the other side has shown.
fn shown(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// Whether a request gets through with this certificate.
async fn gets_through(secured: &Secured, identity: Option<&Issued>) -> bool {
    let mut reached = Vec::new();
    for version in [&TLS12, &TLS13] {
        let wish = TlsClientOptions {
            identity,
            versions: &[version],
            ..TlsClientOptions::new(&secured.ca)
        };
        let address = secured.world.address();
        let answer = match connect(address, &wish.config()).await {
            Ok(mut stream) => {
                let bytes = request(address, "GET", "/problems/conflict", &[], "");
                // Over TLS 1.3 a refusal comes after the handshake.
                let _refused = stream.write_all(bytes.as_bytes()).await;
                read_answer(&mut stream).await
            }
            Err(_refused) => None,
        };
        reached.push(answer.is_some_and(|answer| answer.status == 200));
    }
    assert_eq!(reached[0], reached[1], "TLS 1.2 and 1.3 differ");
    reached[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_optional_but_must_be_valid() {
    let secured = secured("").await;
    let (clients, others) = (Ca::new("clients"), Ca::new("others"));
    let good = clients.client(&["pipeline.internal"]);
    let expired = clients.client_with(&["pipeline.internal"], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let foreign = others.client(&["pipeline.internal"]);
    // Without a client CA no certificate is requested.
    for identity in [None, Some(&good), Some(&foreign)] {
        assert!(gets_through(&secured, identity).await);
    }
    let server = secured.ca.server();
    exchange(&secured, &server, Some(&clients)).await;
    assert!(gets_through(&secured, None).await);
    assert!(gets_through(&secured, Some(&good)).await);
    assert!(!gets_through(&secured, Some(&foreign)).await);
    assert!(!gets_through(&secured, Some(&expired)).await);
    // A server's certificate is not valid for a client.
    assert!(!gets_through(&secured, Some(&clients.server())).await);
    exchange(&secured, &server, Some(&others)).await;
    assert!(!gets_through(&secured, Some(&good)).await);
    assert!(gets_through(&secured, Some(&foreign)).await);
    exchange(&secured, &server, None).await;
    assert!(gets_through(&secured, Some(&good)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_name_the_client_ca() {
    let clients = Ca::new("clients");
    let directory = TempDir::new().unwrap();
    let path = clients.write(directory.path(), "clients.pem");
    let secured = secured(&format!("client_ca_file = '{}'", path.display())).await;
    let foreign = Ca::new("others").client(&["pipeline.internal"]);
    assert!(gets_through(&secured, Some(&clients.client(&[]))).await);
    assert!(!gets_through(&secured, Some(&foreign)).await);
    assert!(Path::new(secured.files.path()).join("server.key").exists());
}

/// Whether the gateway closes this connection by itself.
async fn is_closed(mut stream: impl tokio::io::AsyncRead + Unpin) -> bool {
    let mut said = Vec::new();
    let end = timeout(Duration::from_secs(10), stream.read_to_end(&mut said)).await;
    end.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_handshake_is_closed_after_the_time_limit() {
    let Secured { world, .. } = secured(IMPATIENT).await;
    let hello = hello(
        ProtocolVersion::TLSv1_2,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    );
    let half = &hello[..hello.len() / 2];
    // Half a hello, none, and one that arrives in small pieces.
    for start in [half, b""] {
        let mut stream = TcpStream::connect(world.address()).await.unwrap();
        stream.write_all(start).await.unwrap();
        assert!(is_closed(stream).await);
    }
    let stream = TcpStream::connect(world.address()).await.unwrap();
    let (reading, mut writing) = stream.into_split();
    // As long a hello as there may be.
    let long = [22, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb];
    let drops = long.into_iter().chain(std::iter::repeat_n(0, 2000));
    let dripping = tokio::spawn(async move {
        for drop in drops {
            if writing.write_all(&[drop]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(is_closed(reading).await);
    dripping.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_request_is_closed_after_the_time_limit() {
    let Secured { world, ca, .. } = secured(IMPATIENT).await;
    let config = TlsClientOptions::new(&ca).config();
    let half = format!("POST /offers/sync-1/cancel HTTP/1.1\r\nX-Api-Key: {KEY}\r\nX-");
    // The first one, and the second.
    for first in [false, true] {
        for start in ["", &half] {
            let mut stream = connect(world.address(), &config).await.unwrap();
            if first {
                assert_eq!(again(&world, &mut stream).await, 200);
            }
            stream.write_all(start.as_bytes()).await.unwrap();
            assert!(is_closed(stream).await, "{first} {start:?}");
        }
    }
}
