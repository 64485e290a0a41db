//! Secrecy of every kind of credential: an endpoint echoes everything that it receives, with
//! every status; then all output is searched for it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep};

use crate::entra::{Certified, application, by_certificate, platform_token};
use crate::helpers::Setup;
use crate::marks::{SECRET, TOKEN_MARK, assert_none_of, part_in};
use crate::mint::Signer;
use crate::process::{Served, run};
use crate::vendor::Vendor;

/// The time limit of each step, and the polling interval.
const TIMEOUT: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(50);
/// Its successive answers.
const STATUSES: [u16; 6] = [400, 401, 429, 500, 503, 200];

/// A token endpoint that echoes what it receives: all of it as the description, the
/// credential as a token, and the end of the credential as an error code.
struct Echo {
    address: SocketAddr,
    shown: Arc<Mutex<Vec<String>>>,
    running: JoinHandle<()>,
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&shown);
        let running = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(give_back(stream, Arc::clone(&kept)));
            }
        });
        Self {
            address,
            shown,
            running,
        }
    }

    /// The credentials that it has received, once there are this many.
    async fn proofs(&self, at_least: usize) -> Vec<String> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let shown = self.shown.lock().unwrap().clone();
            if shown.len() >= at_least {
                return shown;
            }
            assert!(Instant::now() < deadline, "shown only {}", shown.len());
            sleep(STEP).await;
        }
    }
}

/// Answers one request and ends the connection.
async fn give_back(mut stream: TcpStream, shown: Arc<Mutex<Vec<String>>>) {
    let request = read(&mut stream).await;
    let proof = proof_of(&request);
    let turn = {
        let mut shown = shown.lock().unwrap();
        shown.push(proof.clone());
        shown.len() - 1
    };
    let end = &proof[proof.len().saturating_sub(24)..];
    let body = json!({
        "error": end,
        "error_description": format!("AADSTS{proof} {request}"),
        "error_codes": [7_000_215],
        "message": request,
        "access_token": proof,
        "token_type": "Bearer",
        "expires_in": 3600,
    })
    .to_string();
    let answer = format!(
        "HTTP/1.1 {} {end}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         X-Proof: {proof}\r\nConnection: close\r\n\r\n{body}",
        STATUSES[turn % STATUSES.len()],
        body.len(),
    );
    let _gone = stream.write_all(answer.as_bytes()).await;
}

async fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let line = line.to_ascii_lowercase();
                line.strip_prefix("content-length:")?.trim().parse().ok()
            });
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(count @ 1..) => bytes.extend_from_slice(&buffer[..count]),
            _ => return text,
        }
    }
}

/// The credential of a request: assertion, secret or header.
fn proof_of(request: &str) -> String {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let form: Vec<(String, String)> = serde_urlencoded::from_str(body).unwrap();
    let mut fields = form.into_iter();
    let proof = fields.find(|(name, _)| ["client_assertion", "client_secret"].contains(&&**name));
    if let Some((_, proof)) = proof {
        return proof;
    }
    let mut headers = head.lines().filter_map(|line| line.split_once(": "));
    let header = headers.find(|(name, _)| name.eq_ignore_ascii_case("x-identity-header"));
    header.unwrap_or_else(|| panic!("no proof")).1.to_owned()
}

/// All output of a gateway, and of `check` and `token show`.
async fn assert_nothing_leaks(served: Served, secrets: &[String]) {
    for path in ["/readyz", "/healthz", "/metrics"] {
        let answer = served.admin(path).await;
        assert_none_of(path, &format!("{answer:?}"), secrets);
    }
    let config = ["--config", ".", "--profile", "test"];
    for command in [&["check"][..], &["token", "show", "main"]] {
        let ended = run(served.directory.path(), &[command, &config].concat()).await;
        let said = format!("{ended:?}");
        assert!(ended.code.is_some_and(|code| code != 2), "{said}");
        assert_none_of(command[0], &said, secrets);
    }
    served.process.signal("TERM");
    let Served {
        process, directory, ..
    } = served;
    let ended = process.ended().await;
    assert!(ended.stdout.contains("\"level\":\"WARN\""), "{ended:?}");
    assert_none_of("the log", &ended.stdout, secrets);
    assert_none_of("standard error", &ended.stderr, secrets);
    assert_ledger_clean(directory.path(), secrets);
}

fn assert_ledger_clean(directory: &Path, secrets: &[String]) {
    let ledger = std::fs::read(directory.join("offergate.db")).unwrap();
    assert_none_of("the ledger", &String::from_utf8_lossy(&ledger), secrets);
}

fn loud(credential: String, files: Vec<(&'static str, String)>) -> Setup {
    let mut vendor = Setup::default().vendor;
    vendor.token_mark = Some(TOKEN_MARK.into());
    Setup {
        vendor,
        toml: "[telemetry]\nlog_level = \"trace\"\n[credentials.main]\nwait_ms = 300".into(),
        credential: Some(credential),
        files,
        ..Setup::default()
    }
}

/// The lines of a PEM file that are the key.
fn pem_lines(pem: &str) -> Vec<String> {
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    lines.map(str::to_owned).collect()
}

/// Deliberate: the echo instead of the sandbox.
fn at(echo: &Echo, credential: &str) -> String {
    credential.replace("$vendor", &echo.address.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_leaks_through_an_echoing_endpoint() {
    let signer = Signer::ec("a");
    let assertion = platform_token(&signer, "one");
    let app_service = format!(
        "kind = \"managed-identity\"\nendpoint = \"http://$vendor/msi/token\"\n\
         identity_header = \"{SECRET}\""
    );
    let kinds = [
        (
            application("client-secret", &format!("client_secret = \"{SECRET}\"")),
            vec![],
        ),
        (by_certificate(""), Certified::first().files()),
        (
            application("workload-identity", "assertion_file = \"assertion\""),
            vec![("assertion", format!("{assertion}\n"))],
        ),
        (app_service, vec![]),
    ];
    let tried = kinds.map(|(credential, files)| async move {
        let echo = Echo::start().await;
        let setup = loud(
            at(&echo, &credential).replace("wait_ms = 3000\n", ""),
            files,
        );
        let vendor = Vendor::start(setup.vendor.clone()).await;
        let served = Served::start(&vendor, &setup).await;
        for proofs in 1..=STATUSES.len() {
            echo.proofs(proofs).await;
            let answer = served.cancel(&format!("sync-{proofs}")).await;
            let mut secrets = echo.proofs(proofs).await;
            secrets.extend(pem_lines(&Certified::first().key_pem));
            assert_none_of("an answer", &format!("{answer:?}"), &secrets);
            let ready = served.admin("/readyz").await;
            assert_none_of("/readyz", &format!("{ready:?}"), &secrets);
        }
        let mut secrets = echo.proofs(STATUSES.len()).await;
        // The search finds all of them, and the echoed ends.
        for secret in &secrets {
            for text in [secret, &secret[secret.len() - 24..]] {
                assert!(part_in(text, &secrets).is_some());
            }
        }
        secrets.extend(pem_lines(&Certified::first().key_pem));
        assert_nothing_leaks(served, &secrets).await;
    });
    futures_util::future::join_all(tried.map(Box::pin)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_of_a_file_leaks() {
    let setup = loud(String::new(), vec![]);
    let vendor = Vendor::start(setup.vendor.clone()).await;
    let token = crate::kinds::token(&vendor, 3600).await;
    let credential = "kind = \"token-file\"\ntoken_file = \"token\"".to_owned();
    let served = Served::start(&vendor, &loud(credential, vec![("token", token.clone())])).await;
    for status in [200, 202, 302, 400, 401, 403, 404, 409, 429, 500] {
        for part in ["whole", "slice"] {
            let fault = json!({"kind": "reflect", "status": status, "part": part});
            vendor.order(json!({"on": "cancel", "fault": fault})).await;
            let answer = served.cancel(&format!("sync-{status}-{part}")).await;
            let all = [token.clone()];
            assert_none_of("an answer", &format!("{answer:?}"), &all);
        }
    }
    let reflected = vendor.received("/cancel").await;
    let reflected = reflected.iter().filter(|one| one["fault"] == "reflect");
    assert!(reflected.count() >= 20);
    // Other content that was put there by mistake.
    let path = served.directory.path().join("token");
    for (text, why) in [
        (SECRET.to_owned(), "it does not hold a JWT"),
        (token.repeat(40), "longer than 16 KiB"),
        (format!("{token} {SECRET}"), "something else than a token"),
    ] {
        std::fs::write(&path, text).unwrap();
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let answer = served.admin("/readyz").await;
            assert_none_of(
                "/readyz",
                &format!("{answer:?}"),
                std::slice::from_ref(&token),
            );
            if answer.body.contains(why) {
                break;
            }
            assert!(Instant::now() < deadline, "never {why}: {answer:?}");
            sleep(STEP).await;
        }
    }
    assert_nothing_leaks(served, &[token]).await;
}
