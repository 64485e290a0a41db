//! Callers by client certificate, end to end: which of its names identify a caller, and a
//! certificate together with other credentials. Trust is tested in `tls.rs`.

use serde_json::Value;
use tempfile::TempDir;

use crate::certs::{Ca, Issued};
use crate::client::Answer;
use crate::helpers::{KEY, World};
use crate::tls::{Secured, secured};
use crate::tls_client::{TlsClientOptions, cancel_on, connect, send};

const SPIFFE: &str = "spiffe://prod.internal/ns/release/sa/pipeline";

/// A gateway whose callers have certificates, and the CA of those.
struct Scene {
    secured: Secured,
    clients: Ca,
    _files: TempDir,
}

async fn scene() -> Scene {
    let clients = Ca::new("clients");
    let files = TempDir::new().unwrap();
    let path = clients.write(files.path(), "clients.pem");
    let toml = format!(
        r#"
client_ca_file = '{}'
[[callers]]
name = "pipeline"
default_publisher = "contoso"
api_key_sha256 = ["$pipeline"]
allow = [ {{ actions = ["*"], publishers = ["contoso"], offers = ["*"] }} ]
[[callers]]
name = "release"
default_publisher = "contoso"
certificate_san = ["release.internal", "{SPIFFE}"]
allow = [ {{ actions = ["cancel"], publishers = ["contoso"], offers = ["*"] }} ]
[[callers]]
name = "board"
certificate_san = ["board.internal"]
"#,
        path.display()
    );
    Scene {
        secured: secured(&toml).await,
        clients,
        _files: files,
    }
}

impl Scene {
    fn world(&self) -> &World {
        &self.secured.world
    }

    async fn cancel(&self, identity: Option<&Issued>, headers: &[(&str, &str)]) -> Answer {
        let wish = TlsClientOptions {
            identity,
            ..TlsClientOptions::new(&self.secured.ca)
        };
        let address = self.world().address();
        let path = "/offers/sync-1/cancel";
        send(address, &wish.config(), "POST", path, headers, "").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_names_its_caller_by_its_alternative_names() {
    let scene = scene().await;
    for names in [
        &["release.internal"][..],
        &[SPIFFE],
        &["Release.INTERNAL"],
        &["release.internal", SPIFFE],
        &["other.internal", "release.internal", "*.internal"],
    ] {
        let answer = scene.cancel(Some(&scene.clients.client(names)), &[]).await;
        assert_eq!(answer.status, 200, "{names:?}: {answer:?}");
        assert_eq!(answer.json()["requestedBy"], "release");
    }
    // For several requests of one connection.
    let identity = scene.clients.client(&[SPIFFE]);
    let wish = TlsClientOptions {
        identity: Some(&identity),
        ..TlsClientOptions::new(&scene.secured.ca)
    };
    let address = scene.world().address();
    let mut stream = connect(address, &wish.config()).await.unwrap();
    for _ in 0..2 {
        let answer = cancel_on(&mut stream, address, &[]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_certificate_of_no_caller_is_refused() {
    let scene = scene().await;
    let common_name = scene.clients.client_with(&[], |params| {
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "release.internal");
    });
    let table = [
        ("only a common name", common_name),
        ("a wildcard", scene.clients.client(&["*.internal"])),
        ("another name", scene.clients.client(&["stranger.internal"])),
        (
            "a name below",
            scene.clients.client(&["a.release.internal"]),
        ),
        (
            "another path",
            scene.clients.client(&["spiffe://prod.internal/ns/release"]),
        ),
        (
            "case of a URI",
            scene
                .clients
                .client(&["spiffe://prod.internal/ns/Release/sa/pipeline"]),
        ),
        (
            "two callers",
            scene
                .clients
                .client(&["release.internal", "board.internal"]),
        ),
    ];
    for (name, identity) in table {
        let answer = scene.cancel(Some(&identity), &[]).await;
        assert_eq!(answer.status, 403, "{name}: {answer:?}");
        answer.problem(403, "caller-not-allowed");
    }
    let proof = scene.cancel(None, &[("X-Api-Key", KEY)]).await;
    assert_eq!(proof.status, 200);
    assert_eq!(scene.world().vendor.received("/api/").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_one_credential_among_others() {
    let scene = scene().await;
    let identity = scene.clients.client(&["release.internal"]);
    let answer = scene.cancel(Some(&identity), &[("X-Api-Key", KEY)]).await;
    let problem: Value = answer.problem(401, "unauthenticated");
    assert!(problem["detail"].as_str().unwrap().contains("exactly one"));
    let answer = scene.cancel(None, &[]).await;
    let problem = answer.problem(401, "unauthenticated");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("a client certificate")
    );
    let accepted = answer.header("www-authenticate").unwrap();
    assert_eq!(accepted, "ApiKey header=\"X-Api-Key\", ClientCertificate");
    // A proxy's header about a certificate is not a credential.
    let forwarded = [("X-Forwarded-Client-Cert", "URI=release.internal")];
    scene
        .cancel(None, &forwarded)
        .await
        .problem(401, "unauthenticated");
    assert!(scene.world().vendor.received("/api/").await.is_empty());
}
