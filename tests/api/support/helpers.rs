//! A gateway and a sandbox on free ports, with the operations that tests need.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use offergate::settings::{Settings, load};
use offergate::startup::Gateway;
use offergate_sandbox::Options;
use rustls::ClientConfig;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;
use tokio::time::Instant;
use uuid::Uuid;

use crate::client::{self, Answer};
use crate::config::{source, write_config, write_with_hashes};
use crate::tls_client;
use crate::vendor::Vendor;

/// `pipeline` may do everything to every offer of contoso.
pub const KEY: &str = "pipeline-key-0123456789";
/// `reader` may only read.
pub const READER_KEY: &str = "reader-key-0123456789";
/// `nobody` has no rules, and no default publisher.
pub const NOBODY_KEY: &str = "nobody-key-0123456789";

/// How long until an operation must have ended in a test.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How a test wants its gateway. Short waits are the only thing that differs from
/// a deployment.
pub struct Setup {
    pub vendor: Options,
    /// TOML that overrides everything else; `$pipeline`, `$reader` and `$nobody` stand
    /// for the hashes of their keys.
    pub toml: String,
    /// Content of `[credentials.main]` instead of a client secret; in both, `$vendor`
    /// stands for the sandbox's address.
    pub credential: Option<String>,
    /// Further files in the configuration's directory.
    pub files: Vec<(&'static str, String)>,
    /// Settings below the limits of the configuration.
    pub tune: fn(&mut Settings),
    /// POSTed to the sandbox before the gateway starts.
    pub prepare: Vec<(&'static str, Value)>,
    /// How the gateway is called if it speaks TLS.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            vendor: Options {
                cancel_after: Duration::from_millis(300),
                ..Options::default()
            },
            toml: String::new(),
            credential: None,
            files: Vec::new(),
            tune: |_| (),
            prepare: Vec::new(),
            tls: None,
        }
    }
}

/// A gateway with its vendor.
pub struct World {
    pub vendor: Vendor,
    pub directory: TempDir,
    pub gateway: Option<Gateway>,
    settings: Settings,
    public: SocketAddr,
    admin: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

/// The usual world.
pub async fn spawn() -> World {
    spawn_with(Setup::default()).await
}

/// A world with more TOML.
pub async fn spawn_toml(toml: &str) -> World {
    spawn_with(Setup {
        toml: toml.to_owned(),
        ..Setup::default()
    })
    .await
}

/// A world with more TOML, in which a cancel takes effect only on request.
pub async fn spawn_undecided(toml: &str) -> World {
    spawn_with(Setup {
        vendor: Options {
            cancel_after: Duration::from_secs(600),
            ..Options::default()
        },
        toml: toml.to_owned(),
        ..Setup::default()
    })
    .await
}

pub async fn spawn_with(setup: Setup) -> World {
    let vendor = Vendor::start(setup.vendor.clone()).await;
    for (path, body) in &setup.prepare {
        vendor.control("POST", path, body.clone()).await;
    }
    spawn_before(vendor, setup).await
}

/// A gateway in front of an existing vendor.
pub async fn spawn_before(vendor: Vendor, setup: Setup) -> World {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory, vendor.address, &setup);
    let gateway = Gateway::start(settings.clone()).await.unwrap();
    World {
        vendor,
        directory,
        public: gateway.public_address(),
        admin: gateway.admin_address(),
        gateway: Some(gateway),
        settings,
        tls: setup.tls,
    }
}

fn settings(directory: &TempDir, vendor: SocketAddr, setup: &Setup) -> Settings {
    write_config(directory, vendor, setup);
    let mut settings = load(&source(directory))
        .unwrap_or_else(|problems| panic!("{problems}"))
        .settings;
    // Shorter than any configuration may be: tests wait for these.
    settings.operations.poll = Duration::from_millis(50);
    settings.operations.max_polls_per_second = 10_000.try_into().unwrap();
    settings.operations.settle = settings.operations.settle.min(Duration::from_millis(400));
    settings.operations.give_up = settings.operations.give_up.min(Duration::from_secs(20));
    settings.ledger.path = directory.path().join("ledger.db");
    (setup.tune)(&mut settings);
    settings
}

/// The ledger file's records of an offer's operations, oldest first: status,
/// `delivered` and id.
pub async fn rows(ledger: &Path, offer: &str) -> Vec<(String, String, String)> {
    let options = SqliteConnectOptions::new().filename(ledger).read_only(true);
    let mut file = options.connect().await.unwrap();
    let rows: Vec<(String, String, Vec<u8>)> = sqlx::query_as(
        "SELECT status, delivered, id FROM operations WHERE offer_id = ? ORDER BY id",
    )
    .bind(offer)
    .fetch_all(&mut file)
    .await
    .unwrap();
    file.close().await.unwrap();
    let text = |(status, delivered, id): (String, String, Vec<u8>)| {
        (
            status,
            delivered,
            Uuid::from_slice(&id).unwrap().to_string(),
        )
    };
    rows.into_iter().map(text).collect()
}

impl World {
    pub fn address(&self) -> SocketAddr {
        self.public
    }

    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// The ledger file's records of an offer's operations; see [`rows`].
    pub async fn rows(&self, offer: &str) -> Vec<(String, String, String)> {
        rows(&self.settings.ledger.path, offer).await
    }

    /// A request of `pipeline`'s.
    pub async fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send_as(KEY, method, path, body).await
    }

    pub async fn send_as(&self, key: &str, method: &str, path: &str, body: &str) -> Answer {
        self.exchange(method, path, &[("X-Api-Key", key)], body)
            .await
    }

    /// A request of `pipeline`'s with more headers.
    pub async fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut all = vec![("X-Api-Key", KEY)];
        all.extend(headers);
        self.exchange(method, path, &all, body).await
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        match &self.tls {
            Some(tls) => tls_client::send(self.public, tls, method, path, headers, body).await,
            None => client::send(self.public, method, path, headers, body).await,
        }
    }

    pub async fn cancel(&self, offer: &str) -> Answer {
        self.send("POST", &format!("/offers/{offer}/cancel"), "")
            .await
    }

    /// Checks that the vendor has received only token requests so far, then cancels one offer to
    /// show that it is reachable.
    pub async fn assert_nothing_sent(&self) {
        assert_eq!(self.cancel("sync-proof").await.status, 200);
        let received = self.vendor.received("/api/").await;
        assert_eq!(received.len(), 1, "{received:?}");
    }

    /// Waits until `/readyz` answers with this status; its body.
    pub async fn readiness(&self, status: u16) -> Value {
        self.readyz_until(|answer| answer.status == status).await
    }

    /// Waits until the body of `/readyz` meets the condition.
    pub async fn readiness_until(&self, wished: impl Fn(&Value) -> bool) -> Value {
        self.readyz_until(|answer| wished(&answer.json())).await
    }

    async fn readyz_until(&self, wished: impl Fn(&Answer) -> bool) -> Value {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let answer = self.admin("/readyz").await;
            if wished(&answer) {
                return answer.json();
            }
            assert!(Instant::now() < deadline, "still {answer:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    pub async fn admin(&self, path: &str) -> Answer {
        client::send(self.admin, "GET", path, &[], "").await
    }

    /// The operation as its caller sees it now.
    pub async fn operation(&self, id: &str) -> Value {
        let answer = self.send("GET", &format!("/operations/{id}"), "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// The operation once it has ended.
    pub async fn ended(&self, id: &str) -> Value {
        self.operation_past(id, &["NotStarted", "Running"]).await
    }

    /// The operation once the vendor's answer is in the ledger: an unfinished
    /// result may be recorded after it was answered.
    pub async fn recorded(&self, id: &str) -> Value {
        self.operation_past(id, &["NotStarted"]).await
    }

    /// The operation once its status is none of these: the status monitor is
    /// polled, as its callers do.
    async fn operation_past(&self, id: &str, states: &[&str]) -> Value {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let operation = self.operation(id).await;
            if !states.contains(&operation["status"].as_str().unwrap()) {
                return operation;
            }
            assert!(Instant::now() < deadline, "still {operation}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Pending cancels of an offer of contoso take effect now.
    pub async fn bite(&self, offer: &str) {
        let path = format!("offers/contoso/{offer}/bite");
        self.vendor.control("POST", &path, Value::Null).await;
    }

    /// Cancels and waits for the end.
    pub async fn outcome_of(&self, offer: &str) -> Value {
        let answer = self.cancel(offer).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        self.ended(answer.json()["id"].as_str().unwrap()).await
    }

    /// Cancels them all, then waits for their ends.
    pub async fn outcomes_of(&self, offers: &[&str]) -> Vec<Value> {
        let mut ids = Vec::new();
        for offer in offers {
            let answer = self.cancel(offer).await;
            assert_eq!(answer.status, 202, "{answer:?}");
            ids.push(answer.json()["id"].as_str().unwrap().to_owned());
        }
        let mut ended = Vec::new();
        for id in ids {
            ended.push(self.ended(&id).await);
        }
        ended
    }

    /// Drains the gateway and starts another on the same ledger, with the settings
    /// as they are now.
    pub async fn restart(&mut self) {
        self.stop().await;
        let gateway = Gateway::start(self.settings.clone()).await.unwrap();
        self.public = gateway.public_address();
        self.admin = gateway.admin_address();
        self.gateway = Some(gateway);
    }

    /// Replaces the overriding TOML while it runs.
    pub async fn reload(&self, toml: &str) {
        write_with_hashes(&self.directory, "test.toml", toml);
        let reloader = self.gateway.as_ref().unwrap().reloader();
        let source = source(&self.directory);
        let reloaded = tokio::task::spawn_blocking(move || reloader.reload(&source));
        assert!(!reloaded.await.unwrap().files.is_empty());
    }

    /// Restarts it with other overriding TOML.
    pub async fn reconfigure(&mut self, toml: &str) {
        let setup = Setup {
            toml: toml.to_owned(),
            ..Setup::default()
        };
        self.settings = settings(&self.directory, self.vendor.address, &setup);
        self.restart().await;
    }

    pub async fn stop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.drain().await;
        }
    }
}
