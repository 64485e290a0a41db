//! A real OpenID issuer beside the gateway: `tests/issuer`, which needs Node.
//!
//! Where Node or its packages (`npm ci` in `tests/issuer`) are missing, a test that wants an
//! issuer is skipped with a message. `OFFERGATE_TEST_ISSUER=required` makes that a failure.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use jsonwebtoken::jwk::JwkSet;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::{self, Answer};
use crate::process::Process;
use crate::tools::{file, node_packages, skip};

/// The issuer's clients, by what they are in the tests.
pub const PIPELINE: &str = "release-pipeline";
pub const BOARD: &str = "status-board";
pub const STRANGER: &str = "stranger";

/// The gateway itself, as its token endpoint knows it: by a secret and by a certificate.
pub const BY_SECRET: &str = "offergate-secret";
pub const SECRET: &str = "no-part-of-its-name-0123456789";
pub const BY_CERTIFICATE: &str = "offergate-certificate";
/// The tenant whose token endpoint it is.
pub const TENANT: &str = "contoso.test";

const HOME: &str = "tests/issuer";
const DISCOVERY: &str = "/.well-known/openid-configuration";
const JWKS: &str = "/jwks";
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// How a token differs from the default: an access token for `offergate`, by RS256.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    pub audience: &'static str,
    /// RS256, PS256 or ES256.
    pub algorithm: &'static str,
    /// Replaces claims; null removes one.
    pub claims: Value,
    /// The same for the members of the header.
    pub header: Value,
}

impl Default for TokenRequest {
    fn default() -> Self {
        Self {
            audience: "offergate",
            algorithm: "RS256",
            claims: json!({}),
            header: json!({}),
        }
    }
}

impl TokenRequest {
    pub fn audience(audience: &'static str) -> Self {
        Self {
            audience,
            ..Self::default()
        }
    }

    pub fn algorithm(algorithm: &'static str) -> Self {
        Self {
            algorithm,
            ..Self::default()
        }
    }

    pub fn claims(claims: Value) -> Self {
        Self {
            claims,
            ..Self::default()
        }
    }

    pub fn header(header: Value) -> Self {
        Self {
            header,
            ..Self::default()
        }
    }
}

/// The issuer's counts of requests since its start, including those of the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Counts {
    pub discovery: u32,
    pub jwks: u32,
    /// At the token endpoint.
    pub tokens: u32,
    /// Those of discovery and keys that were answered 503.
    pub refused: u32,
}

/// A running issuer. Ended when dropped, and with the test's process in any case:
/// it ends with its standard input.
pub struct Issuer {
    _process: Process,
    /// The `iss` of its tokens.
    pub url: String,
    pub address: SocketAddr,
    assertions: bool,
}

/// Its message when it listens.
#[derive(Deserialize)]
struct Listening {
    issuer: String,
    /// Whether this Node supports checking client assertions.
    assertions: bool,
}

impl Issuer {
    /// None if Node or its packages are missing, with a message in the test's output.
    pub async fn start() -> Option<Self> {
        static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();
        let installed = || node_packages(HOME);
        let installed = move || INSTALLED.get_or_init(installed).clone();
        if let Err(why) = tokio::task::spawn_blocking(installed).await.unwrap() {
            skipped(&why);
            return None;
        }
        let mut node = Command::new("node");
        node.arg("issuer.mjs")
            .current_dir(file(HOME))
            .stdin(Stdio::piped());
        let mut process = Process::spawn(&mut node);
        let listening = |line: &str| serde_json::from_str(line).ok();
        let Listening { issuer, assertions } = process.wait_for_line(listening).await;
        let address = issuer.strip_prefix("http://").unwrap().parse().unwrap();
        Some(Self {
            _process: process,
            url: issuer,
            address,
            assertions,
        })
    }

    /// None as with [`Issuer::start`], and also if it cannot check client assertions.
    pub async fn start_for_assertions() -> Option<Self> {
        let issuer = Self::start().await?;
        if !issuer.assertions {
            skipped("client assertions need Node 20.12 or later");
            return None;
        }
        Some(issuer)
    }

    /// Checks client assertions with these certificates (PEM) from now on.
    pub async fn register(&self, certificates: &str) {
        let path = "/_control/certificates";
        self.ask("POST", path, &[], certificates).await;
    }

    /// Where tokens are made: the audience of client assertions.
    pub fn token_url(&self) -> String {
        format!("{}{}", self.url, token_path())
    }

    /// Its answer to this form at the token endpoint.
    pub async fn answer_to(&self, form: &[(&str, &str)]) -> Answer {
        let form = serde_urlencoded::to_string(form).unwrap();
        client::send(self.address, "POST", &token_path(), &[FORM], &form).await
    }

    /// Where its keys are.
    pub fn jwks_url(&self) -> String {
        format!("{}{JWKS}", self.url)
    }

    /// A token of this client's, from the token endpoint.
    pub async fn token(&self, client: &str, wanted: TokenRequest) -> String {
        let order = serde_urlencoded::to_string([
            ("audience", wanted.audience),
            ("algorithm", wanted.algorithm),
            ("claims", &wanted.claims.to_string()),
            ("header", &wanted.header.to_string()),
        ]);
        let resource = format!("https://resource.test/?{}", order.unwrap());
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("client_secret", &format!("{client}-secret")),
            ("resource", &resource),
        ];
        let answer = self.answer_to(&form).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// New keys sign from now on; the old ones stay published.
    pub async fn rotate(&self) {
        self.control("POST", "rotate").await;
    }

    /// The old keys are not published any more.
    pub async fn retire(&self) {
        self.control("POST", "retire").await;
    }

    /// Discovery and keys are answered with 503.
    pub async fn down(&self) {
        self.control("POST", "down").await;
    }

    pub async fn up(&self) {
        self.control("POST", "up").await;
    }

    pub async fn counts(&self) -> Counts {
        self.control("GET", "counts").await
    }

    /// Waits until the count with this name has reached this value.
    pub async fn reaches(&self, count: &str, at_least: u32) -> Counts {
        let name = format!("counts?{count}={at_least}");
        self.control("GET", &name).await
    }

    pub async fn discovery(&self) -> Value {
        self.ask("GET", DISCOVERY, &[], "").await.json()
    }

    pub async fn keys(&self) -> JwkSet {
        let answer = self.ask("GET", JWKS, &[], "").await;
        serde_json::from_str(&answer.body).unwrap()
    }

    async fn control(&self, method: &str, name: &str) -> Counts {
        let path = format!("/_control/{name}");
        let answer = self.ask(method, &path, &[], "").await;
        serde_json::from_str(&answer.body).unwrap()
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let answer = client::send(self.address, method, path, headers, body).await;
        assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
        answer
    }
}

fn token_path() -> String {
    format!("/{TENANT}/oauth2/v2.0/token")
}

fn skipped(why: &str) {
    skip("OFFERGATE_TEST_ISSUER", why);
}
